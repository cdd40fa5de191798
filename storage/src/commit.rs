//! What the committer takes: parts, each accepted or refused whole, all accepted ones in ONE redb transaction.
//!
//! An [`EpochCommit`] is a checkpoint of one pipeline: input positions, keyed state, timers (inside the state deltas),
//! watermarks, output and dead letters. Nothing else makes a pipeline's output visible.

use crate::checkpoint::CheckpointRecord;
use crate::ids::{Epoch, Incarnation, Offset, Position, SegmentId};
use crate::stream::{EncodedChunk, StreamRef};
use crate::time::EventTime;
use bytes::Bytes;

/// One request to the committer.
#[derive(Clone, Debug)]
pub enum Part {
    /// A client's append.
    Append(Append),
    /// A pipeline's checkpoint.
    Epoch(Box<EpochCommit>),
    /// A named marker of an egress, compared and swapped, with an optional truncation of what it has consumed.
    Marker(MarkerSwap),
}

/// Chunks for one segment of a stream.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream, with the generation the caller knows.
    pub stream: StreamRef,
    /// The segment.
    pub segment: SegmentId,
    /// Encoded before they come here; their offsets are given at commit.
    pub chunks: Vec<EncodedChunk>,
}

/// Everything one epoch of one pipeline did.
#[derive(Clone, Debug)]
pub struct EpochCommit {
    /// The pipeline's name.
    pub pipeline: String,
    /// The run that made this; refused as `Fenced` unless it is the newest.
    pub incarnation: Incarnation,
    /// Refused unless it is the last committed epoch + 1.
    pub epoch: Epoch,
    /// Positions, watermarks, counters.
    pub record: CheckpointRecord,
    /// Sorted state deltas, timers included, one per operator subtask that changed anything.
    pub state: Vec<StateDelta>,
    /// Output and dead letters.
    pub outputs: Vec<Append>,
    /// Output watermarks of sinks, noted on their streams.
    pub stream_watermarks: Vec<(StreamRef, EventTime)>,
    /// Input schedules per (operator uid, subtask): encoded by [`crate::checkpoint::Schedule`].
    pub schedules: Vec<(String, u32, Bytes)>,
}

/// One sorted blob of state changes (see `state/delta.rs` for the layout).
#[derive(Clone, Debug)]
pub struct StateDelta {
    /// The operator's uid in the pipeline.
    pub operator: String,
    /// Encoded delta.
    pub blob: Bytes,
}

/// Compare-and-swap of a named marker.
#[derive(Clone, Debug)]
pub struct MarkerSwap {
    /// For example `egress/<pipeline>/<sink>`.
    pub name: String,
    /// What must be there now; refused as `Fenced` otherwise.
    pub expected: Option<Bytes>,
    /// What to put there.
    pub value: Bytes,
    /// Streams' segments whose events before the offset are no longer needed (whole chunks are freed).
    pub truncate: Vec<Position>,
}

/// What an accepted part got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// For each `Append` of the part in order: offset of its first event.
    pub first_offsets: Vec<Offset>,
}
