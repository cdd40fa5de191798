//! The cache under value and map state: numbered slots whose bytes lie in one arena. Old bytes stay where they are until
//! the event that overwrote them has succeeded, so undoing costs a copy of a few numbers and writing no allocation.

use crate::column::{OptionalColumns, append, read_u32};

/// The arena is tidied between events once it is this large and half of it is waste.
const TIDY_BYTES: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    at: usize,
    len: usize,
    /// Its content is known: read from the host or written in this call.
    known: bool,
    present: bool,
    /// Written in this call.
    dirty: bool,
}

/// Numbered slots of bytes.
#[derive(Debug, Default)]
pub(super) struct Slots {
    arena: Vec<u8>,
    slots: Vec<Slot>,
    undo: Vec<(u32, Slot)>,
    tidy_at: usize,
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Makes room for slots 0 to n - 1; new ones are unknown.
    pub(super) fn resize(&mut self, n: usize) {
        self.slots.resize(n, Slot::default());
    }

    /// `None` = unknown, `Some(None)` = nothing stored.
    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<Option<&[u8]>> {
        let slot = self.slots[id as usize];
        match (slot.known, slot.present) {
            (false, _) => None,
            (true, false) => Some(None),
            (true, true) => Some(Some(&self.arena[slot.at..slot.at + slot.len])),
        }
    }

    #[inline]
    pub(super) fn is_dirty(&self, id: u32) -> bool {
        self.slots[id as usize].dirty
    }

    /// Whether nothing is known of any slot.
    pub(super) fn is_untouched(&self) -> bool {
        self.arena.is_empty() && self.slots.iter().all(|slot| !slot.known)
    }

    /// Makes what the host has of slots 0 to n - 1 the content: its bytes become the arena. For untouched slots.
    pub(super) fn adopt(&mut self, values: OptionalColumns) {
        let OptionalColumns { data, ends, present } = values;
        self.arena = data;
        let mut at = 0;
        for (i, slot) in self.slots.iter_mut().enumerate() {
            let end = read_u32(&ends, i) as usize;
            let present = present.get(i) != Some(&0);
            *slot = Slot { at, len: end - at, known: true, present, dirty: false };
            at = end;
        }
    }

    /// Notes what the host has.
    pub(super) fn fill(&mut self, id: u32, bytes: Option<&[u8]>) {
        let at = self.arena.len();
        append(&mut self.arena, bytes.unwrap_or_default());
        self.slots[id as usize] =
            Slot { at, len: self.arena.len() - at, known: true, present: bytes.is_some(), dirty: false };
    }

    /// Writes a slot; `encode` appends the bytes.
    #[inline]
    pub(super) fn set<E>(&mut self, id: u32, encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let at = self.arena.len();
        if let Err(e) = encode(&mut self.arena) {
            self.arena.truncate(at);
            return Err(e);
        }
        self.replace(id, Slot { at, len: self.arena.len() - at, known: true, present: true, dirty: true });
        Ok(())
    }

    /// Deletes a slot's value.
    pub(super) fn delete(&mut self, id: u32) {
        self.replace(id, Slot { known: true, dirty: true, ..Slot::default() });
    }

    #[inline]
    fn replace(&mut self, id: u32, new: Slot) {
        let old = std::mem::replace(&mut self.slots[id as usize], new);
        self.undo.push((id, old));
    }

    pub(super) fn undo_event(&mut self) {
        while let Some((id, old)) = self.undo.pop() {
            self.slots[id as usize] = old;
        }
    }

    pub(super) fn keep_event(&mut self) {
        self.undo.clear();
        if self.arena.len() > self.tidy_at.max(TIDY_BYTES) {
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        let live: usize = self.slots.iter().map(|slot| slot.len).sum();
        let mut arena = Vec::with_capacity(live * 2);
        for slot in &mut self.slots {
            let at = arena.len();
            arena.extend_from_slice(&self.arena[slot.at..slot.at + slot.len]);
            slot.at = at;
        }
        self.arena = arena;
        self.tidy_at = live * 2;
    }

    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.slots.clear();
        self.undo.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(slots: &mut Slots, id: u32, bytes: &[u8]) {
        let written: Result<(), ()> = slots.set(id, |arena| {
            arena.extend_from_slice(bytes);
            Ok(())
        });
        assert_eq!(written, Ok(()));
    }

    #[test]
    fn undoing_an_event_brings_back_every_earlier_content() {
        let mut slots = Slots::default();
        slots.resize(3);
        slots.fill(0, Some(b"zero"));
        set(&mut slots, 1, b"one");
        slots.keep_event();
        set(&mut slots, 0, b"new");
        slots.delete(1);
        set(&mut slots, 1, b"again");
        set(&mut slots, 2, b"two");
        slots.undo_event();
        assert_eq!(slots.get(0), Some(Some(&b"zero"[..])));
        assert!(!slots.is_dirty(0));
        assert_eq!(slots.get(1), Some(Some(&b"one"[..])));
        assert!(slots.is_dirty(1));
        assert_eq!(slots.get(2), None);
    }

    #[test]
    fn many_overwrites_do_not_pile_up() {
        let mut slots = Slots::default();
        slots.resize(2);
        set(&mut slots, 1, b"kept");
        for n in 0..10_000u32 {
            set(&mut slots, 0, &[n as u8; 100]);
            slots.keep_event();
        }
        assert!(slots.arena.len() <= TIDY_BYTES + 200, "{} bytes", slots.arena.len());
        assert_eq!(slots.get(1), Some(Some(&b"kept"[..])));
        assert_eq!(slots.get(0), Some(Some(&[(9_999u32 % 256) as u8; 100][..])));
    }
}
