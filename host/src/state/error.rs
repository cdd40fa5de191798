//! What is wrong with a state call. Host functions turn it into a trap of the guest; built-in operators into a failure.

use std::ops::Range;
use tidemill_storage::KeyGroup;

/// Longest part of a key that a message shows, in bytes.
const SHOWN_KEY_BYTES: usize = 64;

/// A state call that cannot be served. The caller drops every effect of the operator's call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The index is beyond the descriptor's states.
    #[error(
        "state {state} is not declared: the descriptor declares {declared} states, counted from 0; declare it in describe"
    )]
    Unknown {
        /// The index.
        state: u32,
        /// How many there are.
        declared: usize,
    },
    /// The state is of another kind than the call is for.
    #[error("{call} on state {state}, which is a {kind} state: {mend}")]
    WrongKind {
        /// The call.
        call: &'static str,
        /// The state's index.
        state: u32,
        /// Its kind.
        kind: &'static str,
        /// What to do instead.
        mend: &'static str,
    },
    /// The key is another subtask's.
    #[error(
        "state {state}: key {key:?} belongs to key group {group}, but this subtask owns key groups {owned:?}; use only \
         keys of the call's own events or timers, or key the input by it"
    )]
    OutsideKeyGroups {
        /// The state's index, or a reserved state of timers.
        state: u32,
        /// The key, lossily and shortened.
        key: String,
        /// Its group.
        group: KeyGroup,
        /// The subtask's groups.
        owned: Range<u32>,
    },
    /// A key for a state that has none.
    #[error(
        "{call} on state {state} with key {key:?}: its scope is {scope}, so it has no keys of its own; call with the empty \
         key, or declare the state with scope key"
    )]
    NotKeyed {
        /// The call.
        call: &'static str,
        /// The state's index.
        state: u32,
        /// Its scope.
        scope: &'static str,
        /// The key, lossily and shortened.
        key: String,
    },
    /// A broadcast state is written where the other subtasks do not do the same.
    #[error(
        "{call} on state {state}: it is broadcast, so only a call with events of a broadcast input may write it: every \
         subtask has those, and the state must be the same in all. Write it there, or give the input edge = \
         \"broadcast\" in the pipeline file"
    )]
    NotBroadcast {
        /// The call.
        call: &'static str,
        /// The state's index.
        state: u32,
    },
    /// Columns, cursor or times that are not what they should be.
    #[error("{0}")]
    Malformed(String),
    /// The store could not be read; [`super::KeyedState::take_store_failure`] has the error.
    #[error("{0}")]
    Store(String),
    /// Beyond a limit.
    #[error("{0}")]
    TooLarge(String),
}

impl StateError {
    pub(super) fn outside(state: u32, key: &[u8], group: KeyGroup, owned: &Range<u32>) -> StateError {
        StateError::OutsideKeyGroups { state, key: shown(key), group, owned: owned.clone() }
    }
}

/// A key for people: lossy and shortened.
pub(crate) fn shown(key: &[u8]) -> String {
    match key.get(..SHOWN_KEY_BYTES) {
        Some(start) if key.len() > SHOWN_KEY_BYTES => format!("{}...", String::from_utf8_lossy(start)),
        _ => String::from_utf8_lossy(key).into_owned(),
    }
}
