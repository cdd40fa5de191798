//! What a guest may call, one file per interface of wit/, over the call's `Context`. wasmtime calls them while
//! `instance.rs` is inside a guest call; an error of theirs is a trap of that call.
//!
//! Invariants:
//! 1. Each checks everything it is given (index, columns, times, quota) before it changes anything.
//! 2. `describe` may call `log` alone; `open` may not leave effects: an instance may be replaced between any two calls,
//!    and what `open` wrote would be written again.

mod context;
mod log;
mod metrics;
mod output;
mod state;
mod timers;

use super::bindings::wit;
use super::limits::{CallBudget, MemoryLimiter};
use crate::operator::{Context, Descriptor};
use std::sync::Arc;
use tidemill_storage::OptionalColumn;

/// What a store holds: everything host functions work on.
pub(super) struct HostState {
    /// The call's context, swapped in for the time of the call.
    pub(super) context: Context,
    pub(super) descriptor: Arc<Descriptor>,
    pub(super) phase: Phase,
    pub(super) memory: MemoryLimiter,
    pub(super) budget: CallBudget,
    /// Scratch of `state.get`.
    found: OptionalColumn,
}

/// Which kind of call is under way: it decides what may be called back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// `describe` or the component's own initialisation.
    Describe,
    /// `open`.
    Open,
    /// Every other call.
    Run,
}

/// A host function's no; the message names the function, the thing and the mend.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) String);

/// An answer that may be a refusal.
type Answer<T> = Result<T, String>;

/// Puts the function's name in front of a refusal and makes it wasmtime's.
fn answer<T>(function: &str, result: Answer<T>) -> wasmtime::Result<T> {
    result.map_err(|why| wasmtime::Error::new(Refusal(format!("{function}: {why}"))))
}

/// The interface has shapes and no functions.
impl wit::types::Host for HostState {}

impl HostState {
    pub(super) fn new(descriptor: Arc<Descriptor>, memory: MemoryLimiter, budget: CallBudget) -> HostState {
        HostState {
            context: Context::default(),
            descriptor,
            phase: Phase::Describe,
            memory,
            budget,
            found: OptionalColumn::default(),
        }
    }

    /// For calls that change something or depend on state.
    fn needs_run(&self) -> Answer<()> {
        match self.phase {
            Phase::Run => Ok(()),
            Phase::Open => Err("not in open, which may be called again at any time; do it in process".into()),
            Phase::Describe => Err("not in describe or at start-up, which may call log and nothing else".into()),
        }
    }

    /// For calls that want to know where they run.
    fn needs_instance(&self) -> Answer<()> {
        match self.phase {
            Phase::Run | Phase::Open => Ok(()),
            Phase::Describe => Err("not in describe or at start-up, which may call log and nothing else".into()),
        }
    }
}

/// The entry of a descriptor's list that an index names.
fn entry<'a, T>(list: &'a [T], what: &str, index: u32) -> Answer<&'a T> {
    list.get(index as usize).ok_or_else(|| {
        format!("there is no {what} {index}; the descriptor declares {} of them, counted from 0", list.len())
    })
}
