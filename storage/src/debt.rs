//! How far flushing and merging lag behind what epochs bring, per operator. `queue.rs` lets no epoch of an operator in that is too
//! far behind; the committer notes every new manifest; flush and merge, which pay it off, always pass.
//!
//! So the unflushed state of an operator stays below [`BLOBS_MAX`] flushes and one epoch, and its runs are few enough to read.

use crate::manifest::Manifest;
use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// An operator with more than so many flushes' bytes of blobs waits for the flush.
const BLOBS_MAX: u64 = 4;
/// An operator with more runs waits for the merge.
const RUNS_MAX: usize = 24;

#[derive(Debug, Default)]
struct Debtors {
    /// Pipeline and operator.
    operators: BTreeSet<(String, String)>,
    waiting: usize,
    /// Nobody waits: whoever comes must hear that the store is latched, or closed.
    open: bool,
    closed: bool,
}

/// See the module's words.
#[derive(Debug)]
pub(crate) struct StateDebt {
    debtors: Mutex<Debtors>,
    changed: Condvar,
    flush_bytes: u64,
    merges: bool,
}

impl StateDebt {
    /// `flush_bytes` of `u64::MAX`: nothing is flushed in the background, so nobody waits for it; `merges`: runs are merged there.
    pub(crate) fn new(flush_bytes: u64, merges: bool) -> StateDebt {
        StateDebt { debtors: Mutex::default(), changed: Condvar::new(), flush_bytes, merges }
    }

    fn lock(&self) -> MutexGuard<'_, Debtors> {
        self.debtors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operator has this manifest now.
    pub(crate) fn note(&self, pipeline: &str, operator: &str, manifest: &Manifest) {
        let unflushed = manifest.blob_bytes() > self.flush_bytes.saturating_mul(BLOBS_MAX);
        let unmerged = self.merges && manifest.runs.len() > RUNS_MAX;
        let key = (pipeline.to_string(), operator.to_string());
        let mut debtors = self.lock();
        if unflushed || unmerged {
            debtors.operators.insert(key);
        } else if debtors.operators.remove(&key) {
            self.changed.notify_all();
        }
    }

    /// A pipeline is gone.
    pub(crate) fn forget(&self, pipeline: &str) {
        self.lock().operators.retain(|(other, _)| other != pipeline);
        self.changed.notify_all();
    }

    /// Waits until none of these operators is too far behind.
    pub(crate) fn wait<'a>(&self, pipeline: &str, operators: impl Iterator<Item = &'a str>) {
        let keys: Vec<_> = operators.map(|operator| (pipeline.to_string(), operator.to_string())).collect();
        let mut debtors = self.lock();
        debtors.waiting += 1;
        while !debtors.open && !debtors.closed && keys.iter().any(|key| debtors.operators.contains(key)) {
            debtors = self.changed.wait(debtors).unwrap_or_else(PoisonError::into_inner);
        }
        debtors.waiting -= 1;
    }

    /// How many epochs wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Lets everybody through, until it is reopened.
    pub(crate) fn set_latched(&self, latched: bool) {
        self.lock().open = latched;
        self.changed.notify_all();
    }

    /// Lets everybody through for good.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;
    use crate::manifest::{BlobEntry, BlobId, RunEntry};
    use std::sync::Arc;
    use std::thread;

    fn manifest(blob_bytes: u64, runs: usize) -> Manifest {
        let blob = BlobEntry { id: BlobId(1), bytes: blob_bytes, crc: 0, through: Epoch(1) };
        let run = RunEntry { id: BlobId(2), bytes: 1, entries: 1, through: Epoch(1) };
        Manifest { runs: vec![run; runs], blobs: vec![blob] }
    }

    #[test]
    fn an_operator_that_is_behind_waits_until_it_has_caught_up_and_no_other_does() {
        let debt = Arc::new(StateDebt::new(100, true));
        debt.note("p", "slow", &manifest(401, 0));
        debt.note("p", "fine", &manifest(400, RUNS_MAX));
        debt.wait("p", ["fine"].into_iter());
        for caught_up in [manifest(400, 0), manifest(0, RUNS_MAX)] {
            debt.note("p", "slow", &manifest(0, RUNS_MAX + 1));
            let other = debt.clone();
            let waits = thread::spawn(move || other.wait("p", ["fine", "slow"].into_iter()));
            while debt.waiting() == 0 {
                thread::yield_now();
            }
            debt.note("p", "slow", &caught_up);
            waits.join().unwrap();
        }
        debt.note("p", "slow", &manifest(401, 0));
        debt.set_latched(true);
        debt.wait("p", ["slow"].into_iter());
        debt.set_latched(false);
        debt.forget("p");
        debt.wait("p", ["slow"].into_iter());
    }
}
