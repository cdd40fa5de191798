//! The store's door to transactions: begin one, come back to one by its id, commit and abort from anywhere, list them.

use super::{OnDone, Store, accepted, wrong_answer};
use crate::commit::Part;
use crate::decide::{Outcome, Work, transaction};
use crate::error::{Error, Result};
use crate::ids::{StreamId, TransactionId};
use crate::overlay::TransactionSnapshot;
use crate::stream::StreamRef;
use crate::stream::transaction::{
    Staging, Transaction, TransactionInfo, TransactionOptions, TransactionPart, TransactionState,
};
use crate::time::EventTime;

impl Store {
    /// Begins a transaction on a stream. `Invalid`: a lease out of the limits, a writer's name that is none, too many transactions, a sealed
    /// stream.
    pub fn begin_transaction(&self, stream: StreamRef, options: TransactionOptions) -> Result<Transaction> {
        let info = self.ask_transaction(TransactionPart::Begin { stream, options })?;
        Transaction::attach(self, info)
    }

    /// Comes back to a transaction, of another handle or from before a restart. One that has ended can be looked at, no more. `NotFound`:
    /// it never began, or is forgotten.
    pub fn transaction(&self, id: TransactionId) -> Result<Transaction> {
        let info = self.transaction_info(id)?.ok_or_else(|| {
            Error::not_found(format!(
                "transaction {id} is unknown: it never began here, or ended so long ago that it is forgotten"
            ))
        })?;
        Transaction::attach(self, info)
    }

    /// Where a transaction stands; none = unknown: it never began, or is forgotten.
    pub fn transaction_info(&self, id: TransactionId) -> Result<Option<TransactionInfo>> {
        let terms = self.inner.terms.now();
        let row = self.inner.shared.read(|snapshot| snapshot.transaction(id))?;
        Ok(row.map(|row| self.seen(transaction::info(id, row, &terms))))
    }

    /// Transactions of a stream, or of all, by id: those that have not ended, with `ended` also those that have and are not yet
    /// forgotten.
    pub fn list_transactions(&self, stream: Option<StreamRef>, ended: bool) -> Result<Vec<TransactionInfo>> {
        let terms = self.inner.terms.now();
        let of = stream.map(|stream| stream.id);
        self.inner.shared.read(|snapshot| {
            let ids: Vec<TransactionId> = match ended {
                true => snapshot.transaction_ids()?,
                false => snapshot.live_transactions(of)?.into_iter().map(|(_, id)| id).collect(),
            };
            let mut out = Vec::new();
            for id in ids {
                let row = snapshot.transaction(id)?.filter(|row| of.is_none_or(|of: StreamId| of == row.stream.id));
                out.extend(row.map(|row| self.seen(transaction::info(id, row, &terms))));
            }
            out.sort_unstable_by_key(|info| info.id);
            Ok(out)
        })
    }

    /// Commits what is staged. Commits become visible in the order in which they are asked for. `Invalid`: it was aborted, or its stream is sealed;
    /// `NotFound`: it is unknown, or its stream was deleted. Never is a commit that does not happen answered as one that did.
    pub fn commit_transaction(&self, id: TransactionId, time: Option<EventTime>) -> Result<TransactionInfo> {
        self.ask_transaction(TransactionPart::Commit { id, rest: Staging { after: 0, appends: Vec::new() }, time })
    }

    /// The same without waiting; the callback runs on the committer's thread, and must not wait for the store.
    pub fn submit_commit(&self, id: TransactionId, time: Option<EventTime>, on_done: OnDone) {
        let rest = Staging { after: 0, appends: Vec::new() };
        self.submit(Part::Transaction(TransactionPart::Commit { id, rest, time }), on_done);
    }

    /// Aborts it, if it is not committed. `Invalid`: it is; `NotFound`: it is unknown.
    pub fn abort_transaction(&self, id: TransactionId) -> Result<TransactionInfo> {
        self.ask_transaction(TransactionPart::Abort { id })
    }

    /// Renews its lease, perhaps by another length, ms. `Invalid`: it is over.
    pub fn ping_transaction(&self, id: TransactionId, lease_ms: Option<u64>) -> Result<TransactionInfo> {
        self.ask_transaction(TransactionPart::Ping { id, lease_ms })
    }

    /// A commit that waits in the queue is one that is asked for and not decided.
    fn seen(&self, info: TransactionInfo) -> TransactionInfo {
        let undecided = matches!(info.state, TransactionState::Open | TransactionState::Prepared);
        match undecided && self.inner.queue.is_committing(info.id) {
            true => TransactionInfo { state: TransactionState::Committing, ..info },
            false => info,
        }
    }

    pub(crate) fn ask_transaction(&self, part: TransactionPart) -> Result<TransactionInfo> {
        let accepted = self.ask(Work::Part(Part::Transaction(part))).and_then(accepted)?;
        let wrong = || wrong_answer(&Outcome::Folded(false)).context("a transaction");
        accepted.transaction.map(|info| *info).ok_or_else(wrong)
    }
}
