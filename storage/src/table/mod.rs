//! Key-value tables: versioned entries under a primary and a secondary key, updated conditionally or not, several of one
//! primary key at once. (docs: semantics.md 1.5)
//!
//! [`Table`] is the handle; `scan.rs` iterates; the committer decides an update (`decide/table.rs`), so that two writers
//! need no lock. A version is never used twice in a table, not even for a key that was removed and inserted again.

mod scan;

pub use scan::{TablePage, TableRange};

use crate::codec::entry_key;
use crate::decide::{Outcome, TableUpdate, Work};
use crate::error::{Error, Kind, Result};
use crate::names::TableName;
use crate::overlay::ScopedSnapshot;
use crate::redb_io::RedbSnapshot;
use crate::row::{EntryRow, ScopedId, TableRow};
use crate::store::Store;
use bytes::Bytes;
use std::fmt;

/// Most bytes of a primary or secondary key.
pub const TABLE_KEY_BYTES_MAX: usize = 4 << 10;
/// Most bytes of a value.
pub const TABLE_VALUE_BYTES_MAX: usize = 1 << 20;
/// Most changes in one update.
pub const TABLE_CHANGES_MAX: usize = 4_096;
/// Most bytes of values in one update.
pub const TABLE_UPDATE_BYTES_MAX: usize = 8 << 20;

/// A version of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where an entry is. Keys sort by primary, then by secondary key, as bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableKey {
    /// Entries of one primary key can be updated together.
    pub primary: Bytes,
    /// May be empty.
    pub secondary: Bytes,
}

impl TableKey {
    /// A primary key without a secondary one.
    pub fn new(primary: impl Into<Bytes>) -> TableKey {
        TableKey { primary: primary.into(), secondary: Bytes::new() }
    }

    /// A primary and a secondary key.
    pub fn pair(primary: impl Into<Bytes>, secondary: impl Into<Bytes>) -> TableKey {
        TableKey { primary: primary.into(), secondary: secondary.into() }
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// Where it is.
    pub key: TableKey,
    /// What a conditional update names.
    pub version: Version,
    /// Its bytes.
    pub value: Bytes,
}

/// What must be there for a change to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Anything or nothing.
    Any,
    /// No entry.
    Absent,
    /// An entry in this version.
    Version(Version),
}

/// What a change does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableAction {
    /// Puts a value.
    Put(Bytes),
    /// Removes the entry; when there is none and none need be, nothing happens.
    Remove,
}

/// One change of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// The entry's secondary key.
    pub secondary: Bytes,
    /// When it is made.
    pub expected: Expected,
    /// What it does.
    pub action: TableAction,
}

impl TableChange {
    /// Puts a value when `expected` holds.
    pub fn put(secondary: impl Into<Bytes>, value: impl Into<Bytes>, expected: Expected) -> TableChange {
        TableChange { secondary: secondary.into(), expected, action: TableAction::Put(value.into()) }
    }

    /// Removes an entry when `expected` holds.
    pub fn remove(secondary: impl Into<Bytes>, expected: Expected) -> TableChange {
        TableChange { secondary: secondary.into(), expected, action: TableAction::Remove }
    }

    pub(crate) fn bytes(&self) -> usize {
        let value = if let TableAction::Put(value) = &self.action { value.len() } else { 0 };
        self.secondary.len() + value
    }
}

/// Checks an update's limits.
pub(crate) fn check_update(primary: &[u8], changes: &[TableChange]) -> Result<()> {
    let limit = |what: &str, is: usize, max: usize| {
        if is > max { Err(Error::invalid(format!("{what} of {is} bytes, at most {max}"))) } else { Ok(()) }
    };
    if primary.is_empty() {
        return Err(Error::invalid("an empty primary key; it needs a byte"));
    }
    if changes.len() > TABLE_CHANGES_MAX {
        return Err(Error::invalid(format!(
            "{} changes in one update, at most {TABLE_CHANGES_MAX}: make several updates",
            changes.len()
        )));
    }
    limit("a primary key", primary.len(), TABLE_KEY_BYTES_MAX)?;
    for change in changes {
        limit("a secondary key", change.secondary.len(), TABLE_KEY_BYTES_MAX)?;
        if let TableAction::Put(value) = &change.action {
            limit("a value", value.len(), TABLE_VALUE_BYTES_MAX)?;
        } else if change.expected == Expected::Absent {
            return Err(Error::invalid("a removal of what must not be there; leave it out"));
        }
    }
    limit("an update", changes.iter().map(TableChange::bytes).sum(), TABLE_UPDATE_BYTES_MAX)
}

/// What there is of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name.
    pub name: TableName,
    /// When it was made, ms since the Unix epoch, by the store's clock.
    pub created_at_ms: i64,
    /// Entries.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Of the last update.
    pub version: Version,
}

pub(crate) fn table_info(name: TableName, row: TableRow) -> TableInfo {
    let TableRow { created_at_ms, entries, bytes, version, .. } = row;
    TableInfo { name, created_at_ms, entries, bytes, version: Version(version) }
}

/// A handle on a table; cheap to clone.
#[derive(Clone, Debug)]
pub struct Table {
    store: Store,
    name: TableName,
    id: ScopedId,
}

impl Store {
    /// Makes a table, or opens the one there is.
    pub fn ensure_table(&self, name: &TableName) -> Result<Table> {
        let now_ms = self.now_ms();
        let id = self.ask(Work::CreateTable { name: name.clone(), now_ms })?.number()?;
        Ok(Table { store: self.clone(), name: name.clone(), id: ScopedId(id) })
    }

    /// A table, if it exists.
    pub fn table(&self, name: &TableName) -> Result<Option<Table>> {
        let row = self.read_rows(|snapshot| snapshot.table(name))?;
        Ok(row.map(|row| Table { store: self.clone(), name: name.clone(), id: row.id }))
    }

    /// Removes a table and all its entries. False: there was none.
    pub fn delete_table(&self, name: &TableName) -> Result<bool> {
        Ok(self.ask(Work::DeleteTable { name: name.clone() })?.number()? == 1)
    }

    /// All tables, by name.
    pub fn list_tables(&self) -> Result<Vec<TableInfo>> {
        let tables = self.read_rows(RedbSnapshot::tables)?;
        tables.into_iter().map(|(name, row)| Ok(table_info(name, row?))).collect()
    }
}

impl Table {
    /// Its name.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    fn read<T>(&self, read: impl FnOnce(&RedbSnapshot, TableRow) -> Result<T>) -> Result<T> {
        self.store.read_rows(|snapshot| {
            let row = snapshot.table(&self.name)?.filter(|row| row.id == self.id);
            let row = row.ok_or_else(|| {
                Error::not_found(format!(
                    "table {} was deleted (or made anew since it was opened): open it again",
                    self.name
                ))
            })?;
            read(snapshot, row).map_err(|e| match e.kind() {
                Kind::Corrupt => e.context(format!("table {}", self.name)),
                _ => e,
            })
        })
    }

    /// Its sizes.
    pub fn info(&self) -> Result<TableInfo> {
        self.read(|_, row| Ok(table_info(self.name.clone(), row)))
    }

    /// An entry; none when there is none.
    pub fn get(&self, key: &TableKey) -> Result<Option<TableEntry>> {
        Ok(self.get_all(std::slice::from_ref(key))?.pop().flatten())
    }

    /// Several entries as one snapshot, in the order of the keys.
    pub fn get_all(&self, keys: &[TableKey]) -> Result<Vec<Option<TableEntry>>> {
        self.read(|snapshot, _| {
            let one = |key: &TableKey| {
                let entry = snapshot.table_entry(self.id, &entry_key(&key.primary, &key.secondary))?;
                Ok(entry.map(|row| stored(key.clone(), row)))
            };
            keys.iter().map(one).collect()
        })
    }

    /// Changes entries of one primary key, all or none; gives the version that what was put has now.
    ///
    /// Errors, with nothing changed: `Conflict` = an entry has another version than expected, or is there and must not be;
    /// `NotFound` = an entry that must have a version is not there, or the table was deleted; `Invalid` = a limit, or a key
    /// twice.
    pub fn update(&self, primary: impl Into<Bytes>, changes: Vec<TableChange>) -> Result<Version> {
        let update = TableUpdate { name: self.name.clone(), id: self.id, primary: primary.into(), changes };
        self.store.ask(Work::Table(update)).and_then(Outcome::number).map(Version)
    }

    /// Puts a value, whatever is there.
    pub fn put(&self, key: &TableKey, value: impl Into<Bytes>) -> Result<Version> {
        self.put_if(key, value, Expected::Any)
    }

    /// Puts a value where there is none; `Conflict` otherwise.
    pub fn insert(&self, key: &TableKey, value: impl Into<Bytes>) -> Result<Version> {
        self.put_if(key, value, Expected::Absent)
    }

    /// Puts a value when `expected` holds; errors as of [`Table::update`].
    pub fn put_if(&self, key: &TableKey, value: impl Into<Bytes>, expected: Expected) -> Result<Version> {
        self.update(key.primary.clone(), vec![TableChange::put(key.secondary.clone(), value, expected)])
    }

    /// Removes an entry when `expected` holds; errors as of [`Table::update`].
    pub fn remove(&self, key: &TableKey, expected: Expected) -> Result<()> {
        self.update(key.primary.clone(), vec![TableChange::remove(key.secondary.clone(), expected)]).map(drop)
    }
}

fn stored(key: TableKey, row: EntryRow) -> TableEntry {
    TableEntry { key, version: Version(row.version), value: row.value.into() }
}
