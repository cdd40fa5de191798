//! What a reader group knows, as one value that changes by pure functions: who reads what from where, what waits, which
//! checkpoints are under way. `group.rs` and `reader.rs` make each change on the newest version and have the committer swap
//! it in (`decide/group.rs`), trying again when another was faster.
//!
//! Invariants, of every stream ([`GroupState::check`]):
//! 1. the places cover the key space once (places.rs): no event is left out and none is read by two readers;
//! 2. a segment has at most one reader, and what a reader has not reported is read again when it is lost;
//! 3. a reader with an open checkpoint takes, gives back and finishes nothing until it has reported, so that a
//!    checkpoint's places are those of one moment.

use super::checkpoints::{Completed, Open};
use super::places::{Held, Place, Range, Segments, cut_of};
use super::share;
use crate::error::{Error, Result};
use crate::ids::{NAME_BYTES_MAX, Offset, StreamId, StreamName};
use crate::row::SegmentKey;
use crate::stream::{StreamCut, StreamRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most readers of one group.
pub const READERS_MAX: usize = 4_096;

/// A stream of the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: StreamName,
    pub(crate) stream: StreamRef,
    pub(crate) start: StreamCut,
    pub(crate) end: Option<StreamCut>,
}

/// What a reader has of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Own {
    /// Where another reader goes on if this one is lost.
    pub(crate) recorded: Offset,
    /// Up to where it has read, as it last said.
    pub(crate) read: Offset,
    pub(crate) ranges: Vec<Range>,
}

/// A reader that is online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reader {
    /// Which of all readers ever: a stale handle of the same id is told apart.
    pub(crate) incarnation: u64,
    pub(crate) segments: BTreeMap<SegmentKey, Own>,
}

/// What consumption-based retention may remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acknowledge {
    /// The group does not hold up retention.
    #[default]
    Never,
    /// What lies before the last checkpoint.
    AtCheckpoints,
    /// What lies before the cuts given to [`super::ReaderGroup::acknowledge`].
    Manually,
}

/// Offsets per segment: where a reader stands.
pub(crate) type Offsets = BTreeMap<SegmentKey, Offset>;

/// A reader group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupState {
    pub(crate) members: Vec<Member>,
    /// Each reset starts the next.
    pub(crate) generation: u64,
    pub(crate) checkpoints_max: u32,
    pub(crate) acknowledge: Acknowledge,
    pub(crate) next_incarnation: u64,
    pub(crate) next_cuts: u64,
    pub(crate) readers: BTreeMap<String, Reader>,
    pub(crate) unassigned: BTreeMap<SegmentKey, Place>,
    pub(crate) held: BTreeMap<SegmentKey, Held>,
    /// In the order in which they were begun.
    pub(crate) open: Vec<Open>,
    /// The last one that every reader reported.
    pub(crate) last: Option<Completed>,
    /// Completed without markers, oldest first.
    pub(crate) silent: Vec<Completed>,
    pub(crate) acknowledged: BTreeMap<StreamId, StreamCut>,
}

impl GroupState {
    /// Puts all readers out, and every stream at its start.
    pub(crate) fn restart(&mut self, members: Vec<Member>, segments: &BTreeMap<StreamId, Segments>) {
        self.generation += 1;
        self.readers.clear();
        self.unassigned.clear();
        self.held.clear();
        self.open.clear();
        self.silent.clear();
        self.last = None;
        self.acknowledged = members.iter().map(|member| (member.stream.id, member.start.clone())).collect();
        self.members = members;
        for member in self.members.clone() {
            let none = Segments::new();
            self.place(&member.start, segments.get(&member.stream.id).unwrap_or(&none));
        }
    }

    /// Lets a reader in; gives its incarnation.
    pub(crate) fn add_reader(&mut self, id: &str) -> Result<u64> {
        if id.is_empty() || id.len() > NAME_BYTES_MAX {
            return Err(Error::invalid(format!("reader id {id:?}: 1 to {NAME_BYTES_MAX} bytes")));
        }
        if self.readers.contains_key(id) {
            return Err(Error::conflict(format!(
                "reader {id} is online: choose another id, declare it offline, or take it over"
            )));
        }
        if self.readers.len() >= READERS_MAX {
            return Err(Error::invalid(format!("a group has at most {READERS_MAX} readers")));
        }
        self.next_incarnation += 1;
        let reader = Reader { incarnation: self.next_incarnation, segments: BTreeMap::new() };
        self.readers.insert(id.to_string(), reader);
        Ok(self.next_incarnation)
    }

    /// The reader, unless a newer one, a reset or somebody's word has put it out.
    pub(crate) fn reader(&self, id: &str, incarnation: u64) -> Result<&Reader> {
        self.readers.get(id).filter(|reader| reader.incarnation == incarnation).ok_or_else(|| fenced(id))
    }

    fn reader_mut(&mut self, id: &str, incarnation: u64) -> Result<&mut Reader> {
        self.readers.get_mut(id).filter(|reader| reader.incarnation == incarnation).ok_or_else(|| fenced(id))
    }

    /// Puts a reader out; others go on at `at` where it says something, but not before what the reader last reported. What it
    /// says of other segments is of no use: they were handed over exactly. False: it was not online.
    pub(crate) fn offline(&mut self, id: &str, at: Option<&Offsets>) -> Result<bool> {
        let Some(reader) = self.readers.remove(id) else { return Ok(false) };
        let given =
            |key: &SegmentKey, own: &Own| at.and_then(|at| at.get(key)).copied().unwrap_or_default().max(own.recorded);
        let places: BTreeMap<SegmentKey, Place> = reader
            .segments
            .into_iter()
            .map(|(key, own)| (key, Place { offset: given(&key, &own), ranges: own.ranges }))
            .collect();
        self.report_lost(id, &places)?;
        self.unassigned.extend(places);
        Ok(true)
    }

    fn counts(&self) -> Vec<usize> {
        self.readers.values().map(|reader| reader.segments.len()).collect()
    }

    /// Whether the reader may take another segment.
    pub(crate) fn may_take(&self, id: &str) -> bool {
        let own = self.readers.get(id).map_or(0, |reader| reader.segments.len());
        self.open_of(id).is_none() && share::may_take(own, &self.counts(), self.unassigned.len())
    }

    /// Gives the reader as many segments as are its share.
    pub(crate) fn take(&mut self, id: &str, incarnation: u64) -> Result<()> {
        self.reader(id, incarnation)?;
        while self.may_take(id) {
            let Some((key, Place { offset, ranges })) = self.unassigned.pop_first() else { break };
            self.reader_mut(id, incarnation)?.segments.insert(key, Own { recorded: offset, read: offset, ranges });
        }
        Ok(())
    }

    /// Whether the reader owns more than its share.
    pub(crate) fn should_give(&self, id: &str) -> bool {
        let own = self.readers.get(id).map_or(0, |reader| reader.segments.len());
        self.open_of(id).is_none() && share::should_give(own, &self.counts(), self.unassigned.len())
    }

    /// Takes what is above its share from a reader, that has worked off everything up to `at`.
    pub(crate) fn give(&mut self, id: &str, incarnation: u64, at: &Offsets) -> Result<()> {
        self.note_read(id, incarnation, at)?;
        while self.should_give(id) {
            let Some((key, own)) = self.reader_mut(id, incarnation)?.segments.pop_last() else { break };
            self.unassigned.insert(key, Place { offset: own.read, ranges: own.ranges });
        }
        Ok(())
    }

    /// A reader has worked off a segment to its end, or to the group's. False: it has to report a checkpoint first.
    pub(crate) fn finish(
        &mut self,
        id: &str,
        incarnation: u64,
        key: SegmentKey,
        at: Offset,
        segments: &Segments,
    ) -> Result<bool> {
        if self.open_of(id).is_some() {
            return Ok(false);
        }
        // Gone already: the same was decided before an answer got lost.
        if let Some(own) = self.reader_mut(id, incarnation)?.segments.remove(&key) {
            self.held.insert(key, Held { offset: at, read: true, ranges: own.ranges });
            self.unlock(key.stream, segments);
        }
        Ok(true)
    }

    /// Notes up to where a reader has read.
    pub(crate) fn note_read(&mut self, id: &str, incarnation: u64, at: &Offsets) -> Result<()> {
        for (key, own) in &mut self.reader_mut(id, incarnation)?.segments {
            if let Some(offset) = at.get(key) {
                own.read = (*offset).max(own.recorded);
            }
        }
        Ok(())
    }

    /// Whether everything is read to the end, which is never so without an end cut or a sealed stream.
    pub(crate) fn is_at_end(&self) -> bool {
        self.unassigned.is_empty() && self.readers.values().all(|reader| reader.segments.is_empty())
    }

    /// Before these cuts it needs nothing any more; none of a group that holds up no retention.
    pub(crate) fn acknowledgements(&self) -> BTreeMap<StreamId, StreamCut> {
        if self.acknowledge == Acknowledge::Never { BTreeMap::new() } else { self.acknowledged.clone() }
    }

    /// Where every stream was last known to be read to.
    pub(crate) fn cuts(&self) -> Result<BTreeMap<StreamId, StreamCut>> {
        let cut = |member: &Member| {
            let cut = cut_of(member.stream, self.places_of(member.stream.id));
            Ok((member.stream.id, cut.map_err(|e| e.context(format!("reader group's stream {}", member.name)))?))
        };
        self.members.iter().map(cut).collect()
    }

    /// Checks the invariants.
    pub(crate) fn check(&self) -> Result<()> {
        self.cuts()?;
        let segments = self.readers.values().flat_map(|reader| reader.segments.keys());
        let mut all: Vec<&SegmentKey> = segments.chain(self.unassigned.keys()).chain(self.held.keys()).collect();
        all.sort_unstable();
        if let Some(twice) = all.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::invalid(format!("segment {} is in two places", twice[0].segment)));
        }
        if let Some(open) = self.open.iter().find(|open| open.waiting.iter().any(|id| !self.readers.contains_key(id))) {
            return Err(Error::invalid(format!("checkpoint {} waits for a reader that is not online", open.name)));
        }
        Ok(())
    }
}

fn fenced(id: &str) -> Error {
    Error::fenced(format!(
        "reader {id} was put out: the group was reset, or the reader declared offline or taken over; make a new reader"
    ))
}
