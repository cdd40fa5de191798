//! Folding deltas into one. Recovery and the run merger feed it blobs; it gives one blob that has the same effect.

use super::delta::{Change, Delta, Encoder, Entries, Entry};
use crate::error::Result;
use bytes::Bytes;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// One blob that has the effect of `blobs` applied oldest first. `drop_tombstones` when nothing older lies below: then
/// ClearKeys and Deletes, which have nothing left to remove, are left out.
pub fn merge(blobs: &[Bytes], drop_tombstones: bool) -> Result<Bytes> {
    let deltas = blobs.iter().map(|blob| Delta::decode(blob)).collect::<Result<Vec<_>>>()?;
    let mut heads: BinaryHeap<Reverse<Head<'_>>> = deltas
        .iter()
        .enumerate()
        .filter_map(|(age, delta)| {
            let mut rest = delta.iter();
            rest.next().map(|entry| Reverse(Head { entry, age, rest }))
        })
        .collect();
    let mut out = Encoder::new();
    // The newest ClearKey of the key at hand: a key's ClearKeys come before its other entries, newest first.
    let mut cleared: Option<(Entry<'_>, usize)> = None;
    let mut before: Option<Entry<'_>> = None;
    while let Some(mut top) = heads.peek_mut() {
        let Reverse(Head { entry, age, .. }) = *top;
        match top.0.rest.next() {
            Some(next) => {
                top.0.entry = next;
                drop(top);
            }
            None => drop(std::collections::binary_heap::PeekMut::pop(top)),
        }
        let superseded = before.is_some_and(|newer| newer.order() == entry.order());
        before = Some(entry);
        if superseded {
            continue;
        }
        let cleared_at = cleared.and_then(|(clear, age)| clear.same_key(&entry).then_some(age));
        let keep = match entry.change {
            Change::ClearKey => {
                cleared = Some((entry, age));
                !drop_tombstones
            }
            Change::Put(_) => cleared_at.is_none_or(|clear| age >= clear),
            // Below a ClearKey that the blob keeps, a Delete removes nothing more.
            Change::Delete => cleared_at.is_none() && !drop_tombstones,
        };
        if keep {
            out.push(&entry);
        }
    }
    Ok(out.finish())
}

/// A blob's next entry. Ordered by place, then newest first.
struct Head<'a> {
    entry: Entry<'a>,
    /// Index in `blobs`: greater is newer.
    age: usize,
    rest: Entries<'a>,
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.entry.order().cmp(&other.entry.order()).then(other.age.cmp(&self.age))
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head<'_> {}
