//! The distinct keys of a call: each event's key is hashed once, and every state then works with small numbers.
//! `call` builds it on the first use of keyed state; `state` and `timer` index by its numbers.

use crate::column::{Columns, OptionalColumnsRef};
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Stands for "this event has no key".
const NO_KEY: u32 = u32::MAX;

/// The distinct keys of one call, numbered in the order in which they come.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    ids: Vec<u32>,
    keys: Columns,
}

impl KeyIndex {
    /// No keys at all.
    pub(crate) const EMPTY: KeyIndex =
        KeyIndex { ids: Vec::new(), keys: Columns { data: Vec::new(), ends: Vec::new() } };

    /// Numbers the keys of a batch.
    pub(crate) fn build(column: OptionalColumnsRef<'_>) -> KeyIndex {
        // A fixed seed: the guest has no randomness, and replay must be exact.
        let mut seen: HashMap<&[u8], u32, FixedState> =
            HashMap::with_capacity_and_hasher(column.len(), FixedState::default());
        let mut index = KeyIndex { ids: Vec::with_capacity(column.len()), ..KeyIndex::EMPTY };
        for i in 0..column.len() {
            let id = match column.get(i) {
                None => NO_KEY,
                Some(key) => {
                    let next = seen.len() as u32;
                    match seen.entry(key) {
                        Entry::Occupied(entry) => *entry.get(),
                        Entry::Vacant(entry) => {
                            index.keys.push(key);
                            *entry.insert(next)
                        }
                    }
                }
            };
            index.ids.push(id);
        }
        index
    }

    /// The number of event `i`'s key.
    pub(crate) fn id_of(&self, i: usize) -> Option<u32> {
        self.ids.get(i).copied().filter(|id| *id != NO_KEY)
    }

    /// How many distinct keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.view().len()
    }

    /// The key of a number.
    pub(crate) fn key(&self, id: u32) -> &[u8] {
        self.keys.view().get(id as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::OptionalColumns;

    #[test]
    fn equal_keys_share_a_number_and_absent_ones_have_none() {
        let mut column = OptionalColumns::default();
        for key in [Some(&b"a"[..]), Some(b""), None, Some(b"a"), Some(b"b")] {
            column.push(key);
        }
        let index = KeyIndex::build(column.view());
        let ids: Vec<_> = (0..6).map(|i| index.id_of(i)).collect();
        assert_eq!(ids, [Some(0), Some(1), None, Some(0), Some(2), None]);
        assert_eq!((index.len(), index.key(1), index.key(2)), (3, &b""[..], &b"b"[..]));
    }
}
