//! Keyed state of one subtask: what an operator's calls read and write. Host functions and built-ins call it inside a
//! call; the operator's task commits or rolls back the call and seals epochs.
//!
//! ```text
//! reads go down     this epoch's overlay (the call's own writes included)   written by calls, undone by the undo log
//!        |          sealed overlays, newest first                           shared with the committing thread
//!        v          committed view                                          memory, and below it the runs (storage's docs/state.md)
//! ```
//!
//! Invariants:
//! 1. a level that cleared a key, or holds its value, hides everything below it;
//! 2. an epoch is folded into the view only when it is committed, and in epoch order: the view is always a checkpoint;
//! 3. every key that is read or written lies in the subtask's key groups: anything else is an error, never silent loss.
//!
//! States of other scopes than the key: `own.rs` (the subtask's own list), `shared.rs` (the same in all subtasks).

mod column_view;
mod error;
mod overlay;
mod own;
mod scan;
mod sealed;
mod shared;
mod timers;
pub mod ttl;

pub use column_view::{ColumnView, OptionalColumnView};
pub use error::StateError;
pub use overlay::EPOCH_BYTES_MAX;
pub use scan::{PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page, ScanRange};
pub use sealed::SealedEpoch;
pub use timers::CommittedTimer;

pub(crate) use error::shown;

use crate::operator::TimerOp;
use crate::operator::descriptor::{StateDescriptor, StateKind, StateScope};
use overlay::{Found, Overlay, UndoLog};
use own::Slots;
use shared::Shared;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use tidemill_storage::hash::{hash_key, key_group};
use tidemill_storage::state::{Memory, StateView, Unknown};
use tidemill_storage::{Epoch, EventTime, OptionalColumn};
use ttl::Expiry;

/// Keys whose slots are brought near together.
const WARM_KEYS: usize = 64;

/// Most bytes that one get gives back.
pub const RESULT_BYTES_MAX: usize = 256 << 20;

/// See the module's words. The default has no states and no key groups.
#[derive(Debug, Default)]
pub struct KeyedState {
    view: StateView,
    kinds: Vec<StateKind>,
    max_parallelism: u32,
    key_groups: Range<u32>,
    overlay: Overlay,
    undo: UndoLog,
    /// Oldest first.
    sealed: VecDeque<SealedEpoch>,
    call_bytes: usize,
    /// The room of an overlay that was folded in, for the next epoch.
    spare: Option<Overlay>,
    /// Room for the keys of a call or an epoch: h(key) and state.
    places: Vec<(u64, u32)>,
    /// Times to live.
    expiry: Expiry,
    /// Of the descriptor's states, in order.
    scopes: Vec<StateScope>,
    /// Where the places of the states begin.
    base: u32,
    /// Where the subtask's own lists lie.
    slots: Slots,
    /// Broadcast states.
    shared: Option<Box<Shared>>,
    /// Why a call could not read the store: not the operator's fault.
    store_failure: Option<tidemill_storage::Error>,
}

impl KeyedState {
    /// State on top of what recovery loaded for these key groups. `kinds`: of the descriptor's states, in order.
    pub fn new(
        view: impl Into<StateView>,
        kinds: Vec<StateKind>,
        max_parallelism: u32,
        key_groups: Range<u32>,
    ) -> KeyedState {
        KeyedState { view: view.into(), kinds, max_parallelism, key_groups, ..KeyedState::default() }
    }

    /// With the scopes and times to live that the descriptor's states have. Broadcast states are empty, and no input
    /// writes them, until [`KeyedState::with_broadcast`] says otherwise.
    #[must_use]
    pub fn with_states(mut self, states: &[StateDescriptor]) -> KeyedState {
        self.expiry = Expiry::new(states);
        self.scopes = states.iter().map(|state| state.scope).collect();
        if self.scopes.contains(&StateScope::Operator) {
            self.slots = Slots::new(&self.key_groups, self.max_parallelism);
        }
        if self.scopes.contains(&StateScope::Broadcast) {
            let memory = Memory::new(shared::key_groups(self.max_parallelism), self.max_parallelism);
            self = self.with_broadcast(memory, Vec::new());
        }
        self
    }

    /// A call begins: its clocks, and the keys and times that it is about, which stamp what it writes.
    pub fn begin_call<'a>(&mut self, watermark: EventTime, now_ms: i64, events: impl Iterator<Item = (&'a [u8], i64)>) {
        self.expiry.begin(watermark.0, now_ms, events);
    }

    /// Takes the timers that the call's writes need, so that what is over will be freed.
    pub fn take_expiry_timers(&mut self) -> Vec<TimerOp> {
        self.expiry.take_timers()
    }

    /// Committed entries only, as far as they are in memory.
    pub fn committed(&self) -> &Memory {
        self.view.memory()
    }

    /// Why the last call could not read the store, if that is so: the run cannot go on, whatever the operator says.
    pub fn take_store_failure(&mut self) -> Option<tidemill_storage::Error> {
        let shared = self.shared.as_mut().and_then(|shared| shared.state.take_store_failure());
        self.store_failure.take().or(shared)
    }

    /// Notes a failed read.
    fn read_failed(&mut self, error: tidemill_storage::Error) -> StateError {
        let told = StateError::Store(error.to_string());
        self.store_failure = Some(error);
        told
    }

    /// Value state, or map state with one sub-key per key: one result per key into `out`, which is emptied first.
    pub fn get(
        &mut self,
        state: u32,
        keys: ColumnView<'_>,
        subkeys: Option<ColumnView<'_>>,
        out: &mut OptionalColumn,
    ) -> Result<(), StateError> {
        out.clear();
        if self.scope(state) == StateScope::Broadcast {
            return self.shared("get", state, keys)?.get(state, keys, subkeys, out);
        }
        self.check_single("get", state, subkeys.is_some())?;
        check_keys(keys, subkeys)?;
        let (place, alive) = (self.place(state), self.expiry.alive(state));
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        for i in 0..keys.len() {
            places.push((self.locate(state, keys.get(i))?, place));
        }
        for i in 0..keys.len() {
            if i % WARM_KEYS == 0 {
                self.view.warm(&places[i..places.len().min(i + WARM_KEYS)]);
            }
            let (key, hash) = (keys.get(i), places[i].0);
            let sub_key = subkeys.map_or(&[][..], |subkeys| subkeys.get(i));
            let fetched;
            let value = match self.read(hash, place, key, sub_key) {
                Ok(value) => value,
                Err(Unknown) => {
                    fetched = self.view.fetch(hash, place, key, sub_key).map_err(|e| self.read_failed(e))?;
                    fetched.as_deref()
                }
            };
            let value = match &alive {
                Some(alive) => value.and_then(|stored| alive.value(stored)),
                None => value,
            };
            if out.data.len() + value.map_or(0, <[u8]>::len) > RESULT_BYTES_MAX {
                return Err(StateError::TooLarge(format!(
                    "get on state {state}: the results are over {} MiB; ask for fewer keys at once",
                    RESULT_BYTES_MAX >> 20
                )));
            }
            out.push(value);
        }
        self.places = places;
        if alive.is_some_and(|alive| alive.refresh) {
            for i in (0..keys.len()).filter(|i| out.get(*i).is_some()) {
                self.refresh(
                    state,
                    keys.get(i),
                    subkeys.map(|subkeys| subkeys.get(i)),
                    out.get(i).unwrap_or_default(),
                )?;
            }
        }
        Ok(())
    }

    /// Writes an entry again, so that it lasts longer.
    fn refresh(&mut self, state: u32, key: &[u8], sub_key: Option<&[u8]>, value: &[u8]) -> Result<(), StateError> {
        let hash = self.locate(state, key)?;
        let place = (hash, self.place(state), key);
        let stored = self.expiry.stamped(state, hash, key, value);
        match sub_key {
            None => self.overlay.put_value(&mut self.undo, place, Some(stored)),
            Some(sub_key) => self.overlay.put_sub(&mut self.undo, place, sub_key, Some(stored)),
        }
    }

    /// Value state, or map state with one sub-key per key: one value per key, absent = delete. Repeated keys in order.
    pub fn put(
        &mut self,
        state: u32,
        keys: ColumnView<'_>,
        subkeys: Option<ColumnView<'_>>,
        values: OptionalColumnView<'_>,
    ) -> Result<(), StateError> {
        if self.scope(state) == StateScope::Broadcast {
            return self.shared_to_write("put", state, keys)?.put(state, keys, subkeys, values);
        }
        self.check_single("put", state, subkeys.is_some())?;
        check_keys(keys, subkeys)?;
        values.check("values")?;
        check_lengths("values", values.len(), keys.len())?;
        for i in 0..keys.len() {
            let (key, value) = (keys.get(i), values.get(i));
            let hash = self.locate(state, key)?;
            let place = (hash, self.place(state), key);
            self.call_bytes += key.len() + value.map_or(0, <[u8]>::len);
            let value = value.map(|value| self.expiry.stamped(state, hash, key, value));
            match subkeys {
                None => self.overlay.put_value(&mut self.undo, place, value)?,
                Some(subkeys) => {
                    self.call_bytes += subkeys.get(i).len();
                    self.overlay.put_sub(&mut self.undo, place, subkeys.get(i), value)?;
                }
            }
        }
        Ok(())
    }

    /// List state: appends one value per key. Repeated keys in order.
    pub fn append(&mut self, state: u32, keys: ColumnView<'_>, values: ColumnView<'_>) -> Result<(), StateError> {
        if self.scope(state) == StateScope::Broadcast {
            return self.shared_to_write("append", state, keys)?.append(state, keys, values);
        }
        let kind = self.kind(state)?;
        if kind != StateKind::List {
            let mend = "only list states are appended to; use put, or declare the state as a list";
            return Err(StateError::WrongKind { call: "append", state, kind: kind_name(kind), mend });
        }
        keys.check("keys")?;
        values.check("values")?;
        check_lengths("values", values.len(), keys.len())?;
        if self.scope(state) == StateScope::Operator {
            return self.append_own(state, keys, values);
        }
        for i in 0..keys.len() {
            let (key, value) = (keys.get(i), values.get(i));
            let (hash, place) = (self.locate(state, key)?, self.place(state));
            let sequence = self.next_sequence(hash, place, key)?;
            self.call_bytes += key.len() + size_of_val(&sequence) + value.len();
            let value = self.expiry.stamped(state, hash, key, value);
            self.overlay.put_sub(&mut self.undo, (hash, place, key), &sequence.to_be_bytes(), Some(value))?;
        }
        Ok(())
    }

    /// Removes everything under these keys, whatever the kind.
    pub fn clear(&mut self, state: u32, keys: ColumnView<'_>) -> Result<(), StateError> {
        match self.scope(state) {
            StateScope::Key => {}
            StateScope::Operator => return self.clear_own(state, keys),
            StateScope::Broadcast => return self.shared_to_write("clear", state, keys)?.clear(state, keys),
        }
        self.kind(state)?;
        keys.check("keys")?;
        for i in 0..keys.len() {
            let key = keys.get(i);
            let hash = self.locate(state, key)?;
            self.call_bytes += key.len();
            let place = (hash, self.place(state), key);
            self.overlay.clear_key(&mut self.undo, place)?;
        }
        Ok(())
    }

    /// Keeps the writes of the current call.
    pub fn commit_call(&mut self) {
        self.undo.commit(&self.overlay);
        self.call_bytes = 0;
        if let Some(shared) = &mut self.shared {
            shared.state.commit_call();
        }
    }

    /// Drops the writes of the current call: everything is as after the last [`KeyedState::commit_call`].
    pub fn roll_back_call(&mut self) {
        self.undo.roll_back(&mut self.overlay);
        self.expiry.roll_back();
        self.slots.roll_back();
        self.call_bytes = 0;
        if let Some(shared) = &mut self.shared {
            shared.state.roll_back_call();
        }
    }

    /// Bytes of keys, sub-keys and values written by the current call.
    pub fn call_bytes(&self) -> usize {
        self.call_bytes + self.shared.as_ref().map_or(0, |shared| shared.state.call_bytes())
    }

    /// Ends the epoch: its writes stay readable and are handed out to be encoded. `None` when nothing was written. A
    /// barrier falls between calls, so what the last call wrote is kept.
    pub fn seal_epoch(&mut self, epoch: Epoch) -> Option<SealedEpoch> {
        let shared = self.shared.as_mut().and_then(|shared| shared.seal(epoch));
        SealedEpoch::with_shared(self.seal_own(epoch), shared)
    }

    fn seal_own(&mut self, epoch: Epoch) -> Option<SealedEpoch> {
        self.commit_call();
        if self.overlay.is_empty() {
            return None;
        }
        let overlay = std::mem::replace(&mut self.overlay, self.spare.take().unwrap_or_default());
        self.undo.commit(&self.overlay);
        let sealed =
            SealedEpoch { epoch, overlay: Arc::new(overlay), shared: None, max_parallelism: self.max_parallelism };
        self.sealed.push_back(sealed.clone());
        Some(sealed)
    }

    /// Folds sealed epochs up to this one into committed memory.
    pub fn epoch_committed(&mut self, epoch: Epoch) {
        while let Some(sealed) = self.sealed.pop_front_if(|sealed| sealed.epoch <= epoch) {
            let view = &mut self.view;
            let places = &mut self.places;
            places.clear();
            places.extend(sealed.overlay.places());
            for (n, some) in places.chunks(WARM_KEYS).enumerate() {
                view.warm(some);
                let first = n * WARM_KEYS;
                sealed.overlay.for_each_change_of(first..first + some.len(), |hash, state, key, sub_key, change| {
                    view.apply(sealed.epoch, hash, state, key, sub_key, change);
                });
            }
            self.spare = Arc::into_inner(sealed.overlay).and_then(Overlay::recycle).or(self.spare.take());
        }
        self.view.settle();
        if let Some(shared) = &mut self.shared {
            shared.state.epoch_committed(epoch);
        }
    }

    /// About how much memory the writes of epochs that are not committed yet take.
    pub fn uncommitted_bytes(&self) -> usize {
        let shared = self.shared.as_ref().map_or(0, |shared| shared.state.uncommitted_bytes());
        self.overlays().map(Overlay::bytes).sum::<usize>() + shared
    }

    /// Newest first.
    fn overlays(&self) -> impl Iterator<Item = &Overlay> {
        std::iter::once(&self.overlay).chain(self.sealed.iter().rev().map(|sealed| &*sealed.overlay))
    }

    #[inline]
    fn read(&self, hash: u64, state: u32, key: &[u8], sub_key: &[u8]) -> Result<Option<&[u8]>, Unknown> {
        for overlay in self.overlays() {
            match overlay.get(hash, state, key, sub_key) {
                Found::Value(value) => return Ok(Some(value)),
                Found::Gone => return Ok(None),
                Found::Below => {}
            }
        }
        self.view.look(hash, state, key, sub_key)
    }

    /// The greatest sub-key of a list that is visible.
    fn last_sub_key(&mut self, hash: u64, state: u32, key: &[u8]) -> Result<Option<Box<[u8]>>, StateError> {
        let mut last: Option<Box<[u8]>> = None;
        let mut hidden = false;
        for slot in self.overlays().filter_map(|overlay| overlay.find(hash, state, key)) {
            last = slot.last_sub_key().map(Box::from);
            hidden = slot.is_cleared();
            if last.is_some() || hidden {
                break;
            }
        }
        if last.is_none() && !hidden {
            last = self.view.last_sub_key(hash, state, key).map_err(|e| self.read_failed(e))?;
        }
        Ok(last)
    }

    /// The sequence number that a list's next value gets: one after the last that is visible.
    fn next_sequence(&mut self, hash: u64, state: u32, key: &[u8]) -> Result<u64, StateError> {
        let Some(last) = self.last_sub_key(hash, state, key)? else {
            return Ok(0);
        };
        (*last).try_into().ok().and_then(|last| u64::from_be_bytes(last).checked_add(1)).ok_or_else(|| {
            StateError::Malformed(format!(
                "append on state {state}: key {:?} holds entries that are not a list's; the state had another kind before, \
                 declare the list as a new state",
                shown(key)
            ))
        })
    }

    /// h(key), when the key is ours.
    #[inline]
    fn locate(&self, state: u32, key: &[u8]) -> Result<u64, StateError> {
        let hash = hash_key(key);
        let group = key_group(hash, self.max_parallelism);
        if !self.key_groups.contains(&group.0) {
            return Err(StateError::outside(state, key, group, &self.key_groups));
        }
        Ok(hash)
    }

    /// Where the entries of a state lie.
    fn place(&self, state: u32) -> u32 {
        self.base + self.expiry.place(state)
    }

    /// Whose a state is. What the descriptor does not have is refused where its kind is asked for.
    fn scope(&self, state: u32) -> StateScope {
        self.scopes.get(state as usize).copied().unwrap_or_default()
    }

    /// What is committed of one state and in memory: key, sub-key and value, as calls see them, in no order.
    pub fn committed_of(&self, state: u32) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
        let scope = self.scope(state);
        let (of, place) = match (scope, &self.shared) {
            (StateScope::Broadcast, Some(shared)) => (&shared.state, shared.state.place(state)),
            (StateScope::Operator, _) => (self, own::PLACES + state),
            _ => (self, self.place(state)),
        };
        // A value with a time to live comes after its stamp.
        let stamped = scope != StateScope::Operator && of.expiry.alive(state).is_some();
        let stamp = if stamped { ttl::STAMP_BYTES } else { 0 };
        let key_of = move |key| if scope.is_key() { key } else { &[][..] };
        let entries = of.view.memory().entries_of(place);
        entries.map(move |entry| (key_of(entry.key), entry.sub_key, entry.value.get(stamp..).unwrap_or_default()))
    }

    fn kind(&self, state: u32) -> Result<StateKind, StateError> {
        let declared = self.kinds.len();
        self.kinds.get(state as usize).copied().ok_or(StateError::Unknown { state, declared })
    }

    /// That get or put fits the state's kind.
    fn check_single(&self, call: &'static str, state: u32, has_subkeys: bool) -> Result<(), StateError> {
        let kind = self.kind(state)?;
        let mend = match (kind, has_subkeys) {
            (StateKind::Value, false) | (StateKind::Map, true) => return Ok(()),
            (StateKind::Value, true) => "it has one value per key; leave the sub-keys out",
            (StateKind::Map, false) => "give one sub-key per key",
            (StateKind::List, _) => "use append, scan and clear",
        };
        Err(StateError::WrongKind { call, state, kind: kind_name(kind), mend })
    }
}

fn kind_name(kind: StateKind) -> &'static str {
    match kind {
        StateKind::Value => "value",
        StateKind::Map => "map",
        StateKind::List => "list",
    }
}

fn check_keys(keys: ColumnView<'_>, subkeys: Option<ColumnView<'_>>) -> Result<(), StateError> {
    keys.check("keys")?;
    let Some(subkeys) = subkeys else {
        return Ok(());
    };
    subkeys.check("sub-keys")?;
    check_lengths("sub-keys", subkeys.len(), keys.len())
}

fn check_lengths(what: &str, length: usize, keys: usize) -> Result<(), StateError> {
    if length != keys {
        return Err(StateError::Malformed(format!("{keys} keys but {length} {what}: give one per key")));
    }
    Ok(())
}
