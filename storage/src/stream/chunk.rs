//! A chunk: the encoded form of a batch.

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::time::EventTime;
use bytes::Bytes;

/// A chunk ready to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedChunk {
    /// Header and body.
    pub bytes: Bytes,
    /// How many events.
    pub events: u32,
    /// Bytes of the columns before compression.
    pub raw_bytes: u32,
    /// Least event time.
    pub min_time: EventTime,
    /// Greatest event time.
    pub max_time: EventTime,
}

/// Encodes a batch of at least one event.
pub fn encode_chunk(_batch: &Batch) -> Result<EncodedChunk> {
    Err(Error::bug("not built yet"))
}

/// Decodes and checks a chunk.
pub fn decode_chunk(_bytes: &[u8]) -> Result<Batch> {
    Err(Error::bug("not built yet"))
}
