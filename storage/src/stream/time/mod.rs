//! Time on streams, after Pravega's watermarks (semantics.md 1.6): writers note how far their event time has come, the stream
//! emits watermarks, readers get a [`TimeWindow`] for where they stand. `store/time.rs` is the door, `decide/time.rs` keeps marks
//! and watermarks, `aggregate.rs` makes the one out of the others, `window.rs` looks a position up.
//!
//! The terms:
//! * a *mark* of a writer is (time, position): the writer's events from the position on are later than the time. A position is the
//!   tail of every segment when the note was decided, so that it covers whatever the caller had handed to the store before;
//! * a writer takes part from its first note until it is closed or idle; a commit without a time leaves its mark alone;
//! * a *watermark* is (lower, upper, cut): events from the cut on are later than `lower`, as far as the writers keep their word.
//!   One is emitted as soon as a note, a commit, a closing or the passing of time allows it, in the same commit;
//! * the sinks of a pipeline are one writer, [`PIPELINE_WRITER_PREFIX`] and the pipeline's name, whose notes are part of its epochs.
//!
//! Invariants: `lower` of a stream's watermarks strictly ascends and their cuts never go back; [`EventTime::MAX`] is the last.

pub(crate) mod aggregate;
pub(crate) mod window;

pub use window::{TimeWindow, WindowClamp};

use super::{StreamCut, StreamRef};
use crate::error::{Error, Result};
use crate::ids::{NAME_BYTES_MAX, Offset, SegmentId};
use crate::time::EventTime;
use std::collections::BTreeMap;

/// What the name of a pipeline's writer begins with; nobody else may take such a name.
pub const PIPELINE_WRITER_PREFIX: &str = "pipeline/";

/// Most writers that a stream hears of time from at once.
pub const TIME_WRITERS_MAX: usize = 1_024;

/// How long a writer may keep a stream's time from going on, unless it is set, ms.
pub const IDLE_TIMEOUT_MS: u64 = 30_000;

/// How a stream treats its writers' time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeConfig {
    /// A writer that holds the time up for so long, by the store's clock, takes part no more until it notes a time again. 0 = at
    /// once, none = never: then only [`crate::Store::close_time_writer`] ends the wait. While the store is closed no time passes.
    pub idle_timeout_ms: Option<u64>,
}

impl Default for TimeConfig {
    fn default() -> TimeConfig {
        TimeConfig { idle_timeout_ms: Some(IDLE_TIMEOUT_MS) }
    }
}

/// What one writer says about its time on one stream. Several that go together ([`crate::Part::Time`]) are heard before any
/// watermark is made of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeNote {
    pub(crate) stream: StreamRef,
    pub(crate) writer: String,
    pub(crate) says: Says,
    /// Of the store itself, for a writer that goes by the wall clock.
    pub(crate) auto: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Time { time: EventTime, at: Option<BTreeMap<SegmentId, Offset>> },
    Closed,
}

impl TimeNote {
    /// The writer's events after those that the store was given before are later than `time`; [`EventTime::MAX`] = it has no more.
    pub fn time(stream: StreamRef, writer: impl Into<String>, time: EventTime) -> TimeNote {
        TimeNote { stream, writer: writer.into(), says: Says::Time { time, at: None }, auto: false }
    }

    /// The writer is done: it holds nothing up any more.
    pub fn closed(stream: StreamRef, writer: impl Into<String>) -> TimeNote {
        TimeNote { stream, writer: writer.into(), says: Says::Closed, auto: false }
    }

    /// For a writer that knows where its own last events are: the time holds from there on, in the segments that it names.
    #[must_use]
    pub fn at(mut self, position: BTreeMap<SegmentId, Offset>) -> TimeNote {
        if let Says::Time { at, .. } = &mut self.says {
            *at = Some(position);
        }
        self
    }

    /// For the store's own wall-clock notes.
    pub(crate) fn auto(stream: StreamRef, writer: impl Into<String>, time: EventTime) -> TimeNote {
        TimeNote { auto: true, ..TimeNote::time(stream, writer, time) }
    }
}

/// What became of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// The writer's mark says so now.
    Taken,
    /// Ignored: the writer had already said this later time.
    InvalidTime {
        /// Its mark, as it stays.
        mark: EventTime,
    },
    /// Ignored: the position lies before the one that the writer's mark has.
    InvalidPosition,
}

/// What a stream knows of a writer's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterMark {
    /// The writer.
    pub writer: String,
    /// Its events from the position on are later than this.
    pub time: EventTime,
    /// An offset per segment.
    pub position: BTreeMap<SegmentId, Offset>,
    /// Whether it is expected to say more: false once it is closed.
    pub alive: bool,
    /// Whether the store notes the wall clock for it.
    pub auto: bool,
    /// Since when it holds the time up, ms since the Unix epoch by the store's clock.
    pub silent_since_ms: Option<i64>,
}

/// A watermark that a stream emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// Events from the cut on are later.
    pub lower: EventTime,
    /// The latest time that a writer had noted.
    pub upper: EventTime,
    /// From where on it holds. Names whole segments.
    pub cut: StreamCut,
    /// When, ms since the Unix epoch by the store's clock.
    pub emitted_at_ms: i64,
}

/// What a stream knows of its time, as one consistent snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamTime {
    /// How it treats silent writers.
    pub config: TimeConfig,
    /// By name.
    pub marks: Vec<WriterMark>,
    /// How many watermarks are kept.
    pub watermarks_kept: u64,
    /// The newest ones, oldest first.
    pub watermarks: Vec<Watermark>,
}

/// Checks the name of a writer that a client chose.
pub(crate) fn check_writer(writer: &str) -> Result<()> {
    if writer.is_empty() || writer.len() > NAME_BYTES_MAX {
        return Err(Error::invalid(format!("writer name {writer:?}: 1 to {NAME_BYTES_MAX} bytes")));
    }
    if writer.starts_with(PIPELINE_WRITER_PREFIX) {
        return Err(Error::invalid(format!(
            "writer name {writer:?}: names that begin with {PIPELINE_WRITER_PREFIX} are those of pipelines, take another"
        )));
    }
    Ok(())
}

/// Checks a time that a writer notes.
pub(crate) fn check_time(time: EventTime) -> Result<()> {
    if time.is_real() || time == EventTime::MAX {
        return Ok(());
    }
    Err(Error::invalid(format!("time {} of a note is outside +-(2^53 - 1) ms", time.0)))
}
