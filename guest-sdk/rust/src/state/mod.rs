//! Keyed state as fields. Every kind is a write-back cache of one call: read from the host when first needed, in one
//! request for all keys of the batch where the keys are known, and written once when the call ends.
//!
//! `slots` is the cache that `value` and `map` share; `list` keeps appends; `folding` puts reducing and aggregating state
//! over value state. Scans merge what the host has with what this call wrote, so nothing is written early and undoing an
//! event never reaches the host.

mod folding;
mod list;
mod map;
mod slots;
mod value;

pub use folding::{Aggregate, Aggregating, Max, Min, Reduce, Reducing, Sum};
pub use list::List;
pub use map::Map;
pub use value::Value;

use crate::error::Error;

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
