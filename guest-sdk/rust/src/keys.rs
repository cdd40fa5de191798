//! The distinct keys of a call: each event's key is hashed once, and every state then works with small numbers.
//! `call` builds it on the first use of keyed state; `state` and `timer` index by its numbers.

use crate::column::{Columns, ColumnsRef, OptionalColumnsRef, same};
use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hasher};

/// Stands for "this event has no key".
const NO_KEY: u32 = u32::MAX;

/// The distinct keys of one call, numbered in the order in which they come. The memory is used again by the next call.
#[derive(Debug, Default)]
pub(crate) struct KeyIndex {
    ids: Vec<u32>,
    keys: Columns,
    /// Open addressing, at most half full, a power of two: upper half of the hash | number + 1; 0 = free.
    table: Vec<u64>,
}

impl KeyIndex {
    /// Numbers the keys of a batch.
    pub(crate) fn build(&mut self, column: OptionalColumnsRef<'_>) {
        self.clear();
        self.table.resize((column.len() * 2).next_power_of_two(), 0);
        self.ids.reserve(column.len());
        for i in 0..column.len() {
            let id = column.get(i).map_or(NO_KEY, |key| self.number(key));
            self.ids.push(id);
        }
    }

    /// Forgets all keys, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.keys.clear();
        self.table.clear();
    }

    #[inline]
    fn number(&mut self, key: &[u8]) -> u32 {
        // A fixed seed: the guest has no randomness, and replay must be exact.
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(key);
        let hash = hasher.finish();
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let entry = self.table[at];
            if entry == 0 {
                let next = self.len() as u32;
                self.table[at] = (hash >> 32 << 32) | u64::from(next + 1);
                self.keys.push(key);
                return next;
            }
            let id = entry as u32 - 1;
            if entry >> 32 == hash >> 32 && same(self.key(id), key) {
                return id;
            }
            at = (at + 1) & mask;
        }
    }

    /// The number of event `i`'s key.
    #[inline]
    pub(crate) fn id_of(&self, i: usize) -> Option<u32> {
        self.ids.get(i).copied().filter(|id| *id != NO_KEY)
    }

    /// How many distinct keys there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.keys.view().len()
    }

    /// The key of a number.
    #[inline]
    pub(crate) fn key(&self, id: u32) -> &[u8] {
        self.keys.view().get(id as usize)
    }

    /// All keys, in order of their numbers.
    pub(crate) fn all(&self) -> ColumnsRef<'_> {
        self.keys.view()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::OptionalColumns;

    #[test]
    fn equal_keys_share_a_number_and_absent_ones_have_none() {
        let mut index = KeyIndex::default();
        for _ in 0..2 {
            let mut column = OptionalColumns::default();
            for key in [Some(&b"a"[..]), Some(b""), None, Some(b"a"), Some(b"b")] {
                column.push(key);
            }
            index.build(column.view());
            let ids: Vec<_> = (0..6).map(|i| index.id_of(i)).collect();
            assert_eq!(ids, [Some(0), Some(1), None, Some(0), Some(2), None]);
            assert_eq!((index.len(), index.key(1), index.key(2)), (3, &b""[..], &b"b"[..]));
        }
        index.build(OptionalColumns::default().view());
        assert_eq!((index.len(), index.id_of(0)), (0, None));
    }

    #[test]
    fn many_keys_are_told_apart() {
        let keys: Vec<String> = (0..5_000).map(|i| format!("key-{}", i % 3_000)).collect();
        let mut column = OptionalColumns::default();
        keys.iter().for_each(|key| column.push(Some(key.as_bytes())));
        let mut index = KeyIndex::default();
        index.build(column.view());
        assert_eq!(index.len(), 3_000);
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(index.id_of(i), Some(i as u32 % 3_000));
            assert_eq!(index.key(i as u32 % 3_000), key.as_bytes());
        }
    }
}
