//! The rows of a stream's time: marks of its writers, its watermarks, its settings. `decide/time.rs` reads and changes them.

use crate::stream::{CutTile, StreamCut};
use crate::time::EventTime;
use serde::{Deserialize, Serialize};

/// What a writer said last about its time on a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MarkRow {
    pub(crate) time: EventTime,
    /// A place in whole segments, each with its range, since a segment may be truncated away before its mark is.
    pub(crate) position: Vec<CutTile>,
    pub(crate) alive: bool,
    /// The store notes the wall clock for it.
    pub(crate) auto: bool,
    /// Since when it has not been later than the last watermark.
    pub(crate) silent_since_ms: Option<i64>,
}

/// A watermark of a stream, by a number that counts up. Invariants: lower ascends with the number; the cut never goes back; `kept` of the
/// newest one is how many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WatermarkRow {
    pub(crate) lower: EventTime,
    pub(crate) upper: EventTime,
    pub(crate) cut: StreamCut,
    pub(crate) kept: u64,
    pub(crate) emitted_at_ms: i64,
}

/// How a stream treats its writers' time; none = as by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TimeConfigRow {
    /// None = never.
    pub(crate) idle_timeout_ms: Option<u64>,
}
