//! An event by its pointer: the position that a reader got with it.

use crate::batch::Batch;
use crate::error::{Error, Kind, Result};
use crate::ids::Position;
use crate::store::Store;

impl Store {
    /// The event at a position, as a batch of one: the same bytes whenever it is asked for. `Truncated` when it is not there
    /// any more (removed, or its stream made anew), `NotFound` when there is no such event yet.
    pub fn read_event(&self, at: Position) -> Result<Batch> {
        let none = || {
            Error::not_found(format!(
                "there is no event at offset {} of stream {}, segment {}: it is at or beyond the tail",
                at.offset, at.stream, at.segment
            ))
        };
        match self.read(at, 1) {
            Ok(read) if read.batch.is_empty() => Err(none()),
            Ok(read) => read.batch.slice(0..1),
            Err(e) if e.kind() == Kind::Invalid => Err(none()),
            Err(e) => Err(e),
        }
    }
}
