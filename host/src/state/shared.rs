//! Broadcast states: the same in all subtasks, because each of them is given the events that write them. `KeyedState` asks
//! here on every call of such a state; the operator's task says which input a call is about.
//!
//! ```text
//! state PLACES + s, key ""     in the key group of the empty key: kept once, by the subtask that owns that group
//! ```
//!
//! Every subtask has the whole content in a [`KeyedState`] of its own over that one key group. At a barrier all of them have
//! had the same events of broadcast inputs, because barriers are aligned; so what the keeper hands over is what all have.
//!
//! Invariants:
//! 1. only a call with events of a broadcast input writes;
//! 2. an epoch's writes are handed over by the keeper alone, and folded in by everyone when the epoch is committed.

use super::{ColumnView, KeyedState, ScanRange, SealedEpoch, StateError, shown};
use crate::operator::descriptor::StateScope;
use std::ops::Range;
use tidemill_storage::Epoch;
use tidemill_storage::hash::{hash_key, key_group};
use tidemill_storage::state::StateView;

/// Where broadcast states lie.
const PLACES: u32 = 1 << 30;

/// See the module's words.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: KeyedState,
    /// Whether this subtask hands the writes over.
    keeps: bool,
    /// By input: whether it is broadcast.
    inputs: Vec<bool>,
    /// The call is one with events of a broadcast input.
    writes: bool,
}

/// The key groups of what all subtasks see.
pub(super) fn key_groups(max_parallelism: u32) -> Range<u32> {
    let group = key_group(hash_key(&[]), max_parallelism).0;
    group..group + 1
}

impl Shared {
    /// Ends the epoch; gives the writes where they are handed over here.
    pub(super) fn seal(&mut self, epoch: Epoch) -> Option<SealedEpoch> {
        self.state.seal_epoch(epoch).filter(|_| self.keeps)
    }
}

impl KeyedState {
    /// The key groups whose state a subtask needs for [`KeyedState::with_broadcast`].
    pub fn broadcast_key_groups(max_parallelism: u32) -> Range<u32> {
        key_groups(max_parallelism)
    }

    /// With the content of broadcast states. `view`: of [`KeyedState::broadcast_key_groups`]. `inputs`: which of the operator's
    /// are broadcast.
    #[must_use]
    pub fn with_broadcast(mut self, view: impl Into<StateView>, inputs: Vec<bool>) -> KeyedState {
        let groups = key_groups(self.max_parallelism);
        let keeps = self.key_groups.contains(&groups.start);
        let mut state = KeyedState::new(view, self.kinds.clone(), self.max_parallelism, groups);
        state.base = PLACES;
        self.shared = Some(Box::new(Shared { state, keeps, inputs, writes: false }));
        self
    }

    /// A call begins with events of this input, or without events: only broadcast ones may write broadcast state.
    pub fn begin_input(&mut self, input: Option<u32>) {
        if let Some(shared) = &mut self.shared {
            shared.writes = input.is_some_and(|input| shared.inputs.get(input as usize) == Some(&true));
        }
    }

    /// Whether another subtask does the same with the events of this input, and speaks for all: where there is broadcast
    /// state, the events of broadcast inputs have the same fate in all subtasks.
    pub fn another_speaks(&self, input: u32) -> bool {
        let copied = |shared: &Shared| !shared.keeps && shared.inputs.get(input as usize) == Some(&true);
        self.shared.as_ref().is_some_and(|shared| copied(shared))
    }

    /// The content of broadcast states.
    pub(super) fn shared(
        &mut self,
        call: &'static str,
        state: u32,
        keys: ColumnView<'_>,
    ) -> Result<&mut KeyedState, StateError> {
        check_no_keys(call, state, StateScope::Broadcast, keys)?;
        self.shared.as_mut().map(|shared| &mut shared.state).ok_or_else(missing)
    }

    /// The same, to write it.
    pub(super) fn shared_to_write(
        &mut self,
        call: &'static str,
        state: u32,
        keys: ColumnView<'_>,
    ) -> Result<&mut KeyedState, StateError> {
        if !self.shared.as_ref().is_some_and(|shared| shared.writes) {
            return Err(StateError::NotBroadcast { call, state });
        }
        self.shared(call, state, keys)
    }

    /// The same, to scan it.
    pub(super) fn shared_of_ranges(
        &mut self,
        state: u32,
        ranges: &[ScanRange<'_>],
    ) -> Result<&mut KeyedState, StateError> {
        ranges.iter().try_for_each(|range| check_no_key("scan", state, StateScope::Broadcast, range.key))?;
        self.shared.as_mut().map(|shared| &mut shared.state).ok_or_else(missing)
    }
}

/// Never: `with_states` makes it where a state is broadcast.
fn missing() -> StateError {
    StateError::Malformed("broadcast state was not loaded".into())
}

/// That a call of a state without keys gives none.
pub(super) fn check_no_keys(
    call: &'static str,
    state: u32,
    scope: StateScope,
    keys: ColumnView<'_>,
) -> Result<(), StateError> {
    keys.check("keys")?;
    match (0..keys.len()).find(|i| !keys.get(*i).is_empty()) {
        None => Ok(()),
        Some(i) => check_no_key(call, state, scope, keys.get(i)),
    }
}

pub(super) fn check_no_key(call: &'static str, state: u32, scope: StateScope, key: &[u8]) -> Result<(), StateError> {
    if key.is_empty() {
        return Ok(());
    }
    let scope = match scope {
        StateScope::Key => "key",
        StateScope::Operator => "operator",
        StateScope::Broadcast => "broadcast",
    };
    Err(StateError::NotKeyed { call, state, scope, key: shown(key) })
}
