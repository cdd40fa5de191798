//! One reader of a group: takes its share of the segments, reads them in turn, stops at markers and ends. Everything the
//! group must know goes through `ReaderGroup::change`; where it stands between two calls only it knows.

use super::group::ReaderGroup;
use super::places::segments;
use super::state::{GroupState, Member, Offsets, Own};
use crate::batch::Batch;
use crate::codec::decode_row;
use crate::error::{Error, Kind, Result};
use crate::ids::{Offset, Position, SegmentId, StreamName};
use crate::row::{GroupRow, SegmentKey};
use crate::stream::StreamRef;
use bytes::Bytes;

/// How long the group may not know where a reader stands, ms of the store's clock.
const TELL_EVERY_MS: i64 = 1_000;

/// What a reader got.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupRead {
    /// Events of one segment.
    Events(GroupEvents),
    /// Everything before it belongs to the checkpoint of this name, everything after it does not. The next call reports
    /// it, and with it that what came before is worked off.
    Checkpoint(String),
    /// There is nothing to read for this reader now.
    Idle,
    /// Nothing will ever come: the group is at its end cuts, or at the end of sealed streams.
    EndOfStream,
}

/// Events of one segment, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupEvents {
    /// The stream.
    pub stream: StreamName,
    /// Its id and generation.
    pub stream_ref: StreamRef,
    /// The segment.
    pub segment: SegmentId,
    /// Offset of the first event.
    pub first: Offset,
    /// At least one event.
    pub batch: Batch,
}

impl GroupEvents {
    /// Where an event of the batch is: [`crate::Store::read_event`] gets it again.
    pub fn pointer(&self, index: usize) -> Position {
        Position {
            stream: self.stream_ref.id,
            generation: self.stream_ref.generation,
            segment: self.segment,
            offset: self.first.plus(index as u64),
        }
    }
}

/// A reader of a group. Dropped without [`GroupReader::close`] it is still online for the group: declare it offline then.
#[derive(Debug)]
pub struct GroupReader {
    group: ReaderGroup,
    id: String,
    incarnation: u64,
    /// The group's row as it was last seen.
    seen: Bytes,
    state: GroupState,
    /// Where it stands in its segments.
    at: Offsets,
    /// The segment that was read last.
    last: Option<SegmentKey>,
    /// The checkpoint whose marker was given last.
    marker: Option<String>,
    told_at_ms: i64,
}

/// What a segment had.
enum Found {
    Events(GroupEvents),
    Nothing,
    /// It ends here.
    End,
    /// There is something else to do first: look at the group again.
    Later,
}

impl GroupReader {
    pub(super) fn new(group: ReaderGroup, id: &str, incarnation: u64) -> GroupReader {
        let told_at_ms = group.store.now_ms();
        let (seen, state) = (Bytes::new(), GroupState::default());
        let (at, id) = (Offsets::new(), id.to_string());
        GroupReader { group, id, incarnation, seen, state, at, last: None, marker: None, told_at_ms }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it stands in each of its segments: after the last event that [`GroupReader::read`] gave.
    pub fn position(&self) -> Vec<Position> {
        let generation = |key: &SegmentKey| self.member(key).map(|member| member.stream.generation).unwrap_or_default();
        let position = |(key, offset): (&SegmentKey, &Offset)| Position {
            stream: key.stream,
            generation: generation(key),
            segment: key.segment,
            offset: *offset,
        };
        self.at.iter().map(position).collect()
    }

    /// The next events, marker or end; says with it that everything given before is worked off. Of events at least a chunk's
    /// rest, then while they keep below `max_bytes`.
    ///
    /// `Fenced` when this reader was put out. `Truncated` once for events that were removed before they were read: the next
    /// call goes on behind them; if it comes again the stream was deleted and made anew: reset the group. Errors of one
    /// segment do not keep the next call from reading another.
    pub fn read(&mut self, max_bytes: usize) -> Result<GroupRead> {
        if let Some(name) = self.marker.clone() {
            self.report(&name)?;
            self.marker = None;
        }
        loop {
            self.refresh()?;
            let open = self.state.open_of(&self.id).map(|open| (open.name.clone(), open.silent));
            match open {
                Some((name, true)) => {
                    self.report(&name)?;
                    continue;
                }
                Some((name, false)) => {
                    self.marker = Some(name.clone());
                    return Ok(GroupRead::Checkpoint(name));
                }
                None => {}
            }
            if self.rebalance()? {
                continue;
            }
            self.tell()?;
            if let Some(read) = self.read_in_turn(max_bytes)? {
                return Ok(read);
            }
        }
    }

    /// Leaves the group: everything given so far is worked off, others go on there.
    pub fn close(self) -> Result<()> {
        self.group.change(|state| {
            let reader = state.reader(&self.id, self.incarnation)?;
            let mut at = self.at.clone();
            at.retain(|key, _| reader.segments.contains_key(key));
            state.offline(&self.id, Some(&at)).map(drop)
        })
    }

    fn member(&self, key: &SegmentKey) -> Option<&Member> {
        self.state.members.iter().find(|member| member.stream.id == key.stream)
    }

    fn member_of(&self, key: &SegmentKey) -> Result<&Member> {
        let none = || Error::corrupt(format!("reader group {}: a segment of no stream; reset it", self.group.name));
        self.member(key).ok_or_else(none)
    }

    fn change<T>(&self, mut change: impl FnMut(&mut GroupState, &str, u64) -> Result<T>) -> Result<T> {
        self.group.change(|state| change(state, &self.id, self.incarnation))
    }

    fn report(&self, name: &str) -> Result<()> {
        self.change(|state, id, incarnation| state.report(id, incarnation, name, &self.at))
    }

    /// Looks at the group as it is now; takes up segments that are new to this reader, and lets go of those that it has no more.
    fn refresh(&mut self) -> Result<()> {
        let bytes = self.group.row_bytes()?;
        if bytes != self.seen {
            let name = || format!("the row of reader group {}", self.group.name);
            self.state = self.group.is_mine(decode_row::<GroupRow>(&bytes, name)?)?.state;
            self.seen = bytes;
        }
        let named = |e: Error| e.context(format!("reader group {}", self.group.name));
        let reader = self.state.reader(&self.id, self.incarnation).map_err(named)?;
        self.at.retain(|key, _| reader.segments.contains_key(key));
        for (key, Own { recorded, .. }) in &reader.segments {
            self.at.entry(*key).or_insert(*recorded);
        }
        Ok(())
    }

    /// Gives segments back or takes some, if that is due. Between two batches everything given is worked off, so the next
    /// owner goes on exactly here.
    fn rebalance(&mut self) -> Result<bool> {
        if self.state.should_give(&self.id) {
            self.change(|state, id, incarnation| state.give(id, incarnation, &self.at))?;
            return Ok(true);
        }
        if self.state.may_take(&self.id) {
            self.change(|state, id, incarnation| state.take(id, incarnation))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Tells the group now and then where this reader stands.
    fn tell(&mut self) -> Result<()> {
        let now_ms = self.group.store.now_ms();
        if now_ms.saturating_sub(self.told_at_ms) >= TELL_EVERY_MS {
            self.change(|state, id, incarnation| state.note_read(id, incarnation, &self.at))?;
            self.told_at_ms = now_ms;
        }
        Ok(())
    }

    /// Reads the next segment in turn that has something. None: a segment ended, look again what there is to read.
    fn read_in_turn(&mut self, max_bytes: usize) -> Result<Option<GroupRead>> {
        let after = |key: &&SegmentKey| self.last.is_none_or(|last| **key > last);
        let before = |key: &&SegmentKey| !after(key);
        let order: Vec<SegmentKey> =
            self.at.keys().filter(after).chain(self.at.keys().filter(before)).copied().collect();
        for key in order {
            // Also when it fails: the next call goes on with another.
            self.last = Some(key);
            match self.look(key, max_bytes)? {
                Found::Events(events) => return Ok(Some(GroupRead::Events(events))),
                Found::Nothing => {}
                Found::End => {
                    self.finish(key)?;
                    return Ok(None);
                }
                Found::Later => return Ok(None),
            }
        }
        Ok(Some(if self.state.is_at_end() { GroupRead::EndOfStream } else { GroupRead::Idle }))
    }

    fn look(&mut self, key: SegmentKey, max_bytes: usize) -> Result<Found> {
        let offset = self.at.get(&key).copied().unwrap_or_default();
        let member = self.member_of(&key)?;
        let (stream, stream_ref) = (member.name.clone(), member.stream);
        let end = self.state.end_offset(key);
        if end.is_some_and(|end| end <= offset) {
            return Ok(Found::End);
        }
        let position = Position { stream: key.stream, generation: stream_ref.generation, segment: key.segment, offset };
        let mut read = match self.group.store.read(position, max_bytes) {
            Ok(read) => read,
            Err(e) if e.kind() == Kind::Truncated => {
                return self.truncated(key, &stream, stream_ref, e)?.map_or(Ok(Found::Later), Err);
            }
            Err(e) => return Err(e),
        };
        if read.batch.is_empty() {
            return Ok(if read.sealed { Found::End } else { Found::Nothing });
        }
        if let Some(end) = end.filter(|end| *end < read.next) {
            read.batch = read.batch.slice(0..(end.0 - offset.0) as usize)?;
            read.next = end;
        }
        self.at.insert(key, read.next);
        let (first, batch) = (read.first, read.batch);
        Ok(Found::Events(GroupEvents { stream, stream_ref, segment: key.segment, first, batch }))
    }

    /// Goes on behind what was truncated; the error that tells of it, unless something else comes first.
    fn truncated(
        &mut self,
        key: SegmentKey,
        name: &StreamName,
        stream: StreamRef,
        why: Error,
    ) -> Result<Option<Error>> {
        let Some(info) = self.group.store.stream(name)?.filter(|info| info.stream == stream) else {
            return Ok(Some(why));
        };
        let from = self.at.get(&key).copied().unwrap_or_default();
        match info.segment(key.segment) {
            Some(segment) if segment.head > from => {
                self.at.insert(key, segment.head);
                Ok(Some(Error::truncated(format!(
                    "reader group {}: stream {name}, segment {}: the events from offset {from} to {} were truncated \
                     before they were read; reading goes on behind them",
                    self.group.name, key.segment, segment.head
                ))))
            }
            Some(_) => Ok(Some(why)),
            None if !self.finish(key)? => Ok(None),
            None => Ok(Some(Error::truncated(format!(
                "reader group {}: stream {name}, segment {}: all events from offset {from} on were truncated before \
                     they were read; reading goes on with what followed",
                self.group.name, key.segment
            )))),
        }
    }

    /// A segment is worked off; what follows it may become readable. False: a checkpoint comes first.
    fn finish(&mut self, key: SegmentKey) -> Result<bool> {
        let member = self.member_of(&key)?;
        // Looked at after the segment was seen to end: its successors are there.
        let info = self.group.store.stream(&member.name)?.filter(|info| info.stream == member.stream);
        let info = info.ok_or_else(|| {
            Error::not_found(format!(
                "reader group {}: stream {} was deleted; reset the group",
                self.group.name, member.name
            ))
        })?;
        let at = self.at.get(&key).copied().unwrap_or_default();
        let segments = segments(&info);
        let finished = self.change(|state, id, incarnation| {
            state.note_read(id, incarnation, &self.at)?;
            state.finish(id, incarnation, key, at, &segments)
        })?;
        if finished {
            self.at.remove(&key);
        }
        Ok(finished)
    }
}
