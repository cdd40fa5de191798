//! Committed keyed state of a range of key groups, in memory. Recovery fills it from deltas, oldest first; the host folds
//! each committed epoch in and reads through it.
//!
//! One hash table over (state, key), one probe per access. What lies at a key:
//!
//! ```text
//! One   a single entry with an empty sub-key (value state): one allocation, key ++ value
//! Many  anything else (map, list, timers): the key and an ordered map sub-key -> value
//! ```
//!
//! Callers hand in h(key), computed once; it also decides the key group. Invariants: a slot is never empty; every key's
//! group lies in the range.

use super::delta::{Change, Delta};
use super::slot_hash;
use crate::error::{Error, Result};
use crate::hash::{hash_key, key_group};
use crate::ids::KeyGroup;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;
use std::collections::{BTreeMap, btree_map};
use std::ops::{Bound, Range};

/// Counted per slot beside its key and values.
const SLOT_BYTES: usize = size_of::<Slot>() + 16;
/// Counted per entry of a `Many` beside its sub-key and value.
const SUB_ENTRY_BYTES: usize = 48;

type SubMap = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// See the module's words.
#[derive(Debug, Default)]
pub struct Memory {
    key_groups: Range<u32>,
    max_parallelism: u32,
    table: HashTable<Slot>,
    entries: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    /// h(key).
    hash: u64,
    state: u32,
    key_len: u32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    One(Box<[u8]>),
    Many(Box<(Box<[u8]>, SubMap)>),
}

/// A committed entry, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Committed<'a> {
    /// Its state.
    pub state: u32,
    /// The key's group.
    pub key_group: KeyGroup,
    /// The key.
    pub key: &'a [u8],
    /// The sub-key; empty for value state.
    pub sub_key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl Memory {
    /// Empty memory for a half-open range of key groups.
    pub fn new(key_groups: Range<u32>, max_parallelism: u32) -> Memory {
        Memory { key_groups, max_parallelism, ..Memory::default() }
    }

    /// The key groups it holds.
    pub fn key_groups(&self) -> Range<u32> {
        self.key_groups.clone()
    }

    /// Applies a delta, leaving out other key groups. `Corrupt` when the blob is damaged or was made with another max
    /// parallelism; nothing is applied of a blob that does not decode.
    pub fn apply_delta(&mut self, blob: &[u8]) -> Result<()> {
        let delta = Delta::decode(blob)?;
        for entry in &delta {
            if !self.key_groups.contains(&entry.key_group.0) {
                continue;
            }
            let hash = hash_key(entry.key);
            let group = key_group(hash, self.max_parallelism);
            if group != entry.key_group {
                return Err(Error::corrupt(format!(
                    "state delta: key {:?} of state {} is filed under key group {}, but with max parallelism {} it \
                     belongs to {group}; the delta is damaged or was written with another max parallelism",
                    String::from_utf8_lossy(entry.key),
                    entry.state,
                    entry.key_group,
                    self.max_parallelism
                )));
            }
            self.apply(hash, entry.state, entry.key, entry.sub_key, entry.change);
        }
        Ok(())
    }

    /// Applies one change. `hash` = h(key), whose group the caller has checked.
    pub fn apply(&mut self, hash: u64, state: u32, key: &[u8], sub_key: &[u8], change: Change<'_>) {
        match change {
            Change::Put(value) => self.put(hash, state, key, sub_key, value),
            Change::Delete => self.delete(hash, state, key, sub_key),
            Change::ClearKey => self.clear_key(hash, state, key),
        }
    }

    fn put(&mut self, hash: u64, state: u32, key: &[u8], sub_key: &[u8], value: &[u8]) {
        let table_hash = slot_hash(state, hash);
        match self.table.entry(table_hash, |slot| slot.is(hash, state, key), Slot::table_hash) {
            TableEntry::Vacant(place) => {
                let slot = Slot::new(hash, state, key, sub_key, value);
                self.bytes += SLOT_BYTES + key.len() + slot.entry_bytes(sub_key, value);
                self.entries += 1;
                place.insert(slot);
            }
            TableEntry::Occupied(place) => {
                let slot = place.into_mut();
                let before = slot.put(sub_key, value);
                self.entries += usize::from(before.is_new);
                self.bytes = self.bytes + slot.entry_bytes(sub_key, value) + before.reshaped - before.replaced;
            }
        }
    }

    fn delete(&mut self, hash: u64, state: u32, key: &[u8], sub_key: &[u8]) {
        let Ok(mut place) = self.table.find_entry(slot_hash(state, hash), |slot| slot.is(hash, state, key)) else {
            return;
        };
        let (removed, now_empty) = match &mut place.get_mut().content {
            Content::One(_) if sub_key.is_empty() => (None, true),
            Content::One(_) => return,
            Content::Many(many) => match many.1.remove(sub_key) {
                Some(value) => (Some(SUB_ENTRY_BYTES + sub_key.len() + value.len()), many.1.is_empty()),
                None => return,
            },
        };
        if let Some(bytes) = removed {
            self.entries -= 1;
            self.bytes -= bytes;
        }
        if now_empty {
            let (slot, _) = place.remove();
            self.forget(&slot);
        }
    }

    fn clear_key(&mut self, hash: u64, state: u32, key: &[u8]) {
        if let Ok(place) = self.table.find_entry(slot_hash(state, hash), |slot| slot.is(hash, state, key)) {
            let (slot, _) = place.remove();
            self.forget(&slot);
        }
    }

    /// Takes a removed slot off the counts.
    fn forget(&mut self, slot: &Slot) {
        for (sub_key, value) in slot.scan(&[], None) {
            self.entries -= 1;
            self.bytes -= slot.entry_bytes(sub_key, value);
        }
        self.bytes -= SLOT_BYTES + slot.key_len as usize;
    }

    fn find(&self, hash: u64, state: u32, key: &[u8]) -> Option<&Slot> {
        self.table.find(slot_hash(state, hash), |slot| slot.is(hash, state, key))
    }

    /// The value of an entry. `hash` = h(key).
    #[inline]
    pub fn get(&self, hash: u64, state: u32, key: &[u8], sub_key: &[u8]) -> Option<&[u8]> {
        match &self.find(hash, state, key)?.content {
            Content::One(bytes) if sub_key.is_empty() => bytes.get(key.len()..),
            Content::One(_) => None,
            Content::Many(many) => many.1.get(sub_key).map(|value| &value[..]),
        }
    }

    /// Entries of a key with sub-keys in `[start, end)`, ascending; an empty `start` is the beginning.
    pub fn scan<'a>(&'a self, hash: u64, state: u32, key: &[u8], start: &[u8], end: Option<&[u8]>) -> Scan<'a> {
        self.find(hash, state, key).map_or(Scan(Inner::One(None)), |slot| slot.scan(start, end))
    }

    /// The greatest sub-key of a key: where a list goes on.
    pub fn last_sub_key(&self, hash: u64, state: u32, key: &[u8]) -> Option<&[u8]> {
        match &self.find(hash, state, key)?.content {
            Content::One(_) => Some(&[]),
            Content::Many(many) => many.1.last_key_value().map(|(sub_key, _)| &sub_key[..]),
        }
    }

    /// All entries; keys in no order, sub-keys of a key ascending.
    pub fn iter(&self) -> impl Iterator<Item = Committed<'_>> {
        self.slots(|_| true)
    }

    /// All entries of one state, in the order of [`Memory::iter`].
    pub fn entries_of(&self, state: u32) -> impl Iterator<Item = Committed<'_>> {
        self.slots(move |slot| slot.state == state)
    }

    fn slots(&self, wanted: impl Fn(&Slot) -> bool) -> impl Iterator<Item = Committed<'_>> {
        self.table.iter().filter(move |slot| wanted(slot)).flat_map(|slot| {
            let key_group = key_group(slot.hash, self.max_parallelism);
            slot.scan(&[], None).map(move |(sub_key, value)| Committed {
                state: slot.state,
                key_group,
                key: slot.key(),
                sub_key,
                value,
            })
        })
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// About how much memory the entries take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What a put found in a slot.
#[derive(Default)]
struct Before {
    /// The entry was not there.
    is_new: bool,
    /// Bytes counted for the value it replaces.
    replaced: usize,
    /// Bytes that the slot's other entry counts more, now that One has become Many.
    reshaped: usize,
}

impl Slot {
    fn new(hash: u64, state: u32, key: &[u8], sub_key: &[u8], value: &[u8]) -> Slot {
        let content = if sub_key.is_empty() {
            Content::One([key, value].concat().into_boxed_slice())
        } else {
            Content::Many(Box::new((key.into(), SubMap::from([(sub_key.into(), value.into())]))))
        };
        Slot { hash, state, key_len: key.len() as u32, content }
    }

    fn table_hash(&self) -> u64 {
        slot_hash(self.state, self.hash)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        match &self.content {
            Content::One(bytes) => &bytes[..self.key_len as usize],
            Content::Many(many) => &many.0,
        }
    }

    #[inline]
    fn is(&self, hash: u64, state: u32, key: &[u8]) -> bool {
        self.hash == hash && self.state == state && self.key() == key
    }

    /// Bytes counted for one entry of this slot.
    fn entry_bytes(&self, sub_key: &[u8], value: &[u8]) -> usize {
        match self.content {
            Content::One(_) => value.len(),
            Content::Many(_) => SUB_ENTRY_BYTES + sub_key.len() + value.len(),
        }
    }

    /// Puts an entry; says what that did to the counts, beside the new entry's own bytes.
    fn put(&mut self, sub_key: &[u8], value: &[u8]) -> Before {
        let key_len = self.key_len as usize;
        match &mut self.content {
            Content::One(bytes) if sub_key.is_empty() => {
                let before = bytes.len() - key_len;
                if before == value.len() {
                    bytes[key_len..].copy_from_slice(value);
                } else {
                    *bytes = [&bytes[..key_len], value].concat().into_boxed_slice();
                }
                Before { replaced: before, ..Before::default() }
            }
            Content::One(bytes) => {
                let (key, empty) = bytes.split_at(key_len);
                let map = SubMap::from([(Box::default(), empty.into()), (sub_key.into(), value.into())]);
                self.content = Content::Many(Box::new((key.into(), map)));
                Before { is_new: true, reshaped: SUB_ENTRY_BYTES, ..Before::default() }
            }
            Content::Many(many) => match many.1.get_mut(sub_key) {
                Some(old) => {
                    let before = SUB_ENTRY_BYTES + sub_key.len() + old.len();
                    *old = value.into();
                    Before { replaced: before, ..Before::default() }
                }
                None => {
                    many.1.insert(sub_key.into(), value.into());
                    Before { is_new: true, ..Before::default() }
                }
            },
        }
    }

    fn scan<'a>(&'a self, start: &[u8], end: Option<&[u8]>) -> Scan<'a> {
        let empty = end.is_some_and(|end| start >= end);
        Scan(match &self.content {
            _ if empty => Inner::One(None),
            Content::One(bytes) => Inner::One(start.is_empty().then(|| &bytes[self.key_len as usize..])),
            Content::Many(many) => Inner::Many(
                many.1.range::<[u8], _>((Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded))),
            ),
        })
    }
}

/// Entries (sub-key, value) of one key, ascending.
#[derive(Clone, Debug)]
pub struct Scan<'a>(Inner<'a>);

#[derive(Clone, Debug)]
enum Inner<'a> {
    One(Option<&'a [u8]>),
    Many(btree_map::Range<'a, Box<[u8]>, Box<[u8]>>),
}

impl<'a> Iterator for Scan<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Inner::One(value) => value.take().map(|value| (&[][..], value)),
            Inner::Many(range) => range.next().map(|(sub_key, value)| (&sub_key[..], &value[..])),
        }
    }
}
