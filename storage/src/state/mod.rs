//! Keyed state on disk and in committed memory. The host's epochs feed deltas in; recovery takes a [`Memory`] out.
//!
//! Map: an epoch's changes become one sorted blob ([`DeltaBuilder`], [`Delta`]); blobs fold into one with [`merge()`], and
//! into sorted files with `run/`; [`Memory`] is what blobs applied oldest first add up to, for one range of key groups;
//! [`StateView`] is memory on top of the runs (docs/state.md).
//!
//! Order everywhere: (state, key group, key, sub-key). A value state has one empty sub-key, a map its own, a list u64
//! sequence numbers (big-endian), timers see [`crate::timer`].

pub(crate) mod delta;
mod memory;
pub(crate) mod merge;
pub(crate) mod run;
mod slot;
mod view;

pub use delta::{Change, Delta, DeltaBuilder, Entries, Entry};
pub use memory::{Committed, Memory};
pub use merge::merge;
pub(crate) use view::{RunCell, StateBudget};
pub use view::{StateView, Unknown};

/// The hash that tables keyed by (state, key) use, from h(key) hashed once by the caller. Turned, because the keys of one
/// subtask share the top bits of h(key) and a table takes its tags from the top bits.
#[inline]
pub fn slot_hash(state: u32, key_hash: u64) -> u64 {
    key_hash.rotate_left(32) ^ u64::from(state).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
