//! Tables, logs and reader groups in and out of redb: their part of [`RedbSnapshot`] and of [`super::apply`].

use super::{RedbSnapshot, put_rows, remove_all, remove_prefix, write_error};
use crate::codec::{
    after_prefix, decode_entry_key, decode_revision, decode_row, decode_text_key, log_entry_key, scoped_prefix,
    split_scoped_key, table_entry_key, text_key,
};
use crate::error::{Error, Result};
use crate::names::{GroupName, LogName, TableName};
use crate::overlay::{ScopedChanges, ScopedSnapshot};
use crate::row::{EntryRow, GroupRow, LogEntryRow, LogRow, ScopedId, TableRow};
use crate::schema::{self, BytesTable};
use redb::WriteTransaction;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

/// One entry of a table: primary key, secondary key, row.
pub(crate) type StoredEntry = (Vec<u8>, Vec<u8>, Result<EntryRow>);

impl RedbSnapshot {
    fn named<N, T: DeserializeOwned>(
        &self,
        table: BytesTable,
        what: &str,
        parse: impl Fn(&str) -> Result<N>,
    ) -> Result<Vec<(N, Result<T>)>> {
        let mut out = Vec::new();
        self.scan(table, &[], None, |(key, value)| {
            let text = decode_text_key(key)?;
            let name = parse(text).map_err(|e| Error::corrupt(e.to_string()))?;
            out.push((name, decode_row(value, || format!("the row of {what} {text}"))));
            Ok(true)
        })?;
        Ok(out)
    }

    /// All tables, by name.
    pub(crate) fn tables(&self) -> Result<Vec<(TableName, Result<TableRow>)>> {
        self.named(schema::TABLES, "table", |name| TableName::new(name))
    }

    /// All logs, by name.
    pub(crate) fn logs(&self) -> Result<Vec<(LogName, Result<LogRow>)>> {
        self.named(schema::LOGS, "log", |name| LogName::new(name))
    }

    /// All reader groups, by name.
    pub(crate) fn groups(&self) -> Result<Vec<(GroupName, Result<GroupRow>)>> {
        self.named(schema::READER_GROUPS, "reader group", |name| GroupName::new(name))
    }

    /// A group's row as it lies there, so that whoever knows it need not decode it.
    pub(crate) fn group_bytes(&self, name: &GroupName) -> Result<Option<bytes::Bytes>> {
        self.bytes(schema::READER_GROUPS, &text_key(name.as_str()))
    }

    /// Entries of a table with keys from `start` to before `end`, until `each` says false.
    pub(crate) fn table_entries(
        &self,
        table: ScopedId,
        start: &[u8],
        end: Option<&[u8]>,
        mut each: impl FnMut(StoredEntry) -> Result<bool>,
    ) -> Result<()> {
        let start = table_entry_key(table, start);
        let end = match end {
            Some(end) => Some(table_entry_key(table, end)),
            None => after_prefix(&scoped_prefix(table)),
        };
        self.scan(schema::TABLE_ENTRIES, &start, end.as_deref(), |(key, value)| {
            let (primary, secondary) = decode_entry_key(split_scoped_key(key)?.1)?;
            each((primary, secondary, decode_row(value, || format!("an entry of table #{}", table.0))))
        })
    }

    /// Entries of a log after a revision, until `each` says false.
    pub(crate) fn log_entries(
        &self,
        log: ScopedId,
        after: u64,
        mut each: impl FnMut(u64, Result<LogEntryRow>) -> Result<bool>,
    ) -> Result<()> {
        let start = log_entry_key(log, after.saturating_add(1));
        let end = after_prefix(&scoped_prefix(log));
        self.scan(schema::LOG_ENTRIES, &start, end.as_deref(), |(key, value)| {
            let revision = decode_revision(split_scoped_key(key)?.1)?;
            each(revision, decode_row(value, || format!("entry {revision} of log #{}", log.0)))
        })
    }

    /// The ids that entries of tables and of logs have: one look-up each.
    pub(crate) fn ids_of_entries(&self, table: BytesTable) -> Result<BTreeSet<ScopedId>> {
        let mut out = BTreeSet::new();
        let mut from = Some(Vec::new());
        while let Some(start) = from.take() {
            self.scan(table, &start, None, |(key, _)| {
                let (id, _) = split_scoped_key(key)?;
                out.insert(id);
                from = after_prefix(&scoped_prefix(id));
                Ok(false)
            })?;
        }
        Ok(out)
    }
}

impl ScopedSnapshot for RedbSnapshot {
    fn table(&self, name: &TableName) -> Result<Option<TableRow>> {
        self.row(schema::TABLES, &text_key(name.as_str()), || format!("the row of table {name}"))
    }

    fn table_entry(&self, table: ScopedId, key: &[u8]) -> Result<Option<EntryRow>> {
        let key = table_entry_key(table, key);
        self.row(schema::TABLE_ENTRIES, &key, || format!("an entry of table #{}", table.0))
    }

    fn log(&self, name: &LogName) -> Result<Option<LogRow>> {
        self.row(schema::LOGS, &text_key(name.as_str()), || format!("the row of log {name}"))
    }

    fn log_entry(&self, log: ScopedId, revision: u64) -> Result<Option<LogEntryRow>> {
        let key = log_entry_key(log, revision);
        self.row(schema::LOG_ENTRIES, &key, || format!("entry {revision} of log #{}", log.0))
    }

    fn group(&self, name: &GroupName) -> Result<Option<GroupRow>> {
        self.row(schema::READER_GROUPS, &text_key(name.as_str()), || format!("the row of reader group {name}"))
    }

    fn next_scoped(&self) -> Result<ScopedId> {
        self.meta_number(schema::META_NEXT_SCOPED).map(ScopedId)
    }
}

/// Writes the changes into a group's transaction.
pub(super) fn apply(txn: &WriteTransaction, changes: &ScopedChanges) -> Result<()> {
    fn put<K, V>(rows: &BTreeMap<K, Option<V>>) -> impl Iterator<Item = (&K, &V)> {
        rows.iter().filter_map(|(key, row)| Some((key, row.as_ref()?)))
    }
    fn gone<K, V>(rows: &BTreeMap<K, Option<V>>) -> impl Iterator<Item = &K> {
        rows.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| key)
    }
    put_rows(txn, schema::TABLES, put(&changes.tables).map(|(name, row)| (text_key(name.as_str()), row)))?;
    remove_all(txn, schema::TABLES, gone(&changes.tables).map(|name| text_key(name.as_str())))?;
    let entries = put(&changes.entries).map(|((id, key), row)| (table_entry_key(*id, key), row));
    put_rows(txn, schema::TABLE_ENTRIES, entries)?;
    remove_all(txn, schema::TABLE_ENTRIES, gone(&changes.entries).map(|(id, key)| table_entry_key(*id, key)))?;
    put_rows(txn, schema::LOGS, put(&changes.logs).map(|(name, row)| (text_key(name.as_str()), row)))?;
    remove_all(txn, schema::LOGS, gone(&changes.logs).map(|name| text_key(name.as_str())))?;
    let entries = changes.log_entries.iter().map(|((id, revision), row)| (log_entry_key(*id, *revision), row));
    put_rows(txn, schema::LOG_ENTRIES, entries)?;
    for (id, through) in &changes.truncated {
        let mut table = txn.open_table(schema::LOG_ENTRIES).map_err(write_error)?;
        let (start, end) = (log_entry_key(*id, 0), log_entry_key(*id, *through));
        table.retain_in::<&[u8], _>(&start[..]..=&end[..], |_, _| false).map_err(write_error)?;
    }
    put_rows(txn, schema::READER_GROUPS, put(&changes.groups).map(|(name, row)| (text_key(name.as_str()), row)))?;
    remove_all(txn, schema::READER_GROUPS, gone(&changes.groups).map(|name| text_key(name.as_str())))?;
    for id in &changes.deleted {
        remove_prefix(txn, schema::TABLE_ENTRIES, &scoped_prefix(*id))?;
        remove_prefix(txn, schema::LOG_ENTRIES, &scoped_prefix(*id))?;
    }
    if let Some(next) = changes.next {
        let mut meta = txn.open_table(schema::META).map_err(write_error)?;
        meta.insert(schema::META_NEXT_SCOPED, &next.0.to_le_bytes()[..]).map_err(write_error)?;
    }
    Ok(())
}
