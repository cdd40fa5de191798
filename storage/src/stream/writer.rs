//! Routes events to segments by key and fills chunks for the committer.

use super::StreamInfo;
use crate::batch::Batch;
use crate::commit::Append;
use crate::error::{Error, Result};

/// Routes events of one stream: by key, key-less ones round robin. Keeps no reference to the store.
#[derive(Debug)]
pub struct Appender {}

impl Appender {
    /// For a stream as it is now.
    pub fn new(_info: &StreamInfo) -> Appender {
        Appender {}
    }

    /// Takes the events in; full chunks are encoded on the way.
    pub fn push(&mut self, _batch: &Batch) -> Result<()> {
        Err(Error::bug("not built yet"))
    }

    /// Everything pushed since the last call, one `Append` per segment that got events.
    pub fn finish(&mut self) -> Result<Vec<Append>> {
        Err(Error::bug("not built yet"))
    }

    /// [`Appender::push`] and [`Appender::finish`].
    pub fn append(&mut self, batch: &Batch) -> Result<Vec<Append>> {
        self.push(batch)?;
        self.finish()
    }

    /// Encoded and not yet encoded bytes held.
    pub fn bytes(&self) -> usize {
        0
    }
}
