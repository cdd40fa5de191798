//! Value state: one value per key. The first read in a call fetches it for every key of the batch at once.

use super::scope::{ByKey, Keys, Scope, WholeScope, current};
use super::slots::Slots;
use super::{cannot_decode, cannot_encode};
use crate::call::{Call, Part};
use crate::codec::{Codec, Postcard};
use crate::column::{Columns, OptionalColumns};
use crate::declare::{Field, Opening};
use crate::descriptor::{Descriptor, State, StateKind, StateScope};
use crate::error::Result;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

/// One `T` for the current key, or whatever else the scope `S` says.
pub struct Value<T, C = Postcard, S = ByKey> {
    call: Rc<Call>,
    part: Rc<ValuePart>,
    name: String,
    marker: PhantomData<(T, C, S)>,
}

struct ValuePart {
    state: u32,
    scope: StateScope,
    slots: RefCell<Slots>,
    /// What goes to the host, built once per call in memory that is used again.
    written: RefCell<(Columns, OptionalColumns)>,
}

impl ValuePart {
    /// Reads every key of the call that is not known yet.
    #[cold]
    fn fetch(&self, call: &Call, slots: &mut Slots) {
        let all = Keys::of(self.scope, call);
        if slots.is_untouched() {
            return slots.adopt(call.host().get(self.state, all.all(), None));
        }
        let unknown: Vec<u32> = (0..all.len() as u32).filter(|id| slots.get(*id).is_none()).collect();
        let mut keys = Columns::default();
        unknown.iter().for_each(|id| keys.push(all.key(*id)));
        let values = call.host().get(self.state, keys.view(), None);
        let values = values.view();
        for (i, id) in unknown.iter().enumerate() {
            slots.fill(*id, values.get(i));
        }
    }
}

impl<T, C: Codec<T>, S: Scope> Value<T, C, S> {
    /// The value, if there is one.
    #[inline]
    pub fn get(&self) -> Result<Option<T>> {
        let id = self.slot()?;
        let mut slots = self.part.slots.borrow_mut();
        if slots.get(id).is_none() {
            self.part.fetch(&self.call, &mut slots);
        }
        match slots.get(id).flatten() {
            None => Ok(None),
            Some(bytes) => C::decode(bytes).map(Some).map_err(|e| cannot_decode(&self.name, e)),
        }
    }

    /// Sets the value.
    #[inline]
    pub fn set(&self, value: &T) -> Result<()> {
        let id = self.slot()?;
        let mut slots = self.part.slots.borrow_mut();
        slots.set(id, |arena| C::encode(value, arena)).map_err(|e| cannot_encode(&self.name, e))
    }

    /// Removes the value.
    pub fn clear(&self) -> Result<()> {
        let id = self.slot()?;
        self.part.slots.borrow_mut().delete(id);
        Ok(())
    }

    /// Removes the value and gives it back.
    pub fn take(&self) -> Result<Option<T>> {
        let value = self.get()?;
        if value.is_some() {
            self.clear()?;
        }
        Ok(value)
    }

    /// The value, or `T`'s default.
    pub fn get_or_default(&self) -> Result<T>
    where
        T: Default,
    {
        Ok(self.get()?.unwrap_or_default())
    }

    /// Replaces the value (or `T`'s default) by what `change` makes of it, and gives that back.
    pub fn update(&self, change: impl FnOnce(T) -> T) -> Result<T>
    where
        T: Default,
    {
        let new = change(self.get_or_default()?);
        self.set(&new)?;
        Ok(new)
    }

    #[inline]
    fn slot(&self) -> Result<u32> {
        let id = current::<S>(&self.call, &self.name)?;
        let mut slots = self.part.slots.borrow_mut();
        if slots.len() == 0 {
            slots.resize(Keys::of(S::SCOPE, &self.call).len());
        }
        Ok(id)
    }
}

impl Part for ValuePart {
    fn undo_event(&self) {
        self.slots.borrow_mut().undo_event();
    }

    fn keep_event(&self, _call: &Call) {
        self.slots.borrow_mut().keep_event();
    }

    fn write_back(&self, call: &Call) {
        let mut slots = self.slots.borrow_mut();
        let (keys, values) = &mut *self.written.borrow_mut();
        let dirty = (0..slots.len() as u32).filter(|id| slots.is_dirty(*id));
        dirty.clone().for_each(|id| values.push(slots.get(id).flatten()));
        if !values.is_empty() {
            let all = Keys::of(self.scope, call);
            let changed = if values.len() == slots.len() {
                all.all()
            } else {
                dirty.for_each(|id| keys.push(all.key(id)));
                keys.view()
            };
            call.host().put(self.state, changed, None, values.view());
        }
        keys.clear();
        values.clear();
        slots.clear();
    }

    fn drop_call(&self) {
        self.slots.borrow_mut().clear();
    }
}

impl<T, C: Codec<T>, S: WholeScope> Field for Value<T, C, S> {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        descriptor.states.push(State::new(name, StateKind::Value, S::SCOPE));
    }

    fn open(name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        let state = opening.take(|next| &mut next.states);
        let part =
            opening.part(ValuePart { state, scope: S::SCOPE, slots: RefCell::default(), written: RefCell::default() });
        Ok(Value { call: opening.call.clone(), part, name: name.to_string(), marker: PhantomData })
    }
}
