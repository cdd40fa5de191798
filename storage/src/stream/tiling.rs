//! Where a reader of a whole stream stands, segment by segment, and what it may read next. Pure: [`super::StreamReader`] and the readers of
//! pipelines' sources look at the stream and tell it.
//!
//! Invariants:
//! 1. the tiles cover the hash space once, and those of one segment have one offset and one state;
//! 2. a segment is entered when everything that is older in its range was read to its end.

use super::cut::{CutTile, StreamCut};
use super::{SegmentInfo, StreamInfo, StreamRef};
use crate::ids::{Offset, SegmentId};
use std::collections::{BTreeMap, BTreeSet};

/// How a segment stands with a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TileState {
    /// It is read, or will be.
    Open,
    /// Everything that it will ever have was given.
    Finished,
    /// The end of a bounded read lies here.
    Ended,
}

/// The place of a reader, and what follows from it.
#[derive(Clone, Debug)]
pub struct Tiling {
    stream: StreamRef,
    tiles: Vec<(CutTile, TileState)>,
    end: Option<StreamCut>,
    /// What was there at the last look and was not begun.
    unread: Vec<SegmentInfo>,
    /// The whole ranges of the segments in the tiles.
    ranges: BTreeMap<SegmentId, (u64, u64)>,
}

impl Tiling {
    /// A reader that stands at a cut and ends at another one, if given.
    pub fn new(info: &StreamInfo, start: &StreamCut, end: Option<StreamCut>) -> Tiling {
        let tiles = start.tiles().iter().map(|tile| (*tile, TileState::Open)).collect();
        let mut tiling = Tiling { stream: info.stream, tiles, end, unread: Vec::new(), ranges: BTreeMap::new() };
        tiling.note_segments(info);
        tiling.note_ends(None);
        tiling
    }

    /// Where it stands: everything before it was given.
    pub fn cut(&self) -> StreamCut {
        StreamCut::of_reader(self.stream, self.tiles.iter().map(|(tile, _)| *tile).collect())
    }

    /// The tiles, in the order of their ranges.
    pub fn tiles(&self) -> &[(CutTile, TileState)] {
        &self.tiles
    }

    /// Where a bounded read ends.
    pub fn end(&self) -> Option<&StreamCut> {
        self.end.as_ref()
    }

    /// Whether a segment was read to its end and has no successor here yet.
    pub fn has_finished(&self) -> bool {
        self.tiles.iter().any(|(_, state)| *state == TileState::Finished)
    }

    /// The epoch of the segment that is to be read next in a tile's range and was not begun; none = there is no such segment.
    pub fn next_epoch(&self, tile: &CutTile) -> Option<u32> {
        let over = |s: &&SegmentInfo| s.range.0 <= tile.high && s.range.1 >= tile.low && s.id > tile.segment;
        self.unread.iter().filter(over).map(|s| s.id.epoch()).min()
    }

    /// Where to read on in a segment.
    pub fn offset(&self, segment: SegmentId) -> Option<Offset> {
        self.tiles.iter().find(|(tile, _)| tile.segment == segment).map(|(tile, _)| tile.offset)
    }

    /// The segments that may be read now, by id.
    pub fn ready(&self) -> Vec<SegmentId> {
        let open = self.tiles.iter().filter(|(_, state)| *state == TileState::Open);
        let open: BTreeSet<SegmentId> = open.map(|(tile, _)| tile.segment).collect();
        if self.is_plain() {
            return open.into_iter().collect();
        }
        open.into_iter().filter(|segment| self.is_ready(*segment)).collect()
    }

    /// As almost always: each tile is its whole segment, so that none lies over another one, and nothing older is left unread.
    fn is_plain(&self) -> bool {
        let newest = self.tiles.iter().map(|(tile, _)| tile.segment).max();
        let whole = |tile: &CutTile| self.ranges.get(&tile.segment) == Some(&(tile.low, tile.high));
        self.unread.iter().all(|unread| Some(unread.id) > newest) && self.tiles.iter().all(|(tile, _)| whole(tile))
    }

    /// Events up to this offset were given.
    pub fn move_to(&mut self, segment: SegmentId, offset: Offset) {
        for (tile, _) in self.tiles.iter_mut().filter(|(tile, _)| tile.segment == segment) {
            tile.offset = offset;
        }
        self.note_ends(Some(segment));
    }

    /// The segment has no more, ever.
    pub fn finish(&mut self, segment: SegmentId) {
        for (_, state) in self.tiles.iter_mut().filter(|(tile, _)| tile.segment == segment) {
            *state = TileState::Finished;
        }
    }

    /// Whether nothing is left to be read: with an end, everything up to it; without, everything of a sealed stream.
    pub fn is_over(&self, sealed: bool) -> bool {
        self.tiles.iter().all(|(tile, state)| match state {
            TileState::Open => false,
            TileState::Ended => true,
            // Of a segment that was read to its end there may be successors that could not be begun yet.
            TileState::Finished => match &self.end {
                Some(end) => !goes_on(end, tile),
                None => sealed && !self.unread.iter().any(|s| s.range.0 <= tile.high && s.range.1 >= tile.low),
            },
        })
    }

    /// Where a bounded read ends in a segment; none = not in it.
    pub fn end_of(&self, segment: SegmentId) -> Option<Offset> {
        let end = self.end.as_ref()?;
        if let Some(tile) = end.tiles().iter().find(|tile| tile.segment == segment) {
            return Some(tile.offset);
        }
        // Past the end already: the end lies in older segments.
        let tile = self.tiles.iter().map(|(tile, _)| tile).find(|tile| tile.segment == segment)?;
        let passed =
            end.tiles().iter().filter(|e| e.low <= tile.high && e.high >= tile.low).all(|e| e.segment < segment);
        passed.then_some(Offset(0))
    }

    /// Of one segment, or of all.
    fn note_ends(&mut self, only: Option<SegmentId>) {
        let Some(end) = &self.end else { return };
        let ended = |(tile, state): &(CutTile, TileState)| {
            // Where the end lies in a successor, the segment is read to its own end first.
            only.is_none_or(|only| tile.segment == only)
                && *state == TileState::Open
                && !goes_on(end, tile)
                && self.end_of(tile.segment).is_some_and(|end| tile.offset >= end)
        };
        let ended: Vec<usize> = (0..self.tiles.len()).filter(|n| ended(&self.tiles[*n])).collect();
        for n in ended {
            self.tiles[n].1 = TileState::Ended;
        }
    }

    /// Whether nothing older is left to read in any part of its range. A tile may be smaller than its segment (where a predecessor was
    /// truncated away and another one was not): then it waits for what lies beside it.
    fn is_ready(&self, segment: SegmentId) -> bool {
        let Some(range) = self.ranges.get(&segment).copied() else { return true };
        let overlaps = |(low, high): (u64, u64)| low <= range.1 && high >= range.0;
        !self.is_open_below(segment, range) && !self.unread.iter().any(|s| s.id < segment && overlaps(s.range))
    }

    /// Whether an older segment whose whole range overlaps this one is being read.
    fn is_open_below(&self, segment: SegmentId, (low, high): (u64, u64)) -> bool {
        self.tiles.iter().any(|(tile, state)| {
            let whole = self.ranges.get(&tile.segment).copied().unwrap_or((tile.low, tile.high));
            tile.segment < segment && *state == TileState::Open && whole.0 <= high && whole.1 >= low
        })
    }

    /// The whole range of a segment in the tiles, as far as it is known.
    pub fn range(&self, segment: SegmentId) -> Option<(u64, u64)> {
        self.ranges.get(&segment).copied()
    }

    /// Remembers ranges, and what was not begun.
    fn note_segments(&mut self, info: &StreamInfo) {
        let begun = |s: &SegmentInfo| {
            let overlaps = |tile: &CutTile| tile.low <= s.range.1 && tile.high >= s.range.0;
            self.tiles.iter().any(|(tile, _)| overlaps(tile) && tile.segment >= s.id)
        };
        self.unread = info.all_segments().filter(|s| !begun(s)).copied().collect();
        let read: BTreeSet<SegmentId> = self.tiles.iter().map(|(tile, _)| tile.segment).collect();
        self.ranges.retain(|id, _| read.contains(id));
        self.ranges.extend(info.all_segments().filter(|s| read.contains(&s.id)).map(|s| (s.id, s.range)));
    }

    /// Puts successors in the place of finished segments, those that `may_enter` allows; it is told the segment and the tiles that it
    /// takes over. What is not allowed holds up what is newer in its range.
    pub fn go_on(&mut self, info: &StreamInfo, mut may_enter: impl FnMut(&SegmentInfo, &[CutTile]) -> bool) {
        self.note_segments(info);
        let mut segments = self.unread.clone();
        segments.sort_unstable_by_key(|s| s.id);
        // Those that have to wait: whatever overlaps them and is newer waits, too.
        let mut waiting: Vec<(u64, u64)> = Vec::new();
        for segment in segments {
            let (low, high) = segment.range;
            let overlaps = |(l, h): (u64, u64)| l <= high && h >= low;
            let under = self.tiles.iter().filter(|(tile, _)| overlaps((tile.low, tile.high)));
            let (under, states): (Vec<CutTile>, Vec<TileState>) = under.copied().unzip();
            let free = states.iter().all(|state| *state == TileState::Finished)
                && !self.is_open_below(segment.id, segment.range)
                && !waiting.iter().any(|range| overlaps(*range));
            if free && may_enter(&segment, &under) {
                self.enter(&segment);
            } else {
                waiting.push((low, high));
            }
        }
        self.note_segments(info);
        self.note_ends(None);
    }

    /// A segment takes its range over from finished ones.
    fn enter(&mut self, segment: &SegmentInfo) {
        let (low, high) = segment.range;
        let mut tiles = Vec::with_capacity(self.tiles.len() + 2);
        for (tile, state) in self.tiles.drain(..) {
            if tile.high < low || tile.low > high {
                tiles.push((tile, state));
                continue;
            }
            if tile.low < low {
                tiles.push((CutTile { high: low - 1, ..tile }, state));
            }
            if tile.high > high {
                tiles.push((CutTile { low: high + 1, ..tile }, state));
            }
        }
        tiles.push((CutTile { low, high, segment: segment.id, offset: segment.head }, TileState::Open));
        tiles.sort_unstable_by_key(|(tile, _)| tile.low);
        self.tiles = tiles;
    }
}

/// Whether an end lies in successors of a tile.
fn goes_on(end: &StreamCut, tile: &CutTile) -> bool {
    end.tiles().iter().any(|e| e.low <= tile.high && e.high >= tile.low && e.segment > tile.segment)
}
