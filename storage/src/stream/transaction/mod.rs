//! Transactions on a stream: events that are written durably, seen by nobody, and then appear all at once or never. [`Transaction`]
//! is the handle that clients hold, `store/transactions.rs` the door, `decide/transaction.rs` keeps the rules.
//!
//! ```text
//! Open -> Prepared -> Committing -> Committed        a client's commit; Committing = asked for and not yet decided
//!   \________\______-> Aborting  -> Aborted          a client's abort, the end of the lease or of the life, a deleted stream
//! ```
//!
//! Written chunks are *staged*: they lie in the hot file beside the stream, in no index, so that no reader, no count of the stream
//! and no mover of chunks can meet them. A commit is part of one redb transaction: it gives the chunks their offsets at the tails
//! as they are then, in the order in which commits are asked for, notes the commit's time, and ends the transaction.
//!
//! A stream that was scaled since: Pravega seals the active epoch, appends a copy of the transaction's epoch to merge
//! into, and another copy of the active one (a rolling transaction), two more epochs for readers to walk through and every writer
//! to be sent on. Here the commit routes the staged events of sealed segments again, by key, to the segments that are active: no
//! epoch is made, no writer notices, and the events of a key stay in order, behind all that was committed before. It costs
//! decoding those chunks once; the others are taken as they are.
//!
//! A *prepared* transaction has every event staged and is promised to be committable: it has no lease and no end of life, and its
//! stream can be deleted, but not sealed, before it has ended.

mod handle;

pub use handle::Transaction;

use crate::commit::Append;
use crate::ids::{Offset, SegmentId, StreamName, TransactionId};
use crate::stream::StreamRef;
use crate::time::EventTime;
use serde::{Deserialize, Serialize};

/// Most chunks of one transaction.
pub const TRANSACTION_CHUNKS_MAX: u64 = 65_536;
/// Most transactions of one stream that are neither committed nor aborted.
pub const TRANSACTIONS_LIVE_MAX: usize = 4_096;

/// What a transaction begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionOptions {
    /// It is aborted when nobody wrote to it or pinged it for so long, ms, by the store's clock, unless it is prepared. While the store is
    /// closed no time passes. Within the store's [`TransactionLimits`].
    pub lease_ms: u64,
    /// Whose time a commit notes; without one it can note none.
    pub writer: Option<String>,
}

impl Default for TransactionOptions {
    fn default() -> TransactionOptions {
        TransactionOptions { lease_ms: 30_000, writer: None }
    }
}

/// Limits of a store on transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLimits {
    /// Shortest lease, ms.
    pub lease_min_ms: u64,
    /// Longest lease, ms.
    pub lease_max_ms: u64,
    /// A transaction lives at most so many leases, however often it is pinged, unless it is prepared.
    pub life_leases_max: u64,
    /// And at most so long, ms.
    pub life_max_ms: u64,
    /// How long is known of a transaction how it ended, ms.
    pub kept_ms: u64,
    /// Of how many at most.
    pub kept_max: u64,
    /// Bytes of staged chunks of all transactions of a store; writes beyond it are refused.
    pub staged_bytes_max: u64,
}

impl Default for TransactionLimits {
    fn default() -> TransactionLimits {
        TransactionLimits {
            lease_min_ms: 10_000,
            lease_max_ms: 600_000,
            life_leases_max: 1_000,
            life_max_ms: 86_400_000,
            kept_ms: 86_400_000,
            kept_max: 10_000,
            staged_bytes_max: 128 << 20,
        }
    }
}

impl TransactionLimits {
    /// When a transaction of this lease ends at the latest, in ms from its beginning.
    pub(crate) fn life_ms(&self, lease_ms: u64) -> u64 {
        lease_ms.saturating_mul(self.life_leases_max).min(self.life_max_ms)
    }
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransactionState {
    /// Takes events.
    Open,
    /// Takes no more; waits for its commit, for as long as that takes.
    Prepared,
    /// Its commit was asked for and is not decided yet.
    Committing,
    /// Its events are in the stream.
    Committed,
    /// It will never be committed; its staged chunks are being freed.
    Aborting,
    /// It left nothing.
    Aborted,
}

/// Why a transaction was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AbortReason {
    /// Somebody asked for it.
    Asked,
    /// Nobody wrote or pinged for the length of its lease.
    Lease,
    /// It lived as long as one may.
    Life,
    /// Its stream was sealed or deleted.
    Stream,
}

/// The events of a transaction in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The segment.
    pub segment: SegmentId,
    /// The first one.
    pub first: Offset,
    /// How many; they lie side by side.
    pub events: u64,
}

/// A transaction as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionInfo {
    /// Its id; never used again.
    pub id: TransactionId,
    /// Its stream.
    pub stream: StreamRef,
    /// The stream's name.
    pub name: StreamName,
    /// Where it stands.
    pub state: TransactionState,
    /// Once it is aborting.
    pub why: Option<AbortReason>,
    /// Whose time a commit notes.
    pub writer: Option<String>,
    /// When it began, ms since the Unix epoch by the store's clock.
    pub began_at_ms: i64,
    /// Its lease, ms.
    pub lease_ms: u64,
    /// When it will be aborted if nobody writes or pings; none = not by itself.
    pub expires_at_ms: Option<i64>,
    /// Chunks that are durable.
    pub chunks: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// The time that its commit was given.
    pub time: Option<EventTime>,
    /// When it was committed or aborted.
    pub ended_at_ms: Option<i64>,
    /// Where its events are, once it is committed.
    pub placed: Vec<Placed>,
}

/// Chunks for a transaction, and how many it must have before: a write that is repeated because its outcome was not heard is there
/// once, and of two handles that write the slower one is refused as `Fenced`.
#[derive(Clone, Debug, Default)]
pub struct Staging {
    /// How many chunks the writer knows to be staged.
    pub after: u64,
    /// Routed and encoded before they come here.
    pub appends: Vec<Append>,
}

impl Staging {
    pub(crate) fn chunks(&self) -> u64 {
        self.appends.iter().map(|append| append.chunks.len() as u64).sum()
    }
}

/// What is asked of the committer about a transaction. [`Transaction`] makes these.
#[derive(Clone, Debug)]
pub enum TransactionPart {
    /// Begin one; the answer has its id.
    Begin {
        /// The stream.
        stream: StreamRef,
        /// Lease and writer.
        options: TransactionOptions,
    },
    /// Stage chunks durably, and renew the lease.
    Write {
        /// Which.
        id: TransactionId,
        /// The chunks.
        staging: Staging,
        /// Nothing more will be written: it no longer expires.
        prepare: bool,
    },
    /// Make all of it visible. Asked for again, it is answered again.
    Commit {
        /// Which.
        id: TransactionId,
        /// Chunks that were never staged.
        rest: Staging,
        /// The writer's time: its events after this transaction are later.
        time: Option<EventTime>,
    },
    /// Drop all of it. Asked for again, it is answered again.
    Abort {
        /// Which.
        id: TransactionId,
    },
    /// Renew the lease.
    Ping {
        /// Which.
        id: TransactionId,
        /// Another lease from now on, ms.
        lease_ms: Option<u64>,
    },
}

impl TransactionPart {
    pub(crate) fn staging(&self) -> Option<&Staging> {
        match self {
            TransactionPart::Write { staging, .. } => Some(staging),
            TransactionPart::Commit { rest, .. } => Some(rest),
            _ => None,
        }
    }
}
