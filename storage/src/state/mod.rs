//! Keyed state as sorted blobs of changes and their sum in memory.

/// The sum of an operator's deltas, for a range of key groups.
#[derive(Debug, Default)]
pub struct Memory {}
