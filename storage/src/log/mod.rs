//! Revisioned logs: small durable logs whose appends may be conditional on the last revision, with a mark that is compared
//! and swapped. [`Synchroniser`] keeps a shared state on one. (docs: semantics.md 1.5)
//!
//! Revision n stands after n entries: reading from it gives entry n + 1 on. A compaction is one commit: the whole state is
//! appended and everything before it goes, so a reader that is behind starts again from the oldest entry there is.

mod synchroniser;

pub use synchroniser::{SharedState, Synchroniser};

use crate::decide::{LogUpdate, Outcome, Work};
use crate::error::{Error, Result};
use crate::names::LogName;
use crate::overlay::ScopedSnapshot;
use crate::row::ScopedId;
use crate::store::Store;
use bytes::Bytes;
use std::fmt;

/// Most bytes of one entry.
pub const LOG_ENTRY_BYTES_MAX: usize = 8 << 20;

/// A place in a log: after so many entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One change of a log.
#[derive(Clone, Debug)]
pub(crate) enum LogChange {
    Append { expected: Option<Revision>, value: Bytes },
    Compact { expected: Revision, value: Bytes },
    Truncate { through: Revision },
    Mark { expected: Option<Revision>, mark: Option<Revision> },
}

/// What there is of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogInfo {
    /// When it was made, ms since the Unix epoch, by the store's clock.
    pub created_at_ms: i64,
    /// Where the oldest entry can be read from.
    pub head: Revision,
    /// After the last entry.
    pub tail: Revision,
    /// The mark; none = never set, or taken away.
    pub mark: Option<Revision>,
    /// Bytes of the entries.
    pub bytes: u64,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The revision after it.
    pub revision: Revision,
    /// Whether a compaction wrote it: it holds the whole state.
    pub initial: bool,
    /// Its bytes.
    pub value: Bytes,
}

/// A piece of a log, as one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// In order.
    pub entries: Vec<LogEntry>,
    /// Read on from here.
    pub next: Revision,
    /// The last revision at the read: reading is done when `next` is it.
    pub tail: Revision,
}

/// A handle on a log; cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    store: Store,
    name: LogName,
    id: ScopedId,
}

impl Store {
    /// Makes a log, or opens the one there is.
    pub fn ensure_log(&self, name: &LogName) -> Result<Log> {
        let now_ms = self.now_ms();
        let id = self.ask(Work::CreateLog { name: name.clone(), now_ms })?.number()?;
        Ok(Log { store: self.clone(), name: name.clone(), id: ScopedId(id) })
    }

    /// A log, if it exists.
    pub fn log(&self, name: &LogName) -> Result<Option<Log>> {
        let row = self.read_rows(|snapshot| snapshot.log(name))?;
        Ok(row.map(|row| Log { store: self.clone(), name: name.clone(), id: row.id }))
    }

    /// Removes a log and all its entries. False: there was none.
    pub fn delete_log(&self, name: &LogName) -> Result<bool> {
        Ok(self.ask(Work::DeleteLog { name: name.clone() })?.number()? == 1)
    }

    /// All logs, by name.
    pub fn list_logs(&self) -> Result<Vec<LogName>> {
        Ok(self.read_rows(|snapshot| snapshot.logs())?.into_iter().map(|(name, _)| name).collect())
    }
}

impl Log {
    /// Its name.
    pub fn name(&self) -> &LogName {
        &self.name
    }

    fn change(&self, change: LogChange) -> Result<Revision> {
        let update = LogUpdate { name: self.name.clone(), id: self.id, change };
        self.store.ask(Work::Log(update)).and_then(Outcome::number).map(Revision)
    }

    fn gone(&self) -> Error {
        Error::not_found(format!("log {} was deleted (or made anew since it was opened): open it again", self.name))
    }

    /// Its bounds, mark and size.
    pub fn info(&self) -> Result<LogInfo> {
        let row = self.store.read_rows(|snapshot| snapshot.log(&self.name))?;
        let row = row.filter(|row| row.id == self.id).ok_or_else(|| self.gone())?;
        Ok(LogInfo {
            created_at_ms: row.created_at_ms,
            head: Revision(row.head),
            tail: Revision(row.tail),
            mark: row.mark.map(Revision),
            bytes: row.bytes,
        })
    }

    /// Appends an entry, whatever came before; gives the revision after it.
    pub fn append(&self, value: impl Into<Bytes>) -> Result<Revision> {
        self.change(LogChange::Append { expected: None, value: value.into() })
    }

    /// Appends an entry when `expected` is the last revision; `Conflict` when others came meanwhile.
    pub fn append_if(&self, expected: Revision, value: impl Into<Bytes>) -> Result<Revision> {
        self.change(LogChange::Append { expected: Some(expected), value: value.into() })
    }

    /// Puts one entry that says it all in the place of everything up to `expected`, when that is the last revision;
    /// `Conflict` when others came meanwhile.
    pub fn compact(&self, expected: Revision, whole: impl Into<Bytes>) -> Result<Revision> {
        self.change(LogChange::Compact { expected, value: whole.into() })
    }

    /// Removes the entries up to a revision. Behind the head already: nothing happens. `Invalid` beyond the tail.
    pub fn truncate(&self, through: Revision) -> Result<()> {
        self.change(LogChange::Truncate { through }).map(drop)
    }

    /// Moves the mark when it is `expected` now; `Conflict` otherwise.
    pub fn set_mark(&self, expected: Option<Revision>, mark: Option<Revision>) -> Result<()> {
        self.change(LogChange::Mark { expected, mark }).map(drop)
    }

    /// Entries strictly after a revision: at least one if there is any, then while they keep below `max_bytes`.
    /// `Truncated` when some of them are gone: start again at the head; `Invalid` beyond the tail.
    pub fn read(&self, from: Revision, max_bytes: usize) -> Result<LogPage> {
        self.store.read_rows(|snapshot| {
            let row = snapshot.log(&self.name)?.filter(|row| row.id == self.id).ok_or_else(|| self.gone())?;
            if from.0 < row.head {
                return Err(Error::truncated(format!(
                    "log {}: what follows revision {from} was compacted or truncated; read from revision {}",
                    self.name, row.head
                )));
            }
            if from.0 > row.tail {
                return Err(Error::invalid(format!(
                    "log {}: revision {from} is beyond the last one, {}",
                    self.name, row.tail
                )));
            }
            let mut page = LogPage { entries: Vec::new(), next: from, tail: Revision(row.tail) };
            let mut bytes = 0;
            snapshot.log_entries(self.id, from.0, |revision, entry| {
                let entry = entry.map_err(|e| e.context(format!("log {}", self.name)))?;
                bytes += entry.value.len();
                if revision != page.next.0 + 1 || (!page.entries.is_empty() && bytes > max_bytes) {
                    return Ok(false);
                }
                page.next = Revision(revision);
                let (initial, value) = (entry.initial, entry.value.into());
                page.entries.push(LogEntry { revision: page.next, initial, value });
                Ok(true)
            })?;
            if page.entries.is_empty() && page.next < page.tail {
                return Err(Error::corrupt(format!(
                    "log {}: entry {} is missing; restore a backup",
                    self.name,
                    page.next.0 + 1
                )));
            }
            Ok(page)
        })
    }
}
