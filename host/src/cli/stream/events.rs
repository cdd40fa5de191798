//! Prints committed events of one segment, one JSON object a line. `cat` and `tail` say from where to where; `watch` shows some.

use crate::cli::event::{self, Place};
use crate::cli::output::Stdout;
use anyhow::Result;
use std::ops::Range;
use tidemill_storage::headers::Entries;
use tidemill_storage::stream::StreamRef;
use tidemill_storage::{Batch, EventTime, Offset, Position, SegmentId, Store};

/// Bytes asked of one read.
const READ_BYTES: usize = 1 << 20;

/// Prints the events of these offsets, at most `limit`; returns how many.
pub(crate) fn print(
    store: &Store,
    stream: StreamRef,
    segment: SegmentId,
    offsets: Range<u64>,
    limit: u64,
    out: &mut Stdout,
) -> Result<u64> {
    let end = offsets.end.min(offsets.start.saturating_add(limit));
    let mut next = Offset(offsets.start);
    let mut line = Vec::new();
    while next.0 < end {
        let position = Position { stream: stream.id, generation: stream.generation, segment, offset: next };
        let chunk = store.read(position, READ_BYTES)?;
        let batch = &chunk.batch;
        let mut headers = Entries::new(&batch.headers);
        for i in 0..batch.len() {
            let offset = chunk.first.plus(i as u64);
            let event_headers = headers.next_event()?;
            if offset.0 >= end {
                break;
            }
            let time = EventTime(batch.timestamps[i]);
            let place = Place { segment, offset };
            line.clear();
            event::write_line(&mut line, &place, time, batch.keys.get(i), batch.values.get(i), &event_headers);
            out.write(&line)?;
        }
        if chunk.next <= next {
            break; // the tail: nothing more is committed
        }
        next = chunk.next;
    }
    Ok(next.0.min(end).saturating_sub(offsets.start))
}

/// The lines of a batch's events from the n-th on, without their ends.
pub(super) fn lines(segment: SegmentId, first: Offset, batch: &Batch, from: usize) -> Result<Vec<String>> {
    let mut headers = Entries::new(&batch.headers);
    let mut out = Vec::new();
    let mut line = Vec::new();
    for i in 0..batch.len() {
        let event_headers = headers.next_event()?;
        if i < from {
            continue;
        }
        let place = Place { segment, offset: first.plus(i as u64) };
        line.clear();
        let time = EventTime(batch.timestamps[i]);
        event::write_line(&mut line, &place, time, batch.keys.get(i), batch.values.get(i), &event_headers);
        out.push(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
    Ok(out)
}
