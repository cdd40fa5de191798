//! Decides what happens to revisioned logs: appends at an expected revision, compaction, truncation, the mark.

use super::{Outcome, scoped_id};
use crate::error::{Error, Result};
use crate::log::{LOG_ENTRY_BYTES_MAX, LogChange, Revision};
use crate::names::LogName;
use crate::overlay::{Overlay, ScopedSnapshot};
use crate::row::{LogEntryRow, LogRow, ScopedId};

/// One change of a log.
#[derive(Clone, Debug)]
pub(crate) struct LogUpdate {
    pub(crate) name: LogName,
    /// The life of the name that the caller knows.
    pub(crate) id: ScopedId,
    pub(crate) change: LogChange,
}

impl LogUpdate {
    pub(crate) fn bytes(&self) -> usize {
        match &self.change {
            LogChange::Append { value, .. } | LogChange::Compact { value, .. } => value.len(),
            LogChange::Truncate { .. } | LogChange::Mark { .. } => 0,
        }
    }
}

/// Makes it, or leaves the one there is; answers its id.
pub(super) fn create(o: &mut Overlay<'_>, name: &LogName, now_ms: i64) -> Result<Outcome> {
    if let Some(row) = o.log(name)? {
        return Ok(Outcome::Number(row.id.0));
    }
    let id = scoped_id(o)?;
    let row = LogRow { id, created_at_ms: now_ms, head: 0, tail: 0, mark: None, bytes: 0 };
    o.changes.scoped.logs.insert(name.clone(), Some(row));
    Ok(Outcome::Number(id.0))
}

/// With all entries. Answers 1 when it was there.
pub(super) fn delete(o: &mut Overlay<'_>, name: &LogName) -> Result<Outcome> {
    let Some(row) = o.log(name)? else { return Ok(Outcome::Number(0)) };
    o.changes.scoped.logs.insert(name.clone(), None);
    o.changes.scoped.deleted.insert(row.id);
    Ok(Outcome::Number(1))
}

/// Answers the tail after it.
pub(super) fn update(o: &mut Overlay<'_>, update: &LogUpdate) -> Result<Outcome> {
    let LogUpdate { name, id, change } = update;
    let row = o.log(name)?.filter(|row| row.id == *id);
    let mut row = row.ok_or_else(|| {
        Error::not_found(format!("log {name} was deleted (or made anew since it was opened): open it again"))
    })?;
    match change {
        LogChange::Append { expected, value } => {
            check_tail(name, &row, *expected)?;
            append(o, name, &mut row, false, value)?;
        }
        LogChange::Compact { expected, value } => {
            check_tail(name, &row, Some(*expected))?;
            let before = row.tail;
            append(o, name, &mut row, true, value)?;
            truncate(o, &mut row, before)?;
        }
        LogChange::Truncate { through } => {
            if through.0 > row.tail {
                return Err(Error::invalid(format!(
                    "truncation of log {name} at revision {through}: its last one is {}",
                    row.tail
                )));
            }
            truncate(o, &mut row, through.0)?;
        }
        LogChange::Mark { expected, mark } => {
            if row.mark != expected.map(|mark| mark.0) {
                let text = |mark: Option<u64>| mark.map_or("none".to_string(), |mark| mark.to_string());
                return Err(Error::conflict(format!(
                    "the mark of log {name} is {}, not {}: read it and decide anew",
                    text(row.mark),
                    text(expected.map(|mark| mark.0))
                )));
            }
            if mark.is_some_and(|mark| mark.0 > row.tail) {
                return Err(Error::invalid(format!("a mark of log {name} beyond its last revision {}", row.tail)));
            }
            row.mark = mark.map(|mark| mark.0);
        }
    }
    o.changes.scoped.logs.insert(name.clone(), Some(row));
    Ok(Outcome::Number(row.tail))
}

fn check_tail(name: &LogName, row: &LogRow, expected: Option<Revision>) -> Result<()> {
    match expected {
        Some(Revision(expected)) if expected != row.tail => Err(Error::conflict(format!(
            "log {name} is at revision {}, not {expected}: read what came and decide anew",
            row.tail
        ))),
        _ => Ok(()),
    }
}

fn append(o: &mut Overlay<'_>, name: &LogName, row: &mut LogRow, initial: bool, value: &[u8]) -> Result<()> {
    if value.len() > LOG_ENTRY_BYTES_MAX {
        return Err(Error::invalid(format!(
            "log {name}: an entry of {} bytes, at most {LOG_ENTRY_BYTES_MAX}",
            value.len()
        )));
    }
    row.tail += 1;
    row.bytes += value.len() as u64;
    o.changes.scoped.log_entries.insert((row.id, row.tail), LogEntryRow { initial, value: value.to_vec() });
    Ok(())
}

fn truncate(o: &mut Overlay<'_>, row: &mut LogRow, through: u64) -> Result<()> {
    for revision in row.head + 1..=through {
        if let Some(entry) = o.log_entry(row.id, revision)? {
            row.bytes = row.bytes.saturating_sub(entry.value.len() as u64);
        }
    }
    if through > row.head {
        row.head = through;
        o.changes.scoped.truncated.insert(row.id, through);
    }
    Ok(())
}
