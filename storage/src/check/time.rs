//! Checks the time of streams: every mark and watermark can be read, bounds ascend, cuts never go back, counts agree.

use super::{Checker, Fault, passing};
use crate::error::{Error, Result};
use crate::ids::StreamName;
use crate::overlay::{Snapshot, TimeSnapshot};
use crate::redb_io::RedbSnapshot;
use crate::stream::StreamState;

impl Checker<'_> {
    pub(super) fn times(&mut self) -> Result<()> {
        // Names that cannot be read are told by the check of streams.
        let names = match self.shared.read(RedbSnapshot::stream_names) {
            Err(e) if passing(&e) => return Err(e),
            names => names.unwrap_or_default(),
        };
        for (name, id) in names {
            let at = |what: String| Fault { stream: Some(name.to_string()), what, ..Fault::default() };
            match self.shared.read(|snapshot| faults(snapshot, &name, id)) {
                Ok(faults) => faults.into_iter().for_each(|what| self.fault(at(what))),
                Err(e) if passing(&e) => return Err(e),
                Err(e) => self.fault(at(e.to_string())),
            }
        }
        Ok(())
    }
}

fn faults(snapshot: &RedbSnapshot, name: &StreamName, id: crate::ids::StreamId) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let Some(row) = snapshot.stream(id)? else { return Ok(out) };
    let marks = snapshot.marks(id);
    let watermarks = snapshot.oldest_watermarks(id, usize::MAX);
    if let Err(e) = &marks {
        out.push(e.to_string());
    }
    if let Err(e) = snapshot.time_config(id) {
        out.push(e.to_string());
    }
    let watermarks = match watermarks {
        Ok(watermarks) => watermarks,
        Err(e) => {
            out.push(e.to_string());
            return Ok(out);
        }
    };
    if row.state == StreamState::Deleted && (marks.is_ok_and(|m| !m.is_empty()) || !watermarks.is_empty()) {
        out.push("it was deleted, and has marks or watermarks".to_string());
    }
    for pair in watermarks.windows(2) {
        let ((_, old), (number, new)) = (&pair[0], &pair[1]);
        let goes_on = new.cut.is_at_or_after(&old.cut).map_err(|e| Error::corrupt(format!("stream {name}: {e}")))?;
        if new.lower <= old.lower || !goes_on {
            out.push(format!("watermark {number} is not later than the one before it"));
        }
    }
    if let Some((number, newest)) = watermarks.last() {
        if row.watermark != Some(newest.lower) {
            out.push(format!("its row has another watermark than {number}, the newest one"));
        }
        if newest.kept != watermarks.len() as u64 {
            out.push(format!("watermark {number} counts {} of them, there are {}", newest.kept, watermarks.len()));
        }
    }
    Ok(out)
}
