//! Decides what changes a stream as a whole: creation, scaling, sealing, deletion, truncation.

use super::append::{segment_row, stream_row};
use super::{FREED_CHUNKS_MAX, Outcome, TailNote, retention, scale, seal, time, transaction, truncate, writer};
use crate::commit::Accepted;
use crate::error::{Error, Result};
use crate::ids::{Generation, Position, StreamId, StreamName};
use crate::overlay::{Overlay, Snapshot};
use crate::row::{ChunkKey, SegmentKey, SegmentRow, StreamRow, equal_ranges};
use crate::stream::{Scaling, StreamConfig, StreamCut, StreamPolicy, StreamRef, StreamState};
use crate::terms::Terms;

/// A change of a stream as a whole.
#[derive(Debug)]
pub(crate) enum StreamWork {
    /// Seal segments, and put others in their place.
    Scale {
        stream: StreamRef,
        scaling: Scaling,
        now_ms: i64,
    },
    /// Take no more events.
    Seal {
        stream: StreamRef,
    },
    /// Take the next handle of a writer.
    OpenWriter {
        stream: StreamRef,
        writer: String,
        now_ms: i64,
    },
    /// Forget the writers that have been silent since before a time.
    ForgetWriters {
        stream: StreamRef,
        before_ms: i64,
    },
    /// Make a cut the head.
    Truncate {
        cut: StreamCut,
    },
    /// Free a bounded number of chunks that nobody can read.
    Sweep {
        stream: StreamId,
    },
    SetPolicy {
        stream: StreamRef,
        policy: StreamPolicy,
    },
    /// Note how far a subscriber has read.
    Acknowledge {
        subscriber: String,
        cut: StreamCut,
        now_ms: i64,
    },
    Unsubscribe {
        stream: StreamRef,
        subscriber: String,
    },
    /// A cycle of the retention policy.
    Retain {
        stream: StreamRef,
        tail: TailNote,
        now_ms: i64,
    },
    /// Give up the name, and free everything bit by bit.
    Delete {
        stream: StreamRef,
    },
}

pub(super) fn change(o: &mut Overlay<'_>, terms: &Terms, work: &StreamWork) -> Result<Outcome> {
    match work {
        StreamWork::Scale { stream, scaling, now_ms } => scale::scale(o, *stream, scaling, *now_ms)?,
        StreamWork::Truncate { cut } => drop(truncate::truncate(o, cut)?),
        StreamWork::Sweep { stream } => return truncate::sweep(o, *stream).map(Outcome::Freed),
        StreamWork::SetPolicy { stream, policy } => retention::set_policy(o, *stream, *policy)?,
        StreamWork::Acknowledge { subscriber, cut, now_ms } => retention::acknowledge(o, subscriber, cut, *now_ms)?,
        StreamWork::Unsubscribe { stream, subscriber } => retention::unsubscribe(o, *stream, subscriber)?,
        StreamWork::Retain { stream, tail, now_ms } => {
            return Ok(Outcome::Freed(usize::from(retention::retain(o, *stream, tail, *now_ms)?)));
        }
        StreamWork::OpenWriter { stream, writer, now_ms } => {
            return writer::open(o, *stream, writer, *now_ms).map(Outcome::Writer);
        }
        StreamWork::ForgetWriters { stream, before_ms } => {
            return writer::forget(o, *stream, *before_ms, FREED_CHUNKS_MAX).map(Outcome::Freed);
        }
        StreamWork::Seal { stream } => {
            let row = stream_row(o, *stream)?;
            transaction::before_seal(o, terms, stream.id)?;
            o.changes.streams.insert(stream.id, StreamRow { state: StreamState::Sealed, ..row });
        }
        StreamWork::Delete { stream } => {
            let row = stream_row(o, *stream)?;
            time::forget(o, stream.id)?;
            o.changes.streams.insert(stream.id, StreamRow { state: StreamState::Deleted, ..row });
        }
    }
    Ok(Outcome::Accepted(Accepted::default()))
}

/// A deleted name's next life has the next generation, and a stream id of its own.
pub(super) fn create(
    o: &mut Overlay<'_>,
    name: &StreamName,
    config: StreamConfig,
    exact: bool,
    now_ms: i64,
) -> Result<Outcome> {
    let done = Ok(Outcome::Accepted(Accepted::default()));
    config.check().map_err(|e| e.context(format!("stream {name}")))?;
    let mut generation = Generation(1);
    if let Some(id) = o.stream_id(name)? {
        let row = o.stream(id)?.ok_or_else(|| Error::corrupt(format!("stream {name} has a name but no row")))?;
        if row.state != StreamState::Deleted {
            if exact && row.segments.len() != config.segments as usize {
                return Err(Error::invalid(format!(
                    "stream {name} exists with {} segments, not {}: leave the count out, or choose another name",
                    row.segments.len(),
                    config.segments
                )));
            }
            return done;
        }
        generation = Generation(row.generation.0 + 1);
    }
    let id = o.next_stream()?;
    o.changes.next_stream = Some(StreamId(id.0 + 1));
    let segments = equal_ranges(config.segments);
    for range in &segments {
        o.changes.segments.insert(SegmentKey { stream: id, segment: range.id }, SegmentRow::default());
    }
    o.changes.names.insert(name.clone(), id);
    let row = StreamRow {
        name: name.clone(),
        generation,
        created_at_ms: now_ms,
        watermark: None,
        state: StreamState::Active,
        epoch: 0,
        next_segment: config.segments,
        segments,
    };
    o.changes.streams.insert(id, row);
    done
}

/// Moves the head up to a position and frees the chunks that lie wholly below it. A sealed segment goes with its last event.
pub(super) fn truncate_at(o: &mut Overlay<'_>, to: &Position) -> Result<()> {
    let stream = stream_row(o, StreamRef { id: to.stream, generation: to.generation })?;
    let key = SegmentKey { stream: to.stream, segment: to.segment };
    if o.segment(key)?.is_none() && stream.was_made(to.segment) {
        return Ok(());
    }
    let mut row = segment_row(o, &stream, key)?;
    if to.offset > row.tail {
        return Err(Error::invalid(format!(
            "truncation of stream {}, segment {} at offset {}: the tail is {}",
            stream.name, to.segment, to.offset, row.tail
        )));
    }
    row.head = row.head.max(to.offset);
    free(o, key, row, true, FREED_CHUNKS_MAX)?;
    Ok(())
}

/// Frees the chunks below the head, at most `limit`; how many. A sealed segment goes with its last chunk once the stream's head has passed
/// it, which is when it lies in the successors. As long as the head stands at its end it stays, empty: a reader that stands there, too,
/// has missed nothing, and could not be told from one that has if the segment were gone.
pub(super) fn free(
    o: &mut Overlay<'_>,
    key: SegmentKey,
    mut row: SegmentRow,
    passed: bool,
    limit: usize,
) -> Result<usize> {
    let mut freed = 0;
    for (first, entry) in o.oldest_chunks(key, limit)? {
        if first.plus(u64::from(entry.events)) > row.head {
            break;
        }
        let chunk = ChunkKey { segment: key, first };
        o.changes.chunks.remove(&chunk);
        o.changes.dropped_chunks.insert(chunk);
        seal::dropped(o, key, &entry)?;
        row.chunks = row.chunks.saturating_sub(1);
        row.bytes = row.bytes.saturating_sub(u64::from(entry.bytes));
        row.raw_bytes = row.raw_bytes.saturating_sub(u64::from(entry.raw_bytes));
        freed += 1;
    }
    let gone = passed && row.head == row.tail && row.chunks == 0 && o.past_segment(key)?.is_some();
    if gone {
        o.changes.drop_segment(key);
    } else {
        o.changes.segments.insert(key, row);
    }
    Ok(freed)
}
