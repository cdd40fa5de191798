//! Tables, logs and reader groups in snapshots and changes: the part of [`super::Snapshot`] and [`super::Changes`] that
//! `decide/{table,log,group}.rs` work on and `redb_io/scoped.rs` reads and writes.

use super::Overlay;
use crate::error::Result;
use crate::names::{GroupName, LogName, TableName};
use crate::row::{EntryRow, GroupRow, LogEntryRow, LogRow, ScopedId, TableRow};
use std::collections::{BTreeMap, BTreeSet};

/// The rows there are.
pub(crate) trait ScopedSnapshot {
    fn table(&self, name: &TableName) -> Result<Option<TableRow>>;
    /// By the encoded primary and secondary key.
    fn table_entry(&self, table: ScopedId, key: &[u8]) -> Result<Option<EntryRow>>;
    fn log(&self, name: &LogName) -> Result<Option<LogRow>>;
    fn log_entry(&self, log: ScopedId, revision: u64) -> Result<Option<LogEntryRow>>;
    fn group(&self, name: &GroupName) -> Result<Option<GroupRow>>;
    fn next_scoped(&self) -> Result<ScopedId>;
}

/// What a group of parts writes; none = the row goes.
#[derive(Debug, Default)]
pub(crate) struct ScopedChanges {
    pub(crate) tables: BTreeMap<TableName, Option<TableRow>>,
    pub(crate) entries: BTreeMap<(ScopedId, Vec<u8>), Option<EntryRow>>,
    pub(crate) logs: BTreeMap<LogName, Option<LogRow>>,
    pub(crate) log_entries: BTreeMap<(ScopedId, u64), LogEntryRow>,
    /// Entries up to this revision go.
    pub(crate) truncated: BTreeMap<ScopedId, u64>,
    pub(crate) groups: BTreeMap<GroupName, Option<GroupRow>>,
    /// Tables and logs whose entries go.
    pub(crate) deleted: BTreeSet<ScopedId>,
    pub(crate) next: Option<ScopedId>,
}

impl ScopedChanges {
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
            && self.entries.is_empty()
            && self.logs.is_empty()
            && self.log_entries.is_empty()
            && self.truncated.is_empty()
            && self.groups.is_empty()
            && self.deleted.is_empty()
    }

    /// Takes in the changes of a part that was decided on top of these.
    pub(crate) fn absorb(&mut self, upper: ScopedChanges) {
        self.tables.extend(upper.tables);
        self.entries.extend(upper.entries);
        self.logs.extend(upper.logs);
        self.log_entries.extend(upper.log_entries);
        for (log, through) in upper.truncated {
            self.log_entries.retain(|(id, revision), _| *id != log || *revision > through);
            self.truncated.insert(log, through);
        }
        self.groups.extend(upper.groups);
        for id in upper.deleted {
            self.entries.retain(|(of, _), _| *of != id);
            self.log_entries.retain(|(of, _), _| *of != id);
            self.truncated.remove(&id);
            self.deleted.insert(id);
        }
        self.next = upper.next.or(self.next);
    }
}

impl ScopedSnapshot for Overlay<'_> {
    fn table(&self, name: &TableName) -> Result<Option<TableRow>> {
        self.changes.scoped.tables.get(name).map_or_else(|| self.base.table(name), |row| Ok(*row))
    }

    fn table_entry(&self, table: ScopedId, key: &[u8]) -> Result<Option<EntryRow>> {
        match self.changes.scoped.entries.get(&(table, key.to_vec())) {
            Some(entry) => Ok(entry.clone()),
            None => self.base.table_entry(table, key),
        }
    }

    fn log(&self, name: &LogName) -> Result<Option<LogRow>> {
        self.changes.scoped.logs.get(name).map_or_else(|| self.base.log(name), |row| Ok(*row))
    }

    fn log_entry(&self, log: ScopedId, revision: u64) -> Result<Option<LogEntryRow>> {
        match self.changes.scoped.log_entries.get(&(log, revision)) {
            Some(entry) => Ok(Some(entry.clone())),
            None => self.base.log_entry(log, revision),
        }
    }

    fn group(&self, name: &GroupName) -> Result<Option<GroupRow>> {
        self.changes.scoped.groups.get(name).map_or_else(|| self.base.group(name), |row| Ok(row.clone()))
    }

    fn next_scoped(&self) -> Result<ScopedId> {
        self.changes.scoped.next.map_or_else(|| self.base.next_scoped(), Ok)
    }
}
