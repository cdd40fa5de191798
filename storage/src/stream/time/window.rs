//! Time windows: between which times a reader at a position stands, looked up in the watermarks that a stream keeps. A pure
//! function of the position and the watermarks; `store/time.rs` hands in the table.
//!
//! A watermark is *passed* when the position is nowhere before its cut. Cuts never go back, so the passed ones come first; then
//! those that the position crosses; then those wholly beyond. `lower` = that of the last one passed; `upper` = that of the first
//! beyond, or of the newest when there is none and it is not passed.

use crate::error::Result;
use crate::row::WatermarkRow;
use crate::stream::{CutOrder, StreamCut};
use crate::time::EventTime;

/// Between which times the events at a position are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeWindow {
    /// What is read from now on is later, as far as the writers keep their word; none = before the first watermark.
    pub lower: Option<EventTime>,
    /// No writer had noted a later time by then; none = past the newest watermark.
    pub upper: Option<EventTime>,
}

/// The watermarks of a stream, by ascending number. Numbers may have gaps.
pub(crate) trait Watermarks {
    /// The first one of this number or a greater one.
    fn at_or_after(&self, number: u64) -> Result<Option<(u64, WatermarkRow)>>;
    /// The last one of a smaller number.
    fn before(&self, number: u64) -> Result<Option<(u64, WatermarkRow)>>;
}

/// The least number from which on no watermark lies as `early` says; those that do come first.
fn boundary(watermarks: &impl Watermarks, from: u64, early: impl Fn(&WatermarkRow) -> Result<bool>) -> Result<u64> {
    let Some((newest, _)) = watermarks.before(u64::MAX)? else { return Ok(from) };
    let (mut low, mut high) = (from, newest + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match watermarks.at_or_after(middle)? {
            Some((number, row)) if early(&row)? => low = number + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The window of a position. Reads O(log n) watermarks.
pub(crate) fn window(watermarks: &impl Watermarks, position: &StreamCut) -> Result<TimeWindow> {
    let Some((oldest, _)) = watermarks.at_or_after(0)? else { return Ok(TimeWindow::default()) };
    let order = |row: &WatermarkRow| position.compare(&row.cut);
    let passed = |row: &WatermarkRow| Ok(matches!(order(row)?, CutOrder::Equal | CutOrder::After));
    let ahead = boundary(watermarks, oldest, passed)?;
    let beyond = boundary(watermarks, ahead, |row| Ok(order(row)? != CutOrder::Before))?;
    let lower = watermarks.before(ahead)?.map(|(_, row)| row.lower);
    let upper = match watermarks.at_or_after(beyond)? {
        Some((_, row)) => Some(row.upper),
        None => watermarks.before(u64::MAX)?.filter(|(number, _)| *number >= ahead).map(|(_, row)| row.upper),
    };
    Ok(TimeWindow { lower, upper })
}

/// Keeps what one consumer is told from going back, though its position may: a reader of a group dies, and what it had read but
/// not kept is read again.
#[derive(Clone, Copy, Debug, Default)]
pub struct WindowClamp {
    told: TimeWindow,
}

impl WindowClamp {
    /// What to tell for the window of the position as it is now.
    pub fn advance(&mut self, window: TimeWindow) -> TimeWindow {
        let lower = window.lower.max(self.told.lower);
        let upper = window.upper.map(|upper| lower.map_or(upper, |lower| upper.max(lower)));
        self.told = TimeWindow { lower, upper };
        self.told
    }

    /// What was told last; both ends open at first.
    pub fn window(&self) -> TimeWindow {
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Generation, Offset, SegmentId, StreamId};
    use crate::stream::{CutTile, StreamRef};

    /// Numbers with gaps, as thinning leaves them.
    struct Kept(Vec<WatermarkRow>);

    impl Kept {
        fn numbered(&self) -> impl DoubleEndedIterator<Item = (u64, WatermarkRow)> {
            self.0.iter().enumerate().map(|(n, row)| (n as u64 * 3 + 7, row.clone()))
        }
    }

    impl Watermarks for Kept {
        fn at_or_after(&self, number: u64) -> Result<Option<(u64, WatermarkRow)>> {
            Ok(self.numbered().find(|(n, _)| *n >= number))
        }
        fn before(&self, number: u64) -> Result<Option<(u64, WatermarkRow)>> {
            Ok(self.numbered().rev().find(|(n, _)| *n < number))
        }
    }

    /// s0 and s2 own the lower half, s1 and s3 the upper one; s2 and s3 are the newer ones.
    fn cut(left: (u64, u64), right: (u64, u64)) -> StreamCut {
        let tile = |low, high, (segment, offset): (u64, u64)| CutTile {
            low,
            high,
            segment: SegmentId(segment),
            offset: Offset(offset),
        };
        let tiles = vec![tile(0, (1 << 63) - 1, left), tile(1 << 63, u64::MAX, right)];
        StreamCut::new(StreamRef { id: StreamId(1), generation: Generation(1) }, tiles).unwrap()
    }

    /// The reference vector of the upstream test of the same name (semantics.md 1.6, WatermarkReaderImplTest.testUpdates).
    #[test]
    fn test_updates() {
        let mark = |left, right, lower, upper| WatermarkRow {
            lower: EventTime(lower),
            upper: EventTime(upper),
            cut: cut(left, right),
            kept: 0,
            emitted_at_ms: 0,
        };
        let marks = Kept(vec![
            mark((0, 0), (1, 0), 10, 19),
            mark((0, 2), (1, 0), 20, 29),
            mark((0, 2), (1, 2), 30, 39),
            mark((2, 0), (1, 2), 40, 49),
            mark((2, 4), (1, 2), 50, 59),
            mark((2, 4), (1, 4), 60, 69),
            mark((2, 4), (3, 0), 70, 79),
            mark((2, 6), (3, 4), 80, 89),
        ]);
        let mut reader = WindowClamp::default();
        assert_eq!(reader.window(), TimeWindow { lower: None, upper: None }, "initially");
        let positions = [
            ((0, 1), (1, 0), 10, Some(29)),
            ((0, 3), (1, 0), 20, Some(49)),
            ((0, 5), (1, 0), 20, Some(49)),
            ((0, 6), (1, 0), 20, Some(49)),
            ((0, 6), (1, 1), 20, Some(49)),
            ((0, 6), (1, 3), 30, Some(69)),
            ((2, 0), (1, 3), 40, Some(69)),
            ((2, 4), (1, 3), 50, Some(69)),
            ((2, 4), (1, 5), 60, Some(79)),
            ((2, 4), (3, 1), 70, Some(89)),
            ((2, 5), (3, 1), 70, Some(89)),
            ((2, 5), (3, 5), 70, Some(89)),
            ((2, 6), (3, 5), 80, None),
            ((2, 7), (3, 7), 80, None),
        ];
        for (left, right, lower, upper) in positions {
            let expected = TimeWindow { lower: Some(EventTime(lower)), upper: upper.map(EventTime) };
            let window = window(&marks, &cut(left, right)).unwrap();
            assert_eq!(window, expected, "{left:?} {right:?}");
            assert_eq!(reader.advance(window), expected);
        }
    }

    #[test]
    fn no_watermark_no_window_and_what_was_told_never_goes_back() {
        assert_eq!(window(&Kept(Vec::new()), &cut((0, 5), (1, 5))).unwrap(), TimeWindow::default());
        let at = |lower, upper| TimeWindow { lower: Some(EventTime(lower)), upper: Some(EventTime(upper)) };
        let mut reader = WindowClamp::default();
        assert_eq!(reader.advance(at(30, 40)), at(30, 40));
        assert_eq!(reader.advance(at(10, 20)), at(30, 30));
        assert_eq!(reader.advance(TimeWindow::default()), TimeWindow { lower: Some(EventTime(30)), upper: None });
    }
}
