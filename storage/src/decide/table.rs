//! Decides what happens to key-value tables: made, deleted, and updated entry by entry under one primary key, all or none.

use super::{Outcome, scoped_id};
use crate::codec::entry_key;
use crate::error::{Error, Result};
use crate::names::TableName;
use crate::overlay::{Overlay, ScopedSnapshot};
use crate::row::{EntryRow, ScopedId, TableRow};
use crate::table::{Expected, TableAction, TableChange, check_update};
use bytes::Bytes;
use std::collections::BTreeSet;

/// Several changes under one primary key.
#[derive(Clone, Debug)]
pub(crate) struct TableUpdate {
    pub(crate) name: TableName,
    /// The life of the name that the caller knows.
    pub(crate) id: ScopedId,
    pub(crate) primary: Bytes,
    pub(crate) changes: Vec<TableChange>,
}

impl TableUpdate {
    pub(crate) fn puts(&self) -> bool {
        self.changes.iter().any(|change| matches!(change.action, TableAction::Put(_)))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.changes.iter().map(|change| self.primary.len() + change.bytes()).sum()
    }
}

/// Makes it, or leaves the one there is; answers its id.
pub(super) fn create(o: &mut Overlay<'_>, name: &TableName, now_ms: i64) -> Result<Outcome> {
    if let Some(row) = o.table(name)? {
        return Ok(Outcome::Number(row.id.0));
    }
    let id = scoped_id(o)?;
    let row = TableRow { id, created_at_ms: now_ms, version: 0, entries: 0, bytes: 0 };
    o.changes.scoped.tables.insert(name.clone(), Some(row));
    Ok(Outcome::Number(id.0))
}

/// With all entries. Answers 1 when it was there.
pub(super) fn delete(o: &mut Overlay<'_>, name: &TableName) -> Result<Outcome> {
    let Some(row) = o.table(name)? else { return Ok(Outcome::Number(0)) };
    o.changes.scoped.tables.insert(name.clone(), None);
    o.changes.scoped.deleted.insert(row.id);
    Ok(Outcome::Number(1))
}

/// Answers the version that the entries have now.
pub(super) fn update(o: &mut Overlay<'_>, update: &TableUpdate) -> Result<Outcome> {
    let TableUpdate { name, id, primary, changes } = update;
    check_update(primary, changes).map_err(|e| e.context(format!("table {name}")))?;
    let row = o.table(name)?.filter(|row| row.id == *id);
    let mut row = row.ok_or_else(|| {
        Error::not_found(format!("table {name} was deleted (or made anew since it was opened): open it again"))
    })?;
    row.version += 1;
    let mut keys = BTreeSet::new();
    let mut changed = false;
    for change in changes {
        if !keys.insert(&change.secondary) {
            return Err(Error::invalid(format!(
                "table {name}: {} is changed twice in one update; leave one out",
                shown(primary, &change.secondary)
            )));
        }
        let key = entry_key(primary, &change.secondary);
        let old = o.table_entry(*id, &key)?;
        check_version(name, primary, change, old.as_ref())?;
        let size = |value: usize| (primary.len() + change.secondary.len() + value) as u64;
        if let Some(old) = &old {
            row.entries = row.entries.saturating_sub(1);
            row.bytes = row.bytes.saturating_sub(size(old.value.len()));
        }
        let new = match &change.action {
            TableAction::Put(value) => {
                row.entries += 1;
                row.bytes += size(value.len());
                Some(EntryRow { version: row.version, value: value.to_vec() })
            }
            TableAction::Remove if old.is_none() => continue,
            TableAction::Remove => None,
        };
        changed = true;
        o.changes.scoped.entries.insert((*id, key), new);
    }
    if changed {
        o.changes.scoped.tables.insert(name.clone(), Some(row));
    }
    Ok(Outcome::Number(row.version))
}

fn check_version(name: &TableName, primary: &Bytes, change: &TableChange, old: Option<&EntryRow>) -> Result<()> {
    let at = || format!("table {name}: {}", shown(primary, &change.secondary));
    match (change.expected, old) {
        (Expected::Any, _) | (Expected::Absent, None) => Ok(()),
        (Expected::Absent, Some(there)) => Err(Error::conflict(format!(
            "{} is there already, in version {}: read it and decide anew",
            at(),
            there.version
        ))),
        (Expected::Version(_), None) => Err(Error::not_found(format!("{} is not there: insert it instead", at()))),
        (Expected::Version(version), Some(there)) if version.0 != there.version => Err(Error::conflict(format!(
            "{} has version {}, not {}: read it and decide anew",
            at(),
            there.version,
            version.0
        ))),
        (Expected::Version(_), Some(_)) => Ok(()),
    }
}

fn shown(primary: &[u8], secondary: &[u8]) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    match secondary {
        [] => format!("key \"{}\"", text(primary)),
        _ => format!("key \"{}\" / \"{}\"", text(primary), text(secondary)),
    }
}
