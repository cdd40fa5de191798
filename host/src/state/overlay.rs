//! One epoch's writes to keyed state, and the log that takes back those of the current call. `KeyedState` writes here;
//! reads look here before anything older; sealed, it becomes a delta and is folded into committed memory.
//!
//! Keys and values of value state lie in one arena, so that a put allocates nothing: a value that fits where the old one
//! lies is overwritten there, the old bytes saved in the undo log. Map, list and timer entries are ordered maps per key.
//!
//! Invariants:
//! 1. a slot holds at least one change: it was cleared, or its content is not `Nothing`;
//! 2. what was allocated in this call lies at the end: new slots after the call's first, new arena bytes after its mark;
//! 3. rolling back replays the steps last first, so that each finds the overlay as it was right after it.

use super::StateError;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::collections::{BTreeMap, btree_map};
use std::ops::{Bound, Range};
use tidemill_storage::state::{Change, slot_hash};

/// The most that one subtask may write in one epoch, and the guard of 32-bit arena offsets.
pub const EPOCH_BYTES_MAX: usize = 1 << 30;
/// Counted per slot beside its key and values.
const SLOT_BYTES: usize = size_of::<Slot>() + 8;
/// Counted per map entry beside its sub-key and value.
const SUB_ENTRY_BYTES: usize = 48;
/// A retired overlay with more room than this is kept for another epoch only if its own made use of it.
const SPARE_BYTES_MAX: usize = 4 << 20;
/// With more than this it is never kept.
const BUSY_SPARE_BYTES_MAX: usize = 32 << 20;

type SubMap = BTreeMap<Box<[u8]>, Option<Box<[u8]>>>;

/// See the module's words.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// Indexes into `slots`.
    table: HashTable<u32>,
    slots: Vec<Slot>,
    arena: Vec<u8>,
    /// What the maps' entries count.
    sub_bytes: usize,
}

/// What happened to one key of one state.
#[derive(Debug)]
pub(super) struct Slot {
    /// h(key).
    hash: u64,
    state: u32,
    key: Span,
    /// Nothing that lies below this overlay is seen any more.
    cleared: bool,
    content: Content,
}

/// Bytes of the arena.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    len: u32,
}

#[derive(Debug)]
enum Content {
    Nothing,
    Value {
        at: Span,
        /// Bytes that may be used from `at.start`.
        room: u32,
    },
    Deleted,
    /// `None` = deleted.
    Many(SubMap),
}

/// What an overlay knows of an entry.
pub(super) enum Found<'a> {
    Value(&'a [u8]),
    Gone,
    /// Ask what lies below.
    Below,
}

/// How to take back the current call.
#[derive(Debug, Default)]
pub(super) struct UndoLog {
    steps: Vec<Step>,
    /// Old bytes and sub-keys of steps, in step order.
    saved: Vec<u8>,
    arena_mark: usize,
    sub_bytes_mark: usize,
}

#[derive(Debug)]
enum Step {
    /// The last slot is new.
    Created,
    /// A value was overwritten in place; its `len` old bytes are saved.
    InPlace { slot: u32, len: u32 },
    /// The slot had this.
    Replaced { slot: u32, cleared: bool, content: Content },
    /// An entry of a map, whose sub-key is saved, was this; `None` = not there.
    Sub { slot: u32, sub_len: u32, old: Option<Option<Box<[u8]>>> },
}

impl Span {
    #[inline]
    fn of(self, arena: &[u8]) -> &[u8] {
        &arena[self.start as usize..][..self.len as usize]
    }
}

impl Slot {
    #[inline]
    fn is(&self, arena: &[u8], hash: u64, state: u32, key: &[u8]) -> bool {
        self.hash == hash && self.state == state && self.key.of(arena) == key
    }

    pub(super) fn is_cleared(&self) -> bool {
        self.cleared
    }

    /// Map entries with sub-keys in `[start, end)`; `None` when there are none here.
    pub(super) fn range(&self, start: &[u8], end: Option<&[u8]>) -> Option<SubRange<'_>> {
        match &self.content {
            Content::Many(subs) if end.is_none_or(|end| start < end) => {
                let end = end.map_or(Bound::Unbounded, Bound::Excluded);
                Some(subs.range::<[u8], _>((Bound::Included(start), end)))
            }
            _ => None,
        }
    }

    /// The greatest sub-key written here. Lists have no deleted entries.
    pub(super) fn last_sub_key(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Many(subs) => subs.last_key_value().map(|(sub_key, _)| &sub_key[..]),
            _ => None,
        }
    }
}

/// Map entries of one key; `None` = deleted.
pub(super) type SubRange<'a> = btree_map::Range<'a, Box<[u8]>, Option<Box<[u8]>>>;

impl Overlay {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// About how much memory the writes take.
    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * SLOT_BYTES + self.arena.len() + self.sub_bytes
    }

    /// Empties it for another epoch, unless it is too big to keep: fresh memory for every epoch that writes many keys costs
    /// as much as writing them, but what one burst took must not stay for good.
    pub(super) fn recycle(mut self) -> Option<Overlay> {
        let room = self.slots.capacity() * SLOT_BYTES + self.arena.capacity();
        let used = self.slots.len() * SLOT_BYTES + self.arena.len();
        if room > BUSY_SPARE_BYTES_MAX || (room > SPARE_BYTES_MAX && used < room / 4) {
            return None;
        }
        self.table.clear();
        self.slots.clear();
        self.arena.clear();
        self.sub_bytes = 0;
        Some(self)
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, state: u32, key: &[u8]) -> Option<&Slot> {
        if self.slots.is_empty() {
            return None;
        }
        let is = |slot: &u32| self.slots[*slot as usize].is(&self.arena, hash, state, key);
        self.table.find(slot_hash(state, hash), is).map(|slot| &self.slots[*slot as usize])
    }

    #[inline]
    pub(super) fn get(&self, hash: u64, state: u32, key: &[u8], sub_key: &[u8]) -> Found<'_> {
        let Some(slot) = self.find(hash, state, key) else {
            return Found::Below;
        };
        match &slot.content {
            Content::Value { at, .. } => Found::Value(at.of(&self.arena)),
            Content::Deleted | Content::Nothing => Found::Gone,
            Content::Many(subs) => match subs.get(sub_key) {
                Some(Some(value)) => Found::Value(value),
                Some(None) => Found::Gone,
                None if slot.cleared => Found::Gone,
                None => Found::Below,
            },
        }
    }

    /// Puts (`None`: deletes) the entry of a value state.
    pub(super) fn put_value(
        &mut self,
        undo: &mut UndoLog,
        (hash, state, key): (u64, u32, &[u8]),
        value: Option<&[u8]>,
    ) -> Result<(), StateError> {
        self.check_room(key.len() + value.map_or(0, <[u8]>::len))?;
        let index = self.open(undo, hash, state, key);
        let slot = &mut self.slots[index as usize];
        if let (Content::Value { at, room }, Some(value)) = (&mut slot.content, value)
            && value.len() <= *room as usize
        {
            let old = &mut self.arena[at.start as usize..][..at.len.max(value.len() as u32) as usize];
            undo.saved.extend_from_slice(&old[..at.len as usize]);
            undo.steps.push(Step::InPlace { slot: index, len: at.len });
            old[..value.len()].copy_from_slice(value);
            at.len = value.len() as u32;
            return Ok(());
        }
        let content = match value {
            Some(value) => {
                let room = value.len().next_multiple_of(8);
                let at = Self::push(&mut self.arena, value, room);
                Content::Value { at, room: room as u32 }
            }
            None => Content::Deleted,
        };
        let (cleared, content) = (slot.cleared, std::mem::replace(&mut slot.content, content));
        undo.steps.push(Step::Replaced { slot: index, cleared, content });
        Ok(())
    }

    /// Puts (`None`: deletes) an entry of a map, list or timer state.
    pub(super) fn put_sub(
        &mut self,
        undo: &mut UndoLog,
        (hash, state, key): (u64, u32, &[u8]),
        sub_key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), StateError> {
        let bytes = SUB_ENTRY_BYTES + sub_key.len() + value.map_or(0, <[u8]>::len);
        self.check_room(key.len() + bytes)?;
        let index = self.open(undo, hash, state, key);
        let slot = &mut self.slots[index as usize];
        if !matches!(slot.content, Content::Many(_)) {
            let (cleared, content) =
                (slot.cleared, std::mem::replace(&mut slot.content, Content::Many(SubMap::default())));
            undo.steps.push(Step::Replaced { slot: index, cleared, content });
        }
        if let Content::Many(subs) = &mut slot.content {
            let value = value.map(Box::from);
            let old = match subs.get_mut(sub_key) {
                Some(old) => Some(std::mem::replace(old, value)),
                None => subs.insert(sub_key.into(), value),
            };
            undo.saved.extend_from_slice(sub_key);
            undo.steps.push(Step::Sub { slot: index, sub_len: sub_key.len() as u32, old });
            // Replaced values stay counted until the epoch ends: the undo log may still hold them.
            self.sub_bytes += bytes;
        }
        Ok(())
    }

    /// Removes everything under a key.
    pub(super) fn clear_key(
        &mut self,
        undo: &mut UndoLog,
        (hash, state, key): (u64, u32, &[u8]),
    ) -> Result<(), StateError> {
        self.check_room(key.len())?;
        let index = self.open(undo, hash, state, key);
        let slot = &mut self.slots[index as usize];
        let cleared = std::mem::replace(&mut slot.cleared, true);
        let content = std::mem::replace(&mut slot.content, Content::Nothing);
        undo.steps.push(Step::Replaced { slot: index, cleared, content });
        Ok(())
    }

    fn check_room(&self, more: usize) -> Result<(), StateError> {
        if self.bytes() + SLOT_BYTES + more > EPOCH_BYTES_MAX {
            return Err(StateError::TooLarge(format!(
                "this subtask would write more than {} MiB of state in one epoch; shorten checkpoint_interval, or write \
                 less per call",
                EPOCH_BYTES_MAX >> 20
            )));
        }
        Ok(())
    }

    /// The slot of a key; a new one has no content yet, which the caller gives it.
    fn open(&mut self, undo: &mut UndoLog, hash: u64, state: u32, key: &[u8]) -> u32 {
        let Overlay { table, slots, arena, .. } = self;
        let is = |slot: &u32| slots[*slot as usize].is(arena, hash, state, key);
        let rehash = |slot: &u32| slot_hash(slots[*slot as usize].state, slots[*slot as usize].hash);
        match table.entry(slot_hash(state, hash), is, rehash) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                let index = slots.len() as u32;
                place.insert(index);
                let key = Self::push(arena, key, key.len());
                slots.push(Slot { hash, state, key, cleared: false, content: Content::Nothing });
                undo.steps.push(Step::Created);
                index
            }
        }
    }

    fn push(arena: &mut Vec<u8>, bytes: &[u8], room: usize) -> Span {
        let start = arena.len();
        arena.extend_from_slice(bytes);
        arena.resize(start + room, 0);
        // `check_room` keeps the arena below 2^30 bytes.
        Span { start: start as u32, len: bytes.len() as u32 }
    }

    /// The keys that were changed: h(key) and state.
    pub(super) fn places(&self) -> impl Iterator<Item = (u64, u32)> {
        self.slots.iter().map(|slot| (slot.hash, slot.state))
    }

    /// Every change, a key's clear before its entries: h(key), state, key, sub-key, change.
    pub(super) fn for_each_change<'a>(&'a self, visit: impl FnMut(u64, u32, &'a [u8], &'a [u8], Change<'a>)) {
        self.for_each_change_of(0..self.slots.len(), visit);
    }

    /// The same for some of the keys, by their index in [`Overlay::places`].
    pub(super) fn for_each_change_of<'a>(
        &'a self,
        keys: Range<usize>,
        mut visit: impl FnMut(u64, u32, &'a [u8], &'a [u8], Change<'a>),
    ) {
        for slot in &self.slots[keys] {
            let key = slot.key.of(&self.arena);
            if slot.cleared {
                visit(slot.hash, slot.state, key, &[], Change::ClearKey);
            }
            match &slot.content {
                Content::Nothing => {}
                Content::Value { at, .. } => visit(slot.hash, slot.state, key, &[], Change::Put(at.of(&self.arena))),
                Content::Deleted => visit(slot.hash, slot.state, key, &[], Change::Delete),
                Content::Many(subs) => {
                    for (sub_key, value) in subs {
                        let change = value.as_deref().map_or(Change::Delete, Change::Put);
                        visit(slot.hash, slot.state, key, sub_key, change);
                    }
                }
            }
        }
    }
}

impl UndoLog {
    /// Makes what was done stay: the next call begins here.
    pub(super) fn commit(&mut self, overlay: &Overlay) {
        self.steps.clear();
        self.saved.clear();
        self.arena_mark = overlay.arena.len();
        self.sub_bytes_mark = overlay.sub_bytes;
    }

    /// Takes back everything since the last commit.
    pub(super) fn roll_back(&mut self, overlay: &mut Overlay) {
        while let Some(step) = self.steps.pop() {
            match step {
                Step::Created => {
                    let index = overlay.slots.len() as u32 - 1;
                    if let Some(slot) = overlay.slots.pop()
                        && let Ok(place) = overlay.table.find_entry(slot_hash(slot.state, slot.hash), |i| *i == index)
                    {
                        place.remove();
                    }
                }
                Step::InPlace { slot, len } => {
                    let saved = self.saved.len() - len as usize;
                    if let Content::Value { at, .. } = &mut overlay.slots[slot as usize].content {
                        overlay.arena[at.start as usize..][..len as usize].copy_from_slice(&self.saved[saved..]);
                        at.len = len;
                    }
                    self.saved.truncate(saved);
                }
                Step::Replaced { slot, cleared, content } => {
                    let slot = &mut overlay.slots[slot as usize];
                    slot.cleared = cleared;
                    slot.content = content;
                }
                Step::Sub { slot, sub_len, old } => {
                    let saved = self.saved.len() - sub_len as usize;
                    if let Content::Many(subs) = &mut overlay.slots[slot as usize].content {
                        match old {
                            Some(old) => drop(subs.insert(self.saved[saved..].into(), old)),
                            None => drop(subs.remove(&self.saved[saved..])),
                        }
                    }
                    self.saved.truncate(saved);
                }
            }
        }
        overlay.arena.truncate(self.arena_mark);
        overlay.sub_bytes = self.sub_bytes_mark;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(mut overlay: Overlay, keys: u32) -> Overlay {
        let mut undo = UndoLog::default();
        for key in 0..keys {
            let key = key.to_le_bytes();
            let hash = tidemill_storage::hash::hash_key(&key);
            overlay.put_value(&mut undo, (hash, 0, &key), Some(&[7; 8])).unwrap();
        }
        overlay
    }

    #[test]
    fn room_is_kept_for_the_next_epoch_as_long_as_epochs_make_use_of_it() {
        let busy = written(Overlay::default(), 100_000).recycle().expect("some MB, all of them used");
        assert!(busy.is_empty() && busy.slots.capacity() >= 100_000);
        let busy = written(busy, 100_000).recycle().expect("used again");
        assert!(written(busy, 10).recycle().is_none(), "a small epoch gives it back");
        assert!(written(Overlay::default(), 10).recycle().is_some());
        assert!(written(Overlay::default(), 600_000).recycle().is_none(), "more than is ever kept");
    }
}
