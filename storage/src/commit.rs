//! What the committer takes: parts, each accepted or refused whole, all accepted ones in ONE redb transaction.
//!
//! An [`EpochCommit`] is a checkpoint of one pipeline: input positions, keyed state, timers (inside the state deltas),
//! watermarks, output and dead letters. Nothing else makes a pipeline's output visible.

use crate::checkpoint::CheckpointRecord;
use crate::ids::{Epoch, Incarnation, Offset, Position, SegmentId};
use crate::stream::time::{Noted, TimeNote};
use crate::stream::transaction::{TransactionInfo, TransactionPart};
use crate::stream::{EncodedChunk, StreamRef};
use crate::time::EventTime;
use bytes::Bytes;

/// One request to the committer.
#[derive(Clone, Debug)]
pub enum Part {
    /// A client's append.
    Append(Append),
    /// Events of a writer, for any segments of one stream.
    Write(Box<Write>),
    /// A pipeline's checkpoint.
    Epoch(Box<EpochCommit>),
    /// A named marker of an egress, compared and swapped, with an optional truncation of what it has consumed.
    Marker(MarkerSwap),
    /// What writers say about their time, heard together.
    Time(Vec<TimeNote>),
    /// A transaction is begun, written, committed, aborted.
    Transaction(TransactionPart),
}

/// Chunks for one segment of a stream.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream, with the generation the caller knows.
    pub stream: StreamRef,
    /// The segment.
    pub segment: SegmentId,
    /// Encoded before they come here; their offsets are given at commit.
    pub chunks: Vec<EncodedChunk>,
}

/// Events of a writer, routed by key to any segments of one stream: all of them appear at once. Events that were routed before a
/// scaling are led on to the successors by the committer, so that the order within a key is the order of the parts.
#[derive(Clone, Debug)]
pub struct Write {
    /// The stream, with the generation the writer knows.
    pub stream: StreamRef,
    /// The numbers of the events, when the writer is an idempotent one.
    pub numbered: Option<Numbered>,
    /// The events; the offsets of those of one segment follow each other.
    pub appends: Vec<Append>,
    /// Tails that must be as said, or the part is refused as `Conflict`; `Sealed` when a segment takes no more events.
    pub expected_tails: Vec<(SegmentId, Offset)>,
}

/// What makes a writer's part safe to repeat: the numbers of its events. A part that is there already is accepted and adds
/// nothing; a gap, an overlap and another content are `Invalid`; an older handle is `Fenced`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// The writer's id, 1 to 255 bytes.
    pub writer: String,
    /// The handle: see [`crate::Store::open_writer`].
    pub handle: u64,
    /// Number of the first event; a writer's events are counted from 1.
    pub first: u64,
    /// Number of the last one.
    pub last: u64,
    /// A digest of the contents of all events up to the last one, whatever the writer takes for it.
    pub digest: u64,
    /// When it was written, ms since the Unix epoch: a writer that is silent for too long is forgotten.
    pub at_ms: i64,
}

/// Everything one epoch of one pipeline did.
#[derive(Clone, Debug)]
pub struct EpochCommit {
    /// The pipeline's name.
    pub pipeline: String,
    /// The run that made this; refused as `Fenced` unless it is the newest.
    pub incarnation: Incarnation,
    /// Refused unless it is the last committed epoch + 1.
    pub epoch: Epoch,
    /// Positions, watermarks, counters.
    pub record: CheckpointRecord,
    /// Sorted state deltas, timers included, one per operator subtask that changed anything.
    pub state: Vec<StateDelta>,
    /// Output and dead letters.
    pub outputs: Vec<Append>,
    /// Output watermarks of sinks: notes of the pipeline's writer on these streams, behind the output.
    pub stream_watermarks: Vec<(StreamRef, EventTime)>,
    /// Input schedules per (operator uid, subtask): encoded by [`crate::checkpoint::Schedule`].
    pub schedules: Vec<(String, u32, Bytes)>,
}

/// One sorted blob of state changes (see `state/delta.rs` for the layout).
#[derive(Clone, Debug)]
pub struct StateDelta {
    /// The operator's uid in the pipeline.
    pub operator: String,
    /// Encoded delta.
    pub blob: Bytes,
}

/// Compare-and-swap of a named marker.
#[derive(Clone, Debug)]
pub struct MarkerSwap {
    /// For example `egress/<pipeline>/<sink>`.
    pub name: String,
    /// What must be there now; refused as `Fenced` otherwise.
    pub expected: Option<Bytes>,
    /// What to put there.
    pub value: Bytes,
    /// Streams' segments whose events before the offset are no longer needed (whole chunks are freed).
    pub truncate: Vec<Position>,
}

/// What an accepted part got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// For each `Append` of the part in order: offset of its first event.
    pub first_offsets: Vec<Offset>,
    /// For a [`Write`]: the epoch of the stream's segment set. A writer that knows an older one looks the stream up again.
    pub epoch: u32,
    /// For a [`Write`] with numbers: the writer's last number that is there.
    pub last_number: u64,
    /// For [`Part::Time`]: what became of each note, in order.
    pub noted: Vec<Noted>,
    /// For [`Part::Transaction`]: where it stands now.
    pub transaction: Option<Box<TransactionInfo>>,
}
