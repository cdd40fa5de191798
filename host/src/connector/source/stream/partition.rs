//! Reads the segments of one partition of a stream source. `follower.rs` says which; source tasks drive it.

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
    /// The segment that was read last.
    last: SegmentId,
    pending: Option<Pending>,
    /// The last watermark given.
    given: Option<EventTime>,
    /// Whether the place has moved since the watermark was looked up.
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
            last: SegmentId(0),
            pending: None,
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
        let Some(info) = self.seen.as_ref().filter(|_| self.with_watermark && self.stale && self.pending.is_none())
        else {
            return Ok(());
        };
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

    /// Gives events of the pending chunk, at most `max_events` and not beyond the end.
    fn give(&mut self, max_events: usize, out: &mut SourceBatch) -> Result<(), ConnectorError> {
        let Some(Pending { segment, batch, from, offset, end }) = self.pending.take() else { return Ok(()) };
        let left = end.map_or(usize::MAX, |end| usize::try_from(end.0.saturating_sub(offset.0)).unwrap_or(usize::MAX));
        let n = (batch.len() - from).min(max_events).min(left);
        let next = offset.plus(n as u64);
        if from == 0 && n == batch.len() && out.events.is_empty() {
            out.events = batch;
        } else {
            out.events.extend_from(&batch, from..from + n)?;
            if from + n < batch.len() && n < left {
                self.pending = Some(Pending { segment, batch, from: from + n, offset: next, end });
            }
        }
        self.follower.move_to(segment, next);
        self.progress.done += n as u64;
        self.stale = true;
        Ok(())
    }

    /// Fetches a chunk of a segment that has one, or finishes segments that are read to their ends. Whether it did anything.
    fn fetch(&mut self, max_bytes: usize, out: &mut SourceBatch) -> Result<bool, ConnectorError> {
        let Some(seen) = &self.seen else { return Ok(false) };
        let ready = self.follower.ready(self.share);
        // After the one that was read last, so that none starves.
        let first = ready.iter().position(|(segment, ..)| *segment > self.last).unwrap_or(0);
        let mut finished = false;
        for (segment, offset, end) in ready[first..].iter().chain(&ready[..first]).copied() {
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
            self.last = segment;
            self.pending = Some(Pending { segment, batch: chunk.batch, from: 0, offset, end });
            return Ok(true);
        }
        if finished {
            // Others may wait for the barrier behind this.
            out.moved = true;
            self.stale = true;
        }
        Ok(finished)
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
        let mut looked = false;
        loop {
            let given = out.events.len() - before;
            let bytes = out.events.bytes() - bytes_before;
            if given >= max_events || (given > 0 && bytes >= max_bytes) {
                self.give_watermark(out)?;
                return Ok(ReadStatus::More);
            }
            if self.pending.is_some() {
                self.give(max_events - given, out)?;
                continue;
            }
            if self.fetch(max_bytes, out)? {
                continue;
            }
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
