//! A stream of this data directory as source: its segments are the partitions. `source::build` makes it, source tasks
//! drive its readers.

use crate::config::pipeline::StreamSource;
use crate::connector::{ConnectorError, Partition, PartitionReader, Progress, ReadStatus, Source, SourceBatch};
use std::sync::Mutex;
use tidemill_storage::stream::{StreamInfo, StreamState};
use tidemill_storage::{Batch, EventTime, Offset, Position, SegmentId, Store, StreamName};

const ID_PREFIX: &str = "segment-";

/// The source of a `stream = "..."` of a pipeline.
pub(super) struct StreamReaders {
    name: String,
    stream: StreamName,
    bounded: bool,
    store: Store,
    /// Where a bounded run ends: the tails at the first look, the same for all partitions.
    cut: Mutex<Option<StreamInfo>>,
}

impl StreamReaders {
    pub(super) fn new(name: &str, spec: &StreamSource, store: Store) -> StreamReaders {
        let stream = spec.stream.clone();
        StreamReaders { name: name.to_string(), stream, bounded: spec.bounded, store, cut: Mutex::new(None) }
    }

    fn info(&self) -> Result<StreamInfo, ConnectorError> {
        info(&self.store, &self.stream, &self.name)
    }

    /// The stream, if it is one that a pipeline can read: its segments are the partitions, and those do not change within a run. After
    /// a scaling, the successors of a segment would have to become partitions once it is read to its end.
    fn unscaled(&self) -> Result<StreamInfo, ConnectorError> {
        let info = self.info()?;
        if info.past.is_empty() { Ok(info) } else { Err(scaled(&self.name, &info)) }
    }

    fn cut(&self) -> Result<StreamInfo, ConnectorError> {
        let mut cut = self.cut.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*cut {
            Some(info) => Ok(info.clone()),
            None => Ok(cut.insert(self.unscaled()?).clone()),
        }
    }
}

fn info(store: &Store, stream: &StreamName, source: &str) -> Result<StreamInfo, ConnectorError> {
    store.stream(stream)?.ok_or_else(|| {
        ConnectorError::Invalid(format!(
            "source {source}: there is no stream {stream} in this data directory; make it with `tidemill stream create \
             {stream}`, or run the pipeline that writes it"
        ))
    })
}

fn scaled(source: &str, info: &StreamInfo) -> ConnectorError {
    ConnectorError::Invalid(format!(
        "source {source}: stream {} was scaled and still has events in {} sealed segments; a pipeline cannot follow a scaling: read \
         them elsewhere and truncate them (`tidemill stream truncate`), then run under another pipeline name, or read another stream; \
         nothing was skipped",
        info.name,
        info.past.len()
    ))
}

impl Source for StreamReaders {
    fn partitions(&self) -> Result<Vec<Partition>, ConnectorError> {
        let info = if self.bounded { self.cut()? } else { self.unscaled()? };
        let size = |s: &tidemill_storage::stream::SegmentInfo| self.bounded.then(|| s.tail.0.saturating_sub(s.head.0));
        Ok(info.segments.iter().map(|s| Partition { id: format!("{ID_PREFIX}{}", s.id), size: size(s) }).collect())
    }

    fn open(&self, partition: &Partition, position: Option<&[u8]>) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let bad =
            || ConnectorError::Invalid(format!("source {}: stream {} has no {}", self.name, self.stream, partition.id));
        let segment =
            partition.id.strip_prefix(ID_PREFIX).and_then(|n| n.parse().ok()).map(SegmentId).ok_or_else(bad)?;
        let (at, end) = match position {
            Some(bytes) => {
                let stored = StreamPosition::decode(bytes)
                    .map_err(|why| ConnectorError::Invalid(format!("source {}: {}: {why}", self.name, partition.id)))?;
                // A run that had no end and is to have one now ends where the stream does.
                let end = match (self.bounded, stored.end) {
                    (false, _) => None,
                    (true, Some(end)) => Some(end),
                    (true, None) => Some(self.cut()?.segment(segment).ok_or_else(bad)?.tail.max(stored.at.offset)),
                };
                (stored.at, end)
            }
            None => {
                let info = if self.bounded { self.cut()? } else { self.info()? };
                let known = info.segment(segment).ok_or_else(bad)?;
                let at = Position {
                    stream: info.stream.id,
                    generation: info.stream.generation,
                    segment,
                    offset: known.head,
                };
                (at, self.bounded.then_some(known.tail))
            }
        };
        let start = at.offset;
        Ok(Box::new(SegmentReader {
            source: self.name.clone(),
            stream: self.stream.clone(),
            store: self.store.clone(),
            at,
            end,
            start,
            seen: None,
            given: None,
            tail: start,
            epoch: None,
            sealed: false,
            pending: None,
        }))
    }

    fn bounded(&self) -> bool {
        self.bounded
    }
}

/// Layout, integers little-endian: version u8 = 1, stream id, generation, segment, offset, end + 1 (0 = none), u64 each.
struct StreamPosition {
    at: Position,
    end: Option<Offset>,
}

impl StreamPosition {
    const VERSION: u8 = 1;

    fn encode(&self) -> Vec<u8> {
        let Position { stream, generation, segment, offset } = self.at;
        let mut bytes = vec![StreamPosition::VERSION];
        for number in [stream.0, generation.0, segment.0, offset.0, self.end.map_or(0, |end| end.0 + 1)] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<StreamPosition, String> {
        let (numbers, rest) = bytes.get(1..).unwrap_or_default().as_chunks::<8>();
        match (bytes.first(), numbers) {
            (Some(&StreamPosition::VERSION), [stream, generation, segment, offset, end]) if rest.is_empty() => {
                let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
                Ok(StreamPosition {
                    at: Position {
                        stream: tidemill_storage::StreamId(number(stream)),
                        generation: tidemill_storage::Generation(number(generation)),
                        segment: SegmentId(number(segment)),
                        offset: Offset(number(offset)),
                    },
                    end: number(end).checked_sub(1).map(Offset),
                })
            }
            _ => Err("the stored position is damaged, or of a newer Tidemill".to_string()),
        }
    }
}

struct SegmentReader {
    source: String,
    stream: StreamName,
    store: Store,
    at: Position,
    end: Option<Offset>,
    /// Where this reader began, for progress.
    start: Offset,
    /// Tail of this segment and watermark of the stream, of one snapshot: when everything below the tail is read, the
    /// watermark holds for what follows.
    seen: Option<(Offset, Option<EventTime>)>,
    /// The last watermark given.
    given: Option<EventTime>,
    /// The tail as last heard of.
    tail: Offset,
    /// The epoch of the segment set at the first look.
    epoch: Option<u32>,
    /// The stream takes no more events.
    sealed: bool,
    /// A chunk that was read and not given whole: the events from `at.offset` on.
    pending: Option<(Batch, usize)>,
}

impl SegmentReader {
    fn ended(&self) -> bool {
        self.end.is_some_and(|end| self.at.offset >= end)
    }

    /// Looks at the stream again.
    fn look(&mut self) -> Result<(), ConnectorError> {
        let info = info(&self.store, &self.stream, &self.source)?;
        let known = info.segment(self.at.segment).map(|s| s.tail);
        // Others would take the events that are missing here, and nobody reads those.
        if self.end.is_none() && *self.epoch.get_or_insert(info.epoch) != info.epoch {
            return Err(scaled(&self.source, &info));
        }
        self.sealed = info.state == StreamState::Sealed;
        match known {
            Some(tail) if info.stream.id == self.at.stream && info.stream.generation == self.at.generation => {
                self.seen = Some((tail, info.watermark));
                self.tail = tail;
                Ok(())
            }
            _ => Err(ConnectorError::Invalid(format!(
                "source {}: stream {} was deleted and made again since the position was taken; run under another pipeline name",
                self.source, self.stream
            ))),
        }
    }

    /// The stream's watermark, once everything below the snapshot's tail has been given.
    fn give_watermark(&mut self, out: &mut SourceBatch) {
        if let Some((tail, watermark)) = self.seen
            && self.at.offset >= tail
            && watermark > self.given
        {
            out.watermark = out.watermark.max(watermark);
            self.given = watermark;
        }
    }

    /// Gives events of the pending chunk, at most `max_events` and not beyond the end.
    fn give(&mut self, max_events: usize, out: &mut SourceBatch) -> Result<(), ConnectorError> {
        let Some((batch, from)) = self.pending.take() else { return Ok(()) };
        let left = self.end.map_or(usize::MAX, |end| (end.0 - self.at.offset.0) as usize);
        let n = (batch.len() - from).min(max_events).min(left);
        let whole = from == 0 && n == batch.len();
        if whole && out.events.is_empty() {
            out.events = batch;
        } else {
            out.events.extend_from(&batch, from..from + n)?;
            if from + n < batch.len() {
                self.pending = Some((batch, from + n));
            }
        }
        self.at.offset = self.at.offset.plus(n as u64);
        Ok(())
    }
}

impl PartitionReader for SegmentReader {
    fn read(
        &mut self,
        max_events: usize,
        max_bytes: usize,
        out: &mut SourceBatch,
    ) -> Result<ReadStatus, ConnectorError> {
        let (max_events, max_bytes) = (max_events.max(1), max_bytes.max(1));
        let before = out.events.len();
        let bytes_before = out.events.bytes();
        loop {
            if self.ended() {
                self.give_watermark(out);
                return Ok(ReadStatus::End);
            }
            let given = out.events.len() - before;
            let bytes = out.events.bytes() - bytes_before;
            if given >= max_events || (given > 0 && bytes >= max_bytes) {
                self.give_watermark(out);
                return Ok(ReadStatus::More);
            }
            if self.pending.is_some() {
                self.give(max_events - given, out)?;
                continue;
            }
            if self.seen.is_none_or(|(tail, _)| self.at.offset >= tail) {
                self.give_watermark(out);
                self.look()?;
                if self.at.offset >= self.tail {
                    self.give_watermark(out);
                    return Ok(if self.sealed { ReadStatus::End } else { ReadStatus::CaughtUp });
                }
            }
            let chunk = self.store.read(self.at, max_bytes)?;
            self.tail = self.tail.max(chunk.tail);
            if chunk.batch.is_empty() {
                // The snapshot showed events here: another process cannot take them, so the store must give them.
                return Err(tidemill_storage::Error::bug(format!(
                    "stream {} gave no event at {} below its tail",
                    self.stream, self.at.offset
                ))
                .into());
            }
            self.pending = Some((chunk.batch, 0));
        }
    }

    fn position(&self) -> Vec<u8> {
        StreamPosition { at: self.at, end: self.end }.encode()
    }

    fn describe_position(&self) -> String {
        format!("{}, segment {}, offset {}", self.stream, self.at.segment, self.at.offset)
    }

    fn progress(&self) -> Progress {
        let done = self.at.offset.0 - self.start.0;
        Progress { done, total: self.end.map(|end| end.0.saturating_sub(self.start.0)) }
    }
}

#[cfg(test)]
mod tests;
