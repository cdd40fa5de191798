//! The rows of the tables, as values: `decide.rs` reads and changes them, `codec` gives them their stored form.

use crate::checkpoint::CheckpointSummary;
use crate::ids::{Epoch, Generation, Incarnation, Offset, SegmentId, StreamId, StreamName};
use crate::manifest::Location;
use crate::stream::{StreamCut, StreamState};
use crate::time::EventTime;
use serde::{Deserialize, Serialize};

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamRow {
    pub(crate) name: StreamName,
    pub(crate) generation: Generation,
    pub(crate) created_at_ms: i64,
    pub(crate) watermark: Option<EventTime>,
    pub(crate) state: StreamState,
    /// Of the segment set: each scaling makes the next one.
    pub(crate) epoch: u32,
    /// Number of the next segment that a scaling makes.
    pub(crate) next_segment: u32,
    /// Those that take events, in the order of their ranges; together they tile the hash space.
    pub(crate) segments: Vec<SegmentRange>,
}

impl StreamRow {
    pub(crate) fn is_active(&self, segment: SegmentId) -> bool {
        self.segments.iter().any(|s| s.id == segment)
    }

    /// Whether there is or was such a segment.
    pub(crate) fn was_made(&self, segment: SegmentId) -> bool {
        segment.epoch() <= self.epoch && segment.number() < self.next_segment
    }
}

/// A segment that a scaling sealed; its events may still be there. Those of a segment without such a row, once made and not
/// active, are all truncated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PastRow {
    pub(crate) low: u64,
    pub(crate) high: u64,
    /// The epoch of the segment set that came with its successors.
    pub(crate) sealed_in: u32,
    pub(crate) sealed_at_ms: i64,
    /// In the order of their ranges.
    pub(crate) successors: Vec<SegmentId>,
}

/// What a segment owns: hashes `low..=high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentRange {
    pub(crate) id: SegmentId,
    pub(crate) low: u64,
    pub(crate) high: u64,
}

/// `count` equal parts of the hash space: part i is where `(h x count) >> 64 = i`.
pub(crate) fn equal_ranges(count: u32) -> Vec<SegmentRange> {
    let low = |i: u32| (u128::from(i) << 64).div_ceil(u128::from(count));
    (0..count)
        .map(|i| SegmentRange { id: SegmentId(u64::from(i)), low: low(i) as u64, high: (low(i + 1) - 1) as u64 })
        .collect()
}

/// Which segment of which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SegmentKey {
    pub(crate) stream: StreamId,
    pub(crate) segment: SegmentId,
}

/// Which chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChunkKey {
    pub(crate) segment: SegmentKey,
    pub(crate) first: Offset,
}

/// A segment's bounds and sums. Invariant: head <= tail; the sums are those of the kept chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentRow {
    pub(crate) head: Offset,
    pub(crate) tail: Offset,
    pub(crate) chunks: u64,
    pub(crate) bytes: u64,
    pub(crate) raw_bytes: u64,
}

/// An idempotent writer of a stream. Invariant: `recent` ends with (last, digest) unless last is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriterRow {
    /// Counts the openings.
    pub(crate) handle: u64,
    /// Number of the last event that is there.
    pub(crate) last: u64,
    pub(crate) digest: u64,
    /// Last sign of life.
    pub(crate) at_ms: i64,
    /// Ends and digests of the newest parts.
    pub(crate) recent: Vec<(u64, u64)>,
}

/// A place in a stream that a retention cycle noted: its tail then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RetentionRow {
    pub(crate) at_ms: i64,
    pub(crate) cut: StreamCut,
    /// Bytes before it, counted from some place that is the same for all rows of the stream.
    pub(crate) bytes_before: u64,
}

/// How far a subscriber of a stream has read for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubscriberRow {
    pub(crate) cut: StreamCut,
    pub(crate) at_ms: i64,
}

/// What the index knows of a chunk without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexEntry {
    pub(crate) location: Location,
    pub(crate) events: u32,
    pub(crate) bytes: u32,
    pub(crate) raw_bytes: u32,
    pub(crate) min_time: EventTime,
    pub(crate) max_time: EventTime,
    /// The crc that the chunk's own header holds: a chunk that was put in another's place is found out.
    pub(crate) crc: u32,
}

/// A sealed file. Invariant: the live counts are those of the index entries that name it, and there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRow {
    /// Its name in the tier.
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// crc32c of all its bytes.
    pub(crate) crc: u32,
    pub(crate) live_chunks: u64,
    pub(crate) live_bytes: u64,
}

/// How much of a segment lies in sealed files: a prefix. Invariant: the sums are those of its sealed index entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedSegmentRow {
    /// Chunks that start below it are sealed, those from it on hot.
    pub(crate) until: Offset,
    pub(crate) chunks: u64,
    /// As the index counts them.
    pub(crate) bytes: u64,
}

/// A pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PipelineRow {
    pub(crate) incarnation: Incarnation,
    pub(crate) max_parallelism: u32,
    /// 0 = none committed yet.
    pub(crate) last_epoch: Epoch,
}

/// One checkpoint.
pub(crate) type CheckpointRow = CheckpointSummary;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ranges_tile_the_hash_space() {
        for count in [1u32, 2, 3, 7, 4_096] {
            let ranges = equal_ranges(count);
            assert_eq!(ranges[0].low, 0);
            assert_eq!(ranges.last().map(|r| r.high), Some(u64::MAX));
            assert!(ranges.windows(2).all(|w| w[0].high + 1 == w[1].low));
            for range in &ranges {
                let part = |h: u64| ((u128::from(h) * u128::from(count)) >> 64) as u64;
                assert_eq!((part(range.low), part(range.high)), (range.id.0, range.id.0));
            }
        }
    }
}
