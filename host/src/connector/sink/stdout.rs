//! Values as lines on standard output, in the order of their commit. At least once: lines that were printed but not yet
//! noted when the process died are printed again. `sink::build` makes it, `job` drives it.

use super::marker::{Marker, Place, Progress};
use crate::connector::{ConnectorError, Egress};
use std::io::{ErrorKind, Write};
use tidemill_storage::Store;

/// The egress. Values are printed as they stand, a tombstone as `null`.
pub(super) struct StdoutEgress {
    place: Place,
    out: Box<dyn Write + Send>,
    progress: Option<Progress>,
    lines: Vec<u8>,
}

impl StdoutEgress {
    pub(super) fn new(place: Place, out: Box<dyn Write + Send>) -> StdoutEgress {
        StdoutEgress { place, out, progress: None, lines: Vec::new() }
    }

    fn copy(&mut self, store: &Store) -> Result<bool, ConnectorError> {
        if self.progress.is_none() {
            self.progress = self.place.open(store)?;
        }
        let Some(progress) = &mut self.progress else { return Ok(false) };
        let info = progress.look(store)?;
        let mut next = progress.marker.next.clone();
        self.lines.clear();
        for segment in info.all_segments() {
            let from = next.get(&segment.id).copied().unwrap_or(segment.head);
            if from < segment.tail {
                let to = progress.read(store, segment.id, from, segment.tail, |batch, i| {
                    self.lines.extend_from_slice(batch.values.get(i).unwrap_or(b"null"));
                    self.lines.push(b'\n');
                })?;
                next.insert(segment.id, to);
            }
        }
        if self.lines.is_empty() {
            return Ok(false);
        }
        self.out.write_all(&self.lines).and_then(|()| self.out.flush()).map_err(|e| match e.kind() {
            ErrorKind::BrokenPipe => {
                ConnectorError::Invalid("standard output was closed by its reader; let it read to the end".to_string())
            }
            _ => ConnectorError::Unavailable(format!("standard output: {e}")),
        })?;
        let marker = Marker { next, ..progress.marker.clone() };
        progress.swap(store, marker, true)?;
        Ok(true)
    }
}

impl Egress for StdoutEgress {
    fn step(&mut self, store: &Store, _last: bool) -> Result<bool, ConnectorError> {
        let outcome = self.copy(store);
        if outcome.is_err() {
            // The marker may have been swapped or not: look again.
            self.progress = None;
        }
        outcome
    }
}

#[cfg(test)]
#[path = "stdout_tests.rs"]
mod tests;
