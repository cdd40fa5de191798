//! Decides a scaling: seals active segments and puts new ones in their place, in one part. There is no half-done scaling:
//! a repeated request is answered as the first, another one about the same segments is refused.

use super::append::open_stream_row;
use crate::error::{Error, Result};
use crate::ids::SegmentId;
use crate::overlay::{Overlay, Snapshot};
use crate::row::{PastRow, SegmentKey, SegmentRange, SegmentRow, StreamRow};
use crate::stream::{SEGMENTS_MAX, Scaling, StreamRef};
use std::collections::BTreeSet;

pub(super) fn scale(o: &mut Overlay<'_>, stream: StreamRef, scaling: &Scaling, now_ms: i64) -> Result<()> {
    let mut row = open_stream_row(o, stream)?;
    let seal: BTreeSet<SegmentId> = scaling.seal.iter().copied().collect();
    let bad = |why: String| Error::invalid(format!("scaling of stream {}: {why}", row.name));
    if seal.is_empty() && scaling.ranges.is_empty() {
        return Ok(());
    }
    if seal.len() != scaling.seal.len() || seal.is_empty() {
        return Err(bad("name each segment to seal once, and at least one".into()));
    }
    if let Some(unknown) = seal.iter().find(|id| !row.was_made(**id)) {
        return Err(bad(format!("there is no segment {unknown}")));
    }
    if let Some(done) = seal.iter().find(|id| !row.is_active(**id)) {
        return if is_repeated(o, stream, &row, &seal, scaling)? { Ok(()) } else { Err(another(&row, *done)) };
    }
    let old: Vec<SegmentRange> = row.segments.iter().filter(|s| seal.contains(&s.id)).copied().collect();
    let mut ranges = scaling.ranges.clone();
    ranges.sort_unstable();
    if ranges.iter().any(|(low, high)| low > high) || covered(&ranges) != covered(&bounds(&old)) {
        return Err(bad("the new ranges must cover exactly the ranges of the sealed segments, without overlap".into()));
    }
    if row.segments.len() - old.len() + ranges.len() > SEGMENTS_MAX as usize {
        return Err(bad(format!("a stream has at most {SEGMENTS_MAX} segments")));
    }
    let numbers = row.next_segment.checked_add(ranges.len() as u32);
    let (Some(epoch), Some(next)) = (row.epoch.checked_add(1), numbers) else {
        return Err(bad("its segment numbers are used up; make another stream".into()));
    };
    let id = |n: usize| SegmentId((u64::from(epoch) << 32) | (u64::from(row.next_segment) + n as u64));
    let new: Vec<SegmentRange> =
        ranges.iter().enumerate().map(|(n, (low, high))| SegmentRange { id: id(n), low: *low, high: *high }).collect();
    for segment in &new {
        o.changes.segments.insert(SegmentKey { stream: stream.id, segment: segment.id }, SegmentRow::default());
    }
    for SegmentRange { id, low, high } in old {
        let successors = new.iter().filter(|s| s.low <= high && s.high >= low).map(|s| s.id).collect();
        let past = PastRow { low, high, sealed_in: epoch, sealed_at_ms: now_ms, successors };
        o.changes.past_segments.insert(SegmentKey { stream: stream.id, segment: id }, past);
    }
    row.segments.retain(|s| !seal.contains(&s.id));
    row.segments.extend(new);
    row.segments.sort_unstable_by_key(|s| s.low);
    (row.epoch, row.next_segment) = (epoch, next);
    o.changes.streams.insert(stream.id, row);
    Ok(())
}

fn bounds(segments: &[SegmentRange]) -> Vec<(u64, u64)> {
    segments.iter().map(|s| (s.low, s.high)).collect()
}

/// What sorted ranges cover, neighbours joined. None when two overlap.
fn covered(ranges: &[(u64, u64)]) -> Option<Vec<(u64, u64)>> {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for (low, high) in ranges {
        match out.last_mut() {
            Some(last) if last.1 >= *low => return None,
            Some(last) if last.1 + 1 == *low => last.1 = *high,
            _ => out.push((*low, *high)),
        }
    }
    Some(out)
}

/// Whether one scaling sealed just these segments, and made segments of just these ranges.
fn is_repeated(
    o: &Overlay<'_>,
    stream: StreamRef,
    row: &StreamRow,
    seal: &BTreeSet<SegmentId>,
    scaling: &Scaling,
) -> Result<bool> {
    let past = o.past_segments(stream.id)?;
    let Some(epoch) = seal.first().and_then(|id| past.iter().find(|(p, _)| p == id)).map(|(_, p)| p.sealed_in) else {
        return Ok(false);
    };
    let sealed: BTreeSet<SegmentId> = past.iter().filter(|(_, p)| p.sealed_in == epoch).map(|(id, _)| *id).collect();
    let mut made: Vec<(u64, u64)> =
        past.iter().filter(|(id, _)| id.epoch() == epoch).map(|(_, p)| (p.low, p.high)).collect();
    made.extend(row.segments.iter().filter(|s| s.id.epoch() == epoch).map(|s| (s.low, s.high)));
    made.sort_unstable();
    let mut ranges = scaling.ranges.clone();
    ranges.sort_unstable();
    Ok(sealed == *seal && made == ranges)
}

fn another(row: &StreamRow, sealed: SegmentId) -> Error {
    Error::sealed(format!(
        "scaling of stream {}: segment {sealed} was sealed by another scaling, the stream is in epoch {}; look it up again",
        row.name, row.epoch
    ))
}
