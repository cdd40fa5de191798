//! Checks transactions: rows and the lists of live and ended ones agree, every staged chunk is there, decodes, and is counted.

use super::{Checker, Fault, passing};
use crate::codec::chunk::{decode_chunk, decode_header};
use crate::error::{Error, Result};
use crate::ids::TransactionId;
use crate::overlay::TransactionSnapshot;
use crate::redb_io::RedbSnapshot;
use crate::row::TransactionRow;
use std::collections::{BTreeMap, BTreeSet};

/// Staged chunks that one snapshot looks at.
const CHUNKS_MAX: u64 = 64;

impl Checker<'_> {
    pub(super) fn transactions(&mut self) -> Result<()> {
        let mut found = Vec::new();
        match self.shared.read(|snapshot| lists(snapshot, &mut found)) {
            Ok(live) => {
                self.report.transactions += live.known;
                for id in live.with_chunks {
                    self.staged(id, &mut found)?;
                }
            }
            Err(e) if passing(&e) => return Err(e),
            Err(e) => found.push(e.to_string()),
        }
        found.into_iter().for_each(|what| self.fault(Fault { what, ..Fault::default() }));
        Ok(())
    }

    /// A transaction may go on, end, and be forgotten between two pieces: what is gone then is no fault.
    fn staged(&mut self, id: TransactionId, found: &mut Vec<String>) -> Result<()> {
        let mut from = 0;
        loop {
            let piece = self.shared.read(|snapshot| {
                let row = snapshot.transaction(id)?.filter(|row| row.freed < row.chunks);
                let Some(row) = row else { return Ok(None) };
                let (start, mut chunks, mut faults) = (from.max(row.freed), 0, Vec::new());
                let end = row.chunks.min(start + CHUNKS_MAX);
                for number in start..end {
                    match staged_chunk(snapshot, id, number) {
                        Ok(()) => chunks += 1,
                        Err(e) if passing(&e) => return Err(e),
                        Err(e) => faults.push(format!("{}, staged chunk {number}: {e}", named(id, &row))),
                    }
                }
                Ok(Some((end, end == row.chunks, chunks, faults)))
            });
            match piece {
                Ok(None) => return Ok(()),
                Ok(Some((end, done, chunks, faults))) => {
                    self.report.staged_chunks += chunks;
                    found.extend(faults);
                    if done {
                        return Ok(());
                    }
                    from = end;
                }
                Err(e) if passing(&e) => return Err(e),
                Err(e) => {
                    found.push(e.to_string());
                    return Ok(());
                }
            }
        }
    }
}

fn named(id: TransactionId, row: &TransactionRow) -> String {
    format!("transaction {id} of stream {}", row.name)
}

fn staged_chunk(snapshot: &RedbSnapshot, id: TransactionId, number: u64) -> Result<()> {
    let missing = |what| Error::corrupt(format!("{what} is missing; restore a backup"));
    let row = snapshot.staged_row(id, number)?.ok_or_else(|| missing("its entry"))?;
    let chunk = snapshot.staged_chunk(id, number)?.ok_or_else(|| missing("the chunk"))?;
    let header = decode_header(&chunk)?;
    if (header.crc, header.events, chunk.len()) != (row.entry.crc, row.entry.events, row.entry.bytes as usize) {
        return Err(Error::corrupt("the chunk is not the one that its entry describes"));
    }
    decode_chunk(&chunk).map(drop)
}

/// What the rows and lists say together.
struct Lists {
    known: u64,
    /// Those with staged chunks.
    with_chunks: Vec<TransactionId>,
}

fn lists(snapshot: &RedbSnapshot, found: &mut Vec<String>) -> Result<Lists> {
    let live: BTreeSet<_> = snapshot.live_transactions(None)?;
    let ended: BTreeSet<TransactionId> =
        snapshot.ended_transactions(usize::MAX)?.into_iter().map(|(_, id)| id).collect();
    let staged = snapshot.staged_keys()?;
    let mut sums: BTreeMap<TransactionId, (u64, u64, u64)> = BTreeMap::new();
    for (id, number) in &staged {
        // One that cannot be read is told with its chunk.
        if let Ok(Some(row)) = snapshot.staged_row(*id, *number) {
            let sum = sums.entry(*id).or_default();
            *sum = (sum.0 + 1, sum.1 + u64::from(row.entry.events), sum.2 + u64::from(row.entry.bytes));
        }
    }
    let (mut out, mut bytes, mut known) = (Lists { known: 0, with_chunks: Vec::new() }, 0, BTreeMap::new());
    for id in snapshot.transaction_ids()? {
        out.known += 1;
        let row = match snapshot.transaction(id) {
            Ok(Some(row)) => row,
            Ok(None) => continue,
            Err(e) if passing(&e) => return Err(e),
            Err(e) => {
                found.push(e.to_string());
                continue;
            }
        };
        let is_live = row.ended_at_ms.is_none();
        if is_live != live.contains(&(row.stream.id, id)) || is_live == ended.contains(&id) {
            found.push(format!("{} is not in the list where it belongs", named(id, &row)));
        }
        if row.holds() {
            bytes += row.bytes;
            let sum = sums.get(&id).copied().unwrap_or_default();
            if sum != (row.chunks, row.events, row.bytes) {
                let told = (row.chunks, row.events, row.bytes);
                found.push(format!("{} counts (chunks, events, bytes) {told:?}, staged are {sum:?}", named(id, &row)));
            }
        }
        if row.freed < row.chunks {
            out.with_chunks.push(id);
        }
        known.insert(id, row.freed..row.chunks);
    }
    for (id, number) in staged {
        if !known.get(&id).is_some_and(|numbers| numbers.contains(&number)) {
            found.push(format!("staged chunk {number} of transaction {id} belongs to nothing"));
        }
    }
    let listed = live.iter().map(|(_, id)| id).chain(&ended);
    for id in listed.filter(|id| !known.contains_key(id)) {
        if matches!(snapshot.transaction(*id), Ok(None)) {
            found.push(format!("transaction {id} is listed and has no row"));
        }
    }
    let told = snapshot.staged_bytes()?;
    if told != bytes {
        found.push(format!("transactions hold {bytes} bytes, {told} are counted; reading is not harmed"));
    }
    Ok(out)
}
