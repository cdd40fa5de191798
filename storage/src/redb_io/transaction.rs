//! Transactions in and out of redb: the part of a snapshot and of a group's changes that is `overlay/transaction.rs`'s.

use super::{RedbSnapshot, put_all, put_rows, read_error, remove_all, write_error};
use crate::codec::numbered::{decode_number_key, decode_numbered_key, number_key, numbered_key};
use crate::codec::{decode_row, stream_key};
use crate::error::Result;
use crate::ids::{StreamId, TransactionId};
use crate::overlay::{TransactionChanges, TransactionSnapshot};
use crate::row::{StagedRow, TransactionRow};
use crate::schema;
use bytes::Bytes;
use redb::WriteTransaction;
use std::collections::BTreeSet;

fn staged_key(id: TransactionId, number: u64) -> [u8; 16] {
    numbered_key(id.0, number)
}

impl TransactionSnapshot for RedbSnapshot {
    fn transaction(&self, id: TransactionId) -> Result<Option<TransactionRow>> {
        self.row(schema::TRANSACTIONS, &number_key(id.0), || format!("the row of transaction {id}"))
    }

    fn live_transactions(&self, stream: Option<StreamId>) -> Result<BTreeSet<(StreamId, TransactionId)>> {
        let mut out = BTreeSet::new();
        let each = |(key, value): (&[u8], &[u8])| {
            let (stream, id) = decode_numbered_key(key)?;
            let () = decode_row(value, || format!("that transaction {id} of stream {stream} is live"))?;
            out.insert((StreamId(stream), TransactionId(id)));
            Ok(true)
        };
        match stream {
            Some(stream) => self.scan_prefix(schema::LIVE_TRANSACTIONS, &stream_key(stream), each)?,
            None => self.scan(schema::LIVE_TRANSACTIONS, &[], None, each)?,
        }
        Ok(out)
    }

    fn ended_transactions(&self, limit: usize) -> Result<Vec<(u64, TransactionId)>> {
        let mut out = Vec::new();
        self.scan(schema::ENDED_TRANSACTIONS, &[], None, |(key, value)| {
            let number = decode_number_key(key)?;
            if out.len() < limit {
                out.push((number, decode_row(value, || format!("which transaction was the {number}. to end"))?));
            }
            Ok(out.len() < limit)
        })?;
        Ok(out)
    }

    fn last_ended(&self) -> Result<Option<u64>> {
        let table = self.table(schema::ENDED_TRANSACTIONS)?;
        let last = table.range::<&[u8]>(..).map_err(read_error)?.next_back();
        last.map(|item| decode_number_key(item.map_err(read_error)?.0.value())).transpose()
    }

    fn staged_row(&self, id: TransactionId, number: u64) -> Result<Option<StagedRow>> {
        self.row(schema::STAGED_INDEX, &staged_key(id, number), || format!("staged chunk {number} of transaction {id}"))
    }

    fn staged_chunk(&self, id: TransactionId, number: u64) -> Result<Option<Bytes>> {
        self.bytes(schema::STAGED_CHUNKS, &staged_key(id, number))
    }

    fn next_transaction(&self) -> Result<TransactionId> {
        self.meta_number(schema::META_NEXT_TRANSACTION).map(TransactionId)
    }

    fn staged_bytes(&self) -> Result<u64> {
        self.meta_number(schema::META_STAGED_BYTES)
    }
}

impl RedbSnapshot {
    /// The ids of all transactions that are known.
    pub(crate) fn transaction_ids(&self) -> Result<Vec<TransactionId>> {
        let mut out = Vec::new();
        self.scan(schema::TRANSACTIONS, &[], None, |(key, _)| {
            out.push(TransactionId(decode_number_key(key)?));
            Ok(true)
        })?;
        Ok(out)
    }

    /// Staged chunks and entries that no such transaction has: (transaction, number), of both tables.
    pub(crate) fn staged_keys(&self) -> Result<BTreeSet<(TransactionId, u64)>> {
        let mut out = BTreeSet::new();
        for table in [schema::STAGED_INDEX, schema::STAGED_CHUNKS] {
            self.scan(table, &[], None, |(key, _)| {
                let (id, number) = decode_numbered_key(key)?;
                out.insert((TransactionId(id), number));
                Ok(true)
            })?;
        }
        Ok(out)
    }
}

/// Writes a group's changes.
pub(super) fn apply(txn: &WriteTransaction, changes: &TransactionChanges) -> Result<()> {
    for (id, below) in &changes.freed {
        for table in [schema::STAGED_INDEX, schema::STAGED_CHUNKS] {
            let (start, end) = (staged_key(*id, 0), staged_key(*id, *below));
            let mut table = txn.open_table(table).map_err(write_error)?;
            table.retain_in::<&[u8], _>(&start[..]..&end[..], |_, _| false).map_err(write_error)?;
        }
    }
    let staged = || changes.staged.iter().map(|((id, n), chunk)| (staged_key(*id, *n), chunk));
    put_rows(txn, schema::STAGED_INDEX, staged().map(|(key, (row, _))| (key, row)))?;
    put_all(txn, schema::STAGED_CHUNKS, staged().map(|(key, (_, chunk))| (key, Ok(chunk))))?;
    let put = changes.rows.iter().filter_map(|(id, row)| Some((number_key(id.0), row.as_ref()?)));
    put_rows(txn, schema::TRANSACTIONS, put)?;
    let gone = changes.rows.iter().filter(|(_, row)| row.is_none()).map(|(id, _)| number_key(id.0));
    remove_all(txn, schema::TRANSACTIONS, gone)?;
    let live_key = |(stream, id): &(StreamId, TransactionId)| numbered_key(stream.0, id.0);
    put_rows(
        txn,
        schema::LIVE_TRANSACTIONS,
        changes.live.iter().filter(|(_, live)| **live).map(|(k, _)| (live_key(k), ())),
    )?;
    remove_all(
        txn,
        schema::LIVE_TRANSACTIONS,
        changes.live.iter().filter(|(_, live)| !**live).map(|(k, _)| live_key(k)),
    )?;
    let put = changes.ended.iter().filter_map(|(n, id)| Some((number_key(*n), (*id)?)));
    put_rows(txn, schema::ENDED_TRANSACTIONS, put)?;
    let gone = changes.ended.iter().filter(|(_, id)| id.is_none()).map(|(n, _)| number_key(*n));
    remove_all(txn, schema::ENDED_TRANSACTIONS, gone)
}
