//! Decides what is noted of writers' time, and emits the watermarks that follow from it in the same part. The rules are
//! `stream/time/aggregate.rs`'s; here they meet the rows.
//!
//! Invariants:
//! 1. a mark's time and position never go back;
//! 2. the row of a stream has the lower bound of its newest watermark; bounds strictly ascend, cuts never go back;
//! 3. a stream keeps a bounded number of marks and of watermarks.

use super::Terms;
use super::append::{segment_row, stream_row};
use crate::error::{Error, Kind, Result};
use crate::ids::{Offset, SegmentId, StreamId};
use crate::overlay::{Overlay, Snapshot, TimeSnapshot};
use crate::row::{MarkRow, SegmentKey, StreamRow, TimeConfigRow, WatermarkRow};
use crate::stream::time::aggregate::{Patience, goes_back, round};
use crate::stream::time::{
    Noted, PIPELINE_WRITER_PREFIX, Says, TIME_WRITERS_MAX, TimeConfig, TimeNote, check_time, check_writer,
};
use crate::stream::{CutTile, StreamCut, StreamRef, StreamState, claim};
use crate::time::EventTime;
use std::collections::{BTreeMap, BTreeSet};

/// Most tiles of cuts that the watermarks of a stream keep, and the least and greatest number of watermarks for which it counts.
const TILES_MAX: u64 = 65_536;
const KEPT_MIN: u64 = 64;
const KEPT_MAX: u64 = 8_192;
/// Most watermarks that go with one truncation; the rest go with the next one.
const TRUNCATED_MAX: usize = 256;

/// What happened to time as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) watermarks: u64,
    pub(crate) writers_gone: u64,
}

/// Hears all notes, then sees what follows from them.
pub(super) fn part(o: &mut Overlay<'_>, terms: &Terms, notes: &[TimeNote]) -> Result<Vec<Noted>> {
    let mut noted = Vec::with_capacity(notes.len());
    for TimeNote { stream, writer, says, auto } in notes {
        let row = stream_row(o, *stream)?;
        noted.push(match says {
            Says::Closed => close(o, stream.id, writer)?,
            Says::Time { time, at } => {
                check_writer(writer)?;
                check_time(*time)?;
                let given = at.as_ref().map(|at| places(o, *stream, &row, at)).transpose()?;
                note(o, terms, *stream, &row, Said { writer, time: *time, given, auto: *auto, again: true })?
            }
        });
    }
    let streams: BTreeSet<StreamId> = notes.iter().map(|note| note.stream.id).collect();
    for stream in streams {
        settle(o, terms, stream)?;
    }
    Ok(noted)
}

/// The watermark of a pipeline's sinks on a stream: its writer's note, behind the output of the epoch.
pub(super) fn of_epoch(
    o: &mut Overlay<'_>,
    terms: &Terms,
    stream: StreamRef,
    pipeline: &str,
    time: EventTime,
) -> Result<()> {
    let row = stream_row(o, stream)?;
    let writer = format!("{PIPELINE_WRITER_PREFIX}{pipeline}");
    // A watermark that has not moved says nothing new, and what it said before holds for the later events, too.
    let said = Said { writer: &writer, time, given: None, auto: false, again: false };
    note(o, terms, stream, &row, said)?;
    settle(o, terms, stream.id).map(drop)
}

/// A pipeline is deleted: its writer is closed wherever it noted a time, or those streams would wait for it until it is idle.
pub(super) fn close_pipeline(o: &mut Overlay<'_>, terms: &Terms, pipeline: &str) -> Result<()> {
    let writer = format!("{PIPELINE_WRITER_PREFIX}{pipeline}");
    for stream in o.timed_streams()? {
        match o.mark(stream, &writer) {
            Ok(Some(mark)) if mark.alive => {
                close(o, stream, &writer)?;
                settle(o, terms, stream)?;
            }
            Ok(_) => {}
            // `check` tells of a damaged mark; the pipeline goes all the same.
            Err(e) if e.kind() == Kind::Corrupt => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The time of a transaction: its writer's note, behind the events.
pub(super) fn of_transaction(
    o: &mut Overlay<'_>,
    terms: &Terms,
    stream: StreamRef,
    writer: &str,
    time: EventTime,
) -> Result<()> {
    let row = stream_row(o, stream)?;
    note(o, terms, stream, &row, Said { writer, time, given: None, auto: false, again: true })?;
    settle(o, terms, stream.id).map(drop)
}

struct Said<'a> {
    writer: &'a str,
    time: EventTime,
    /// None = from the tails on.
    given: Option<Vec<CutTile>>,
    auto: bool,
    /// The same time again moves the position.
    again: bool,
}

fn note(o: &mut Overlay<'_>, terms: &Terms, stream: StreamRef, row: &StreamRow, said: Said<'_>) -> Result<Noted> {
    let Said { writer, time, given, auto, again } = said;
    let old = o.mark(stream.id, writer)?;
    let mut silent_since_ms = None;
    match &old {
        Some(old) if old.auto && old.alive && !auto => {
            return Err(Error::invalid(format!(
                "stream {}: the wall clock is noted for writer {writer}, it can note nothing itself; close it first",
                row.name
            )));
        }
        Some(old) if time < old.time => return Ok(Noted::InvalidTime { mark: old.time }),
        Some(old) if time == old.time && old.alive && !again => return Ok(Noted::Taken),
        Some(old) if given.as_ref().is_some_and(|given| goes_back(given, &old.position)) => {
            return Ok(Noted::InvalidPosition);
        }
        Some(old) => silent_since_ms = old.silent_since_ms,
        None if o.marks(stream.id)?.len() >= TIME_WRITERS_MAX => {
            return Err(Error::invalid(format!(
                "stream {}: {TIME_WRITERS_MAX} writers note their time already, close one before {writer} can",
                row.name
            )));
        }
        None => {}
    }
    let silent_since_ms = match row.watermark {
        Some(last) if time <= last => silent_since_ms.or(Some(terms.now_ms)),
        _ => None,
    };
    let position = match given {
        Some(given) => given,
        None => tails(o, stream.id, row)?,
    };
    let mark = MarkRow { time, position, alive: true, auto, silent_since_ms };
    o.changes.time.marks.insert((stream.id, writer.to_string()), Some(mark));
    Ok(Noted::Taken)
}

fn close(o: &mut Overlay<'_>, stream: StreamId, writer: &str) -> Result<Noted> {
    if let Some(mark) = o.mark(stream, writer)?.filter(|mark| mark.alive) {
        let mark = MarkRow { alive: false, auto: false, ..mark };
        o.changes.time.marks.insert((stream, writer.to_string()), Some(mark));
    }
    Ok(Noted::Taken)
}

/// The place behind everything that was written so far, the parts before this one in the group included.
fn tails(o: &Overlay<'_>, stream: StreamId, row: &StreamRow) -> Result<Vec<CutTile>> {
    let tile = |range: &crate::row::SegmentRange| {
        let bounds = segment_row(o, row, SegmentKey { stream, segment: range.id })?;
        Ok(CutTile { low: range.low, high: range.high, segment: range.id, offset: bounds.tail })
    };
    row.segments.iter().map(tile).collect()
}

/// A writer's own positions, with the ranges of their segments.
fn places(
    o: &Overlay<'_>,
    stream: StreamRef,
    row: &StreamRow,
    at: &BTreeMap<SegmentId, Offset>,
) -> Result<Vec<CutTile>> {
    let bad = |why: String| Error::invalid(format!("note of a time on stream {}: {why}", row.name));
    if at.is_empty() {
        return Err(bad("a position must name a segment; leave it out to mean the tails".into()));
    }
    let mut out = Vec::with_capacity(at.len());
    for (&segment, &offset) in at {
        let key = SegmentKey { stream: stream.id, segment };
        let active = row.segments.iter().find(|s| s.id == segment).map(|s| (s.low, s.high));
        let range = match active {
            Some(range) => Some(range),
            None => o.past_segment(key)?.map(|past| (past.low, past.high)),
        };
        let (Some((low, high)), Some(bounds)) = (range, o.segment(key)?) else {
            return Err(bad(format!("there is no segment {segment}, or all of it was truncated")));
        };
        if offset > bounds.tail {
            return Err(bad(format!("offset {offset} of segment {segment} is past its tail {}", bounds.tail)));
        }
        out.push(CutTile { low, high, segment, offset });
    }
    Ok(out)
}

/// Emits what the marks and the clock allow.
pub(super) fn settle(o: &mut Overlay<'_>, terms: &Terms, stream: StreamId) -> Result<Settled> {
    let mut settled = Settled::default();
    let Some(mut row) = o.stream(stream)?.filter(|row| row.state != StreamState::Deleted) else { return Ok(settled) };
    let mut marks = o.marks(stream)?;
    let idle_timeout_ms = match o.time_config(stream)? {
        Some(config) => config.idle_timeout_ms,
        None => TimeConfig::default().idle_timeout_ms,
    };
    let patience = Patience { now_ms: terms.now_ms, opened_at_ms: terms.opened_at_ms, idle_timeout_ms };
    let mut last = o.last_watermark(stream)?;
    while !marks.is_empty() {
        let last_cut = last.as_ref().map_or(&[][..], |(_, last)| last.cut.tiles());
        let found = round(&marks, row.watermark, last_cut, &row.segments, patience);
        for writer in found.gone {
            marks.remove(&writer);
            settled.writers_gone += 1;
            o.changes.time.marks.insert((stream, writer), None);
        }
        let Some((lower, upper, tiles)) = found.watermark else { break };
        let cut = StreamCut::new(StreamRef { id: stream, generation: row.generation }, tiles)
            .map_err(|e| Error::corrupt(format!("stream {}: {e}; restore a backup", row.name)))?;
        let (number, kept) = last.map_or((1, 0), |(number, last)| (number + 1, last.kept));
        let emitted = WatermarkRow { lower, upper, cut, kept: kept + 1, emitted_at_ms: terms.now_ms };
        o.changes.time.watermarks.insert((stream, number), Some(emitted.clone()));
        row.watermark = Some(lower);
        o.changes.streams.insert(stream, row.clone());
        last = Some((number, emitted));
        settled.watermarks += 1;
        // Their patience begins now.
        for (writer, mark) in marks.iter_mut().filter(|(_, m)| m.time <= lower && m.silent_since_ms.is_none()) {
            mark.silent_since_ms = Some(terms.now_ms);
            o.changes.time.marks.insert((stream, writer.clone()), Some(mark.clone()));
        }
    }
    if let Some((number, newest)) = last.filter(|_| settled.watermarks > 0) {
        thin(o, stream, number, newest)?;
    }
    Ok(settled)
}

/// Drops every second one of the older half when there are too many: windows of old positions get wider, and stay true.
fn thin(o: &mut Overlay<'_>, stream: StreamId, number: u64, newest: WatermarkRow) -> Result<()> {
    let max = (TILES_MAX / newest.cut.tiles().len().max(1) as u64).clamp(KEPT_MIN, KEPT_MAX);
    if newest.kept <= max {
        return Ok(());
    }
    let older = o.oldest_watermarks(stream, (newest.kept / 2) as usize)?;
    let dropped: Vec<u64> = older.iter().skip(1).step_by(2).map(|(n, _)| *n).filter(|n| *n != number).collect();
    drop_watermarks(o, stream, &dropped, number, newest);
    Ok(())
}

fn drop_watermarks(o: &mut Overlay<'_>, stream: StreamId, dropped: &[u64], number: u64, newest: WatermarkRow) {
    if dropped.is_empty() {
        return;
    }
    let kept = newest.kept.saturating_sub(dropped.len() as u64);
    o.changes.time.watermarks.extend(dropped.iter().map(|n| ((stream, *n), None)));
    o.changes.time.watermarks.insert((stream, number), Some(WatermarkRow { kept, ..newest }));
}

/// After a truncation: watermarks that every position left has passed go, but for the last of them.
pub(super) fn truncated(o: &mut Overlay<'_>, stream: StreamId) -> Result<()> {
    let Some((number, newest)) = o.last_watermark(stream)?.filter(|(_, newest)| newest.kept > 1) else { return Ok(()) };
    let Some(row) = o.stream(stream)? else { return Ok(()) };
    let head = head(o, stream, &row)?;
    let oldest = o.oldest_watermarks(stream, TRUNCATED_MAX)?;
    let mut passed = 0;
    for (_, watermark) in &oldest {
        if !head.is_at_or_after(&watermark.cut)? {
            break;
        }
        passed += 1;
    }
    let dropped: Vec<u64> = oldest.iter().take(usize::saturating_sub(passed, 1)).map(|(n, _)| *n).collect();
    drop_watermarks(o, stream, &dropped, number, newest);
    Ok(())
}

/// Where the oldest events that can be read are.
fn head(o: &Overlay<'_>, stream: StreamId, row: &StreamRow) -> Result<StreamCut> {
    let bounds = |segment| segment_row(o, row, SegmentKey { stream, segment });
    let mut tiles = Vec::with_capacity(row.segments.len());
    for (id, past) in o.past_segments(stream)? {
        let bounds = bounds(id)?;
        if bounds.head < bounds.tail {
            claim(&mut tiles, (past.low, past.high), id, bounds.head);
        }
    }
    let sealed_hold_some = !tiles.is_empty();
    for range in &row.segments {
        let offset = bounds(range.id)?.head;
        match sealed_hold_some {
            true => claim(&mut tiles, (range.low, range.high), range.id, offset),
            false => tiles.push(CutTile { low: range.low, high: range.high, segment: range.id, offset }),
        }
    }
    StreamCut::new(StreamRef { id: stream, generation: row.generation }, tiles)
}

/// Sets how a stream treats silent writers, from now on.
pub(super) fn configure(o: &mut Overlay<'_>, terms: &Terms, stream: StreamRef, config: TimeConfig) -> Result<()> {
    stream_row(o, stream)?;
    let row = TimeConfigRow { idle_timeout_ms: config.idle_timeout_ms };
    o.changes.time.configs.insert(stream.id, Some(row));
    settle(o, terms, stream.id).map(drop)
}

/// Takes out everything about the time of a stream that is deleted.
pub(super) fn forget(o: &mut Overlay<'_>, stream: StreamId) -> Result<()> {
    for writer in o.marks(stream)?.into_keys() {
        o.changes.time.marks.insert((stream, writer), None);
    }
    for (number, _) in o.oldest_watermarks(stream, usize::MAX)? {
        o.changes.time.watermarks.insert((stream, number), None);
    }
    if o.time_config(stream)?.is_some() {
        o.changes.time.configs.insert(stream, None);
    }
    Ok(())
}

/// Lets the clock work on all streams. A stream whose rows are damaged must not hold up the others.
pub(super) fn sweep(o: &mut Overlay<'_>, terms: &Terms) -> Result<Settled> {
    let mut sum = Settled::default();
    for stream in o.timed_streams()? {
        let mut part = Overlay::new(o);
        match settle(&mut part, terms, stream) {
            Ok(settled) => {
                let changes = part.changes;
                o.changes.absorb(changes);
                sum.watermarks += settled.watermarks;
                sum.writers_gone += settled.writers_gone;
            }
            Err(e) if matches!(e.kind(), crate::Kind::Unavailable | crate::Kind::Full) => return Err(e),
            Err(e) => tracing::warn!(error = %e, %stream, "the time of a stream cannot be swept"),
        }
    }
    Ok(sum)
}
