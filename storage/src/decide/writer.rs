//! Decides the parts of writers: events for several segments at once, numbered by an idempotent writer or expecting a tail.
//!
//! Invariants:
//! 1. of a writer's events the numbers 1..=last are in the stream, each once, in their order within a key;
//! 2. only the newest handle of a writer adds events;
//! 3. a part that says less than it would have to (a gap, an overlap, another content) changes nothing.

use super::append::{check_active, open_stream_row, place, routed, segment_row};
use super::check_name;
use crate::commit::{Accepted, Numbered, Write};
use crate::error::{Error, Result};
use crate::overlay::{Overlay, Snapshot};
use crate::row::{SegmentKey, StreamRow, WriterRow};
use crate::stream::{StreamRef, WriterState};

/// Ends of the newest parts that a writer's row remembers, to tell a repetition from another content under the same numbers.
const RECENT_MAX: usize = 8;
/// Most writers of one stream: each is a row until it was silent for too long.
pub(crate) const WRITERS_MAX: usize = 100_000;

pub(super) fn write(o: &mut Overlay<'_>, write: &Write) -> Result<Accepted> {
    let stream = open_stream_row(o, write.stream)?;
    let mut accepted = Accepted { epoch: stream.epoch, ..Accepted::default() };
    if let Some(numbered) = &write.numbered {
        let (row, is_new) = number(o, &stream, write.stream, numbered)?;
        accepted.last_number = row.last;
        if !is_new {
            return Ok(accepted);
        }
        o.changes.put_writer((write.stream.id, numbered.writer.clone()), row);
    }
    for (segment, expected) in &write.expected_tails {
        check_active(o, &stream, write.stream, *segment)?;
        let tail = segment_row(o, &stream, SegmentKey { stream: write.stream.id, segment: *segment })?.tail;
        if tail != *expected {
            return Err(Error::conflict(format!(
                "stream {}, segment {segment}: the tail is {tail}, not {expected}: somebody else appended; read on from there, then decide anew",
                stream.name
            )));
        }
    }
    for append in &write.appends {
        if append.stream != write.stream {
            return Err(Error::invalid(format!("a write to stream {} holds events of another stream", stream.name)));
        }
        let mut first = None;
        for append in routed(o, &stream, append)? {
            first = first.or(Some(place(o, &stream, &append)?));
        }
        accepted.first_offsets.push(first.unwrap_or_default());
    }
    Ok(accepted)
}

/// The writer's row after the part, and whether the part adds to it.
fn number(o: &Overlay<'_>, stream: &StreamRow, at: StreamRef, part: &Numbered) -> Result<(WriterRow, bool)> {
    let Numbered { writer, handle, first, last, digest, at_ms } = part;
    let who = || format!("stream {}, writer {writer}", stream.name);
    let Some(row) = o.writer(at.id, writer)? else {
        return Err(Error::fenced(format!("{}: it is unknown here, or was silent for too long: open it again", who())));
    };
    if row.handle != *handle {
        return Err(Error::fenced(format!(
            "{}: it was opened again elsewhere, this handle is out of date; stop this one",
            who()
        )));
    }
    if *first == 0 || last < first {
        return Err(Error::invalid(format!("{}: {first} to {last} are no event numbers", who())));
    }
    if *last <= row.last {
        return match row.recent.iter().find(|(number, _)| number == last) {
            Some((_, known)) if known != digest => Err(Error::invalid(format!(
                "{}: the events up to number {last} are there with another content: a number stands for one event for ever",
                who()
            ))),
            _ => Ok((row, false)),
        };
    }
    if *first <= row.last {
        return Err(Error::invalid(format!(
            "{}: the events {first} to {last} overlap those up to {} that are there: send from {} on",
            who(),
            row.last,
            row.last + 1
        )));
    }
    if *first > row.last + 1 {
        return Err(Error::invalid(format!("{}: event {first} leaves a gap, the next one is {}", who(), row.last + 1)));
    }
    let mut recent = row.recent;
    if recent.len() >= RECENT_MAX {
        recent.remove(0);
    }
    recent.push((*last, *digest));
    Ok((WriterRow { last: *last, digest: *digest, at_ms: row.at_ms.max(*at_ms), recent, ..row }, true))
}

/// Takes the next handle of a writer: older ones are refused from now on.
pub(super) fn open(o: &mut Overlay<'_>, stream: StreamRef, writer: &str, now_ms: i64) -> Result<WriterState> {
    let stream_row = open_stream_row(o, stream)?;
    check_name("writer", writer).map_err(|e| e.context(format!("stream {}", stream_row.name)))?;
    let mut row = match o.writer(stream.id, writer)? {
        Some(row) => row,
        None if o.writer_names(stream.id)?.len() >= WRITERS_MAX => {
            return Err(Error::invalid(format!(
                "stream {} has {WRITERS_MAX} writers: use the ids again, or wait until silent ones are forgotten",
                stream_row.name
            )));
        }
        None => WriterRow::default(),
    };
    row.handle += 1;
    row.at_ms = row.at_ms.max(now_ms);
    let state = WriterState { handle: row.handle, last_number: row.last, digest: row.digest, at_ms: row.at_ms };
    o.changes.put_writer((stream.id, writer.to_string()), row);
    Ok(state)
}

/// Forgets the writers that have been silent since before a time, at most `limit`; how many.
pub(super) fn forget(o: &mut Overlay<'_>, stream: StreamRef, before_ms: i64, limit: usize) -> Result<usize> {
    let mut forgotten = 0;
    for name in o.writer_names(stream.id)? {
        if forgotten == limit {
            break;
        }
        if o.writer(stream.id, &name)?.is_some_and(|row| row.at_ms < before_ms) {
            o.changes.drop_writer((stream.id, name));
            forgotten += 1;
        }
    }
    Ok(forgotten)
}
