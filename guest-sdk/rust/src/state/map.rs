//! Map state: sub-keys with values, in order, per key. Each entry is read when first needed; a cleared key is known to
//! be empty and asks the host nothing more.

use super::scope::{ByKey, Keys, Scope, WholeScope, current};
use super::slots::Slots;
use super::{cannot_decode, cannot_encode};
use crate::call::{Call, Part};
use crate::codec::{Codec, Postcard, SubKey};
use crate::column::{Columns, OptionalColumns};
use crate::declare::{Field, Opening};
use crate::descriptor::{Descriptor, State, StateKind, StateScope};
use crate::error::Result;
use crate::host::ScanRange;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

/// Any number of `V` by `K` for the current key, or whatever else the scope `S` says.
pub struct Map<K, V, C = Postcard, S = ByKey> {
    call: Rc<Call>,
    part: Rc<MapPart>,
    name: String,
    marker: PhantomData<(K, V, C, S)>,
}

struct MapPart {
    state: u32,
    scope: StateScope,
    cache: RefCell<Cache>,
}

/// What the call knows of one key: its entries' slots, and whether the host's are to be thrown away.
#[derive(Default)]
struct KeyEntries {
    cleared: bool,
    slots: BTreeMap<Vec<u8>, u32>,
}

#[derive(Default)]
struct Cache {
    keys: Vec<KeyEntries>,
    slots: Slots,
    /// What keys were before the event in progress cleared them.
    undo: Vec<(u32, KeyEntries)>,
    sub_key: Vec<u8>,
}

impl Cache {
    /// The slot of an entry, made if need be.
    fn slot(&mut self, key: u32) -> u32 {
        let entries = &mut self.keys[key as usize];
        if let Some(id) = entries.slots.get(&self.sub_key) {
            return *id;
        }
        let id = self.slots.len() as u32;
        self.slots.resize(id as usize + 1);
        if entries.cleared {
            self.slots.fill(id, None);
        }
        entries.slots.insert(self.sub_key.clone(), id);
        id
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.slots.clear();
        self.undo.clear();
    }
}

impl<K: SubKey, V, C: Codec<V>, S: Scope> Map<K, V, C, S> {
    /// The value of a sub-key, if there is one.
    pub fn get(&self, sub_key: &K) -> Result<Option<V>> {
        let (key, id) = self.slot(sub_key)?;
        let mut cache = self.part.cache.borrow_mut();
        if cache.slots.get(id).is_none() {
            let (mut keys, mut sub_keys) = (Columns::default(), Columns::default());
            keys.push(Keys::of(S::SCOPE, &self.call).key(key));
            sub_keys.push(&cache.sub_key);
            let values = self.call.host().get(self.part.state, keys.view(), Some(sub_keys.view()));
            cache.slots.fill(id, values.view().get(0));
        }
        match cache.slots.get(id).flatten() {
            None => Ok(None),
            Some(bytes) => C::decode(bytes).map(Some).map_err(|e| cannot_decode(&self.name, e)),
        }
    }

    /// Sets the value of a sub-key.
    pub fn insert(&self, sub_key: &K, value: &V) -> Result<()> {
        let (_, id) = self.slot(sub_key)?;
        let mut cache = self.part.cache.borrow_mut();
        cache.slots.set(id, |arena| C::encode(value, arena)).map_err(|e| cannot_encode(&self.name, e))
    }

    /// Removes a sub-key.
    pub fn remove(&self, sub_key: &K) -> Result<()> {
        let (_, id) = self.slot(sub_key)?;
        self.part.cache.borrow_mut().slots.delete(id);
        Ok(())
    }

    /// Removes a sub-key and gives its value back.
    pub fn take(&self, sub_key: &K) -> Result<Option<V>> {
        let value = self.get(sub_key)?;
        if value.is_some() {
            self.remove(sub_key)?;
        }
        Ok(value)
    }

    /// Replaces the value of a sub-key (or `V`'s default) by what `change` makes of it, and gives that back.
    pub fn update(&self, sub_key: &K, change: impl FnOnce(V) -> V) -> Result<V>
    where
        V: Default,
    {
        let new = change(self.get(sub_key)?.unwrap_or_default());
        self.insert(sub_key, &new)?;
        Ok(new)
    }

    /// Removes every entry of the current key.
    pub fn clear(&self) -> Result<()> {
        let key = self.key()?;
        let cache = &mut *self.part.cache.borrow_mut();
        let emptied = KeyEntries { cleared: true, slots: BTreeMap::new() };
        let old = std::mem::replace(&mut cache.keys[key as usize], emptied);
        cache.undo.push((key, old));
        Ok(())
    }

    /// All entries, in order of their sub-keys.
    pub fn entries(&self) -> Result<Vec<(K, V)>> {
        self.scan(None, None, usize::MAX)
    }

    /// The entries of a range of sub-keys, in order.
    pub fn range(&self, range: impl RangeBounds<K>) -> Result<Vec<(K, V)>> {
        let (start, end) = bounds(range);
        self.scan(start, end, usize::MAX)
    }

    /// The first `limit` entries of a range of sub-keys, in order.
    pub fn first(&self, range: impl RangeBounds<K>, limit: usize) -> Result<Vec<(K, V)>> {
        let (start, end) = bounds(range);
        self.scan(start, end, limit)
    }

    fn scan(&self, start: Option<Vec<u8>>, end: Option<Vec<u8>>, limit: usize) -> Result<Vec<(K, V)>> {
        let key = self.key()?;
        let cache = self.part.cache.borrow();
        let entries = &cache.keys[key as usize];
        let within = |sub: &[u8]| {
            start.as_deref().is_none_or(|start| start <= sub) && end.as_deref().is_none_or(|end| sub < end)
        };
        // What the call knows better than the host, in order.
        let mut written = entries
            .slots
            .iter()
            .filter(|(sub, id)| within(sub) && cache.slots.is_dirty(**id))
            .map(|(sub, id)| (sub.as_slice(), cache.slots.get(*id).flatten()))
            .peekable();
        let mut out = Vec::new();
        let mut take = |sub: &[u8], bytes: Option<&[u8]>| -> Result<bool> {
            let Some(bytes) = bytes else { return Ok(out.len() < limit) };
            if out.len() >= limit {
                return Ok(false);
            }
            let sub = K::decode(sub).ok_or_else(|| cannot_decode(&self.name, "a sub-key of another type"))?;
            out.push((sub, C::decode(bytes).map_err(|e| cannot_decode(&self.name, e))?));
            Ok(out.len() < limit)
        };
        let ranges = [ScanRange {
            key: Keys::of(S::SCOPE, &self.call).key(key).to_vec(),
            start: start.clone(),
            end: end.clone(),
        }];
        let mut cursor: Option<Vec<u8>> = None;
        let mut more = !entries.cleared && limit > 0;
        while more {
            let want = if limit < 1_024 { limit as u32 } else { 0 };
            let page = self.call.host().scan(self.part.state, &ranges, want, cursor.as_deref());
            let (subs, values) = (page.subkeys.view(), page.values.view());
            for i in 0..subs.len() {
                let sub = subs.get(i);
                while let Some((written_sub, bytes)) = written.next_if(|(w, _)| *w < sub) {
                    if !take(written_sub, bytes)? {
                        return Ok(out);
                    }
                }
                let bytes = match written.next_if(|(w, _)| *w == sub) {
                    Some((_, bytes)) => bytes,
                    None => Some(values.get(i)),
                };
                if !take(sub, bytes)? {
                    return Ok(out);
                }
            }
            cursor = page.cursor;
            more = cursor.is_some();
        }
        for (sub, bytes) in written {
            if !take(sub, bytes)? {
                break;
            }
        }
        Ok(out)
    }

    fn key(&self) -> Result<u32> {
        let key = current::<S>(&self.call, &self.name)?;
        let mut cache = self.part.cache.borrow_mut();
        if cache.keys.is_empty() {
            cache.keys.resize_with(Keys::of(S::SCOPE, &self.call).len(), KeyEntries::default);
        }
        Ok(key)
    }

    fn slot(&self, sub_key: &K) -> Result<(u32, u32)> {
        let key = self.key()?;
        let mut cache = self.part.cache.borrow_mut();
        cache.sub_key.clear();
        sub_key.encode(&mut cache.sub_key);
        let id = cache.slot(key);
        Ok((key, id))
    }
}

/// Start and end of a range as bytes: the byte string right after x is x followed by a zero.
fn bounds<K: SubKey>(range: impl RangeBounds<K>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let bytes = |key: &K, after: bool| {
        let mut bytes = Vec::new();
        key.encode(&mut bytes);
        if after {
            bytes.push(0);
        }
        Some(bytes)
    };
    let start = match range.start_bound() {
        Bound::Unbounded => None,
        Bound::Included(key) => bytes(key, false),
        Bound::Excluded(key) => bytes(key, true),
    };
    let end = match range.end_bound() {
        Bound::Unbounded => None,
        Bound::Included(key) => bytes(key, true),
        Bound::Excluded(key) => bytes(key, false),
    };
    (start, end)
}

impl Part for MapPart {
    fn undo_event(&self) {
        let cache = &mut *self.cache.borrow_mut();
        while let Some((key, old)) = cache.undo.pop() {
            cache.keys[key as usize] = old;
        }
        cache.slots.undo_event();
    }

    fn keep_event(&self, _call: &Call) {
        let cache = &mut *self.cache.borrow_mut();
        cache.undo.clear();
        cache.slots.keep_event();
    }

    fn write_back(&self, call: &Call) {
        let cache = &mut *self.cache.borrow_mut();
        if !cache.keys.is_empty() {
            let all = Keys::of(self.scope, call);
            let (mut cleared, mut keys, mut sub_keys) = (Columns::default(), Columns::default(), Columns::default());
            let mut values = OptionalColumns::default();
            for (id, entries) in cache.keys.iter().enumerate() {
                if entries.cleared {
                    cleared.push(all.key(id as u32));
                }
                for (sub, slot) in entries.slots.iter().filter(|(_, slot)| cache.slots.is_dirty(**slot)) {
                    keys.push(all.key(id as u32));
                    sub_keys.push(sub);
                    values.push(cache.slots.get(*slot).flatten());
                }
            }
            if !cleared.is_empty() {
                call.host().clear(self.state, cleared.view());
            }
            if !keys.is_empty() {
                call.host().put(self.state, keys.view(), Some(sub_keys.view()), values.view());
            }
        }
        cache.clear();
    }

    fn drop_call(&self) {
        self.cache.borrow_mut().clear();
    }
}

impl<K: SubKey, V, C: Codec<V>, S: WholeScope> Field for Map<K, V, C, S> {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        descriptor.states.push(State::new(name, StateKind::Map, S::SCOPE));
    }

    fn open(name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        let state = opening.take(|next| &mut next.states);
        let part = opening.part(MapPart { state, scope: S::SCOPE, cache: RefCell::default() });
        Ok(Map { call: opening.call.clone(), part, name: name.to_string(), marker: PhantomData })
    }
}
