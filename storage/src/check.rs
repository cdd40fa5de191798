//! Verifies everything a store keeps and names each fault: [`crate::Store::check`]. Reads a piece per snapshot and looks
//! again before it calls anything a fault, so that it may run beside a working store.
//!
//! Map: `streams.rs` goes through index and chunks, `files.rs` through sealed files, `pipelines.rs` through checkpoints,
//! manifests and state, `keepers.rs` through what is kept beside a stream (writers, policies, retention), `scoped.rs` through tables, logs and reader groups, `time.rs` through marks and watermarks,
//! `transactions.rs` through staged chunks. redb's own pages are not verified: every value in them has a checksum of ours.

mod files;
mod keepers;
mod pipelines;
mod scoped;
mod streams;
mod time;
mod transactions;

use crate::error::{Error, Kind, Result};
use crate::ids::{Offset, SegmentId};
use crate::sealed::mover::Mover;
use crate::shared::Shared;
use std::fmt;

/// One thing that is wrong. What does not apply is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// Name of the stream; `#ID` when it has no name any more.
    pub stream: Option<String>,
    /// The segment.
    pub segment: Option<SegmentId>,
    /// First event of the chunk, or where the index fails.
    pub offset: Option<Offset>,
    /// Path in the data directory.
    pub file: Option<String>,
    /// The pipeline whose state or checkpoint it is.
    pub pipeline: Option<String>,
    /// What is wrong, and the mend.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pipeline) = &self.pipeline {
            write!(f, "pipeline {pipeline}, ")?;
        }
        if let Some(stream) = &self.stream {
            write!(f, "stream {stream}, ")?;
        }
        if let Some(segment) = self.segment {
            write!(f, "segment {segment}, ")?;
        }
        if let Some(offset) = self.offset {
            write!(f, "offset {offset}, ")?;
        }
        if let Some(file) = &self.file {
            write!(f, "file {file}, ")?;
        }
        f.write_str(self.what.trim_end())
    }
}

/// What a check went through and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Everything that is wrong; none = the store is whole.
    pub faults: Vec<Fault>,
    /// Streams looked at.
    pub streams: u64,
    /// Chunks decoded.
    pub chunks: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of them, as stored.
    pub chunk_bytes: u64,
    /// Sealed files read whole.
    pub sealed_files: u64,
    /// Bytes of them.
    pub sealed_bytes: u64,
    /// Idempotent writers looked at.
    pub writers: u64,
    /// Subscribers and noted places of retention looked at.
    pub retention_rows: u64,
    /// Markers looked at.
    pub markers: u64,
    /// Transactions looked at, ended ones included.
    pub transactions: u64,
    /// Chunks of them decoded that are in no stream yet.
    pub staged_chunks: u64,
    /// Pipelines looked at.
    pub pipelines: u64,
    /// State blobs decoded.
    pub state_blobs: u64,
    /// Bytes of them.
    pub state_bytes: u64,
    /// Runs of state read whole.
    pub state_runs: u64,
    /// Key-value tables looked at.
    pub tables: u64,
    /// Entries in them.
    pub table_entries: u64,
    /// Logs looked at.
    pub logs: u64,
    /// Entries in them.
    pub log_entries: u64,
    /// Reader groups looked at.
    pub reader_groups: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }
}

pub(crate) struct Checker<'a> {
    shared: &'a Shared,
    report: CheckReport,
}

fn passing(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unavailable | Kind::Full)
}

/// Checks everything. `Err` only when the store cannot be read at all, or a tier fails for a while.
pub(crate) fn check(shared: &Shared, mover: &Mover) -> Result<CheckReport> {
    let mut checker = Checker { shared, report: CheckReport::default() };
    checker.streams()?;
    checker.keepers()?;
    checker.files(mover)?;
    checker.pipelines()?;
    checker.scoped()?;
    checker.times()?;
    checker.transactions()?;
    Ok(checker.report)
}

impl Checker<'_> {
    fn fault(&mut self, fault: Fault) {
        self.report.faults.push(fault);
    }
}
