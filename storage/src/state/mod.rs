//! Keyed state as sorted blobs of changes and their sum in memory.

use crate::error::{Error, Result};
use bytes::Bytes;
use std::ops::Range;

/// The sum of an operator's deltas, for a range of key groups.
#[derive(Debug, Default)]
pub struct Memory {}

impl Memory {
    /// Empty, for these key groups.
    pub fn new(_key_groups: Range<u32>, _max_parallelism: u32) -> Memory {
        Memory {}
    }

    /// Adds a delta.
    pub fn apply_delta(&mut self, _blob: &[u8]) -> Result<()> {
        Err(Error::bug("not built yet"))
    }
}

/// Folds blobs, oldest first.
pub fn merge(_blobs: &[Bytes], _drop_tombstones: bool) -> Result<Bytes> {
    Err(Error::bug("not built yet"))
}
