//! What clients appended, and what became of it: the model that everything read is held against. Writers fill it, `counts.rs`
//! and `archive.rs` compare.
//!
//! Of each key it keeps the appended numbers in order. Invariants: those of an acknowledged append are there, once, in order;
//! of one whose fate is unknown the first so many of a key, perhaps none (it may take several commits), once, in their place.

use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// On its way, or its end was never heard.
    Unknown,
    /// Durable.
    Acknowledged,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u64,
    append: u64,
}

#[derive(Debug, Default)]
struct Key {
    /// In order; those that turned out not to be there are gone.
    entries: Vec<Entry>,
    /// So many of them were found in the stream.
    found: usize,
}

#[derive(Debug, Default)]
struct Inner {
    keys: BTreeMap<String, Key>,
    fates: Vec<Fate>,
}

/// The ledger.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Inner>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an append before it is made; its id.
    pub(super) fn begin(&self, events: impl IntoIterator<Item = (String, u64)>) -> usize {
        let mut inner = self.lock();
        let append = inner.fates.len();
        inner.fates.push(Fate::Unknown);
        for (key, number) in events {
            inner.keys.entry(key).or_default().entries.push(Entry { number, append: append as u64 });
        }
        append
    }

    pub(super) fn acknowledge(&self, append: usize) {
        if let Some(fate) = self.lock().fates.get_mut(append) {
            *fate = Fate::Acknowledged;
        }
    }

    /// The next event of a key as read from the stream.
    pub(super) fn found(&self, key: &str, number: u64) -> Result<()> {
        let Inner { keys, fates } = &mut *self.lock();
        let Some(Key { entries, found }) = keys.get_mut(key) else {
            bail!("the stream holds an event of key {key}, which nobody appended");
        };
        while let Some(next) = entries.get(*found).copied() {
            if next.number == number {
                *found += 1;
                return Ok(());
            }
            let at = *found;
            match fates.get(next.append as usize) {
                Some(Fate::Unknown) => {
                    // This append got no further: then none of the rest did.
                    let len = entries[at..].iter().take_while(|entry| entry.append == next.append).count();
                    entries.drain(at..at + len);
                }
                fate => bail!(
                    "key {key}: after {} numbers comes {number}, but {} (append {}, {fate:?}) should",
                    at,
                    next.number,
                    next.append
                ),
            }
        }
        bail!("key {key}: after {} numbers comes {number}: it is there twice, or nobody appended it", entries.len());
    }

    /// Everything in the stream was read while nobody appends: what was not found is not there.
    pub(super) fn settle(&self) -> Result<()> {
        let Inner { keys, fates } = &mut *self.lock();
        for (key, Key { entries, found }) in keys {
            if let Some(lost) = entries[*found..].iter().find(|e| fates.get(e.append as usize) != Some(&Fate::Unknown))
            {
                bail!("key {key}: {} (append {}) was acknowledged and is not there", lost.number, lost.append);
            }
            entries.truncate(*found);
        }
        Ok(())
    }

    /// How many events of each key the stream holds.
    pub(super) fn totals(&self) -> BTreeMap<String, u64> {
        self.lock().keys.iter().map(|(key, known)| (key.clone(), known.found as u64)).collect()
    }

    /// The n-th number of a key, from 0.
    pub(super) fn number(&self, key: &str, n: usize) -> Option<u64> {
        let inner = self.lock();
        let known = inner.keys.get(key)?;
        known.entries[..known.found].get(n).map(|entry| entry.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let ledger = Ledger::default();
        let events = |numbers: std::ops::Range<u64>| numbers.map(|n| ("k".to_string(), n));
        for (numbers, acknowledged) in [(0..3, true), (3..5, false), (5..6, true), (6..8, false)] {
            let append = ledger.begin(events(numbers));
            if acknowledged {
                ledger.acknowledge(append);
            }
        }
        ledger
    }

    fn read(ledger: &Ledger, numbers: &[u64]) -> Result<()> {
        numbers.iter().try_for_each(|n| ledger.found("k", *n)).and_then(|()| ledger.settle())
    }

    #[test]
    fn of_unknown_appends_the_beginning_may_be_there() {
        for numbers in [
            &[0, 1, 2, 3, 5][..],
            &[0, 1, 2, 5, 6],
            &[0, 1, 2, 5],
            &[0, 1, 2, 3, 4, 5],
            &[0, 1, 2, 5, 6, 7],
            &[0, 1, 2, 3, 4, 5, 6, 7],
        ] {
            let ledger = ledger();
            read(&ledger, numbers).unwrap();
            assert_eq!(ledger.totals()["k"], numbers.len() as u64);
            assert_eq!(ledger.number("k", 3), Some(numbers[3]));
        }
    }

    #[test]
    fn whatever_is_lost_doubled_or_in_disorder_is_found() {
        for numbers in
            [&[0, 1, 5][..], &[0, 1, 2], &[0, 1, 1], &[1, 0], &[0, 1, 2, 4, 5], &[0, 1, 2, 4], &[0, 1, 2, 5, 7]]
        {
            assert!(read(&ledger(), numbers).is_err(), "{numbers:?}");
        }
        assert!(ledger().found("other", 1).is_err());
    }
}
