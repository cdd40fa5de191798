//! Merging sorted changes, newest winning. Folds (blobs into a blob), flushes (blobs into a run), merges (runs into a run)
//! and the loading of runs all go through [`merge_into`].

use super::delta::{Change, Delta, Encoder, Entries, Entry};
use crate::error::Result;
use crate::row::RunKey;
use bytes::Bytes;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Changes that come in order.
pub(crate) trait Changes {
    /// The next one; none at the end.
    fn peek(&self) -> Option<Entry<'_>>;

    /// Goes on.
    fn advance(&mut self) -> Result<()>;
}

/// The changes of a decoded blob.
pub(crate) struct DeltaChanges<'a> {
    entry: Option<Entry<'a>>,
    rest: Entries<'a>,
}

impl<'a> DeltaChanges<'a> {
    pub(crate) fn new(delta: &'a Delta<'_>) -> DeltaChanges<'a> {
        let mut rest = delta.iter();
        DeltaChanges { entry: rest.next(), rest }
    }
}

impl Changes for DeltaChanges<'_> {
    fn peek(&self) -> Option<Entry<'_>> {
        self.entry
    }

    fn advance(&mut self) -> Result<()> {
        self.entry = self.rest.next();
        Ok(())
    }
}

/// One blob that has the effect of `blobs` applied oldest first. `drop_tombstones` when nothing older lies below: then
/// ClearKeys and Deletes, which have nothing left to remove, are left out.
pub fn merge(blobs: &[Bytes], drop_tombstones: bool) -> Result<Bytes> {
    let mut out = Encoder::new();
    merge_blobs(blobs, drop_tombstones, |entry| {
        out.push(entry);
        Ok(true)
    })?;
    Ok(out.finish())
}

/// [`merge_into`] of blobs, oldest first.
pub(crate) fn merge_blobs(
    blobs: &[Bytes],
    drop_tombstones: bool,
    out: impl FnMut(&Entry<'_>) -> Result<bool>,
) -> Result<()> {
    let deltas = blobs.iter().map(|blob| Delta::decode(blob)).collect::<Result<Vec<_>>>()?;
    let sources = deltas.iter().map(|delta| Box::new(DeltaChanges::new(delta)) as Box<dyn Changes + '_>).collect();
    merge_into(sources, drop_tombstones, out)
}

/// What is left of the sources' changes, oldest source first, in order, until `out` says false.
pub(crate) fn merge_into(
    sources: Vec<Box<dyn Changes + '_>>,
    drop_tombstones: bool,
    mut out: impl FnMut(&Entry<'_>) -> Result<bool>,
) -> Result<()> {
    let mut heads: BinaryHeap<Head<'_>> = sources
        .into_iter()
        .enumerate()
        .map(|(age, source)| Head { age, source })
        .filter(|head| head.source.peek().is_some())
        .collect();
    // The last entry that came, and which source's newest ClearKey is in force for its key: a key's ClearKeys come before
    // its other entries, newest first.
    let mut before = RunKey::default();
    let mut any_before = false;
    let mut cleared: Option<usize> = None;
    while let Some(mut top) = heads.peek_mut() {
        let Some(entry) = top.source.peek() else {
            PeekMut::pop(top);
            continue;
        };
        let age = top.age;
        let same_key = any_before && before.is_of_same_key(&entry);
        if !same_key {
            cleared = None;
        }
        let superseded = same_key && before.is_at(&entry);
        if !superseded {
            let keep = match entry.change {
                Change::ClearKey => {
                    cleared = Some(age);
                    !drop_tombstones
                }
                Change::Put(_) => cleared.is_none_or(|clear| age >= clear),
                // Below a ClearKey that is kept, a Delete removes nothing more.
                Change::Delete => cleared.is_none() && !drop_tombstones,
            };
            before.set(&entry);
            any_before = true;
            if keep && !out(&entry)? {
                return Ok(());
            }
        }
        top.source.advance()?;
        if top.source.peek().is_none() {
            PeekMut::pop(top);
        }
    }
    Ok(())
}

/// A source's next entry. Greatest = first in order, then newest.
struct Head<'a> {
    /// Greater is newer.
    age: usize,
    source: Box<dyn Changes + 'a>,
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.source.peek(), other.source.peek());
        // What has ended comes first, to be taken out.
        let order = match (&a, &b) {
            (Some(a), Some(b)) => b.order().cmp(&a.order()),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        order.then(self.age.cmp(&other.age))
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
