//! Iteration over a table in pages: by prefix or range of primary keys, or of the secondary keys of one primary key.

use super::{Table, TableEntry, TableKey, stored};
use crate::codec::{after_prefix, entry_key, escape_primary, primary_key};
use crate::error::{Error, Result};
use bytes::Bytes;

/// Most bytes of values in one page; one entry is always given.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// Which entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableRange {
    /// All.
    All,
    /// Primary keys that begin so.
    PrimaryPrefix(Bytes),
    /// Primary keys from the first, to before the second if there is one.
    Primary(Bytes, Option<Bytes>),
    /// Secondary keys, of this primary key, that begin so.
    SecondaryPrefix(Bytes, Bytes),
    /// Secondary keys, of this primary key, from the first, to before the second if there is one.
    Secondary(Bytes, Bytes, Option<Bytes>),
}

/// A piece of an iteration, as one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePage {
    /// In the order of the keys.
    pub entries: Vec<TableEntry>,
    /// Go on after this key; none = there was no more.
    pub next: Option<TableKey>,
}

impl TableRange {
    /// Encoded keys from the first to before the second.
    fn bounds(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let prefix = |key: Vec<u8>| {
            let end = after_prefix(&key);
            (key, end)
        };
        match self {
            TableRange::All => (Vec::new(), None),
            TableRange::PrimaryPrefix(begin) => prefix(escape_primary(begin)),
            TableRange::Primary(from, to) => (escape_primary(from), to.as_ref().map(|to| escape_primary(to))),
            TableRange::SecondaryPrefix(primary, begin) => prefix(entry_key(primary, begin)),
            TableRange::Secondary(primary, from, to) => {
                let end = match to {
                    Some(to) => Some(entry_key(primary, to)),
                    None => after_prefix(&primary_key(primary)),
                };
                (entry_key(primary, from), end)
            }
        }
    }
}

impl Table {
    /// The first `limit` entries of a range, or those after a key. Each page is one snapshot; between two, entries may come
    /// and go, and those that stay are given once.
    pub fn scan(&self, range: &TableRange, after: Option<&TableKey>, limit: usize) -> Result<TablePage> {
        if limit == 0 {
            return Err(Error::invalid("a page of no entries: ask for one at least"));
        }
        let (mut start, end) = range.bounds();
        if let Some(after) = after {
            // The least key above it.
            let mut above = entry_key(&after.primary, &after.secondary);
            above.push(0);
            start = start.max(above);
        }
        let mut page = TablePage { entries: Vec::new(), next: None };
        if end.as_ref().is_some_and(|end| *end <= start) {
            return Ok(page);
        }
        self.read(|snapshot, _| {
            let mut bytes = 0;
            snapshot.table_entries(self.id, &start, end.as_deref(), |(primary, secondary, row)| {
                let row = row?;
                bytes += row.value.len();
                if page.entries.len() == limit || (!page.entries.is_empty() && bytes > PAGE_BYTES_MAX) {
                    page.next = page.entries.last().map(|last| last.key.clone());
                    return Ok(false);
                }
                page.entries.push(stored(TableKey::pair(primary, secondary), row));
                Ok(true)
            })
        })?;
        Ok(page)
    }
}
