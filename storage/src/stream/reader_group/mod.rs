//! Reader groups: readers that share the segments of one or several streams, so that each event goes to one of them.
//! (docs: semantics.md 1.4)
//!
//! Map: [`ReaderGroup`] (`group.rs`) makes, resets, checkpoints a group; [`GroupReader`] (`reader.rs`) reads for it. Both change
//! one durable value, `state.rs` with `checkpoints.rs` and `places.rs`: pure functions, swapped in by the committer when nobody
//! was faster. `share.rs` says who should own how many segments. [`GroupInfo`] (`info.rs`) shows a group.
//!
//! What a reader is promised:
//! 1. a segment has one reader, and its successors are read only after all their predecessors were, by whomever;
//! 2. calling [`GroupReader::read`] says that everything it gave before is worked off. What a lost reader had not reported
//!    (by a checkpoint, by closing, or by the position given for it) is read again by others; nothing is skipped;
//! 3. a reader that was put out learns so at its next call (`Fenced`) and can change nothing any more;
//! 4. events that were truncated before they were read are one `Truncated` error, and then reading goes on.
//!
//! A group needs no reader's clock: a segment waits for the reader whose share it is. Declare a reader offline that does
//! not call any more; until then nobody else reads its segments.

mod checkpoints;
mod group;
mod info;
mod places;
mod reader;
mod share;
mod state;

pub use group::{CheckpointStatus, ReaderGroup};
pub use info::{GroupInfo, GroupReaderInfo, GroupStreamInfo, OpenCheckpoint, unread_events};
pub use reader::{GroupEvents, GroupRead, GroupReader};
pub(crate) use state::GroupState;
pub use state::{Acknowledge, READERS_MAX};

use super::StreamCut;
use crate::error::{Error, Result};
use crate::ids::StreamName;
use std::collections::BTreeMap;

/// Most streams of one group.
pub const GROUP_STREAMS_MAX: usize = 256;
/// Most checkpoints of one group that may be outstanding at once, whatever its setting.
pub const GROUP_CHECKPOINTS_MAX: u32 = 64;

/// A place in each stream of a group.
pub type GroupCut = BTreeMap<StreamName, StreamCut>;

/// Where a group begins in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest event there is.
    Head,
    /// With the next event that comes.
    Tail,
    /// At a cut. What of it is truncated when it is read is a `Truncated` error.
    Cut(StreamCut),
}

/// One stream of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStream {
    /// The stream.
    pub stream: StreamName,
    /// Where reading begins.
    pub start: Start,
    /// Where it ends; none = never, or where a sealed stream ends.
    pub end: Option<StreamCut>,
}

impl GroupStream {
    /// From the head, without an end.
    pub fn from_head(stream: StreamName) -> GroupStream {
        GroupStream { stream, start: Start::Head, end: None }
    }
}

/// What a group is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// At least one, each once.
    pub streams: Vec<GroupStream>,
    /// Checkpoints that may be outstanding at once.
    pub checkpoints_max: u32,
    /// What retention by consumption may remove on this group's word.
    pub acknowledge: Acknowledge,
}

impl GroupConfig {
    /// Of these streams, with three outstanding checkpoints, no subscriber.
    pub fn new(streams: impl IntoIterator<Item = GroupStream>) -> GroupConfig {
        GroupConfig { streams: streams.into_iter().collect(), checkpoints_max: 3, acknowledge: Acknowledge::Never }
    }

    fn check(&self) -> Result<()> {
        let mut names: Vec<&StreamName> = self.streams.iter().map(|stream| &stream.stream).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != self.streams.len() || names.is_empty() || names.len() > GROUP_STREAMS_MAX {
            return Err(Error::invalid(format!("a reader group has 1 to {GROUP_STREAMS_MAX} streams, each once")));
        }
        if self.checkpoints_max == 0 || self.checkpoints_max > GROUP_CHECKPOINTS_MAX {
            return Err(Error::invalid(format!(
                "{} outstanding checkpoints: allow 1 to {GROUP_CHECKPOINTS_MAX}",
                self.checkpoints_max
            )));
        }
        Ok(())
    }
}
