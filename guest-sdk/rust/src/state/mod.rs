//! State as fields. Every kind is a write-back cache of one call: read from the host when first needed, in one
//! request for all keys of the batch where the keys are known, and written once when the call ends.
//!
//! `slots` is the cache that `value` and `map` share; `list` keeps appends; `folding` puts reducing and aggregating state
//! over value state. Scans merge what the host has with what this call wrote, so nothing is written early and undoing an
//! event never reaches the host. `scope` says whose a state is: a key's ([`Value`], [`Map`], [`List`]), the subtask's
//! ([`OperatorList`]) or everybody's ([`BroadcastMap`], [`BroadcastValue`], [`BroadcastList`]).

mod folding;
mod list;
mod map;
mod scope;
mod slots;
mod value;

pub use folding::{Aggregate, Aggregating, Max, Min, Reduce, Reducing, Sum};
pub use list::List;
pub use map::Map;
pub use scope::{Broadcast, ByKey, PerSubtask, Scope, WholeScope};
pub use value::Value;

use crate::codec::Postcard;
use crate::error::Error;

/// A map that all subtasks see alike. Only events of a broadcast input may write it, and what they write must follow from them
/// and from broadcast state alone: every subtask does the same. It may be read anywhere, without a key.
pub type BroadcastMap<K, V, C = Postcard> = Map<K, V, C, Broadcast>;

/// A value that all subtasks see alike, under the rules of [`BroadcastMap`].
pub type BroadcastValue<T, C = Postcard> = Value<T, C, Broadcast>;

/// A list that all subtasks see alike, under the rules of [`BroadcastMap`].
pub type BroadcastList<T, C = Postcard> = List<T, C, Broadcast>;

/// A list of the subtask's own, whatever the key; it needs none, so it works in `on_watermark` and `close`, too. When the
/// parallelism changes, the elements of all lists are divided among the new subtasks.
pub type OperatorList<T, C = Postcard> = List<T, C, PerSubtask>;

/// Stored bytes that are no `T` are never an event's fault: the operator changed, or the codec did.
fn cannot_decode(state: &str, why: impl std::fmt::Display) -> Error {
    Error::fatal(format!(
        "state `{state}`: what is stored cannot be read as the declared type: {why}; rename the state to start it empty, or \
         go back to the version of the operator that wrote it"
    ))
}

fn cannot_encode(state: &str, why: impl std::fmt::Display) -> Error {
    Error::fatal(format!("state `{state}`: the value cannot be encoded: {why}"))
}
