//! Committed keyed state of a range of key groups, in memory: everything that no run holds yet, and as a cache what was
//! read or written lately. Recovery fills it from deltas, oldest first; [`super::StateView`] puts the runs below it.
//!
//! One table over (state, key): 8 bytes an entry, half of them of the hash, so that a probe seldom looks at a slot in vain and
//! growing touches none. Slots (64 bytes, `slot.rs`) lie in pages that never move.
//!
//! Callers hand in h(key), computed once; it also decides the key group. Invariants:
//! 1. every key's group lies in the range;
//! 2. a slot above `flushed` is never evicted: what it says is in no run;
//! 3. `complete`: what is not here is nowhere. It ends with the first eviction, for good;
//! 4. a removal is remembered as long as a run below may hold what it removed.

use super::delta::{Change, Delta};
use super::slot::{Known, Slot};
use super::slot_hash;
use crate::error::{Error, Result};
use crate::hash::{hash_key, key_group};
use crate::ids::{Epoch, KeyGroup};
use hashbrown::HashTable;
use std::ops::Range;

/// Slots in a page.
const PAGE_SLOTS: usize = 4_096;
/// Keys that are looked for together, and from how many slots on that is worth it.
const WARM_PLACES_MAX: usize = 32;
const WARM_SLOTS_MIN: usize = 1 << 15;
/// Counted per slot beside its content: the slot and its share of the table.
const SLOT_BYTES: usize = size_of::<Slot>() + 12;

/// See the module's words.
#[derive(Debug)]
pub struct Memory {
    key_groups: Range<u32>,
    max_parallelism: u32,
    /// (32 bits of the hash, index of the slot).
    table: HashTable<(u32, u32)>,
    pages: Vec<Vec<Option<Slot>>>,
    free: Vec<u32>,
    entries: usize,
    bytes: usize,
    complete: bool,
    /// Whether runs may lie below.
    has_runs: bool,
    flushed: u64,
    /// The epoch of the last removal that left no trace.
    untraced: u64,
    /// Where the last look for something to evict ended.
    hand: u32,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new(0..0, 1)
    }
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

/// What memory knows of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked<'a> {
    Value(&'a [u8]),
    Nothing,
    /// Only the runs tell.
    Unknown,
}

#[inline]
fn tag(state: u32, hash: u64) -> u32 {
    (slot_hash(state, hash) >> 32) as u32 ^ slot_hash(state, hash) as u32
}

/// The table's hash, out of the 32 bits that it keeps.
#[inline]
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Memory {
    /// Empty memory for a half-open range of key groups.
    pub fn new(key_groups: Range<u32>, max_parallelism: u32) -> Memory {
        Memory {
            key_groups,
            max_parallelism,
            table: HashTable::new(),
            pages: Vec::new(),
            free: Vec::new(),
            entries: 0,
            bytes: 0,
            complete: true,
            has_runs: false,
            flushed: 0,
            untraced: 0,
            hand: 0,
        }
    }

    /// The key groups it holds.
    pub fn key_groups(&self) -> Range<u32> {
        self.key_groups.clone()
    }

    pub(super) fn max_parallelism(&self) -> u32 {
        self.max_parallelism
    }

    /// Applies a delta of epochs up to this one, leaving out other key groups. `Corrupt` when the blob is damaged or was
    /// made with another max parallelism; nothing is applied of a blob that does not decode.
    pub fn apply_delta(&mut self, blob: &[u8], through: Epoch) -> Result<()> {
        let delta = Delta::decode(blob)?;
        for entry in &delta {
            if !self.key_groups.contains(&entry.key_group.0) {
                continue;
            }
            let hash = self.checked_hash(&entry.key_group, entry.state, entry.key)?;
            self.apply(through, hash, entry.state, entry.key, entry.sub_key, entry.change);
        }
        Ok(())
    }

    /// h(key) of a stored entry whose key group must be right.
    pub(super) fn checked_hash(&self, stored: &KeyGroup, state: u32, key: &[u8]) -> Result<u64> {
        let hash = hash_key(key);
        let group = key_group(hash, self.max_parallelism);
        if group == *stored {
            return Ok(hash);
        }
        Err(Error::corrupt(format!(
            "state: key {:?} of state {state} is filed under key group {stored}, but with max parallelism {} it \
             belongs to {group}; it is damaged or was written with another max parallelism",
            String::from_utf8_lossy(key),
            self.max_parallelism
        )))
    }

    /// Applies one change of a committed epoch. `hash` = h(key), whose group the caller has checked.
    #[inline]
    pub fn apply(&mut self, epoch: Epoch, hash: u64, state: u32, key: &[u8], sub_key: &[u8], change: Change<'_>) {
        match change {
            Change::Put(value) => self.put(epoch.0, hash, state, key, sub_key, value),
            Change::Delete => self.delete(epoch.0, hash, state, key, sub_key),
            Change::ClearKey => self.clear_key(epoch.0, hash, state, key),
        }
    }

    fn put(&mut self, epoch: u64, hash: u64, state: u32, key: &[u8], sub_key: &[u8], value: &[u8]) {
        let complete = self.complete;
        let index = match self.find_index(hash, state, key) {
            Some(index) => index,
            None if sub_key.is_empty() => {
                let index = self.insert(Slot::of_value(hash, state, key, value, complete));
                self.stamp(index, epoch);
                return;
            }
            None => self.insert(Slot::new(hash, state, key, complete)),
        };
        self.change(index, epoch, |slot| slot.put(sub_key, value));
    }

    fn delete(&mut self, epoch: u64, hash: u64, state: u32, key: &[u8], sub_key: &[u8]) {
        let trace = self.has_runs;
        let index = match self.find_index(hash, state, key) {
            Some(index) => index,
            None if trace => self.insert(Slot::new(hash, state, key, self.complete)),
            None => return,
        };
        self.change(index, epoch, |slot| slot.delete(sub_key, trace));
        self.forget_untraced(index, epoch);
    }

    fn clear_key(&mut self, epoch: u64, hash: u64, state: u32, key: &[u8]) {
        let index = match self.find_index(hash, state, key) {
            Some(index) => index,
            None if self.has_runs => self.insert(Slot::new(hash, state, key, self.complete)),
            None => return,
        };
        self.change(index, epoch, Slot::clear);
        self.forget_untraced(index, epoch);
    }

    /// With no runs below, what is removed just goes.
    fn forget_untraced(&mut self, index: u32, epoch: u64) {
        if !self.has_runs {
            self.untraced = self.untraced.max(epoch);
            if self.slot(index).is_some_and(Slot::is_empty) {
                self.remove(index);
            }
        }
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Slot> {
        self.pages.get(index as usize / PAGE_SLOTS)?.get(index as usize % PAGE_SLOTS)?.as_ref()
    }

    #[inline]
    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot> {
        self.pages.get_mut(index as usize / PAGE_SLOTS)?.get_mut(index as usize % PAGE_SLOTS)?.as_mut()
    }

    #[inline]
    fn find_index(&self, hash: u64, state: u32, key: &[u8]) -> Option<u32> {
        let tag = tag(state, hash);
        let is =
            |(other, index): &(u32, u32)| *other == tag && self.slot(*index).is_some_and(|s| s.is(hash, state, key));
        self.table.find(spread(tag), is).map(|(_, index)| *index)
    }

    fn insert(&mut self, slot: Slot) -> u32 {
        let tag = tag(slot.state, slot.hash);
        self.bytes += SLOT_BYTES + slot.heap_bytes();
        self.entries += slot.len();
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                if self.pages.last().is_none_or(|page| page.len() == PAGE_SLOTS) {
                    self.pages.push(Vec::with_capacity(if self.pages.is_empty() { 0 } else { PAGE_SLOTS }));
                }
                let pages = self.pages.len();
                match self.pages.last_mut() {
                    Some(page) => {
                        page.push(None);
                        ((pages - 1) * PAGE_SLOTS + page.len() - 1) as u32
                    }
                    None => 0,
                }
            }
        };
        if let Some(place) =
            self.pages.get_mut(index as usize / PAGE_SLOTS).and_then(|p| p.get_mut(index as usize % PAGE_SLOTS))
        {
            *place = Some(slot);
        }
        self.table.insert_unique(spread(tag), (tag, index), |(tag, _)| spread(*tag));
        index
    }

    fn remove(&mut self, index: u32) {
        let place =
            self.pages.get_mut(index as usize / PAGE_SLOTS).and_then(|p| p.get_mut(index as usize % PAGE_SLOTS));
        let Some(slot) = place.and_then(Option::take) else { return };
        let tag = tag(slot.state, slot.hash);
        if let Ok(found) = self.table.find_entry(spread(tag), |(_, other)| *other == index) {
            found.remove();
        }
        self.free.push(index);
        self.bytes = self.bytes.saturating_sub(SLOT_BYTES + slot.heap_bytes());
        self.entries = self.entries.saturating_sub(slot.len());
    }

    fn stamp(&mut self, index: u32, epoch: u64) {
        if let Some(slot) = self.slot_mut(index) {
            slot.epoch = epoch;
        }
    }

    /// Changes a slot's content, and the counts with it.
    #[inline]
    fn change(&mut self, index: u32, epoch: u64, f: impl FnOnce(&mut Slot)) {
        let Some(slot) = self.slot_mut(index) else { return };
        slot.epoch = slot.epoch.max(epoch);
        slot.used.set(true);
        let (bytes, entries) = (slot.heap_bytes(), slot.len());
        f(slot);
        let (new_bytes, new_entries) = (slot.heap_bytes(), slot.len());
        self.bytes = (self.bytes + new_bytes).saturating_sub(bytes);
        self.entries = (self.entries + new_entries).saturating_sub(entries);
    }

    /// What is known of an entry. `hash` = h(key).
    #[inline]
    pub(super) fn look(&self, hash: u64, state: u32, key: &[u8], sub_key: &[u8]) -> Looked<'_> {
        let elsewhere = if self.complete { Looked::Nothing } else { Looked::Unknown };
        let Some(slot) = self.find_index(hash, state, key).and_then(|index| self.slot(index)) else { return elsewhere };
        slot.used.set(true);
        match slot.get(sub_key) {
            Known::Value(value) => Looked::Value(value),
            Known::Nothing => Looked::Nothing,
            Known::Unknown => elsewhere,
        }
    }

    /// Brings the slots of keys, h(key) and state each, near before they are used one by one. Each look waits for memory three
    /// times; the looks of a loop that does nothing else wait together. Measured at 1 M keys; see docs/performance.md.
    pub fn warm(&self, places: &[(u64, u32)]) {
        // Few keys stay near by themselves.
        if self.table.len() < WARM_SLOTS_MIN {
            return;
        }
        let mut found = [0u32; WARM_PLACES_MAX];
        let mut epochs = 0;
        for places in places.chunks(WARM_PLACES_MAX) {
            for (index, (hash, state)) in found.iter_mut().zip(places) {
                let tag = tag(*state, *hash);
                *index = self.table.find(spread(tag), |(other, _)| *other == tag).map_or(u32::MAX, |(_, index)| *index);
            }
            for index in &found[..places.len()] {
                epochs |= self.slot(*index).map_or(0, |slot| slot.epoch);
            }
        }
        std::hint::black_box(epochs);
    }

    /// The value of an entry, as far as memory holds it. `hash` = h(key).
    #[inline]
    pub fn get(&self, hash: u64, state: u32, key: &[u8], sub_key: &[u8]) -> Option<&[u8]> {
        match self.look(hash, state, key, sub_key) {
            Looked::Value(value) => Some(value),
            Looked::Nothing | Looked::Unknown => None,
        }
    }

    /// Whether everything that there is of a key is here.
    pub(super) fn is_whole(&self, hash: u64, state: u32, key: &[u8]) -> bool {
        self.complete || self.find_index(hash, state, key).and_then(|i| self.slot(i)).is_some_and(|slot| slot.whole)
    }

    /// Takes an entry in as a run has it, unless there is something newer.
    pub(super) fn remember(&mut self, hash: u64, state: u32, key: &[u8], sub_key: &[u8], value: &[u8]) {
        match self.find_index(hash, state, key) {
            Some(index) => self.change(index, 0, |slot| slot.remember(sub_key, value)),
            None if sub_key.is_empty() => drop(self.insert(Slot::of_value(hash, state, key, value, false))),
            None => {
                let index = self.insert(Slot::new(hash, state, key, false));
                self.change(index, 0, |slot| slot.put(sub_key, value));
            }
        }
    }

    /// Entries and removals (None) of a key with sub-keys in `[start, end)`, ascending; an empty `start` is the beginning.
    pub fn scan<'a>(
        &'a self,
        hash: u64,
        state: u32,
        key: &[u8],
        start: &[u8],
        end: Option<&'a [u8]>,
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let slot = self.find_index(hash, state, key).and_then(|index| self.slot(index));
        let entries = slot.map(|slot| slot.entries(start)).into_iter().flatten();
        entries.take_while(move |(sub_key, _)| end.is_none_or(|end| *sub_key < end))
    }

    /// The greatest sub-key of a key that memory holds a value for: where a list goes on.
    pub fn last_sub_key(&self, hash: u64, state: u32, key: &[u8]) -> Option<&[u8]> {
        self.find_index(hash, state, key).and_then(|index| self.slot(index))?.last_sub_key()
    }

    /// All entries that memory holds; keys in no order, sub-keys of a key ascending.
    pub fn iter(&self) -> impl Iterator<Item = Committed<'_>> {
        self.entries_where(|_| true)
    }

    /// All entries of one state that memory holds, in the order of [`Memory::iter`].
    pub fn entries_of(&self, state: u32) -> impl Iterator<Item = Committed<'_>> {
        self.entries_where(move |slot| slot.state == state)
    }

    fn entries_where(&self, wanted: impl Fn(&Slot) -> bool) -> impl Iterator<Item = Committed<'_>> {
        self.pages.iter().flatten().flatten().filter(move |slot| wanted(slot)).flat_map(|slot| {
            let key_group = key_group(slot.hash, self.max_parallelism);
            slot.entries(&[]).filter_map(move |(sub_key, value)| {
                Some(Committed { state: slot.state, key_group, key: slot.key(), sub_key, value: value? })
            })
        })
    }

    /// How many entries it holds.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether it holds no entry.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether what is not here is nowhere.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Runs lie below, of which nothing is loaded yet. Said of empty memory.
    pub(super) fn begin_incomplete(&mut self) {
        self.complete = false;
    }

    /// All that the runs hold has been loaded, and nothing was evicted or changed since it was begun.
    pub(super) fn end_complete(&mut self) {
        self.complete = true;
        for slot in self.pages.iter_mut().flatten().flatten() {
            slot.whole = true;
        }
    }

    /// Runs hold everything up to this epoch: removals up to it have served.
    pub(super) fn runs_hold(&mut self, flushed: Epoch) {
        self.has_runs = true;
        if flushed.0 <= self.flushed {
            return;
        }
        self.flushed = flushed.0;
        for index in 0..self.slots() {
            if self.slot(index).is_some_and(|slot| slot.epoch <= flushed.0 && slot.has_no_value()) {
                self.remove(index);
            }
        }
    }

    fn slots(&self) -> u32 {
        self.pages.last().map_or(0, |page| ((self.pages.len() - 1) * PAGE_SLOTS + page.len()) as u32)
    }

    /// Evicts what was not used lately until no more than `limit` bytes are taken, as far as runs hold it. Goes around at
    /// most twice.
    pub(super) fn evict(&mut self, limit: usize) {
        if self.bytes <= limit || !self.has_runs || self.untraced > self.flushed {
            return;
        }
        let slots = self.slots();
        for _ in 0..slots.saturating_mul(2) {
            if self.bytes <= limit {
                break;
            }
            self.hand = if self.hand + 1 < slots { self.hand + 1 } else { 0 };
            let flushed = self.flushed;
            let Some(slot) = self.slot_mut(self.hand) else { continue };
            if slot.epoch > flushed {
                continue;
            }
            if slot.used.replace(false) {
                continue;
            }
            self.complete = false;
            self.remove(self.hand);
        }
    }
}
