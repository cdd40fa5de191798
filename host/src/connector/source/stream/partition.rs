//! Reads the segments of one partition of a stream source. `follower.rs` says which; source tasks drive it.
//!
//! Several segments are merged by the times of their next events: each is in its own order, and none runs ahead of the others by more than
//! that order has disorder. So a partition's watermark by event times means over many segments what it means over one, also far
//! behind the tail.

use super::follower::{Follower, Standing};
use super::look;
use crate::connector::{ConnectorError, PartitionReader, Progress, ReadStatus, SourceBatch};
use std::sync::Arc;
use tidemill_storage::stream::{StreamInfo, StreamRef, StreamState};
use tidemill_storage::{Batch, EventTime, Offset, Position, SegmentId, Store, StreamName};

/// A chunk that was read and not given whole.
struct Pending {
    segment: SegmentId,
    batch: Batch,
    /// The next event of it, and its offset.
    from: usize,
    offset: Offset,
    end: Option<Offset>,
}

impl Pending {
    /// That of the next event.
    fn time(&self) -> i64 {
        self.batch.timestamps.get(self.from).copied().unwrap_or(i64::MIN)
    }
}

pub(super) struct StreamPartition {
    pub(super) source: String,
    pub(super) name: StreamName,
    pub(super) stream: StreamRef,
    pub(super) store: Store,
    pub(super) follower: Arc<Follower>,
    pub(super) share: usize,
    /// Whether anybody wants the stream's own watermark.
    pub(super) with_watermark: bool,
    /// Events given, and of how many if that is known.
    pub(super) progress: Progress,
    seen: Option<StreamInfo>,
    /// At most one of each segment.
    pending: Vec<Pending>,
    /// The last watermark given.
    given: Option<EventTime>,
    /// Whether a chunk came to its end, or the stream's watermark moved, since the watermark was looked up.
    stale: bool,
}

impl StreamPartition {
    pub(super) fn new(
        (source, name, stream): (String, StreamName, StreamRef),
        store: Store,
        (follower, share): (Arc<Follower>, usize),
        with_watermark: bool,
        total: Option<u64>,
    ) -> StreamPartition {
        StreamPartition {
            source,
            name,
            stream,
            store,
            follower,
            share,
            with_watermark,
            progress: Progress { done: 0, total },
            seen: None,
            pending: Vec::new(),
            given: None,
            stale: true,
        }
    }

    /// Looks at the stream again.
    fn look(&mut self) -> Result<(), ConnectorError> {
        let info = look(&self.store, &self.name, &self.source)?;
        if info.stream != self.stream {
            return Err(ConnectorError::Invalid(format!(
                "source {}: stream {} was deleted and made again since the position was taken; run under another pipeline name",
                self.source, self.name
            )));
        }
        self.stale |= self.seen.as_ref().is_none_or(|seen| seen.watermark != info.watermark);
        self.seen = Some(info);
        Ok(())
    }

    /// The stream's watermark for where this partition stands: what it will read from now on is later. Looked up once per chunk and, at
    /// the tail, once per watermark.
    fn give_watermark(&mut self, out: &mut SourceBatch) -> Result<(), ConnectorError> {
        let Some(info) = self.seen.as_ref().filter(|_| self.with_watermark && self.stale) else { return Ok(()) };
        let Some(cut) = self.follower.cut(self.share, info) else { return Ok(()) };
        let mut watermark = self.store.time_window(&cut)?.lower;
        if info.tail_cut() == cut {
            // That of a stream of an older format, too, which has no place.
            watermark = watermark.max(info.watermark);
        }
        self.stale = false;
        if watermark > self.given {
            out.watermark = out.watermark.max(watermark);
            self.given = watermark;
        }
        Ok(())
    }

    /// Gives events of the pending chunk whose next event is the earliest, up to the next event of another one, at most `max_events`
    /// and not beyond the end. Whether the chunk is given whole.
    fn give(&mut self, max_events: usize, out: &mut SourceBatch) -> Result<bool, ConnectorError> {
        let earliest = (0..self.pending.len()).min_by_key(|n| (self.pending[*n].time(), self.pending[*n].segment));
        let Some(earliest) = earliest else { return Ok(true) };
        let Pending { segment, batch, from, offset, end } = self.pending.swap_remove(earliest);
        let others = self.pending.iter().map(Pending::time).min();
        let left = end.map_or(usize::MAX, |end| usize::try_from(end.0.saturating_sub(offset.0)).unwrap_or(usize::MAX));
        let most = (batch.len() - from).min(max_events).min(left);
        let n = match others {
            // The first one is the earliest of all, so there is always one.
            Some(time) => batch.timestamps[from..from + most].iter().take_while(|own| **own <= time).count(),
            None => most,
        };
        let next = offset.plus(n as u64);
        let whole = from + n == batch.len() || n == left;
        if from == 0 && n == batch.len() && out.events.is_empty() {
            out.events = batch;
        } else {
            out.events.extend_from(&batch, from..from + n)?;
            if !whole {
                self.pending.push(Pending { segment, batch, from: from + n, offset: next, end });
            }
        }
        self.stale |= whole;
        self.follower.move_to(segment, next);
        self.progress.done += n as u64;
        Ok(whole)
    }

    /// Fetches a chunk of every segment that has one and none here, and goes on from segments that are read to their ends.
    fn top_up(&mut self, max_bytes: usize, out: &mut SourceBatch) -> Result<(), ConnectorError> {
        let Some(seen) = &self.seen else { return Ok(()) };
        loop {
            let ready = self.follower.ready(self.share, seen);
            let max_bytes = (max_bytes / ready.len().max(1)).max(1);
            let mut finished = false;
            for (segment, offset, end) in ready {
                if self.pending.iter().any(|pending| pending.segment == segment) {
                    continue;
                }
                let known = seen.segment(segment);
                if known.is_some_and(|known| known.tail <= offset && known.head <= offset) {
                    if seen.is_past(segment) || seen.state == StreamState::Sealed {
                        self.follower.finish(self.share, segment);
                        finished = true;
                    }
                    continue;
                }
                let StreamRef { id: stream, generation } = self.stream;
                let position = Position { stream, generation, segment, offset };
                let chunk = self.store.read(position, max_bytes).map_err(|e| {
                    e.context(format!("source {}: what the pipeline was to read next is not there", self.source))
                })?;
                if chunk.batch.is_empty() {
                    // The snapshot showed events here: another process cannot take them, so the store must give them.
                    return Err(tidemill_storage::Error::bug(format!(
                        "stream {} gave no event at {offset} of segment {segment} below its tail",
                        self.name
                    ))
                    .into());
                }
                self.pending.push(Pending { segment, batch: chunk.batch, from: 0, offset, end });
            }
            if !finished {
                return Ok(());
            }
            // Others may wait for the barrier behind this.
            out.moved = true;
            self.stale = true;
            self.follower.go_on(self.share, seen);
        }
    }
}

impl PartitionReader for StreamPartition {
    fn read(
        &mut self,
        max_events: usize,
        max_bytes: usize,
        out: &mut SourceBatch,
    ) -> Result<ReadStatus, ConnectorError> {
        let (max_events, max_bytes) = (max_events.max(1), max_bytes.max(1));
        let before = out.events.len();
        let bytes_before = out.events.bytes();
        let (mut looked, mut hungry) = (false, true);
        loop {
            let given = out.events.len() - before;
            let bytes = out.events.bytes() - bytes_before;
            if given >= max_events || (given > 0 && bytes >= max_bytes) {
                self.give_watermark(out)?;
                return Ok(ReadStatus::More);
            }
            if hungry {
                self.top_up(max_bytes, out)?;
            }
            if !self.pending.is_empty() {
                hungry = self.give(max_events - given, out)?;
                continue;
            }
            hungry = true;
            if !looked {
                looked = true;
                self.look()?;
                if let Some(seen) = &self.seen {
                    self.follower.go_on(self.share, seen);
                }
                continue;
            }
            self.give_watermark(out)?;
            return Ok(match self.follower.standing(self.share, self.seen.as_ref()) {
                Standing::Over => ReadStatus::End,
                Standing::Open => ReadStatus::CaughtUp,
            });
        }
    }

    fn position(&self) -> Vec<u8> {
        self.follower.position(self.share).encode()
    }

    fn barrier(&mut self) {
        self.follower.barrier(self.share);
    }

    fn describe_position(&self) -> String {
        let places = self.follower.places(self.share);
        let places: Vec<String> =
            places.into_iter().map(|(segment, offset)| format!("segment {segment}, offset {offset}")).collect();
        format!("{}, {}", self.name, if places.is_empty() { "nothing left".into() } else { places.join("; ") })
    }

    fn progress(&self) -> Progress {
        self.progress
    }
}
