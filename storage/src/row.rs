//! The rows of the tables, as values: `decide.rs` reads and changes them, `codec` gives them their stored form.

mod scoped;

pub(crate) use scoped::*;
mod time;
mod transaction;

pub(crate) use time::{MarkRow, TimeConfigRow, WatermarkRow};
pub(crate) use transaction::{StagedRow, TransactionRow};

use crate::checkpoint::CheckpointSummary;
use crate::ids::{Epoch, Generation, Incarnation, KeyGroup, Offset, SegmentId, StreamId, StreamName};
use crate::manifest::Location;
use crate::state::{Change, Entry};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// A run of an operator's state. Invariant: the files ascend and do not overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunRow {
    pub(crate) files: Vec<RunFile>,
}

/// A sealed file of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFile {
    pub(crate) file: u64,
    pub(crate) entries: u64,
    pub(crate) first: RunKey,
    pub(crate) last: RunKey,
}

/// The place of a change in a run, in the order of the fields. What clears a key has an empty sub-key and is first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct RunKey {
    pub(crate) state: u32,
    pub(crate) key_group: u32,
    pub(crate) key: Vec<u8>,
    pub(crate) is_entry: bool,
    pub(crate) sub_key: Vec<u8>,
}

impl RunKey {
    pub(crate) fn of(entry: &Entry<'_>) -> RunKey {
        let mut key = RunKey::default();
        key.set(entry);
        key
    }

    /// Takes the place of an entry, in the memory it has.
    pub(crate) fn set(&mut self, entry: &Entry<'_>) {
        self.state = entry.state;
        self.key_group = entry.key_group.0;
        self.is_entry = entry.change != Change::ClearKey;
        self.key.clear();
        self.key.extend_from_slice(entry.key);
        self.sub_key.clear();
        self.sub_key.extend_from_slice(entry.sub_key);
    }

    /// Its key alone.
    pub(crate) fn key_place(&self) -> (u32, u32, &[u8]) {
        (self.state, self.key_group, &self.key)
    }

    pub(crate) fn is_of_same_key(&self, entry: &Entry<'_>) -> bool {
        self.state == entry.state && self.key_group == entry.key_group.0 && self.key == entry.key
    }

    /// Whether the entry lies at this very place.
    pub(crate) fn is_at(&self, entry: &Entry<'_>) -> bool {
        self.is_of_same_key(entry)
            && self.is_entry == (entry.change != Change::ClearKey)
            && self.sub_key == entry.sub_key
    }

    /// Whether the entry lies before this place.
    pub(crate) fn is_after(&self, entry: &Entry<'_>) -> bool {
        entry.order() < (self.state, KeyGroup(self.key_group), &self.key[..], self.is_entry, &self.sub_key[..])
    }

    /// An entry at this place, without a value.
    pub(crate) fn as_entry(&self) -> Entry<'_> {
        Entry {
            state: self.state,
            key_group: KeyGroup(self.key_group),
            key: &self.key,
            sub_key: &self.sub_key,
            change: if self.is_entry { Change::Put(&[]) } else { Change::ClearKey },
        }
    }
}

/// Rows as formats 1 and 2 had them. Manifests: blobs alone, their location (always hot), no epochs.
pub(crate) mod before_3 {
    use super::{
        Deserialize, Epoch, EventTime, Generation, Incarnation, Location, SegmentRange, Serialize, StreamName,
    };
    use crate::manifest::BlobId;

    /// Streams had one set of segments for life.
    #[derive(Debug, Serialize, Deserialize)]
    pub(crate) struct StreamRow {
        pub(crate) name: StreamName,
        pub(crate) generation: Generation,
        pub(crate) created_at_ms: i64,
        pub(crate) watermark: Option<EventTime>,
        pub(crate) segments: Vec<SegmentRange>,
    }

    #[derive(Debug, Serialize, Deserialize)]
    pub(crate) struct PipelineRow {
        pub(crate) incarnation: Incarnation,
        pub(crate) max_parallelism: u32,
        pub(crate) last_epoch: Epoch,
    }

    #[derive(Debug, Serialize, Deserialize)]
    pub(crate) struct Manifest {
        pub(crate) blobs: Vec<BlobEntry>,
    }

    #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
    pub(crate) struct BlobEntry {
        pub(crate) id: BlobId,
        pub(crate) location: Location,
        pub(crate) bytes: u64,
        pub(crate) crc: u32,
    }
}

/// A pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PipelineRow {
    pub(crate) incarnation: Incarnation,
    pub(crate) max_parallelism: u32,
    /// 0 = none committed yet.
    pub(crate) last_epoch: Epoch,
    /// Everything else of it is gone. The row stays, so that runs from before it was deleted stay fenced.
    pub(crate) deleted: bool,
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
