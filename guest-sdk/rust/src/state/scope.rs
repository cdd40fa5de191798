//! Whose a state is: each key's, the subtask's, or everybody's. The last type parameter of `Value`, `Map` and `List`, and how
//! these name their entries to the host.

use crate::call::Call;
use crate::column::ColumnsRef;
use crate::descriptor::StateScope;
use crate::error::Result;
use crate::keys::KeyIndex;
use std::cell::Ref;

/// Whose a state is.
pub trait Scope: 'static {
    /// As the descriptor says it.
    #[doc(hidden)]
    const SCOPE: StateScope;
}

/// Of which states may be values and maps.
pub trait WholeScope: Scope {}

/// Each key has its own.
#[derive(Clone, Copy, Debug)]
pub struct ByKey;

/// Each subtask has its own; lists only. Another number of subtasks divides the elements anew.
#[derive(Clone, Copy, Debug)]
pub struct PerSubtask;

/// All subtasks see the same, which the events of broadcast inputs write.
#[derive(Clone, Copy, Debug)]
pub struct Broadcast;

impl Scope for ByKey {
    const SCOPE: StateScope = StateScope::Key;
}

impl Scope for PerSubtask {
    const SCOPE: StateScope = StateScope::Operator;
}

impl Scope for Broadcast {
    const SCOPE: StateScope = StateScope::Broadcast;
}

impl WholeScope for ByKey {}
impl WholeScope for Broadcast {}

/// The keys under which a call's entries lie: those of its events, or the empty one alone.
pub(super) enum Keys<'a> {
    OfCall(Ref<'a, KeyIndex>),
    Empty,
}

/// The number of the key that a state means now, for `what` (the state, named in the error).
#[inline]
pub(super) fn current<S: Scope>(call: &Call, what: &str) -> Result<u32> {
    match S::SCOPE {
        StateScope::Key => call.current_key(what),
        StateScope::Operator | StateScope::Broadcast => Ok(0),
    }
}

impl<'a> Keys<'a> {
    #[inline]
    pub(super) fn of(scope: StateScope, call: &'a Call) -> Keys<'a> {
        match scope {
            StateScope::Key => Keys::OfCall(call.keys()),
            StateScope::Operator | StateScope::Broadcast => Keys::Empty,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Keys::OfCall(keys) => keys.len(),
            Keys::Empty => 1,
        }
    }

    pub(super) fn key(&self, id: u32) -> &[u8] {
        match self {
            Keys::OfCall(keys) => keys.key(id),
            Keys::Empty => &[],
        }
    }

    pub(super) fn all(&self) -> ColumnsRef<'_> {
        match self {
            Keys::OfCall(keys) => keys.all(),
            Keys::Empty => ColumnsRef { data: &[], ends: &[0; 4] },
        }
    }
}
