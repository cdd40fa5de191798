//! Reads a whole stream: follows its segments in order, over scalings, truncations and up to an end. `stream cat` and `tail` of the
//! command line read with it; [`crate::Store::reader`] makes it.
//!
//! Invariants:
//! 1. a successor's events come after all events of all of its predecessors;
//! 2. `tiles` cover the hash space once: with [`StreamReader::cut`] another reader goes on just here;
//! 3. a truncation below the position is told once, then reading goes on at what is left.

use super::cut::{CutTile, StreamCut};
use super::{SegmentInfo, StreamInfo, StreamRef, StreamState};
use crate::batch::Batch;
use crate::error::{Error, Kind, Result};
use crate::ids::{Offset, Position, SegmentId, StreamName};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Where a reader starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// With the oldest event there is.
    Head,
    /// With the next event that is appended.
    Tail,
    /// At a place in the stream.
    Cut(StreamCut),
}

/// What a read gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamRead {
    /// Events of one segment.
    Events {
        /// The segment.
        segment: SegmentId,
        /// Offset of the first of them.
        first: Offset,
        /// The events, at least one.
        batch: Batch,
    },
    /// Nothing for now: everything that is there was given.
    CaughtUp,
    /// Events that were to come next are gone; the next read goes on after them.
    Truncated {
        /// The segment.
        segment: SegmentId,
        /// The first one that is gone.
        from: Offset,
        /// Where it goes on in this segment; none = in its successors.
        to: Option<Offset>,
    },
    /// Nothing more ever: the stream is sealed and read, or the end was reached.
    End,
}

/// How a segment stands with a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tile {
    Open,
    /// Everything that the segment will ever have was given.
    Finished,
    /// The end of a bounded read lies here.
    Ended,
}

/// A reader of one stream.
#[derive(Debug)]
pub struct StreamReader {
    store: Store,
    name: StreamName,
    stream: StreamRef,
    tiles: Vec<(CutTile, Tile)>,
    end: Option<StreamCut>,
    /// The segment that is read just now.
    current: Option<SegmentId>,
    /// What was there at the last look and was not begun.
    unread: Vec<SegmentInfo>,
    /// The whole ranges of the segments in the tiles.
    ranges: BTreeMap<SegmentId, (u64, u64)>,
}

impl StreamReader {
    pub(crate) fn new(
        store: &Store,
        info: &StreamInfo,
        from: ReadFrom,
        end: Option<StreamCut>,
    ) -> Result<StreamReader> {
        let start = match from {
            ReadFrom::Head => info.head_cut(),
            ReadFrom::Tail => info.tail_cut(),
            ReadFrom::Cut(cut) => cut,
        };
        let cuts = std::iter::once(&start).chain(&end);
        for cut in cuts {
            check_cut(info, cut)?;
        }
        let tiles = start.tiles().iter().map(|tile| (*tile, Tile::Open)).collect();
        let mut reader = StreamReader {
            store: store.clone(),
            name: info.name.clone(),
            stream: info.stream,
            tiles,
            end,
            current: None,
            unread: Vec::new(),
            ranges: BTreeMap::new(),
        };
        reader.note_segments(info);
        reader.note_ends();
        Ok(reader)
    }

    /// Where it stands: everything before it was given.
    pub fn cut(&self) -> StreamCut {
        let tiles = self.tiles.iter().map(|(tile, _)| *tile).collect();
        // The tiles keep covering the hash space, so there is nothing to refuse.
        StreamCut::new(self.stream, tiles)
            .unwrap_or_else(|_| unreachable!("the tiles of a reader cover the hash space"))
    }

    /// The next events, about `max_bytes` of them. Of several segments one is read until it has no more for now; with an end
    /// given, the oldest first.
    pub fn read(&mut self, max_bytes: usize) -> Result<StreamRead> {
        loop {
            // A segment may have come to its end in an earlier call.
            if self.tiles.iter().any(|(_, state)| *state == Tile::Finished) {
                self.go_on()?;
            }
            let mut open: Vec<SegmentId> =
                self.tiles.iter().filter(|(_, state)| *state == Tile::Open).map(|(tile, _)| tile.segment).collect();
            open.sort_unstable();
            open.dedup();
            open.retain(|segment| self.is_ready(*segment));
            let mut finished = false;
            // Start after the one that was read last, so that none starves; a bounded read takes each to its end.
            let first = open.iter().position(|id| Some(*id) >= self.current).unwrap_or(0);
            let first = if self.end.is_some() { first } else { first % open.len().max(1) };
            for n in 0..open.len() {
                let segment = open[(first + n) % open.len()];
                match self.read_segment(segment, max_bytes)? {
                    // What comes after it may be older than the next one here.
                    Some(StreamRead::End) => {
                        finished = true;
                        break;
                    }
                    None => {}
                    Some(read) => {
                        self.current = Some(if self.end.is_some() { segment } else { SegmentId(segment.0 + 1) });
                        return Ok(read);
                    }
                }
            }
            if finished {
                continue;
            }
            let over = self.tiles.iter().all(|(_, state)| match state {
                Tile::Open => false,
                Tile::Ended => true,
                Tile::Finished => self.end.is_some(),
            });
            if over || (self.tiles.iter().all(|(_, state)| *state != Tile::Open) && self.is_sealed()?) {
                return Ok(StreamRead::End);
            }
            return Ok(StreamRead::CaughtUp);
        }
    }

    /// `End` = the segment has no more, ever.
    fn read_segment(&mut self, segment: SegmentId, max_bytes: usize) -> Result<Option<StreamRead>> {
        let Some(tile) = self.tiles.iter().map(|(tile, _)| *tile).find(|tile| tile.segment == segment) else {
            return Ok(None);
        };
        let StreamRef { id: stream, generation } = self.stream;
        let from = tile.offset;
        match self.store.read(Position { stream, generation, segment, offset: from }, max_bytes) {
            Ok(mut read) if !read.batch.is_empty() => {
                let left = self.end_of(segment).map_or(u64::MAX, |end| end.0.saturating_sub(from.0));
                if (read.batch.len() as u64) > left {
                    read.batch = read.batch.slice(0..left as usize)?;
                }
                self.move_to(segment, from.plus(read.batch.len() as u64), None);
                self.note_ends();
                Ok(Some(StreamRead::Events { segment, first: from, batch: read.batch }))
            }
            Ok(read) if read.sealed => {
                self.move_to(segment, from, Some(Tile::Finished));
                Ok(Some(StreamRead::End))
            }
            Ok(_) => Ok(None),
            Err(e) if e.kind() == Kind::Truncated => self.skip_truncated(segment, from, e).map(Some),
            Err(e) => Err(e),
        }
    }

    fn skip_truncated(&mut self, segment: SegmentId, from: Offset, why: Error) -> Result<StreamRead> {
        let info = self.look()?;
        match info.segment(segment) {
            Some(SegmentInfo { head, .. }) if *head > from => {
                self.move_to(segment, *head, None);
                self.note_ends();
                Ok(StreamRead::Truncated { segment, from, to: Some(*head) })
            }
            None => {
                self.move_to(segment, from, Some(Tile::Finished));
                Ok(StreamRead::Truncated { segment, from, to: None })
            }
            Some(_) => Err(why),
        }
    }

    fn move_to(&mut self, segment: SegmentId, offset: Offset, state: Option<Tile>) {
        for (tile, is) in self.tiles.iter_mut().filter(|(tile, _)| tile.segment == segment) {
            tile.offset = offset;
            *is = state.unwrap_or(*is);
        }
    }

    /// Where a bounded read ends in a segment; none = not in it.
    fn end_of(&self, segment: SegmentId) -> Option<Offset> {
        let end = self.end.as_ref()?;
        if let Some(offset) = end.positions().get(&segment) {
            return Some(*offset);
        }
        // Past the end already: the end lies in older segments.
        let tile = self.tiles.iter().map(|(tile, _)| tile).find(|tile| tile.segment == segment)?;
        let passed =
            end.tiles().iter().filter(|e| e.low <= tile.high && e.high >= tile.low).all(|e| e.segment < segment);
        passed.then_some(Offset(0))
    }

    fn note_ends(&mut self) {
        for n in 0..self.tiles.len() {
            let (CutTile { low, high, segment, offset }, state) = self.tiles[n];
            // Where the end lies in a successor, the segment is read to its own end first.
            let goes_on =
                |end: &StreamCut| end.tiles().iter().any(|e| e.low <= high && e.high >= low && e.segment > segment);
            if state == Tile::Open
                && self.end.as_ref().is_some_and(|end| !goes_on(end))
                && self.end_of(segment).is_some_and(|end| offset >= end)
            {
                self.tiles[n].1 = Tile::Ended;
            }
        }
    }

    fn look(&self) -> Result<StreamInfo> {
        let info = self.store.stream(&self.name)?.filter(|info| info.stream == self.stream);
        info.ok_or_else(|| {
            Error::not_found(format!(
                "stream {} was deleted while it was read, or created anew: open a new reader",
                self.name
            ))
        })
    }

    fn is_sealed(&self) -> Result<bool> {
        Ok(self.look()?.state == StreamState::Sealed)
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
            tile.segment < segment && *state == Tile::Open && whole.0 <= high && whole.1 >= low
        })
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

    /// Puts successors in the place of finished segments.
    fn go_on(&mut self) -> Result<()> {
        let info = self.look()?;
        self.note_segments(&info);
        let mut segments = self.unread.clone();
        segments.sort_unstable_by_key(|s| s.id);
        // Those that have to wait: whatever overlaps them and is newer waits, too.
        let mut waiting: Vec<(u64, u64)> = Vec::new();
        for segment in segments {
            let (low, high) = segment.range;
            let overlaps = |(l, h): (u64, u64)| l <= high && h >= low;
            let mut under = self.tiles.iter().filter(|(tile, _)| overlaps((tile.low, tile.high)));
            let free =
                under.all(|(_, state)| *state == Tile::Finished) && !self.is_open_below(segment.id, segment.range);
            if free && !waiting.iter().any(|range| overlaps(*range)) {
                self.enter(&segment);
            } else {
                waiting.push((low, high));
            }
        }
        self.note_segments(&info);
        self.note_ends();
        Ok(())
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
        tiles.push((CutTile { low, high, segment: segment.id, offset: segment.head }, Tile::Open));
        tiles.sort_unstable_by_key(|(tile, _)| tile.low);
        self.tiles = tiles;
    }
}

/// A cut must be one of this stream, of segments that are or were there, and not past their tails.
pub(crate) fn check_cut(info: &StreamInfo, cut: &StreamCut) -> Result<()> {
    let bad = |why: String| Err(Error::invalid(format!("stream {}: {why}", info.name)));
    if cut.stream() != info.stream {
        return bad(format!(
            "the cut is one of stream {}, generation {}, this is {}, generation {}: take a cut of this stream",
            cut.stream().id,
            cut.stream().generation,
            info.stream.id,
            info.stream.generation
        ));
    }
    for tile in cut.tiles() {
        match info.segment(tile.segment) {
            Some(segment) if tile.offset > segment.tail => {
                return bad(format!(
                    "the cut stands at offset {} of segment {}, whose tail is {}",
                    tile.offset, segment.id, segment.tail
                ));
            }
            Some(segment) if tile.low < segment.range.0 || tile.high > segment.range.1 => {
                return bad(format!("the cut gives segment {} keys that it does not own", segment.id));
            }
            Some(_) => {}
            None if tile.segment.epoch() > info.epoch => return bad(format!("there is no segment {}", tile.segment)),
            // Truncated since.
            None => {}
        }
    }
    Ok(())
}
