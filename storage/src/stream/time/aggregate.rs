//! Makes watermarks of marks: one round of Pravega's aggregator, as a pure function. `decide/time.rs` runs rounds whenever a mark
//! or the clock has moved.
//!
//! With L = lower of the last watermark: a writer *participates* when its mark is later than L; it is *active* when it participates, or
//! is alive and not idle. Active writers that do not participate hold everything up; when there is none, the watermark is
//! the least and greatest time of the active ones, and its cut the least upper bound of their positions and of the last cut.

use crate::ids::{Offset, SegmentId};
use crate::row::{MarkRow, SegmentRange};
use crate::stream::CutTile;
use crate::time::EventTime;
use std::collections::BTreeMap;

/// The clock, and what it means for silent writers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) now_ms: i64,
    /// Silence from before does not count: nobody could be heard then.
    pub(crate) opened_at_ms: i64,
    /// None = without end.
    pub(crate) idle_timeout_ms: Option<u64>,
}

impl Patience {
    fn is_over(self, since_ms: i64) -> bool {
        let silent = self.now_ms.saturating_sub(since_ms.max(self.opened_at_ms));
        self.idle_timeout_ms.is_some_and(|timeout| silent >= i64::try_from(timeout).unwrap_or(i64::MAX))
    }
}

/// What a round finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// Writers that are not active: their marks go.
    pub(crate) gone: Vec<String>,
    /// Least and greatest time, and the cut's segments, when there is a new watermark.
    pub(crate) watermark: Option<(EventTime, EventTime, Vec<CutTile>)>,
}

fn participates(mark: &MarkRow, last: Option<EventTime>) -> bool {
    last.is_none_or(|last| mark.time > last)
}

/// One round over all marks of a stream.
pub(crate) fn round(
    marks: &BTreeMap<String, MarkRow>,
    last: Option<EventTime>,
    last_cut: &[CutTile],
    active_segments: &[SegmentRange],
    patience: Patience,
) -> Round {
    let mut out = Round::default();
    let (mut active, mut held) = (Vec::new(), false);
    for (writer, mark) in marks {
        if participates(mark, last) {
            active.push(mark);
        } else if mark.alive && !mark.silent_since_ms.is_some_and(|since| patience.is_over(since)) {
            held = true;
        } else {
            out.gone.push(writer.clone());
        }
    }
    let lower = active.iter().map(|mark| mark.time).min();
    let upper = active.iter().map(|mark| mark.time).max();
    if let (false, Some(lower), Some(upper)) = (held, lower, upper) {
        let positions = active.iter().flat_map(|mark| &mark.position).chain(last_cut);
        out.watermark = Some((lower, upper, least_upper_bound(positions, active_segments)));
    }
    out
}

fn overlap(a: &CutTile, b: &CutTile) -> bool {
    a.low <= b.high && b.low <= a.high
}

/// The least cut of whole segments that is nowhere before any of these places. A range that none of them names is filled with the
/// active segments there, at offset 0: they may have been written to by nobody yet.
pub(crate) fn least_upper_bound<'a>(
    places: impl IntoIterator<Item = &'a CutTile>,
    active_segments: &[SegmentRange],
) -> Vec<CutTile> {
    let mut bound: BTreeMap<SegmentId, CutTile> = BTreeMap::new();
    for place in places {
        let tile = bound.entry(place.segment).or_insert(*place);
        tile.offset = tile.offset.max(place.offset);
    }
    loop {
        // Newest first: whatever overlaps a newer one has been read to its end by then. Those kept, by least hash, never overlap.
        let mut kept: BTreeMap<u64, CutTile> = BTreeMap::new();
        for tile in bound.values().rev() {
            let neighbour = kept.range(..=tile.high).next_back();
            if neighbour.is_none_or(|(_, newer)| newer.high < tile.low) {
                kept.insert(tile.low, *tile);
            }
        }
        let kept: Vec<CutTile> = kept.into_values().collect();
        let missing = uncovered(&kept);
        if missing.is_empty() {
            return kept;
        }
        bound = kept.into_iter().map(|tile| (tile.segment, tile)).collect();
        let before = bound.len();
        for range in active_segments {
            let fill = CutTile { low: range.low, high: range.high, segment: range.id, offset: Offset(0) };
            if missing.iter().any(|(low, high)| *low <= fill.high && fill.low <= *high) {
                bound.entry(range.id).or_insert(fill);
            }
        }
        if bound.len() == before {
            // Only when the active segments do not tile the hash space: `check` tells of that.
            return bound.into_values().collect();
        }
    }
}

/// The ranges that sorted tiles without overlaps leave out.
fn uncovered(tiles: &[CutTile]) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    let mut from = Some(0);
    for tile in tiles {
        if let Some(at) = from.filter(|at| *at < tile.low) {
            out.push((at, tile.low - 1));
        }
        from = tile.high.checked_add(1);
    }
    out.extend(from.map(|at| (at, u64::MAX)));
    out
}

/// Whether a position lies before another one anywhere: names an older segment over the same hashes, or a smaller offset in the same.
pub(crate) fn goes_back(new: &[CutTile], old: &[CutTile]) -> bool {
    let place = |tile: &CutTile| (tile.segment, tile.offset);
    new.iter().any(|n| old.iter().any(|o| overlap(n, o) && place(n) < place(o)))
}

#[cfg(test)]
mod tests;
