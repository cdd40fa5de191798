//! Routes events to segments by key and fills chunks. Clients and sinks push batches in, the committer gets `Append`s.

use super::{CHUNK_TARGET_BYTES, EncodedChunk, StreamInfo, StreamRef, encode_chunk};
use crate::batch::Batch;
use crate::commit::Append;
use crate::error::Result;
use crate::hash::hash_key;
use crate::headers;
use crate::ids::SegmentId;
use crate::row::SegmentRange;

/// Most bytes of columns in a chunk that several events share, however well they compress.
const RAW_TARGET_MAX: usize = 256 << 10;

/// Routes the events of one stream: by key, key-less ones round robin. Keeps no reference to the store; make a new one
/// when the stream's segments change.
#[derive(Debug)]
pub struct Appender {
    stream: StreamRef,
    lanes: Vec<Lane>,
    /// Greatest hash of each lane, ascending.
    highs: Vec<u64>,
    /// Where the next key-less event goes.
    next_lane: usize,
    /// Where all key-less events go, if not to each in turn.
    keyless: Option<usize>,
}

/// Encodes batches into chunks of just below the target, learning from each how well they compress.
#[derive(Debug)]
pub(crate) struct ChunkFiller {
    chunks: Vec<EncodedChunk>,
    /// Bytes of columns that made, last time, a chunk of just under the target.
    raw_target: usize,
}

impl Default for ChunkFiller {
    fn default() -> ChunkFiller {
        ChunkFiller { chunks: Vec::new(), raw_target: CHUNK_TARGET_BYTES - super::CHUNK_HEADER_BYTES }
    }
}

impl ChunkFiller {
    /// Whether these events are enough for a chunk.
    pub(crate) fn is_full(&self, batch: &Batch) -> bool {
        batch.bytes() >= self.raw_target
    }

    /// The chunks so far.
    pub(crate) fn take(&mut self) -> Vec<EncodedChunk> {
        std::mem::take(&mut self.chunks)
    }

    /// Makes chunks of at least one event.
    pub(crate) fn encode(&mut self, batch: &Batch) -> Result<()> {
        let chunk = encode_chunk(batch)?;
        let ratio = batch.bytes() as f64 / chunk.bytes.len() as f64;
        self.raw_target =
            ((ratio * CHUNK_TARGET_BYTES as f64 * 0.95) as usize).clamp(CHUNK_TARGET_BYTES / 2, RAW_TARGET_MAX);
        if chunk.bytes.len() > CHUNK_TARGET_BYTES && batch.len() > 1 {
            // It compressed worse than the last one: two halves waste less than a chunk of twice the pages.
            let half = batch.len() / 2;
            self.encode(&batch.slice(0..half)?)?;
            return self.encode(&batch.slice(half..batch.len())?);
        }
        self.chunks.push(chunk);
        Ok(())
    }
}

/// One segment's events on the way.
#[derive(Debug)]
struct Lane {
    segment: SegmentId,
    pending: Batch,
    filler: ChunkFiller,
}

impl Lane {
    fn encode(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        self.filler.encode(&pending)
    }

    fn encode_full(&mut self) -> Result<()> {
        if self.filler.is_full(&self.pending) { self.encode() } else { Ok(()) }
    }
}

impl Appender {
    /// For a stream as it is now.
    pub fn new(info: &StreamInfo) -> Appender {
        Appender::lanes(info.stream, info.segments.iter().map(|s| (s.id, s.range.1)), None)
    }

    /// For these segments, that tile the hash space; key-less events keep together where this hash belongs, if given.
    pub(crate) fn over(stream: StreamRef, segments: &[SegmentRange], keyless: Option<u64>) -> Appender {
        Appender::lanes(stream, segments.iter().map(|s| (s.id, s.high)), keyless)
    }

    /// For a stream as it is now; key-less events keep together where this hash belongs.
    pub(crate) fn keeping_keyless(info: &StreamInfo, hash: u64) -> Appender {
        Appender::lanes(info.stream, info.segments.iter().map(|s| (s.id, s.range.1)), Some(hash))
    }

    fn lanes(stream: StreamRef, lanes: impl Iterator<Item = (SegmentId, u64)>, keyless: Option<u64>) -> Appender {
        let lane = |segment| Lane { segment, pending: Batch::default(), filler: ChunkFiller::default() };
        let (lanes, highs): (Vec<_>, Vec<_>) = lanes.map(|(id, high)| (lane(id), high)).unzip();
        let keyless = keyless.map(|hash| highs.partition_point(|high| *high < hash));
        Appender { stream, lanes, highs, next_lane: 0, keyless }
    }

    /// Takes the events in; full chunks are encoded on the way. After an error the appender holds part of the batch:
    /// drop it.
    pub fn push(&mut self, batch: &Batch) -> Result<()> {
        batch.check("append")?;
        if let [lane] = &mut self.lanes[..] {
            let mut start = 0;
            while start < batch.len() {
                let end = start + fitting(batch, start, lane.filler.raw_target.saturating_sub(lane.pending.bytes()));
                lane.pending.extend_from(batch, start..end)?;
                lane.encode_full()?;
                start = end;
            }
            return Ok(());
        }
        let mut entries = headers::Entries::new(&batch.headers);
        for i in 0..batch.len() {
            let key = batch.keys.get(i);
            let at = match key {
                Some(key) => self.highs.partition_point(|high| *high < hash_key(key)),
                None if self.keyless.is_some() => self.keyless.unwrap_or_default(),
                None => {
                    self.next_lane = (self.next_lane + 1) % self.lanes.len();
                    self.next_lane
                }
            };
            let lane = &mut self.lanes[at];
            let entry = entries.next_raw()?;
            if !entry.is_empty() {
                headers::materialise(&mut lane.pending);
                lane.pending.headers.extend_from_slice(entry);
            } else if !lane.pending.headers.is_empty() {
                headers::push_entry(&mut lane.pending.headers, &[]);
            }
            lane.pending.timestamps.push(batch.timestamps[i]);
            lane.pending.keys.push(key);
            lane.pending.values.push(batch.values.get(i));
            lane.encode_full()?;
        }
        Ok(())
    }

    /// Everything pushed since the last call: one `Append` per segment that got events.
    pub fn finish(&mut self) -> Result<Vec<Append>> {
        let mut out = Vec::new();
        for lane in &mut self.lanes {
            lane.encode()?;
            let chunks = lane.filler.take();
            if !chunks.is_empty() {
                out.push(Append { stream: self.stream, segment: lane.segment, chunks });
            }
        }
        Ok(out)
    }

    /// [`Appender::push`] and [`Appender::finish`].
    pub fn append(&mut self, batch: &Batch) -> Result<Vec<Append>> {
        self.push(batch)?;
        self.finish()
    }

    /// Bytes held: encoded chunks and columns not yet encoded.
    pub fn bytes(&self) -> usize {
        self.lanes
            .iter()
            .map(|l| l.pending.bytes() + l.filler.chunks.iter().map(|c| c.bytes.len()).sum::<usize>())
            .sum()
    }
}

/// How many events from `start` on fit in `bytes` of columns, headers aside: at least one.
fn fitting(batch: &Batch, start: usize, bytes: usize) -> usize {
    let upto = |column: &crate::batch::OptionalColumn, i: usize| if i == 0 { 0 } else { column.ends[i - 1] as usize };
    let size = |end: usize| {
        upto(&batch.keys, end) - upto(&batch.keys, start) + upto(&batch.values, end) - upto(&batch.values, start)
            + (end - start) * 16
    };
    let (mut low, mut high) = (start + 1, batch.len());
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if size(middle) <= bytes {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low - start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Generation, Offset, StreamId, StreamName};
    use crate::row::equal_ranges;
    use crate::stream::{SegmentInfo, StreamState, decode_chunk};
    use crate::time::EventTime;

    fn info(segments: u32) -> StreamInfo {
        let segment = |r: &crate::row::SegmentRange| SegmentInfo {
            id: r.id,
            range: (r.low, r.high),
            head: Offset(0),
            tail: Offset(0),
            chunks: 0,
            bytes: 0,
            raw_bytes: 0,
        };
        StreamInfo {
            name: StreamName::new("a/b").unwrap(),
            stream: StreamRef { id: StreamId(1), generation: Generation(1) },
            created_at_ms: 0,
            state: StreamState::Active,
            epoch: 0,
            past: Vec::new(),
            segments: equal_ranges(segments).iter().map(segment).collect(),
            watermark: None,
        }
    }

    fn noisy(seed: u64, len: usize) -> Vec<u8> {
        (0..len as u64 / 8).flat_map(|i| hash_key(&(seed << 32 | i).to_le_bytes()).to_le_bytes()).collect()
    }

    #[test]
    fn events_go_to_the_segment_of_their_key_in_order() {
        let info = info(3);
        let mut batch = Batch::default();
        for i in 0..1_000u32 {
            let key = format!("k{}", i % 37);
            batch.push(EventTime(i64::from(i)), (i % 5 != 0).then_some(key.as_bytes()), Some(&i.to_le_bytes()));
        }
        let appends = Appender::new(&info).append(&batch).unwrap();
        assert_eq!(appends.len(), 3);
        let mut seen = 0;
        for append in &appends {
            for chunk in &append.chunks {
                let events = decode_chunk(&chunk.bytes).unwrap();
                assert!(events.timestamps.is_sorted());
                for key in events.keys.iter().flatten() {
                    assert_eq!(info.segment_of(hash_key(key)), append.segment);
                }
                seen += events.len();
            }
        }
        assert_eq!(seen, 1_000);
    }

    #[test]
    fn chunks_stay_below_the_target_whether_or_not_they_compress() {
        for compressible in [true, false] {
            let mut batch = Batch::default();
            for i in 0..20_000u64 {
                let value = if compressible { vec![b'x'; 104] } else { noisy(i, 104) };
                batch.push(EventTime(i as i64), None, Some(&value));
            }
            let mut appender = Appender::new(&info(1));
            let appends = appender.append(&batch).unwrap();
            let chunks = &appends[0].chunks;
            assert!(chunks.iter().all(|c| c.bytes.len() <= CHUNK_TARGET_BYTES));
            assert_eq!(chunks.iter().map(|c| u64::from(c.events)).sum::<u64>(), 20_000);
            let full = chunks.iter().filter(|c| c.raw_bytes as usize > CHUNK_TARGET_BYTES / 2).count();
            assert!(full * 10 >= chunks.len() * 8, "{full} of {} chunks are well filled", chunks.len());
            assert_eq!(appender.bytes(), 0);
        }
    }
}
