//! Streams: a scope/stream is segments, each owning a range of the hash space; a segment is a run of immutable chunks.
//!
//! [`EncodedChunk`] is the stored form of a batch, [`Appender`] routes events to segments and fills chunks, the committer
//! gives them offsets, [`crate::Store::read`] reads them back by position. [`Scaling`] puts segments in the place of others: the old
//! ones are sealed, and a reader goes on with the successors once it has read all of their predecessors. A [`StreamCut`] is a
//! place in a whole stream.

mod cut;
mod event_writer;
mod pointer;
pub(crate) mod policy;
mod read;
mod reader;
pub mod reader_group;
mod scale;
mod tiling;
pub mod time;
pub mod transaction;
mod writer;

pub use crate::codec::chunk::{
    CHUNK_HEADER_BYTES, CHUNK_RAW_BYTES_MAX, CHUNK_TARGET_BYTES, EncodedChunk, decode_chunk, encode_chunk,
};
pub(crate) use cut::claim;
pub use cut::{CutOrder, CutTile, StreamCut};
pub use event_writer::{ATOMIC_BYTES_MAX, EVENT_BYTES_MAX, EventWriter, WriterOptions, WriterState};
pub use policy::{RetentionPolicy, SCALE_COOL_DOWN_MS, ScalePolicy, StreamPolicy};
pub(crate) use read::{Place, fetch_chunk, info, info_of, list, locate, plan, read};
pub(crate) use reader::check_cut;
pub use reader::{ReadFrom, StreamRead, StreamReader};
pub use scale::Scaling;
pub use tiling::{TileState, Tiling};
pub use writer::Appender;
pub(crate) use writer::ChunkFiller;

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::ids::{Generation, Offset, SegmentId, StreamId, StreamName};
use crate::time::EventTime;
use serde::{Deserialize, Serialize};

/// Most segments of one stream.
pub const SEGMENTS_MAX: u32 = 4_096;

/// A stream and the life of it that the holder knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Whether it takes events.
    pub state: StreamState,
    /// Of the segment set: each scaling makes the next one.
    pub epoch: u32,
    /// The active segments, in the order of their ranges: they take events, and tile the hash space.
    pub segments: Vec<SegmentInfo>,
    /// Segments that scalings sealed and that are not wholly truncated, by id.
    pub past: Vec<PastSegment>,
    /// No event before this time is expected any more; none = nobody said.
    pub watermark: Option<EventTime>,
}

/// Whether a stream takes events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamState {
    /// It does.
    #[default]
    Active,
    /// No more; what is there can be read, and then it ends.
    Sealed,
    /// It is gone; its name is kept so that a new stream of this name gets the next generation.
    Deleted,
}

/// A segment that a scaling sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastSegment {
    /// The segment; its tail is final.
    pub segment: SegmentInfo,
    /// The epoch of the segment set that its successors were made with.
    pub sealed_in: u32,
    /// When, ms since the Unix epoch, by the store's clock.
    pub sealed_at_ms: i64,
    /// The segments of that epoch whose ranges overlap its own, in the order of their ranges.
    pub successors: Vec<SegmentId>,
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
    /// The active segment that owns a hash.
    pub fn segment_of(&self, hash: u64) -> SegmentId {
        let after = self.segments.partition_point(|s| s.range.0 <= hash);
        self.segments[after.saturating_sub(1)].id
    }

    /// The segment of this id, active or sealed by a scaling.
    pub fn segment(&self, id: SegmentId) -> Option<&SegmentInfo> {
        self.all_segments().find(|s| s.id == id)
    }

    /// Every segment of which events may be there: the sealed ones by id, then the active ones. Predecessors come before
    /// their successors.
    pub fn all_segments(&self) -> impl Iterator<Item = &SegmentInfo> {
        self.past.iter().map(|past| &past.segment).chain(&self.segments)
    }

    /// Whether it takes events.
    pub fn is_active(&self, id: SegmentId) -> bool {
        self.state == StreamState::Active && self.segments.iter().any(|s| s.id == id)
    }

    /// The segments that took the place of this one; none while it is active, or when it is wholly truncated.
    pub fn successors(&self, id: SegmentId) -> &[SegmentId] {
        self.past.iter().find(|past| past.segment.id == id).map_or(&[], |past| &past.successors)
    }

    /// The segments whose place it took, as far as they are not wholly truncated: its events come after theirs.
    pub fn predecessors(&self, id: SegmentId) -> impl Iterator<Item = SegmentId> {
        self.past.iter().filter(move |past| past.successors.contains(&id)).map(|past| past.segment.id)
    }

    /// Whether a scaling sealed it.
    pub fn is_past(&self, id: SegmentId) -> bool {
        self.past.iter().any(|past| past.segment.id == id)
    }

    /// Where the oldest events that can be read are.
    pub fn head_cut(&self) -> StreamCut {
        cut::head(self)
    }

    /// Where the next events will be.
    pub fn tail_cut(&self) -> StreamCut {
        cut::tail(self)
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
    /// The segment takes no more events: at the tail it ends.
    pub sealed: bool,
}
