//! What a reader group is and where it stands, for people and for `store check`.

use super::GroupCut;
use super::group::named;
use super::state::{Acknowledge, Member};
use crate::error::Result;
use crate::ids::{Offset, Position, StreamName};
use crate::names::GroupName;
use crate::row::{GroupRow, SegmentKey};
use crate::stream::{StreamCut, StreamInfo, StreamRef};

/// A reader group as one consistent snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its name.
    pub name: GroupName,
    /// When it was made, ms since the Unix epoch, by the store's clock.
    pub created_at_ms: i64,
    /// Counts its changes.
    pub version: u64,
    /// Counts its resets, from 1.
    pub generation: u64,
    /// Its streams.
    pub streams: Vec<GroupStreamInfo>,
    /// Readers online, by id.
    pub readers: Vec<GroupReaderInfo>,
    /// Segments that can be read and that nobody reads yet.
    pub unassigned: Vec<Position>,
    /// Checkpoints that are outstanding, in the order in which they were begun.
    pub open: Vec<OpenCheckpoint>,
    /// The last one that completed.
    pub last_checkpoint: Option<(String, GroupCut)>,
    /// How it acknowledges.
    pub acknowledge: Acknowledge,
    /// Whether everything is read to the end.
    pub at_end: bool,
}

/// A stream of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStreamInfo {
    /// Its name.
    pub name: StreamName,
    /// Its id and generation when the group was made or reset.
    pub stream: StreamRef,
    /// Where reading began.
    pub start: StreamCut,
    /// Where it ends.
    pub end: Option<StreamCut>,
    /// Where it was last known to be read to.
    pub cut: StreamCut,
    /// Before this nothing is needed any more; none = the group does not hold up retention.
    pub acknowledged: Option<StreamCut>,
}

/// A reader that is online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupReaderInfo {
    /// Its id.
    pub id: String,
    /// Which of the group's readers ever.
    pub incarnation: u64,
    /// Its segments, and up to where it has read them, as it last said.
    pub segments: Vec<Position>,
}

/// A checkpoint that is outstanding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCheckpoint {
    /// Its name.
    pub name: String,
    /// Whether readers get no marker.
    pub silent: bool,
    /// Readers that have not reported.
    pub waiting: Vec<String>,
}

pub(crate) fn of_row(name: GroupName, row: &GroupRow) -> Result<GroupInfo> {
    let state = &row.state;
    let cuts = state.cuts().map_err(|e| crate::Error::corrupt(format!("reader group {name}: {e}; reset it")))?;
    let position = |key: &SegmentKey, offset: Offset| {
        let of = |member: &&Member| member.stream.id == key.stream;
        let generation = state.members.iter().find(of).map(|member| member.stream.generation).unwrap_or_default();
        Position { stream: key.stream, generation, segment: key.segment, offset }
    };
    let stream = |member: &Member| GroupStreamInfo {
        name: member.name.clone(),
        stream: member.stream,
        start: member.start.clone(),
        end: member.end.clone(),
        cut: cuts.get(&member.stream.id).unwrap_or(&member.start).clone(),
        acknowledged: (state.acknowledge != Acknowledge::Never)
            .then(|| state.acknowledged.get(&member.stream.id).cloned())
            .flatten(),
    };
    let readers = state.readers.iter().map(|(id, reader)| GroupReaderInfo {
        id: id.clone(),
        incarnation: reader.incarnation,
        segments: reader.segments.iter().map(|(key, own)| position(key, own.read)).collect(),
    });
    let open = state.open.iter().map(|open| OpenCheckpoint {
        name: open.name.clone(),
        silent: open.silent,
        waiting: open.waiting.iter().cloned().collect(),
    });
    Ok(GroupInfo {
        created_at_ms: row.created_at_ms,
        version: row.version,
        generation: state.generation,
        streams: state.members.iter().map(stream).collect(),
        readers: readers.collect(),
        unassigned: state.unassigned.iter().map(|(key, place)| position(key, place.offset)).collect(),
        open: open.collect(),
        last_checkpoint: state.last.as_ref().map(|last| (last.name.clone(), named(state, &last.cuts))),
        acknowledge: state.acknowledge,
        at_end: state.is_at_end(),
        name,
    })
}

/// Events of a stream that lie at or after a cut.
pub fn unread_events(stream: &StreamInfo, cut: &StreamCut) -> u64 {
    let unread = |segment: &super::super::SegmentInfo| {
        let tiles = cut.tiles().iter().filter(|t| t.low <= segment.range.1 && t.high >= segment.range.0);
        let from = match tiles.map(|tile| (tile.segment, tile.offset)).min() {
            Some((id, offset)) if id == segment.id => offset.max(segment.head),
            Some((id, _)) if id < segment.id => segment.head,
            _ => segment.tail,
        };
        segment.tail.0.saturating_sub(from.0)
    };
    stream.all_segments().map(unread).sum()
}
