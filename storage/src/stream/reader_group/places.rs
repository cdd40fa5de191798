//! Where a reader group stands in its streams, range by range of the key space: what a cut means for its segments, and
//! which segments become readable when others are read. Pure; `state.rs` holds the places, `group.rs` brings the streams.
//!
//! Every hash of a stream is in one place: in a segment that can be read (unassigned, or a reader's), or *held*: its segment
//! is read to the end and what follows waits for other predecessors, or it is not begun. A segment becomes readable once no
//! range of its own is being read in an older one: all its predecessors are read by the group.

use super::state::GroupState;
use crate::error::{Error, Result};
use crate::ids::{Offset, SegmentId, StreamId};
use crate::row::SegmentKey;
use crate::stream::{CutTile, StreamCut, StreamInfo, StreamRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Hashes, both ends inclusive.
pub(crate) type Range = (u64, u64);

/// A segment that can be read, and the next event to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) offset: Offset,
    /// In order. A segment's whole range, unless it is gone.
    pub(crate) ranges: Vec<Range>,
}

/// A segment that is not being read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) offset: Offset,
    /// Read to its end, or to the group's end cut; else to be begun at the offset.
    pub(crate) read: bool,
    /// What no successor has taken over, in order.
    pub(crate) ranges: Vec<Range>,
}

/// The segments of a stream, oldest first.
pub(crate) type Segments = Vec<(SegmentId, Range)>;

/// The segments that a stream has now.
pub(crate) fn segments(info: &StreamInfo) -> Segments {
    let mut out: Segments = info.all_segments().map(|segment| (segment.id, segment.range)).collect();
    out.sort_unstable_by_key(|(id, _)| *id);
    out
}

fn overlap(a: Range, b: Range) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

fn any_overlap(ranges: &[Range], range: Range) -> bool {
    ranges.iter().any(|r| overlap(*r, range))
}

/// Takes a range out of others.
fn take_out(ranges: &mut Vec<Range>, taken: Range) {
    let rest = ranges.iter().flat_map(|&(low, high)| {
        if !overlap((low, high), taken) {
            return [Some((low, high)), None];
        }
        let left = (low < taken.0).then(|| (low, taken.0 - 1));
        [left, (high > taken.1).then(|| (taken.1 + 1, high))]
    });
    *ranges = rest.flatten().collect();
}

/// A cut's places: per segment the offset and the ranges that stand there.
fn of_cut(cut: &StreamCut) -> BTreeMap<SegmentId, Place> {
    let mut out: BTreeMap<SegmentId, Place> = BTreeMap::new();
    for tile in cut.tiles() {
        let place = out.entry(tile.segment).or_insert(Place { offset: tile.offset, ranges: Vec::new() });
        place.ranges.push((tile.low, tile.high));
    }
    out
}

/// The cut of places.
pub(crate) fn cut_of<'a>(
    stream: StreamRef,
    places: impl Iterator<Item = (SegmentId, Offset, &'a [Range])>,
) -> Result<StreamCut> {
    let tiles = places.flat_map(|(segment, offset, ranges)| {
        ranges.iter().map(move |&(low, high)| CutTile { low, high, segment, offset })
    });
    StreamCut::new(stream, tiles.collect())
}

/// Whether readers of a stream can stand at a cut: its segments are the stream's, no offset is beyond a tail, and where a
/// segment's range is shared with its successors it is read to its end. Segments that are truncated are let through.
pub(crate) fn check_cut(info: &StreamInfo, cut: &StreamCut) -> Result<()> {
    let bad = |why: String| Error::invalid(format!("stream {}, cut {cut}: {why}", info.name));
    if cut.stream() != info.stream {
        return Err(bad(format!(
            "it belongs to stream {}, generation {}; this one is {}, generation {}: take a new cut",
            cut.stream().id,
            cut.stream().generation,
            info.stream.id,
            info.stream.generation
        )));
    }
    for (id, place) in of_cut(cut) {
        let Some(segment) = info.segment(id) else {
            if id.epoch() > info.epoch {
                return Err(bad(format!("there is no segment {id}")));
            }
            continue;
        };
        if place.offset > segment.tail {
            return Err(bad(format!("offset {} of segment {id} is past its tail {}", place.offset, segment.tail)));
        }
        if place.ranges.iter().any(|r| r.0 < segment.range.0 || r.1 > segment.range.1) {
            return Err(bad(format!("segment {id} does not own all of what the cut says")));
        }
        let others = cut.tiles().iter().filter(|t| t.segment != id && overlap((t.low, t.high), segment.range));
        let (newer, older): (Vec<&CutTile>, Vec<&CutTile>) = others.partition(|t| t.segment > id);
        let read = place.offset == segment.tail && !info.is_active(id);
        if !newer.is_empty() && (!older.is_empty() || !read) {
            return Err(bad(format!(
                "segment {id} must be read to its end, {}, before its successors are",
                segment.tail
            )));
        }
    }
    Ok(())
}

/// Whether a segment comes after a group's end.
fn is_beyond(end: Option<&StreamCut>, segment: SegmentId, range: Range) -> bool {
    let tiles = end.map_or(&[][..], StreamCut::tiles);
    tiles.iter().any(|tile| overlap((tile.low, tile.high), range) && tile.segment < segment)
}

impl GroupState {
    fn end_cut(&self, stream: StreamId) -> Option<&StreamCut> {
        self.members.iter().find(|member| member.stream.id == stream)?.end.as_ref()
    }

    /// Where a segment ends for this group, if it does not only end with its last event.
    pub(crate) fn end_offset(&self, segment: SegmentKey) -> Option<Offset> {
        let tiles = self.end_cut(segment.stream)?.tiles();
        tiles.iter().find(|tile| tile.segment == segment.segment).map(|tile| tile.offset)
    }

    fn ends_at(&self, segment: SegmentKey, offset: Offset) -> bool {
        self.end_offset(segment).is_some_and(|end| end <= offset)
    }

    /// Puts a stream, of which the group knows nothing yet, at a cut that [`check_cut`] let through.
    pub(super) fn place(&mut self, cut: &StreamCut, segments: &Segments) {
        let stream = cut.stream().id;
        for (id, place) in of_cut(cut) {
            let key = SegmentKey { stream, segment: id };
            let range = segments.iter().find(|(known, _)| *known == id).map(|(_, range)| *range);
            let whole = range.is_none_or(|range| place.ranges == [range]);
            if whole && !self.ends_at(key, place.offset) {
                self.unassigned.insert(key, place);
                continue;
            }
            let older =
                |tile: &CutTile| tile.segment < id && range.is_some_and(|range| overlap((tile.low, tile.high), range));
            let read = whole || !cut.tiles().iter().any(older);
            self.held.insert(key, Held { offset: place.offset, read, ranges: place.ranges });
        }
        self.unlock(stream, segments);
    }

    /// Makes every segment readable whose predecessors are all read.
    pub(super) fn unlock(&mut self, stream: StreamId, segments: &Segments) {
        let of = |key: &SegmentKey| key.stream == stream;
        let owned =
            self.readers.values().flat_map(|reader| reader.segments.iter().map(|(key, own)| (key, &own.ranges)));
        let live = self.unassigned.iter().map(|(key, place)| (key, &place.ranges)).chain(owned);
        let mut closed: Vec<Range> = live.filter(|(key, _)| of(key)).flat_map(|(_, ranges)| ranges.clone()).collect();
        for &(id, range) in segments {
            let key = SegmentKey { stream, segment: id };
            let waits = |(at, held): (&SegmentKey, &Held)| {
                of(at) && (at.segment < id || (at.segment == id && !held.read)) && any_overlap(&held.ranges, range)
            };
            if !self.held.iter().any(waits) {
                continue;
            }
            if any_overlap(&closed, range) || is_beyond(self.end_cut(stream), id, range) {
                closed.push(range);
                continue;
            }
            let offset = self.held.get(&key).map_or(Offset(0), |held| held.offset);
            for (_, held) in self.held.iter_mut().filter(|(at, _)| of(at)) {
                take_out(&mut held.ranges, range);
            }
            self.held.retain(|_, held| !held.ranges.is_empty());
            if self.ends_at(key, offset) {
                self.held.insert(key, Held { offset, read: true, ranges: vec![range] });
            } else {
                self.unassigned.insert(key, Place { offset, ranges: vec![range] });
                closed.push(range);
            }
        }
    }

    /// Every place of a stream: segment, offset by `read`, ranges.
    pub(super) fn places_of(&self, stream: StreamId) -> impl Iterator<Item = (SegmentId, Offset, &[Range])> {
        let unassigned = self.unassigned.iter().map(|(key, place)| (key, place.offset, &place.ranges[..]));
        let held = self.held.iter().map(|(key, held)| (key, held.offset, &held.ranges[..]));
        let owned = self.readers.values().flat_map(|reader| &reader.segments);
        let owned = owned.map(|(key, own)| (key, own.read, &own.ranges[..]));
        let all = unassigned.chain(held).chain(owned);
        all.filter(move |(key, ..)| key.stream == stream).map(|(key, offset, ranges)| (key.segment, offset, ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_taken_out_of_others() {
        let without = |ranges: &[Range], taken| {
            let mut ranges = ranges.to_vec();
            take_out(&mut ranges, taken);
            ranges
        };
        assert_eq!(without(&[(0, 9)], (3, 5)), [(0, 2), (6, 9)]);
        assert_eq!(without(&[(0, 9), (20, 29)], (5, 24)), [(0, 4), (25, 29)]);
        assert_eq!(without(&[(0, 9)], (0, 9)), []);
        assert_eq!(without(&[(0, u64::MAX)], (10, u64::MAX)), [(0, 9)]);
        assert_eq!(without(&[(5, 9)], (0, 4)), [(5, 9)]);
    }
}
