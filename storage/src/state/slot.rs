//! What committed memory holds of one key of one state. [`super::Memory`] keeps these in a table and says when they go.
//!
//! ```text
//! Small  a single entry with an empty sub-key (value state), key ++ value in the slot itself
//! One    the same, too long for that: one allocation
//! Many   anything else (map, list, timers): the key and an ordered map sub-key -> value, None = removed
//! Gone   nothing is left, and what lies in runs below does not count
//! ```

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Key and value of a small entry.
const INLINE_BYTES: usize = 30;
/// Counted per entry of a `Many` beside its sub-key and value.
const SUB_ENTRY_BYTES: usize = 48;

type SubMap = BTreeMap<Box<[u8]>, Option<Box<[u8]>>>;

/// A key with any number of entries and removals.
#[derive(Debug, Default)]
struct Many {
    key: Box<[u8]>,
    subs: SubMap,
    /// What the entries count.
    bytes: usize,
    /// How many are no removals.
    values: usize,
}

impl Many {
    fn put(&mut self, sub_key: &[u8], value: Option<&[u8]>) {
        match self.subs.get_mut(sub_key) {
            Some(old) => {
                self.bytes = self.bytes + value.map_or(0, <[u8]>::len) - old.as_ref().map_or(0, |old| old.len());
                self.values = self.values + usize::from(value.is_some()) - usize::from(old.is_some());
                match (old, value) {
                    (Some(old), Some(value)) if old.len() == value.len() => old.copy_from_slice(value),
                    (old, value) => *old = value.map(Box::from),
                }
            }
            None => {
                self.bytes += SUB_ENTRY_BYTES + sub_key.len() + value.map_or(0, <[u8]>::len);
                self.values += usize::from(value.is_some());
                self.subs.insert(sub_key.into(), value.map(Box::from));
            }
        }
    }

    fn remove(&mut self, sub_key: &[u8]) {
        if let Some(old) = self.subs.remove(sub_key) {
            self.bytes -= SUB_ENTRY_BYTES + sub_key.len() + old.as_ref().map_or(0, |old| old.len());
            self.values -= usize::from(old.is_some());
        }
    }
}

/// See the module's words.
#[derive(Debug)]
pub(super) struct Slot {
    /// h(key).
    pub(super) hash: u64,
    /// The epoch of its last change; 0 = it was read from a run and never changed.
    pub(super) epoch: u64,
    pub(super) state: u32,
    key_len: u32,
    /// Nothing of the key lies in runs that is not here.
    pub(super) whole: bool,
    /// It was used since the last look for something to evict.
    pub(super) used: Cell<bool>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Small { len: u8, bytes: [u8; INLINE_BYTES] },
    One(Box<[u8]>),
    Many(Box<Many>),
    Gone(Box<[u8]>),
}

/// What a slot knows of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known<'a> {
    Value(&'a [u8]),
    Nothing,
    /// It may lie in a run.
    Unknown,
}

fn single(key: &[u8], value: &[u8]) -> Content {
    let len = key.len() + value.len();
    if len > INLINE_BYTES {
        return Content::One([key, value].concat().into_boxed_slice());
    }
    let mut bytes = [0; INLINE_BYTES];
    bytes[..key.len()].copy_from_slice(key);
    bytes[key.len()..len].copy_from_slice(value);
    Content::Small { len: len as u8, bytes }
}

impl Slot {
    /// A key about which nothing is known but, if `whole`, that runs hold nothing of it.
    pub(super) fn new(hash: u64, state: u32, key: &[u8], whole: bool) -> Slot {
        let content = Content::Many(Box::new(Many { key: key.into(), ..Many::default() }));
        Slot { hash, epoch: 0, state, key_len: key.len() as u32, whole, used: Cell::new(true), content }
    }

    /// A key with its single entry.
    pub(super) fn of_value(hash: u64, state: u32, key: &[u8], value: &[u8], whole: bool) -> Slot {
        let content = single(key, value);
        Slot { hash, epoch: 0, state, key_len: key.len() as u32, whole, used: Cell::new(true), content }
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        match &self.content {
            Content::Small { bytes, .. } => &bytes[..self.key_len as usize],
            Content::One(bytes) => &bytes[..self.key_len as usize],
            Content::Many(many) => &many.key,
            Content::Gone(key) => key,
        }
    }

    #[inline]
    pub(super) fn is(&self, hash: u64, state: u32, key: &[u8]) -> bool {
        self.hash == hash && self.state == state && self.key() == key
    }

    /// The value of a single entry.
    #[inline]
    fn single(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Small { len, bytes } => Some(&bytes[self.key_len as usize..usize::from(*len)]),
            Content::One(bytes) => Some(&bytes[self.key_len as usize..]),
            Content::Many(_) | Content::Gone(_) => None,
        }
    }

    #[inline]
    pub(super) fn get(&self, sub_key: &[u8]) -> Known<'_> {
        let elsewhere = if self.whole { Known::Nothing } else { Known::Unknown };
        if let Some(value) = self.single() {
            return if sub_key.is_empty() { Known::Value(value) } else { elsewhere };
        }
        match &self.content {
            Content::Many(many) => match many.subs.get(sub_key) {
                Some(Some(value)) => Known::Value(value),
                Some(None) => Known::Nothing,
                None => elsewhere,
            },
            _ => Known::Nothing,
        }
    }

    /// Puts an entry.
    pub(super) fn put(&mut self, sub_key: &[u8], value: &[u8]) {
        let key_len = self.key_len as usize;
        match &mut self.content {
            Content::Small { len, bytes } if sub_key.is_empty() && key_len + value.len() <= INLINE_BYTES => {
                bytes[key_len..key_len + value.len()].copy_from_slice(value);
                *len = (key_len + value.len()) as u8;
            }
            Content::One(bytes) if sub_key.is_empty() && bytes.len() == key_len + value.len() => {
                bytes[key_len..].copy_from_slice(value);
            }
            // The only entry of a key: a slot that was just made.
            Content::Many(many) if sub_key.is_empty() && many.subs.is_empty() => {
                self.content = single(&many.key, value)
            }
            Content::Many(many) => many.put(sub_key, Some(value)),
            _ if sub_key.is_empty() => self.content = single(self.key(), value),
            _ => self.change_many(|many| many.put(sub_key, Some(value))),
        }
    }

    /// Removes an entry; `keep_trace` = what lies in a run below must not come up again.
    pub(super) fn delete(&mut self, sub_key: &[u8], keep_trace: bool) {
        if self.single().is_some() && sub_key.is_empty() && self.whole {
            self.content = Content::Gone(self.key().into());
            return;
        }
        if keep_trace {
            self.change_many(|many| many.put(sub_key, None));
        } else if self.single().is_none() || sub_key.is_empty() {
            self.change_many(|many| many.remove(sub_key));
        }
    }

    /// Removes everything of the key.
    pub(super) fn clear(&mut self) {
        self.content = Content::Gone(self.key().into());
        self.whole = true;
    }

    /// Takes an entry in as a run has it, unless there is something newer.
    pub(super) fn remember(&mut self, sub_key: &[u8], value: &[u8]) {
        if self.get(sub_key) == Known::Unknown {
            self.put(sub_key, value);
        }
    }

    /// Changes the entries as a map.
    fn change_many(&mut self, change: impl FnOnce(&mut Many)) {
        if let Content::Many(many) = &mut self.content {
            return change(many);
        }
        let mut many = Many { key: self.key().into(), ..Many::default() };
        if let Some(value) = self.single() {
            many.put(&[], Some(value));
        }
        change(&mut many);
        self.content = Content::Many(Box::new(many));
    }

    /// Whether no entry is left and no removal either.
    pub(super) fn is_empty(&self) -> bool {
        match &self.content {
            Content::Many(many) => many.subs.is_empty(),
            Content::Gone(_) => true,
            _ => false,
        }
    }

    /// Whether it only says what is not there.
    pub(super) fn has_no_value(&self) -> bool {
        self.len() == 0
    }

    /// How many entries have a value.
    pub(super) fn len(&self) -> usize {
        match &self.content {
            Content::Many(many) => many.values,
            Content::Gone(_) => 0,
            _ => 1,
        }
    }

    /// Memory beside the slot itself.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.content {
            Content::Small { .. } => 0,
            Content::One(bytes) | Content::Gone(bytes) => bytes.len() + 16,
            Content::Many(many) => many.key.len() + size_of::<Many>() + many.bytes,
        }
    }

    /// Entries and removals (None) with sub-keys from `start` on, ascending.
    pub(super) fn entries<'a>(&'a self, start: &[u8]) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let single = self.single().filter(|_| start.is_empty()).map(|value| (&[][..], Some(value)));
        let many = match &self.content {
            Content::Many(many) => Some(many.subs.range::<[u8], _>((Bound::Included(start), Bound::Unbounded))),
            _ => None,
        };
        single.into_iter().chain(many.into_iter().flatten().map(|(sub_key, value)| (&sub_key[..], value.as_deref())))
    }

    /// The greatest sub-key with a value.
    pub(super) fn last_sub_key(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Small { .. } | Content::One(_) => Some(&[]),
            Content::Many(many) => {
                many.subs.iter().rev().find(|(_, value)| value.is_some()).map(|(sub_key, _)| &sub_key[..])
            }
            Content::Gone(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_small_and_its_content_changes_shape_without_loss() {
        assert!(size_of::<Slot>() <= 64, "{}", size_of::<Slot>());
        let mut slot = Slot::of_value(1, 2, b"key", b"v", true);
        assert_eq!((slot.get(b""), slot.get(b"x"), slot.heap_bytes()), (Known::Value(b"v"), Known::Nothing, 0));
        slot.put(b"", &[7; 40]);
        assert_eq!(slot.get(b""), Known::Value(&[7; 40]));
        slot.put(b"s", b"1");
        assert_eq!((slot.get(b""), slot.get(b"s"), slot.len()), (Known::Value(&[7; 40]), Known::Value(b"1"), 2));
        slot.delete(b"", true);
        assert_eq!((slot.get(b""), slot.len(), slot.has_no_value()), (Known::Nothing, 1, false));
        slot.clear();
        assert_eq!((slot.get(b"s"), slot.key(), slot.has_no_value()), (Known::Nothing, &b"key"[..], true));
        slot.put(b"", b"again");
        assert_eq!((slot.get(b""), slot.heap_bytes()), (Known::Value(b"again"), 0));
    }

    #[test]
    fn what_is_not_whole_sends_elsewhere_and_remembers_only_what_is_older() {
        let mut slot = Slot::new(1, 2, b"key", false);
        assert_eq!((slot.get(b"a"), slot.is_empty()), (Known::Unknown, true));
        slot.put(b"a", b"new");
        slot.delete(b"b", true);
        for sub_key in [b"a", b"b", b"c"] {
            slot.remember(sub_key, b"old");
        }
        let all: Vec<_> = slot.entries(b"").collect();
        assert_eq!(all, [(&b"a"[..], Some(&b"new"[..])), (b"b", None), (b"c", Some(b"old"))]);
        assert_eq!((slot.entries(b"b").count(), slot.last_sub_key()), (2, Some(&b"c"[..])));
    }
}
