//! Keyed state on disk and in committed memory. The host's epochs feed deltas in; recovery takes a [`Memory`] out.
//!
//! Map: an epoch's changes become one sorted blob ([`DeltaBuilder`], [`Delta`]); blobs fold into one with [`merge()`];
//! [`Memory`] is what blobs applied oldest first add up to, for one range of key groups.
//!
//! Order everywhere: (state, key group, key, sub-key). A value state has one empty sub-key, a map its own, a list u64
//! sequence numbers (big-endian), timers see [`crate::timer`].

mod delta;
mod memory;
mod merge;

pub use delta::{Change, Delta, DeltaBuilder, Entries, Entry};
pub use memory::{Committed, Memory, Scan};
pub use merge::merge;

/// The hash that tables keyed by (state, key) use, from h(key) hashed once by the caller. Turned, because the keys of one
/// subtask share the top bits of h(key) and a table takes its tags from the top bits.
#[inline]
pub fn slot_hash(state: u32, key_hash: u64) -> u64 {
    key_hash.rotate_left(32) ^ u64::from(state).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
