//! Transactions in snapshots and changes: the part of [`super::Snapshot`] and [`super::Changes`] that `decide/transaction.rs`
//! works on and `redb_io/transaction.rs` reads and writes.

use super::Overlay;
use crate::error::Result;
use crate::ids::{StreamId, TransactionId};
use crate::row::{StagedRow, TransactionRow};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The rows there are.
pub(crate) trait TransactionSnapshot {
    fn transaction(&self, id: TransactionId) -> Result<Option<TransactionRow>>;
    /// Transactions that are neither committed nor aborted, of one stream or of all, in the order of their ids.
    fn live_transactions(&self, stream: Option<StreamId>) -> Result<BTreeSet<(StreamId, TransactionId)>>;
    /// Those that have ended, in the order of that, at most `limit`.
    fn ended_transactions(&self, limit: usize) -> Result<Vec<(u64, TransactionId)>>;
    /// The number of the one that ended last.
    fn last_ended(&self) -> Result<Option<u64>>;
    fn staged_row(&self, id: TransactionId, number: u64) -> Result<Option<StagedRow>>;
    fn staged_chunk(&self, id: TransactionId, number: u64) -> Result<Option<Bytes>>;
    fn next_transaction(&self) -> Result<TransactionId>;
    /// Bytes of the staged chunks of all open and prepared transactions.
    fn staged_bytes(&self) -> Result<u64>;
}

/// What a group of parts writes; none = the row goes.
#[derive(Debug, Default)]
pub(crate) struct TransactionChanges {
    pub(crate) rows: BTreeMap<TransactionId, Option<TransactionRow>>,
    /// False: it has ended.
    pub(crate) live: BTreeMap<(StreamId, TransactionId), bool>,
    pub(crate) ended: BTreeMap<u64, Option<TransactionId>>,
    pub(crate) staged: BTreeMap<(TransactionId, u64), (StagedRow, Bytes)>,
    /// Staged chunks below this number go.
    pub(crate) freed: BTreeMap<TransactionId, u64>,
    pub(crate) next: Option<TransactionId>,
    pub(crate) staged_bytes: Option<u64>,
}

impl TransactionChanges {
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.live.is_empty()
            && self.ended.is_empty()
            && self.staged.is_empty()
            && self.freed.is_empty()
    }

    /// Takes out staged chunks below a number.
    pub(crate) fn free(&mut self, id: TransactionId, below: u64) {
        let gone: Vec<_> = self.staged.range((id, 0)..(id, below)).map(|(key, _)| *key).collect();
        gone.into_iter().for_each(|key| drop(self.staged.remove(&key)));
        self.freed.insert(id, below);
    }

    /// Takes in the changes of a part that was decided on top of these.
    pub(crate) fn absorb(&mut self, upper: TransactionChanges) {
        self.rows.extend(upper.rows);
        self.live.extend(upper.live);
        self.ended.extend(upper.ended);
        self.staged.extend(upper.staged);
        upper.freed.into_iter().for_each(|(id, below)| self.free(id, below));
        self.next = upper.next.or(self.next);
        self.staged_bytes = upper.staged_bytes.or(self.staged_bytes);
    }
}

impl Overlay<'_> {
    fn is_freed(&self, id: TransactionId, number: u64) -> bool {
        self.changes.transactions.freed.get(&id).is_some_and(|below| number < *below)
    }
}

impl TransactionSnapshot for Overlay<'_> {
    fn transaction(&self, id: TransactionId) -> Result<Option<TransactionRow>> {
        self.changes.transactions.rows.get(&id).map_or_else(|| self.base.transaction(id), |row| Ok(row.clone()))
    }

    fn live_transactions(&self, stream: Option<StreamId>) -> Result<BTreeSet<(StreamId, TransactionId)>> {
        let mut live = self.base.live_transactions(stream)?;
        for (key, is_live) in self.changes.transactions.live.iter().filter(|(key, _)| stream.is_none_or(|s| s == key.0))
        {
            if *is_live {
                live.insert(*key)
            } else {
                live.remove(key)
            };
        }
        Ok(live)
    }

    fn ended_transactions(&self, limit: usize) -> Result<Vec<(u64, TransactionId)>> {
        let own = &self.changes.transactions.ended;
        let mut ended: BTreeMap<u64, TransactionId> =
            self.base.ended_transactions(limit.saturating_add(own.len()))?.into_iter().collect();
        for (number, id) in own {
            match id {
                Some(id) => drop(ended.insert(*number, *id)),
                None => drop(ended.remove(number)),
            }
        }
        Ok(ended.into_iter().take(limit).collect())
    }

    fn last_ended(&self) -> Result<Option<u64>> {
        let newest = self.changes.transactions.ended.iter().rev().find(|(_, id)| id.is_some()).map(|(n, _)| *n);
        match newest {
            Some(newest) => Ok(Some(newest)),
            // Forgotten from the front: the last one goes only when it is the only one.
            None => Ok(self.base.last_ended()?.filter(|last| !self.changes.transactions.ended.contains_key(last))),
        }
    }

    fn staged_row(&self, id: TransactionId, number: u64) -> Result<Option<StagedRow>> {
        if self.is_freed(id, number) {
            return Ok(None);
        }
        match self.changes.transactions.staged.get(&(id, number)) {
            Some((row, _)) => Ok(Some(*row)),
            None => self.base.staged_row(id, number),
        }
    }

    fn staged_chunk(&self, id: TransactionId, number: u64) -> Result<Option<Bytes>> {
        if self.is_freed(id, number) {
            return Ok(None);
        }
        match self.changes.transactions.staged.get(&(id, number)) {
            Some((_, chunk)) => Ok(Some(chunk.clone())),
            None => self.base.staged_chunk(id, number),
        }
    }

    fn next_transaction(&self) -> Result<TransactionId> {
        self.changes.transactions.next.map_or_else(|| self.base.next_transaction(), Ok)
    }

    fn staged_bytes(&self) -> Result<u64> {
        self.changes.transactions.staged_bytes.map_or_else(|| self.base.staged_bytes(), Ok)
    }
}
