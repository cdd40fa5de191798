//! Decides truncations at a cut, and the freeing of what they and deletions leave behind: a part frees a bounded number of chunks,
//! the rest goes bit by bit, unreadable meanwhile.

use super::FREED_CHUNKS_MAX;
use super::append::stream_row;
use super::stream::free;
use crate::error::{Error, Result};
use crate::ids::{SegmentId, StreamId};
use crate::overlay::{Overlay, Snapshot};
use crate::row::{SegmentKey, SegmentRow, StreamRow};
use crate::stream::{CutTile, StreamCut, StreamState};
use std::collections::BTreeMap;

/// Makes a cut the head: what lies before it cannot be read any more. Where the head is past it already, nothing changes; false = nowhere did
/// anything.
pub(super) fn truncate(o: &mut Overlay<'_>, cut: &StreamCut) -> Result<bool> {
    let stream = cut.stream();
    let row = stream_row(o, stream)?;
    let mut ranges: BTreeMap<SegmentId, (u64, u64)> = row.segments.iter().map(|s| (s.id, (s.low, s.high))).collect();
    ranges.extend(o.past_segments(stream.id)?.into_iter().map(|(id, past)| (id, (past.low, past.high))));
    let bad = |why: String| Error::invalid(format!("truncation of stream {}: {why}", row.name));
    for tile in cut.tiles() {
        if !row.was_made(tile.segment) {
            return Err(bad(format!("the cut names segment {}, which it never had", tile.segment)));
        }
        let Some((low, high)) = ranges.get(&tile.segment) else { continue };
        let tail = o.segment(SegmentKey { stream: stream.id, segment: tile.segment })?.unwrap_or_default().tail;
        if tile.offset > tail || tile.low < *low || tile.high > *high {
            return Err(bad(format!(
                "the cut stands at offset {} of segment {} or gives it keys that it does not own; its tail is {tail}",
                tile.offset, tile.segment
            )));
        }
    }
    let (mut budget, mut moved) = (FREED_CHUNKS_MAX, false);
    for (segment, (low, high)) in ranges {
        let key = SegmentKey { stream: stream.id, segment };
        let Some(before) = o.segment(key)? else { continue };
        let over = |tile: &&CutTile| tile.low <= high && tile.high >= low;
        let own = cut.tiles().iter().filter(over).find(|tile| tile.segment == segment);
        let mut bounds = before;
        let passed = cut.tiles().iter().filter(over).all(|tile| tile.segment > segment);
        match own {
            Some(tile) => bounds.head = bounds.head.max(tile.offset),
            None if passed => bounds.head = bounds.tail,
            None => {}
        }
        moved |= bounds != before;
        if bounds != before || (passed && bounds.head == bounds.tail) {
            budget -= free(o, key, bounds, passed, budget)?;
        }
    }
    if moved {
        super::time::truncated(o, stream.id)?;
    }
    Ok(moved)
}

/// Frees chunks below the heads of a stream's segments, and everything of a deleted one: at most a budget of them. 0 = nothing is left
/// to be freed.
pub(super) fn sweep(o: &mut Overlay<'_>, stream: StreamId) -> Result<usize> {
    let Some(row) = o.stream(stream)? else { return Ok(0) };
    let deleted = row.state == StreamState::Deleted;
    let mut segments: Vec<SegmentId> = row.segments.iter().map(|s| s.id).collect();
    segments.extend(o.past_segments(stream)?.into_iter().map(|(id, _)| id));
    let mut done = 0;
    for segment in segments {
        if done >= FREED_CHUNKS_MAX {
            return Ok(done);
        }
        let key = SegmentKey { stream, segment };
        let Some(mut bounds) = o.segment(key)? else { continue };
        if deleted {
            bounds.head = bounds.tail;
        } else if !has_dead_chunks(o, key, &bounds)? {
            continue;
        }
        done += free(o, key, bounds, deleted, FREED_CHUNKS_MAX - done)?;
        if deleted && o.segment(key)?.is_some_and(|bounds| bounds.chunks == 0) {
            o.changes.drop_segment(key);
            done += 1;
        }
    }
    if deleted && done < FREED_CHUNKS_MAX {
        done += bury(o, stream, row)?;
    }
    Ok(done)
}

/// Whether chunks lie below the head.
pub(crate) fn has_dead_chunks(snapshot: &dyn Snapshot, key: SegmentKey, bounds: &SegmentRow) -> Result<bool> {
    let oldest = snapshot.oldest_chunks(key, 1)?;
    Ok(oldest.first().is_some_and(|(first, entry)| first.plus(u64::from(entry.events)) <= bounds.head))
}

/// Of a deleted stream without chunks, the rest goes; the row of a name that was not used again stays: it holds the generation.
fn bury(o: &mut Overlay<'_>, stream: StreamId, row: StreamRow) -> Result<usize> {
    let mut done = 0;
    for writer in o.writer_names(stream)? {
        o.changes.drop_writer((stream, writer));
        done += 1;
    }
    done += super::retention::bury(o, stream)?;
    if o.stream_id(&row.name)? != Some(stream) {
        o.changes.streams.remove(&stream);
        o.changes.dropped_streams.insert(stream);
        done += 1;
    } else if !row.segments.is_empty() {
        o.changes.streams.insert(stream, StreamRow { segments: Vec::new(), watermark: None, ..row });
        done += 1;
    }
    Ok(done)
}
