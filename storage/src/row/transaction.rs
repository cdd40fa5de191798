//! The rows of transactions: what each is, and the chunks that are staged for it. `decide/transaction.rs` reads and changes them.

use crate::ids::{SegmentId, StreamName};
use crate::row::IndexEntry;
use crate::stream::StreamRef;
use crate::stream::transaction::{AbortReason, Placed, TransactionState};
use crate::time::EventTime;
use serde::{Deserialize, Serialize};

/// A transaction. Invariants: until it is committed, chunks `freed..chunks` of it are staged and none of them is in any index; while it is open or
/// prepared `freed` = 0 and the sums are those of its staged chunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TransactionRow {
    pub(crate) stream: StreamRef,
    pub(crate) name: StreamName,
    /// Whose time a commit notes.
    pub(crate) writer: Option<String>,
    pub(crate) state: TransactionState,
    /// Once it is aborting.
    pub(crate) why: Option<AbortReason>,
    pub(crate) began_at_ms: i64,
    pub(crate) lease_ms: u64,
    /// The lease runs from here.
    pub(crate) renewed_at_ms: i64,
    /// Chunks staged so far; the next one gets this number.
    pub(crate) chunks: u64,
    /// Those below this number are freed already.
    pub(crate) freed: u64,
    pub(crate) events: u64,
    /// Of the chunks, encoded.
    pub(crate) bytes: u64,
    /// Of a commit that brought chunks of its own: how many it knew of, and a digest of its own, to tell it when it is repeated.
    pub(crate) rest: Option<(u64, u32)>,
    /// That the commit was given.
    pub(crate) time: Option<EventTime>,
    pub(crate) ended_at_ms: Option<i64>,
    /// Where the events are, once it is committed.
    pub(crate) placed: Vec<Placed>,
}

impl TransactionRow {
    /// Open or prepared: it holds staged chunks that may yet be committed.
    pub(crate) fn holds(&self) -> bool {
        matches!(self.state, TransactionState::Open | TransactionState::Prepared)
    }
}

/// What is known of a staged chunk without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StagedRow {
    /// Where its keys belonged when it was written; it may have been scaled away since.
    pub(crate) segment: SegmentId,
    /// As it will be in the index.
    pub(crate) entry: IndexEntry,
}
