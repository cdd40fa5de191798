//! Who of a source's partitions reads which segments of its stream, over scalings. One for all partitions of a run; `partition.rs` asks
//! it what to read and tells it what was read.
//!
//! A pipeline has as many partitions as the stream had segments to begin with when it first ran. A segment's successor goes to
//! the partition of one of its predecessors, so partitions are never added; one that has nothing left ends.
//!
//! Order of a key, downstream too, where partitions come through channels of their own:
//! 1. a successor is begun after all of its predecessors were read to their ends;
//! 2. after a predecessor of *another* partition only in a later epoch: what came of the predecessor is before the barrier, what
//!    comes of the successor behind it, and no operator takes anything from behind a barrier before it has it from everywhere;
//! 3. the positions of an epoch cover the key space: a partition keeps a finished segment that another one has taken over until the epoch
//!    in which that happened has passed it, too. When they are put together the newer segment counts.

use super::position::{Places, StreamPosition};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidemill_storage::stream::{CutTile, StreamInfo, StreamState, TileState, Tiling};
use tidemill_storage::{Offset, SegmentId, StreamCut};

/// A partition's share.
#[derive(Debug, Default)]
struct Share {
    id: String,
    /// Barriers that it has passed in this run. All partitions pass the same ones.
    epoch: u64,
    /// Finished tiles that another partition took over, and the epoch in which it did.
    given: Vec<(CutTile, u64)>,
}

/// A segment that was read to its end.
#[derive(Debug)]
struct Finished {
    segment: SegmentId,
    range: (u64, u64),
    share: usize,
    epoch: u64,
}

#[derive(Debug)]
struct Inner {
    tiling: Tiling,
    shares: Vec<Share>,
    owners: BTreeMap<SegmentId, usize>,
    /// Of epochs that not all partitions have left behind.
    finished: Vec<Finished>,
}

/// The shares of a source's partitions.
#[derive(Debug)]
pub(super) struct Follower(Mutex<Inner>);

/// How a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It reads, or will.
    Open,
    /// It has nothing to read any more, ever.
    Over,
}

/// What of a range no other one has taken.
fn left_of(taken: &[(u64, u64)], (low, high): (u64, u64)) -> Vec<(u64, u64)> {
    let mut taken: Vec<_> = taken.iter().copied().filter(|t| t.0 <= high && t.1 >= low).collect();
    taken.sort_unstable();
    let (mut left, mut from) = (Vec::new(), Some(low));
    for (taken_low, taken_high) in taken {
        if let Some(at) = from.filter(|at| *at < taken_low) {
            left.push((at, taken_low - 1));
        }
        from = from.max(taken_high.checked_add(1)).filter(|_| taken_high < u64::MAX);
    }
    left.extend(from.filter(|at| *at <= high).map(|at| (at, high)));
    left
}

/// Tiles that may overlap, as tiles that do not: the newer segment counts.
fn newest(mut tiles: Vec<CutTile>) -> Vec<CutTile> {
    tiles.sort_unstable_by_key(|tile| std::cmp::Reverse(tile.segment));
    let (mut out, mut taken) = (Vec::new(), Vec::new());
    for tile in tiles {
        for (low, high) in left_of(&taken, (tile.low, tile.high)) {
            out.push(CutTile { low, high, ..tile });
            taken.push((low, high));
        }
    }
    out
}

/// What of a tile lies in another one's range.
fn clip(tile: &CutTile, within: &CutTile) -> Option<CutTile> {
    let (low, high) = (tile.low.max(within.low), tile.high.min(within.high));
    (low <= high).then_some(CutTile { low, high, ..*tile })
}

impl Follower {
    fn new(tiling: Tiling, ids: Vec<String>, owners: BTreeMap<SegmentId, usize>) -> Follower {
        let shares = ids.into_iter().map(|id| Share { id, ..Share::default() }).collect();
        Follower(Mutex::new(Inner { tiling, shares, owners, finished: Vec::new() }))
    }

    /// From the head of the stream: a partition per segment there, by the names that `id` gives.
    pub(super) fn start(info: &StreamInfo, bounded: bool, id: impl Fn(SegmentId) -> String) -> Follower {
        let head = info.head_cut();
        let segments: BTreeSet<SegmentId> = head.tiles().iter().map(|tile| tile.segment).collect();
        let owners = segments.iter().enumerate().map(|(n, segment)| (*segment, n)).collect();
        let tiling = Tiling::new(info, &head, bounded.then(|| info.tail_cut()));
        Follower::new(tiling, segments.into_iter().map(id).collect(), owners)
    }

    /// From where a checkpoint's partitions were. The error is for people.
    pub(super) fn resume(
        info: &StreamInfo,
        bounded: bool,
        positions: BTreeMap<String, StreamPosition>,
    ) -> Result<Follower, String> {
        let (mut tiles, mut ends, mut owners) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut finished = BTreeSet::new();
        let mut has_end = true;
        for (share, (id, position)) in positions.iter().enumerate() {
            if position.stream != info.stream {
                return Err("the stream was deleted and made again since the position was taken; run under another \
                            pipeline name"
                    .into());
            }
            match &position.places {
                Places::Segment { segment, offset, end } => {
                    let known = info.segment(*segment).ok_or_else(|| {
                        format!(
                            "{id}: all of segment {segment} was truncated, and what the pipeline had not read is lost; run under \
                             another pipeline name to read what is left"
                        )
                    })?;
                    let tile = CutTile { low: known.range.0, high: known.range.1, segment: *segment, offset: *offset };
                    tiles.push(tile);
                    owners.insert(*segment, share);
                    has_end &= end.is_some();
                    ends.extend(end.map(|offset| CutTile { offset, ..tile }));
                }
                Places::Tiles { tiles: own, end } => {
                    for (tile, is_finished) in own {
                        tiles.push(*tile);
                        owners.insert(tile.segment, share);
                        if *is_finished {
                            finished.insert(tile.segment);
                        }
                    }
                    has_end &= !end.is_empty() || own.is_empty();
                    ends.extend(end);
                }
            }
        }
        let uncovered =
            "the positions of the checkpoint do not cover the stream: it is damaged; run under another pipeline name";
        let cut = |tiles| StreamCut::new(info.stream, newest(tiles)).map_err(|_| uncovered.to_string());
        let start = cut(tiles)?;
        let end = match (bounded, has_end) {
            (false, _) => None,
            (true, true) => Some(cut(ends)?),
            // A run that had no end and is to have one now ends where the stream does.
            (true, false) => Some(info.tail_cut()),
        };
        let mut tiling = Tiling::new(info, &start, end);
        finished.into_iter().for_each(|segment| tiling.finish(segment));
        Ok(Follower::new(tiling, positions.into_keys().collect(), owners))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partitions' names.
    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().shares.iter().map(|share| share.id.clone()).collect()
    }

    /// The share of a partition.
    pub(super) fn share(&self, id: &str) -> Option<usize> {
        self.lock().shares.iter().position(|share| share.id == id)
    }

    /// What a partition may read now: segments, from where on, and up to where if there is an end. None = nothing now.
    ///
    /// While a successor of one of its segments waits (for another partition, or a barrier), only what was sealed no later than the successor
    /// was made is read: the event times of the rest would run ahead of those that wait. Whatever the oldest one of all waiting
    /// successors waits for was sealed by then, so that partitions never wait for each other in a circle.
    pub(super) fn ready(&self, share: usize, info: &StreamInfo) -> Vec<(SegmentId, Offset, Option<Offset>)> {
        let inner = self.lock();
        let sealed_in = |id: SegmentId| info.past.iter().find(|past| past.segment.id == id).map(|past| past.sealed_in);
        let waiting = inner.own(share).filter(|(_, state)| *state == TileState::Finished);
        let limit = waiting.filter_map(|(tile, _)| inner.tiling.next_epoch(tile)).min();
        let in_time = |id: SegmentId| limit.is_none_or(|limit| sealed_in(id).is_some_and(|epoch| epoch <= limit));
        let own = inner.tiling.ready().into_iter().filter(|segment| inner.owners.get(segment) == Some(&share));
        let allowed = own.filter(|segment| {
            let range = inner.tiling.range(*segment);
            in_time(*segment) && range.is_none_or(|range| inner.is_behind_barrier(share, *segment, range))
        });
        let place = |segment| Some((segment, inner.tiling.offset(segment)?, inner.tiling.end_of(segment)));
        allowed.filter_map(place).collect()
    }

    /// A partition has given the events of a segment up to an offset.
    pub(super) fn move_to(&self, segment: SegmentId, offset: Offset) {
        self.lock().tiling.move_to(segment, offset);
    }

    /// A partition has given all that a segment will ever have.
    pub(super) fn finish(&self, share: usize, segment: SegmentId) {
        let mut inner = self.lock();
        let epoch = inner.shares[share].epoch;
        if let Some(range) = inner.tiling.range(segment) {
            inner.finished.push(Finished { segment, range, share, epoch });
        }
        inner.tiling.finish(segment);
    }

    /// A partition begins the successors that are its to begin.
    pub(super) fn go_on(&self, share: usize, info: &StreamInfo) {
        let inner = &mut *self.lock();
        if !inner.tiling.has_finished() {
            return;
        }
        let mut tiling = inner.tiling.clone();
        let mut entered: Vec<(SegmentId, Vec<CutTile>)> = Vec::new();
        tiling.go_on(info, |segment, under| {
            let owners: BTreeSet<usize> =
                under.iter().filter_map(|tile| inner.owners.get(&tile.segment).copied()).collect();
            let busy = |owner: &usize| (inner.owners.values().filter(|o| *o == owner).count(), *owner);
            let may = owners.iter().copied().min_by_key(busy) == Some(share)
                && inner.is_behind_barrier(share, segment.id, segment.range);
            if may {
                entered.push((segment.id, under.to_vec()));
            }
            may
        });
        let epoch = inner.shares[share].epoch;
        for (segment, under) in entered {
            for tile in under {
                if let Some(owner) = inner.owners.get(&tile.segment).copied().filter(|owner| *owner != share) {
                    let range = tiling.range(segment).unwrap_or((tile.low, tile.high));
                    let whole = CutTile { low: range.0, high: range.1, ..tile };
                    inner.shares[owner].given.extend(clip(&tile, &whole).map(|tile| (tile, epoch)));
                }
            }
            inner.owners.insert(segment, share);
        }
        inner.tiling = tiling;
        let there: BTreeSet<SegmentId> = inner.tiling.tiles().iter().map(|(tile, _)| tile.segment).collect();
        inner.owners.retain(|segment, _| there.contains(segment));
    }

    /// A partition passes a barrier: what it reads from now on belongs to a later epoch.
    pub(super) fn barrier(&self, share: usize) {
        let mut inner = self.lock();
        inner.shares[share].epoch += 1;
        let epoch = inner.shares[share].epoch;
        inner.shares[share].given.retain(|(_, given_in)| *given_in >= epoch);
        let least = inner.shares.iter().map(|share| share.epoch).min().unwrap_or(0);
        inner.finished.retain(|finished| finished.epoch >= least);
    }

    /// How a partition stands; `sealed` = the stream takes no more events.
    pub(super) fn standing(&self, share: usize, info: Option<&StreamInfo>) -> Standing {
        let inner = self.lock();
        let mut own = inner.own(share).peekable();
        let is_over = match own.peek() {
            None => inner.shares[share].given.is_empty(),
            Some(_) => {
                let sealed = info.is_some_and(|info| info.state == StreamState::Sealed);
                own.all(|(_, state)| *state == TileState::Ended) || inner.tiling.is_over(sealed)
            }
        };
        if is_over { Standing::Over } else { Standing::Open }
    }

    /// Where a partition stands, for a checkpoint.
    pub(super) fn position(&self, share: usize) -> StreamPosition {
        let inner = self.lock();
        let own = inner.own(share).map(|(tile, state)| (*tile, *state == TileState::Finished));
        let given = inner.shares[share].given.iter().map(|(tile, _)| (*tile, true));
        let tiles: Vec<(CutTile, bool)> = own.chain(given).collect();
        let ends = inner.tiling.end().map_or(&[][..], |end| end.tiles());
        let end = ends.iter().flat_map(|end| tiles.iter().filter_map(|(tile, _)| clip(end, tile))).collect();
        StreamPosition { stream: inner.tiling.cut().stream(), places: Places::Tiles { tiles, end } }
    }

    /// The segments of a partition and where it stands in them.
    pub(super) fn places(&self, share: usize) -> BTreeMap<SegmentId, Offset> {
        self.lock().own(share).map(|(tile, _)| (tile.segment, tile.offset)).collect()
    }

    /// Events of a partition up to the end, in the segments in which it stands.
    pub(super) fn left(&self, share: usize) -> u64 {
        let inner = self.lock();
        let left = |tile: &CutTile| Some(inner.tiling.end_of(tile.segment)?.0.saturating_sub(tile.offset.0));
        inner.own(share).filter_map(|(tile, _)| left(tile)).sum()
    }

    /// The place that a partition's own watermark is looked up for: it stands where it does, and everything else at the tail.
    pub(super) fn cut(&self, share: usize, info: &StreamInfo) -> Option<StreamCut> {
        let inner = self.lock();
        let mut tiles: Vec<CutTile> = inner.own(share).map(|(tile, _)| *tile).collect();
        let taken: Vec<(u64, u64)> = tiles.iter().map(|tile| (tile.low, tile.high)).collect();
        let offsets: BTreeMap<SegmentId, Offset> = tiles.iter().map(|tile| (tile.segment, tile.offset)).collect();
        for tail in info.tail_cut().tiles() {
            let offset = offsets.get(&tail.segment).copied().unwrap_or(tail.offset);
            tiles.extend(left_of(&taken, (tail.low, tail.high)).into_iter().map(|(low, high)| CutTile {
                low,
                high,
                offset,
                ..*tail
            }));
        }
        StreamCut::new(info.stream, tiles).ok()
    }
}

impl Inner {
    /// The tiles of a partition.
    fn own(&self, share: usize) -> impl Iterator<Item = &(CutTile, TileState)> {
        self.tiling.tiles().iter().filter(move |(tile, _)| self.owners.get(&tile.segment) == Some(&share))
    }

    /// Whether between everything older in a range that other partitions have read and what this one reads now there is a barrier.
    fn is_behind_barrier(&self, share: usize, segment: SegmentId, (low, high): (u64, u64)) -> bool {
        let epoch = self.shares[share].epoch;
        let mut older = self.finished.iter().filter(|f| f.segment < segment && f.range.0 <= high && f.range.1 >= low);
        older.all(|f| f.share == share || f.epoch < epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_range_is_what_nobody_has_taken() {
        let max = u64::MAX;
        assert_eq!(left_of(&[], (0, max)), [(0, max)]);
        assert_eq!(left_of(&[(0, max)], (0, max)), []);
        assert_eq!(left_of(&[(5, 9), (20, max)], (0, max)), [(0, 4), (10, 19)]);
        assert_eq!(left_of(&[(0, 4), (3, 9), (2, 5)], (0, 12)), [(10, 12)]);
        assert_eq!(left_of(&[(30, 40)], (5, 9)), [(5, 9)]);
    }
}
