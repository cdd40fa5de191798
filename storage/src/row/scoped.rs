//! The rows of what stands beside streams in a scope: key-value tables, revisioned logs, reader groups. `decide/{table,
//! log,group}.rs` read and change them, `codec` gives them their stored form.

use crate::stream::reader_group::GroupState;
use serde::{Deserialize, Serialize};

/// A table, log or reader group for the life of the data directory: deleted and made again, a name gets another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ScopedId(pub(crate) u64);

/// A key-value table. Invariant: the sums are those of its entries, and no entry has a greater version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableRow {
    pub(crate) id: ScopedId,
    pub(crate) created_at_ms: i64,
    /// Of the last update; what an update puts gets its version, so that none is ever used twice.
    pub(crate) version: u64,
    pub(crate) entries: u64,
    /// Of keys and values.
    pub(crate) bytes: u64,
}

/// An entry of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryRow {
    pub(crate) version: u64,
    pub(crate) value: Vec<u8>,
}

/// A revisioned log. Invariants: head <= tail; entries head + 1 ..= tail are there; the mark is at most the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogRow {
    pub(crate) id: ScopedId,
    pub(crate) created_at_ms: i64,
    /// Revision after the last entry that was truncated.
    pub(crate) head: u64,
    /// Revision after the last entry.
    pub(crate) tail: u64,
    pub(crate) mark: Option<u64>,
    /// Of the entries' values.
    pub(crate) bytes: u64,
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogEntryRow {
    /// Holds the whole state, which does not depend on the entries before it.
    pub(crate) initial: bool,
    pub(crate) value: Vec<u8>,
}

/// A reader group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupRow {
    pub(crate) id: ScopedId,
    pub(crate) created_at_ms: i64,
    /// Counts the changes of the state from 1; a change names the version that it was made from.
    pub(crate) version: u64,
    pub(crate) state: GroupState,
}
