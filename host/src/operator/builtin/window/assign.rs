//! Which aligned windows a time falls in, and which panes windows are made of. Pure.
//!
//! Windows start at `offset` plus multiples of `slide`, on both sides of 1970 (floor, not truncation). When windows
//! overlap, time is cut into panes of gcd(size, slide): an event is folded into its one pane, and a window is the panes it
//! covers, so the cost per event does not depend on size / slide.

/// Aligned windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aligned {
    pub(super) size: i64,
    pub(super) slide: i64,
    pub(super) offset: i64,
    /// Length of a pane; the size when windows do not overlap.
    pub(super) pane: i64,
}

impl Aligned {
    pub(super) fn new(size: i64, slide: i64, offset: i64) -> Aligned {
        let pane = if slide < size { gcd(size, slide) } else { size };
        Aligned { size, slide, offset, pane }
    }

    /// The last start at or before a time.
    fn last_start(&self, time: i64) -> i64 {
        time - (time - self.offset).rem_euclid(self.slide)
    }

    /// Starts of the windows that hold a time, latest first; none when the time lies between windows.
    pub(super) fn starts(&self, time: i64) -> impl Iterator<Item = i64> {
        let (last, size, slide) = (self.last_start(time), self.size, self.slide);
        std::iter::successors(Some(last), move |start| Some(start - slide)).take_while(move |start| start + size > time)
    }

    /// Start of the pane that holds a time; `None` between windows.
    pub(super) fn pane_start(&self, time: i64) -> Option<i64> {
        if self.slide < self.size {
            return Some(time - (time - self.offset).rem_euclid(self.pane));
        }
        Some(self.last_start(time)).filter(|start| start + self.size > time)
    }

    /// Start of the last window that covers a pane.
    pub(super) fn last_window(&self, pane: i64) -> i64 {
        self.last_start(pane)
    }

    /// Start of the first window that covers a pane and ends after `after` (its last time > after); `None` when all end
    /// before.
    pub(super) fn first_window_after(&self, pane: i64, after: i64) -> Option<i64> {
        let last = self.last_window(pane);
        // start + size >= pane + pane length, and start + size - 1 > after.
        let end = (pane + self.pane).max(after.saturating_add(2));
        let steps = (last + self.size).checked_sub(end)?;
        (steps >= 0).then(|| last - steps / self.slide * self.slide)
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn starts(size: i64, slide: i64, offset: i64, time: i64) -> Vec<i64> {
        let mut starts: Vec<i64> = Aligned::new(size, slide, offset).starts(time).collect();
        starts.reverse();
        starts
    }

    #[test]
    fn negative_times_and_offsets_round_down() {
        assert_eq!(starts(10, 10, 0, -1), [-10]);
        assert_eq!(starts(10, 10, 0, 0), [0]);
        assert_eq!(starts(10, 5, 0, 7), [0, 5]);
        assert_eq!(starts(10, 10, 3, 2), [-7]);
        assert_eq!(starts(10, 10, -3, 7), [7]);
        assert!(starts(3, 10, 0, 5).is_empty(), "between windows");
    }

    proptest! {
        #[test]
        fn panes_and_windows_agree_with_their_definition(
            size in 1i64..40, slide in 1i64..50, offset in -30i64..30, time in -200i64..200, after in -220i64..220,
        ) {
            let offset = offset % slide;
            let windows = Aligned::new(size, slide, offset);
            let holding: Vec<i64> = (-300..300i64)
                .filter(|s| (s - offset).rem_euclid(slide) == 0 && *s <= time && time < s + size)
                .collect();
            prop_assert_eq!(&starts(size, slide, offset, time), &holding);
            let pane = windows.pane_start(time);
            prop_assert_eq!(pane.is_some(), !holding.is_empty());
            if let Some(pane) = pane {
                prop_assert!(pane <= time && time < pane + windows.pane);
                prop_assert_eq!(windows.last_window(pane), *holding.last().unwrap());
                for start in &holding {
                    prop_assert!(*start <= pane && pane + windows.pane <= start + size, "a window is whole panes");
                }
                let first = holding.iter().find(|start| **start + size - 1 > after).copied();
                prop_assert_eq!(windows.first_window_after(pane, after), first);
                prop_assert_eq!(windows.first_window_after(pane, i64::MIN), holding.first().copied());
                prop_assert_eq!(windows.first_window_after(pane, i64::MAX), None);
            }
        }
    }
}
