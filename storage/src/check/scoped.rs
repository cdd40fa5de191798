//! Checks tables, logs and reader groups: every row and entry can be read, sums and bounds are those of the entries, nothing
//! lies there without an owner, a group's places cover each of its streams once.

use super::{Checker, Fault, passing};
use crate::codec::entry_key;
use crate::error::{Error, Result};
use crate::names::{LogName, TableName};
use crate::overlay::ScopedSnapshot;
use crate::redb_io::RedbSnapshot;
use crate::row::{LogRow, ScopedId, TableRow};
use crate::schema;

/// Entries that one snapshot gives.
const ENTRIES_MAX: usize = 4_096;
/// How often something that changes under the check is gone through again.
const TRIES_MAX: usize = 8;

#[derive(Default)]
struct Gone {
    entries: u64,
    bytes: u64,
    newest: u64,
    faults: Vec<String>,
}

impl Checker<'_> {
    pub(super) fn scoped(&mut self) -> Result<()> {
        // What is made after this look has a greater id.
        let next = self.shared.read(ScopedSnapshot::next_scoped).map_or(ScopedId(0), |next| next);
        for (name, row) in self.rows(RedbSnapshot::tables)? {
            self.report.tables += 1;
            match row {
                Ok(row) => self.table(&name, row)?,
                Err(e) => self.say(e.to_string()),
            }
        }
        for (name, row) in self.rows(RedbSnapshot::logs)? {
            self.report.logs += 1;
            match row {
                Ok(row) => self.log(&name, row)?,
                Err(e) => self.say(e.to_string()),
            }
        }
        for (name, row) in self.rows(RedbSnapshot::groups)? {
            self.report.reader_groups += 1;
            if let Err(e) = row.and_then(|row| row.state.check()) {
                self.say(format!("reader group {name}: {e}; reset it"));
            }
        }
        self.ownerless(next)
    }

    fn say(&mut self, what: String) {
        self.fault(Fault { what, ..Fault::default() });
    }

    /// All rows of a kind; a table of the store that cannot be read is one fault.
    fn rows<T>(&mut self, read: impl Fn(&RedbSnapshot) -> Result<Vec<T>>) -> Result<Vec<T>> {
        match self.shared.read(read) {
            Ok(rows) => Ok(rows),
            Err(e) if passing(&e) => Err(e),
            Err(e) => {
                self.say(e.to_string());
                Ok(Vec::new())
            }
        }
    }

    /// Goes through the entries a piece per snapshot; sums are compared when nobody wrote meanwhile.
    fn table(&mut self, name: &TableName, mut row: TableRow) -> Result<()> {
        for last in (0..TRIES_MAX).rev() {
            let gone = match self.entries(row.id) {
                Ok(gone) => gone,
                Err(e) if passing(&e) => return Err(e),
                Err(e) => {
                    self.say(format!("table {name}: {e}"));
                    return Ok(());
                }
            };
            let now = self.shared.read(|snapshot| snapshot.table(name)).ok().flatten();
            match now {
                Some(now) if now.id == row.id && now.version != row.version && last > 0 => {
                    row = now;
                    continue;
                }
                // Deleted meanwhile.
                None => return Ok(()),
                Some(now) if now.id != row.id => return Ok(()),
                _ => {}
            }
            self.report.table_entries += gone.entries;
            for what in &gone.faults {
                self.say(format!("table {name}: {what}"));
            }
            let same = now.is_some_and(|now| now == row) && gone.faults.is_empty();
            if same && (gone.entries, gone.bytes) != (row.entries, row.bytes) {
                self.say(format!(
                    "table {name}: its row counts {} entries of {} bytes, there are {} of {}; restore a backup",
                    row.entries, row.bytes, gone.entries, gone.bytes
                ));
            }
            if same && gone.newest > row.version {
                self.say(format!("table {name}: an entry has version {}, the table {}", gone.newest, row.version));
            }
            return Ok(());
        }
        Ok(())
    }

    fn entries(&self, id: ScopedId) -> Result<Gone> {
        let mut gone = Gone::default();
        let mut from = Some(Vec::new());
        while let Some(start) = from.take() {
            let mut count = 0;
            self.shared.read(|snapshot| {
                snapshot.table_entries(id, &start, None, |(primary, secondary, row)| {
                    count += 1;
                    let keys = (primary.len() + secondary.len()) as u64;
                    match row {
                        Ok(row) => {
                            gone.entries += 1;
                            gone.bytes += keys + row.value.len() as u64;
                            gone.newest = gone.newest.max(row.version);
                        }
                        Err(e) => gone.faults.push(e.to_string()),
                    }
                    if count == ENTRIES_MAX {
                        let mut above = entry_key(&primary, &secondary);
                        above.push(0);
                        from = Some(above);
                    }
                    Ok(count < ENTRIES_MAX)
                })
            })?;
        }
        Ok(gone)
    }

    fn log(&mut self, name: &LogName, row: LogRow) -> Result<()> {
        let walked = self.shared.read(|snapshot| {
            // As of this snapshot, or it was deleted.
            let Some(row) = snapshot.log(name)?.filter(|now| now.id == row.id) else { return Ok((0, Vec::new())) };
            let (mut expected, mut bytes, mut count, mut faults) = (row.head + 1, 0u64, 0u64, Vec::new());
            snapshot.log_entries(row.id, 0, |revision, entry| {
                if revision != expected {
                    faults.push(format!("entry {revision} lies where entry {expected} should"));
                }
                match entry {
                    Ok(entry) => bytes += entry.value.len() as u64,
                    Err(e) => faults.push(e.to_string()),
                }
                (expected, count) = (revision + 1, count + 1);
                Ok(true)
            })?;
            if faults.is_empty() && (expected, bytes) != (row.tail + 1, row.bytes) {
                faults.push(format!(
                    "its row says {} bytes up to entry {}, there are {bytes} up to {}; restore a backup",
                    row.bytes,
                    row.tail,
                    expected - 1
                ));
            }
            Ok((count, faults))
        });
        match walked {
            Ok((count, faults)) => {
                self.report.log_entries += count;
                for what in faults {
                    self.say(format!("log {name}: {what}"));
                }
            }
            Err(e) if passing(&e) => return Err(e),
            Err(e) => self.say(format!("log {name}: {e}")),
        }
        Ok(())
    }

    /// Entries of a table or log that does not exist only take room.
    fn ownerless(&mut self, next: ScopedId) -> Result<()> {
        for (what, table) in [("a table", schema::TABLE_ENTRIES), ("a log", schema::LOG_ENTRIES)] {
            let found = self.shared.read(|snapshot| {
                let mut ids = snapshot.ids_of_entries(table)?;
                for row in snapshot.tables()?.into_iter().filter_map(|(_, row)| row.ok()) {
                    ids.remove(&row.id);
                }
                for row in snapshot.logs()?.into_iter().filter_map(|(_, row)| row.ok()) {
                    ids.remove(&row.id);
                }
                let damaged = snapshot.tables()?.iter().any(|(_, row)| row.is_err())
                    || snapshot.logs()?.iter().any(|(_, row)| row.is_err());
                Ok::<_, Error>(if damaged { Default::default() } else { ids })
            });
            match found {
                Ok(ids) => {
                    for id in ids.into_iter().filter(|id| *id < next) {
                        self.say(format!("entries of {what} #{} that does not exist; they only take room", id.0));
                    }
                }
                Err(e) if passing(&e) => return Err(e),
                Err(e) => self.say(e.to_string()),
            }
        }
        Ok(())
    }
}
