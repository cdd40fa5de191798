//! A place in a whole stream: for every hash, the segment and the offset from which to read on. Readers start and end at
//! cuts, truncation and retention take them, watermarks and checkpoints carry them.
//!
//! Invariants:
//! 1. the tiles' ranges cover the hash space once, in order;
//! 2. of two tiles that overlap in two cuts of a stream, the one of the newer segment (greater id) is later, and in one
//!    segment the one of the greater offset: segments over one hash follow each other by epoch.

use super::{StreamInfo, StreamRef};
use crate::error::{Error, Result};
use crate::ids::{Generation, Offset, SegmentId, StreamId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A range of hashes, both ends inclusive, and where to read on there. The range lies in the segment's; it is smaller when the rest
/// is already read on in successors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CutTile {
    /// Least hash.
    pub low: u64,
    /// Greatest hash.
    pub high: u64,
    /// The segment.
    pub segment: SegmentId,
    /// The next event to read.
    pub offset: Offset,
}

/// A place in a whole stream. Holds within one generation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StreamCut {
    stream: StreamRef,
    tiles: Vec<CutTile>,
}

/// How one cut lies to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOrder {
    /// The same place.
    Equal,
    /// Earlier, in some ranges perhaps equal.
    Before,
    /// Later, in some ranges perhaps equal.
    After,
    /// Earlier here, later there.
    Crossing,
}

impl StreamCut {
    /// Of tiles that cover the hash space once, with one offset per segment: those of a reader, in any order.
    pub(super) fn of_reader(stream: StreamRef, mut tiles: Vec<CutTile>) -> StreamCut {
        tiles.sort_unstable_by_key(|tile| tile.low);
        join(&mut tiles);
        StreamCut { stream, tiles }
    }

    /// Checks that the tiles, in any order, cover the hash space once. `Invalid` otherwise.
    pub fn new(stream: StreamRef, mut tiles: Vec<CutTile>) -> Result<StreamCut> {
        tiles.sort_unstable_by_key(|tile| tile.low);
        let covers = tiles.first().is_some_and(|t| t.low == 0)
            && tiles.last().is_some_and(|t| t.high == u64::MAX)
            && tiles.iter().all(|t| t.low <= t.high)
            && tiles.windows(2).all(|w| w[0].high.checked_add(1) == Some(w[1].low));
        let mut offsets = BTreeMap::new();
        let agrees = tiles.iter().all(|t| *offsets.entry(t.segment).or_insert(t.offset) == t.offset);
        if !covers || !agrees {
            return Err(Error::invalid(format!(
                "a stream cut of stream {} must cover the whole key space once, with one offset per segment",
                stream.id
            )));
        }
        join(&mut tiles);
        Ok(StreamCut { stream, tiles })
    }

    /// From a position per segment: where ranges overlap the newer segment counts. `Invalid` when a segment is not one of the
    /// stream's, an offset lies past its tail, or a part of the key space is left out.
    pub fn of_positions(info: &StreamInfo, positions: &BTreeMap<SegmentId, Offset>) -> Result<StreamCut> {
        let bad = |why: String| Error::invalid(format!("a cut of stream {}: {why}", info.name));
        let mut tiles = Vec::new();
        for (id, offset) in positions.iter().rev() {
            let segment = info.segment(*id).ok_or_else(|| bad(format!("there is no segment {id}")))?;
            if *offset > segment.tail {
                return Err(bad(format!("offset {offset} of segment {id} is past its tail {}", segment.tail)));
            }
            claim(&mut tiles, segment.range, *id, *offset);
        }
        StreamCut::new(info.stream, tiles).map_err(|e| e.context(format!("stream {}", info.name)))
    }

    /// The stream and its generation.
    pub fn stream(&self) -> StreamRef {
        self.stream
    }

    /// In the order of their ranges.
    pub fn tiles(&self) -> &[CutTile] {
        &self.tiles
    }

    /// An offset per segment.
    pub fn positions(&self) -> BTreeMap<SegmentId, Offset> {
        self.tiles.iter().map(|tile| (tile.segment, tile.offset)).collect()
    }

    /// The tile that holds a hash.
    pub fn tile_of(&self, hash: u64) -> &CutTile {
        let after = self.tiles.partition_point(|tile| tile.low <= hash);
        &self.tiles[after.saturating_sub(1)]
    }

    /// How it lies to another cut of the same stream and generation. `Invalid` for one of another.
    pub fn compare(&self, other: &StreamCut) -> Result<CutOrder> {
        if self.stream != other.stream {
            return Err(Error::invalid(format!(
                "a cut of stream {}, generation {} cannot be compared with one of stream {}, generation {}",
                self.stream.id, self.stream.generation, other.stream.id, other.stream.generation
            )));
        }
        let place = |tile: &CutTile| (tile.segment, tile.offset);
        let (mut before, mut after) = (false, false);
        for (a, b) in overlaps(&self.tiles, &other.tiles) {
            before |= place(a) < place(b);
            after |= place(a) > place(b);
        }
        Ok(match (before, after) {
            (false, false) => CutOrder::Equal,
            (true, false) => CutOrder::Before,
            (false, true) => CutOrder::After,
            (true, true) => CutOrder::Crossing,
        })
    }

    /// Whether it is nowhere before another cut.
    pub fn is_at_or_after(&self, other: &StreamCut) -> Result<bool> {
        Ok(matches!(self.compare(other)?, CutOrder::Equal | CutOrder::After))
    }

    /// Of two cuts the later place, range by range.
    pub fn later(&self, other: &StreamCut) -> Result<StreamCut> {
        self.compare(other)?;
        let tiles = overlaps(&self.tiles, &other.tiles).map(|(a, b)| {
            let of = if (a.segment, a.offset) >= (b.segment, b.offset) { a } else { b };
            CutTile { low: a.low.max(b.low), high: a.high.min(b.high), ..*of }
        });
        StreamCut::new(self.stream, tiles.collect())
    }

    /// Of two cuts the earlier place, range by range.
    pub fn earlier(&self, other: &StreamCut) -> Result<StreamCut> {
        self.compare(other)?;
        let tiles = overlaps(&self.tiles, &other.tiles).map(|(a, b)| {
            let of = if (a.segment, a.offset) <= (b.segment, b.offset) { a } else { b };
            CutTile { low: a.low.max(b.low), high: a.high.min(b.high), ..*of }
        });
        StreamCut::new(self.stream, tiles.collect())
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Result<StreamCut> {
        let bad = || {
            Error::invalid(format!(
                "{text:?} is no stream cut: take one as it was printed, STREAM.GENERATION:LOW-HIGH=SEGMENT@OFFSET,.."
            ))
        };
        let (stream, tiles) = text.trim().split_once(':').ok_or_else(bad)?;
        let (id, generation) = stream.split_once('.').ok_or_else(bad)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| bad());
        let hash = |text: &str| u64::from_str_radix(text, 16).map_err(|_| bad());
        let stream = StreamRef { id: StreamId(number(id)?), generation: Generation(number(generation)?) };
        let tile = |text: &str| {
            let (range, place) = text.split_once('=').ok_or_else(bad)?;
            let ((low, high), (segment, offset)) =
                (range.split_once('-').ok_or_else(bad)?, place.split_once('@').ok_or_else(bad)?);
            let (segment, offset) = (SegmentId(number(segment)?), Offset(number(offset)?));
            Ok(CutTile { low: hash(low)?, high: hash(high)?, segment, offset })
        };
        StreamCut::new(stream, tiles.split(',').map(tile).collect::<Result<_>>()?)
    }
}

impl fmt::Display for StreamCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stream.id, self.stream.generation)?;
        for (n, CutTile { low, high, segment, offset }) in self.tiles.iter().enumerate() {
            write!(f, "{}{low:x}-{high:x}={segment}@{offset}", if n == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

/// Neighbours of one segment are one tile, so that equal places are equal values.
fn join(tiles: &mut Vec<CutTile>) {
    tiles.dedup_by(|next, tile| {
        let joins = next.segment == tile.segment;
        if joins {
            tile.high = next.high;
        }
        joins
    });
}

/// The pairs of tiles that overlap, in order.
fn overlaps<'a>(a: &'a [CutTile], b: &'a [CutTile]) -> impl Iterator<Item = (&'a CutTile, &'a CutTile)> {
    let (mut i, mut j) = (0, 0);
    std::iter::from_fn(move || {
        let pair = (a.get(i)?, b.get(j)?);
        // Both end at the last hash, together.
        if pair.0.high <= pair.1.high {
            i += 1;
        }
        if pair.1.high <= pair.0.high {
            j += 1;
        }
        Some(pair)
    })
}

/// Gives a segment what nobody has claimed of its range. `tiles` need not be sorted.
pub(crate) fn claim(tiles: &mut Vec<CutTile>, (low, high): (u64, u64), segment: SegmentId, offset: Offset) {
    let mut taken: Vec<(u64, u64)> =
        tiles.iter().filter(|t| t.low <= high && t.high >= low).map(|t| (t.low, t.high)).collect();
    taken.sort_unstable();
    let mut from = Some(low);
    for (taken_low, taken_high) in taken {
        if let Some(at) = from.filter(|at| *at < taken_low) {
            tiles.push(CutTile { low: at, high: taken_low - 1, segment, offset });
        }
        from = taken_high.checked_add(1);
    }
    if let Some(at) = from.filter(|at| *at <= high) {
        tiles.push(CutTile { low: at, high, segment, offset });
    }
}

/// Oldest segments first: each claims what is left of its range. Sealed ones of which nothing is left leave theirs to successors.
pub(super) fn head(info: &StreamInfo) -> StreamCut {
    let mut tiles = Vec::new();
    let past = info.past.iter().map(|past| &past.segment).filter(|s| s.head < s.tail);
    let mut segments: Vec<&super::SegmentInfo> = past.chain(&info.segments).collect();
    segments.sort_unstable_by_key(|s| s.id);
    for segment in segments {
        claim(&mut tiles, segment.range, segment.id, segment.head);
    }
    tiles.sort_unstable_by_key(|tile| tile.low);
    StreamCut { stream: info.stream, tiles }
}

pub(super) fn tail(info: &StreamInfo) -> StreamCut {
    let tile = |s: &super::SegmentInfo| CutTile { low: s.range.0, high: s.range.1, segment: s.id, offset: s.tail };
    StreamCut { stream: info.stream, tiles: info.segments.iter().map(tile).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: StreamRef = StreamRef { id: StreamId(7), generation: Generation(2) };
    const HALF: u64 = 1 << 63;

    fn cut(tiles: &[(u64, u64, u64, u64)]) -> StreamCut {
        let tile = |&(low, high, segment, offset): &(u64, u64, u64, u64)| CutTile {
            low,
            high,
            segment: SegmentId(segment),
            offset: Offset(offset),
        };
        StreamCut::new(STREAM, tiles.iter().map(tile).collect()).unwrap()
    }

    #[test]
    fn cuts_compare_by_overlapping_ranges_newer_segments_and_greater_offsets() {
        let whole = |segment, offset| cut(&[(0, u64::MAX, segment, offset)]);
        let halves = |a, b| cut(&[(0, HALF - 1, 1 << 32 | 1, a), (HALF, u64::MAX, 1 << 32 | 2, b)]);
        let order = |a: &StreamCut, b: &StreamCut| (a.compare(b).unwrap(), b.compare(a).unwrap());
        assert_eq!(order(&whole(0, 5), &whole(0, 5)), (CutOrder::Equal, CutOrder::Equal));
        assert_eq!(order(&whole(0, 5), &whole(0, 6)), (CutOrder::Before, CutOrder::After));
        assert_eq!(order(&whole(0, 99), &halves(0, 0)), (CutOrder::Before, CutOrder::After));
        assert_eq!(order(&halves(1, 0), &halves(0, 1)), (CutOrder::Crossing, CutOrder::Crossing));
        assert_eq!(order(&halves(1, 1), &halves(0, 1)), (CutOrder::After, CutOrder::Before));
        // Half way through a split: the left successor is being read, the right range stands at its predecessor's end.
        let mixed = cut(&[(0, HALF - 1, 1 << 32 | 1, 3), (HALF, u64::MAX, 0, 99)]);
        assert_eq!(order(&mixed, &halves(4, 0)), (CutOrder::Before, CutOrder::After));
        assert_eq!(order(&mixed, &halves(2, 0)), (CutOrder::Crossing, CutOrder::Crossing));
        assert_eq!(mixed.later(&halves(2, 0)).unwrap(), halves(3, 0));
        assert_eq!(
            mixed.earlier(&halves(2, 0)).unwrap(),
            cut(&[(0, HALF - 1, 1 << 32 | 1, 2), (HALF, u64::MAX, 0, 99)])
        );
        let other = StreamCut::new(StreamRef { id: StreamId(8), ..STREAM }, whole(0, 5).tiles).unwrap();
        assert!(other.compare(&whole(0, 5)).is_err());
    }

    #[test]
    fn a_cut_covers_the_key_space_once_and_comes_back_from_its_text() {
        for bad in [&[(0, 5)][..], &[(1, u64::MAX)], &[(0, 5), (5, u64::MAX)], &[(0, 5), (7, u64::MAX)], &[]] {
            let tile = |(n, &(low, high)): (usize, &(u64, u64))| CutTile {
                low,
                high,
                segment: SegmentId(n as u64),
                offset: Offset(0),
            };
            assert!(StreamCut::new(STREAM, bad.iter().enumerate().map(tile).collect()).is_err(), "{bad:?}");
        }
        let split = cut(&[(0, HALF - 1, 1 << 32 | 1, 3), (HALF, u64::MAX, 0, 99)]);
        assert_eq!(StreamCut::parse(&split.to_string()).unwrap(), split);
        assert_eq!(split.to_string(), "7.2:0-7fffffffffffffff=4294967297@3,8000000000000000-ffffffffffffffff=0@99");
        for bad in ["", "7.2", "7.2:0-1=0@0", "7:0-ffffffffffffffff=0@0", "7.2:0-ffffffffffffffff=0"] {
            assert!(StreamCut::parse(bad).is_err(), "{bad}");
        }
        let joined = cut(&[(0, 4, 0, 1), (5, u64::MAX, 0, 1)]);
        assert_eq!(joined.tiles().len(), 1);
    }
}
