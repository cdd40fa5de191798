//! Streams: a scope/stream is segments, each owning a range of the hash space; a segment is a run of immutable chunks.
//!
//! [`EncodedChunk`] is the stored form of a batch, [`Appender`] routes events to segments and fills chunks, the committer
//! gives them offsets, [`crate::Store::read`] reads them back by position.

mod read;
#[path = "reader_group_stub.rs"]
pub mod reader_group;
mod writer;

pub use crate::codec::chunk::{
    CHUNK_HEADER_BYTES, CHUNK_RAW_BYTES_MAX, CHUNK_TARGET_BYTES, EncodedChunk, decode_chunk, encode_chunk,
};
pub(crate) use read::{Place, fetch_chunk, info, list, locate, plan, read};
pub use writer::Appender;
pub(crate) use writer::ChunkFiller;

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::ids::{Generation, Offset, SegmentId, StreamId, StreamName};
use crate::time::EventTime;

/// Most segments of one stream.
pub const SEGMENTS_MAX: u32 = 4_096;

/// A stream and the life of it that the holder knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamRef {
    /// The stream.
    pub id: StreamId,
    /// Its generation.
    pub generation: Generation,
}

/// What a stream is created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// How many segments, each owning an equal part of the hash space.
    pub segments: u32,
}

impl Default for StreamConfig {
    fn default() -> StreamConfig {
        StreamConfig { segments: 1 }
    }
}

impl StreamConfig {
    /// Checks the limits.
    pub fn check(&self) -> Result<()> {
        if self.segments == 0 || self.segments > SEGMENTS_MAX {
            return Err(Error::invalid(format!("{} segments: a stream has 1 to {SEGMENTS_MAX}", self.segments)));
        }
        Ok(())
    }
}

/// A stream as one consistent snapshot: every event below the tails is visible, and the watermark holds for the events
/// at or after the tails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// The name.
    pub name: StreamName,
    /// Id and generation.
    pub stream: StreamRef,
    /// When it was created, ms since the Unix epoch, by the store's clock.
    pub created_at_ms: i64,
    /// The segments, in the order of their ranges.
    pub segments: Vec<SegmentInfo>,
    /// No event before this time is expected any more; none = nobody said.
    pub watermark: Option<EventTime>,
}

/// One segment of a [`StreamInfo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The segment.
    pub id: SegmentId,
    /// Least and greatest h(key) that it owns, both inclusive.
    pub range: (u64, u64),
    /// Offset of the first event that can be read.
    pub head: Offset,
    /// Offset that the next event will get.
    pub tail: Offset,
    /// Chunks kept.
    pub chunks: u64,
    /// Bytes of them, encoded.
    pub bytes: u64,
    /// Bytes of their columns, decoded.
    pub raw_bytes: u64,
}

impl StreamInfo {
    /// The segment that owns a hash.
    pub fn segment_of(&self, hash: u64) -> SegmentId {
        let after = self.segments.partition_point(|s| s.range.0 <= hash);
        self.segments[after.saturating_sub(1)].id
    }

    /// The segment of this id.
    pub fn segment(&self, id: SegmentId) -> Option<&SegmentInfo> {
        self.segments.iter().find(|s| s.id == id)
    }
}

/// What a read brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadChunk {
    /// Offset of the first event of the batch.
    pub first: Offset,
    /// The events; none at the tail.
    pub batch: Batch,
    /// Where to read next.
    pub next: Offset,
    /// The segment's tail at the read.
    pub tail: Offset,
}
