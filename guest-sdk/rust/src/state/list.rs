//! List state: values appended per key. Appends of a call are sent in one request; reading puts them after what the
//! host has.

use super::scope::{ByKey, Keys, Scope, current};
use super::{cannot_decode, cannot_encode};
use crate::call::{Call, Part};
use crate::codec::{Codec, Postcard};
use crate::column::Columns;
use crate::declare::{Field, Opening};
use crate::descriptor::{Descriptor, State, StateKind, StateScope};
use crate::error::Result;
use crate::host::ScanRange;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

/// A list of `T` for the current key, or whatever else the scope `S` says.
pub struct List<T, C = Postcard, S = ByKey> {
    call: Rc<Call>,
    part: Rc<ListPart>,
    name: String,
    marker: PhantomData<(T, C, S)>,
}

struct ListPart {
    state: u32,
    scope: StateScope,
    cache: RefCell<Cache>,
}

#[derive(Default)]
struct KeyList {
    cleared: bool,
    /// Encoded values appended in this call.
    appended: Columns,
    /// The host's values, once read.
    stored: Option<Rc<Vec<Columns>>>,
}

enum Undo {
    Append { key: u32, data: usize, ends: usize },
    Clear { key: u32, old: KeyList },
}

#[derive(Default)]
struct Cache {
    keys: Vec<KeyList>,
    undo: Vec<Undo>,
}

impl<T, C: Codec<T>, S: Scope> List<T, C, S> {
    /// Appends a value.
    pub fn push(&self, value: &T) -> Result<()> {
        let key = self.key()?;
        let cache = &mut *self.part.cache.borrow_mut();
        let appended = &mut cache.keys[key as usize].appended;
        let (data, ends) = (appended.data.len(), appended.ends.len());
        if let Err(e) = C::encode(value, &mut appended.data) {
            appended.data.truncate(data);
            return Err(cannot_encode(&self.name, e));
        }
        crate::column::push_u32(&mut appended.ends, appended.data.len() as u32);
        cache.undo.push(Undo::Append { key, data, ends });
        Ok(())
    }

    /// All values, in the order in which they were appended.
    pub fn get(&self) -> Result<Vec<T>> {
        let key = self.key()?;
        let cache = &mut *self.part.cache.borrow_mut();
        let list = &mut cache.keys[key as usize];
        if list.stored.is_none() && !list.cleared {
            list.stored = Some(Rc::new(self.part.fetch(&self.call, key)));
        }
        let stored = list.stored.iter().flat_map(|pages| pages.iter()).map(Columns::view);
        let mut out = Vec::new();
        for page in stored.chain([list.appended.view()]) {
            for i in 0..page.len() {
                out.push(C::decode(page.get(i)).map_err(|e| cannot_decode(&self.name, e))?);
            }
        }
        Ok(out)
    }

    /// Removes all values.
    pub fn clear(&self) -> Result<()> {
        let key = self.key()?;
        let cache = &mut *self.part.cache.borrow_mut();
        let emptied = KeyList { cleared: true, ..KeyList::default() };
        let old = std::mem::replace(&mut cache.keys[key as usize], emptied);
        cache.undo.push(Undo::Clear { key, old });
        Ok(())
    }

    /// Removes all values and gives them back.
    pub fn take(&self) -> Result<Vec<T>> {
        let values = self.get()?;
        self.clear()?;
        Ok(values)
    }

    /// Replaces all values.
    pub fn set(&self, values: &[T]) -> Result<()> {
        self.clear()?;
        values.iter().try_for_each(|value| self.push(value))
    }

    fn key(&self) -> Result<u32> {
        let key = current::<S>(&self.call, &self.name)?;
        let mut cache = self.part.cache.borrow_mut();
        if cache.keys.is_empty() {
            cache.keys.resize_with(Keys::of(S::SCOPE, &self.call).len(), KeyList::default);
        }
        Ok(key)
    }
}

impl ListPart {
    fn fetch(&self, call: &Call, key: u32) -> Vec<Columns> {
        let ranges = [ScanRange { key: Keys::of(self.scope, call).key(key).to_vec(), start: None, end: None }];
        let mut pages = Vec::new();
        let mut cursor: Option<Vec<u8>> = None;
        loop {
            let page = call.host().scan(self.state, &ranges, 0, cursor.as_deref());
            pages.push(page.values);
            cursor = page.cursor;
            if cursor.is_none() {
                return pages;
            }
        }
    }
}

impl Part for ListPart {
    fn undo_event(&self) {
        let cache = &mut *self.cache.borrow_mut();
        while let Some(undo) = cache.undo.pop() {
            match undo {
                Undo::Append { key, data, ends } => {
                    let appended = &mut cache.keys[key as usize].appended;
                    appended.data.truncate(data);
                    appended.ends.truncate(ends);
                }
                Undo::Clear { key, old } => cache.keys[key as usize] = old,
            }
        }
    }

    fn keep_event(&self, _call: &Call) {
        self.cache.borrow_mut().undo.clear();
    }

    fn write_back(&self, call: &Call) {
        let cache = &mut *self.cache.borrow_mut();
        if !cache.keys.is_empty() {
            let all = Keys::of(self.scope, call);
            let (mut cleared, mut keys, mut values) = (Columns::default(), Columns::default(), Columns::default());
            for (id, list) in cache.keys.iter().enumerate() {
                if list.cleared {
                    cleared.push(all.key(id as u32));
                }
                let appended = list.appended.view();
                for i in 0..appended.len() {
                    keys.push(all.key(id as u32));
                    values.push(appended.get(i));
                }
            }
            if !cleared.is_empty() {
                call.host().clear(self.state, cleared.view());
            }
            if !keys.is_empty() {
                call.host().append(self.state, keys.view(), values.view());
            }
        }
        cache.keys.clear();
        cache.undo.clear();
    }

    fn drop_call(&self) {
        let cache = &mut *self.cache.borrow_mut();
        cache.keys.clear();
        cache.undo.clear();
    }
}

impl<T, C: Codec<T>, S: Scope> Field for List<T, C, S> {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        descriptor.states.push(State::new(name, StateKind::List, S::SCOPE));
    }

    fn open(name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        let state = opening.take(|next| &mut next.states);
        let part = opening.part(ListPart { state, scope: S::SCOPE, cache: RefCell::default() });
        Ok(List { call: opening.call.clone(), part, name: name.to_string(), marker: PhantomData })
    }
}
