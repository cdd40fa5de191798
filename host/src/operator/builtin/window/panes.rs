//! Aligned event-time windows as panes. One accumulator per key and pane; a window's result merges the panes it covers.
//!
//! ```text
//! state panes    key, pane start     -> accumulator
//! state firings  key, window start   -> u32 results so far         (with lateness only)
//! timer 0        last time of a window: it gives its result
//! timer 1        last time of a pane's last window + lateness: it goes (with lateness only; without, it goes with the result)
//! ```
//!
//! Timers are chained: a new pane registers the first window that covers it and is still to come; a window that gives its
//! result registers the next one if any of its panes lives on. So a key has a timer per window to come, not per pane and window.

use super::assign::Aligned;
use super::batch::{Firing, Groups, Keys};
use super::{Call, Kind};
use crate::operator::builtin::aggregate::Window;
use crate::operator::builtin::state_access::{Puts, damaged, get, scan, time_key, time_of};
use crate::operator::{Failure, TimeDomain, TimerBatch};
use crate::state::ScanRange;
use tidemill_storage::{Column, EventTime, OptionalColumn};

const PANES: u32 = 0;
const FIRINGS: u32 = 1;
const WINDOW_TIMER: u32 = 0;
const CLEAN_UP_TIMER: u32 = 1;

/// See the module's words.
pub(super) struct Panes {
    windows: Aligned,
    lateness: i64,
}

/// A window of one key that gives a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due<'a> {
    start: i64,
    key: &'a [u8],
}

impl Panes {
    pub(super) fn new(windows: Aligned, lateness_ms: u64) -> Panes {
        Panes { windows, lateness: i64::try_from(lateness_ms).unwrap_or(i64::MAX) }
    }

    fn last_time(&self, start: i64) -> i64 {
        start + self.windows.size - 1
    }

    fn clean_up_time(&self, start: i64) -> i64 {
        self.last_time(start).saturating_add(self.lateness).min(EventTime::LIMIT_MS)
    }

    /// Whether a window takes no events any more. Saturating: with a huge lateness nothing is late before the end.
    fn is_over(&self, start: i64, watermark: i64) -> bool {
        self.last_time(start).saturating_add(self.lateness) <= watermark
    }

    /// Merges the panes of windows and gives their results. Gives back the windows' panes: their number in `due` and start.
    fn fire(&self, due: &[Due<'_>], call: &mut Call<'_>) -> Result<Vec<(u32, i64)>, Failure> {
        let bounds: Vec<_> = due.iter().map(|d| (time_key(d.start), time_key(d.start + self.windows.size))).collect();
        let range = |(d, (start, end))| {
            let d: &Due<'_> = d;
            let (start, end): (&[u8; 8], &[u8; 8]) = (start, end);
            ScanRange { key: d.key, start: Some(start), end: Some(end) }
        };
        let ranges: Vec<ScanRange<'_>> = due.iter().zip(bounds.iter().map(|(a, b)| (a, b))).map(range).collect();
        let panes = scan(call.context, PANES, &ranges)?;
        let starts = panes.sub_keys.iter().map(time_of).collect::<Result<Vec<_>, _>>()?;
        // Windows that have panes, numbered without gaps.
        let mut filled: Vec<u32> = panes.range_of.clone();
        filled.dedup();
        let mut accumulators = panes.values;
        if filled.len() < panes.range_of.len() {
            let mut group = 0;
            let mut groups = Vec::with_capacity(panes.range_of.len());
            for (i, range) in panes.range_of.iter().enumerate() {
                group += u32::from(i > 0 && panes.range_of[i - 1] != *range);
                groups.push(group);
            }
            let name = |group: u32| {
                let Due { start, key } = due[filled[group as usize] as usize];
                let (end, key) = (start + self.windows.size, String::from_utf8_lossy(key));
                format!("the panes of the window [{start}, {end}) of key {key:?}")
            };
            accumulators = call.merge(&groups, &accumulators, filled.len(), &name)?;
        }
        let firings = self.count_firings(due, &filled, call)?;
        let mut firing = Firing::default();
        for (i, of) in filled.iter().enumerate() {
            let Due { start, key } = due[*of as usize];
            let window = Window { start, end: start + self.windows.size, firing: firings[i] };
            firing.push(key, window, self.last_time(start), accumulators.get(i));
        }
        call.fire(&firing)?;
        Ok(panes.range_of.into_iter().zip(starts).collect())
    }

    /// How often each window gave results before, and notes one more.
    fn count_firings(&self, due: &[Due<'_>], filled: &[u32], call: &mut Call<'_>) -> Result<Vec<u32>, Failure> {
        if self.lateness == 0 {
            return Ok(vec![0; filled.len()]);
        }
        let (mut keys, mut starts) = (Column::default(), Column::default());
        for of in filled {
            let Due { start, key } = due[*of as usize];
            keys.push(key);
            starts.push(&time_key(start));
        }
        let before = get(call.context, FIRINGS, &keys, &starts)?;
        let mut puts = Puts::default();
        let mut firings = Vec::with_capacity(filled.len());
        for (i, before) in before.iter().enumerate() {
            let count = match before {
                None => 0,
                Some(bytes) => u32::from_le_bytes(bytes.try_into().map_err(|_| damaged("a count of the wrong size"))?),
            };
            puts.push(keys.get(i), starts.get(i), Some(&count.saturating_add(1).to_le_bytes()));
            firings.push(count);
        }
        puts.write(call.context, FIRINGS)?;
        Ok(firings)
    }

    fn on_window_timers(&self, fired: &TimerBatch, call: &mut Call<'_>) -> Result<(), Failure> {
        let due: Vec<Due<'_>> = (0..fired.times.len())
            .map(|i| Due { start: fired.times[i] + 1 - self.windows.size, key: fired.keys.get(i) })
            .collect();
        let panes = self.fire(&due, call)?;
        let mut puts = Puts::default();
        let mut chained = None;
        for (of, pane) in panes {
            let Due { start, key } = due[of as usize];
            let next = start + self.windows.slide;
            if pane >= next {
                if chained != Some(of) {
                    call.register(TimeDomain::EventTime, WINDOW_TIMER, key, self.last_time(next));
                    chained = Some(of);
                }
            } else if self.lateness == 0 {
                puts.push(key, &time_key(pane), None);
            }
        }
        puts.write(call.context, PANES)
    }

    /// Removes what has outlived its lateness.
    fn on_clean_up_timers(&self, fired: &TimerBatch, call: &mut Call<'_>) -> Result<(), Failure> {
        let mut ends = Vec::new();
        for time in &fired.times {
            // The first window start that stays: start + size - 1 + lateness > time.
            let stays = if *time >= EventTime::LIMIT_MS {
                i64::MAX
            } else {
                time.saturating_sub(self.lateness) - self.windows.size + 2
            };
            // A pane stays when its last window does.
            let pane = if stays == i64::MAX {
                i64::MAX
            } else {
                let (offset, slide) = (self.windows.offset, self.windows.slide);
                stays + (offset - stays).rem_euclid(slide)
            };
            ends.push((time_key(pane), time_key(stays)));
        }
        for state in [PANES, FIRINGS] {
            let range = |i: usize| {
                let end: &[u8] = if state == PANES { &ends[i].0 } else { &ends[i].1 };
                ScanRange { key: fired.keys.get(i), start: None, end: Some(end) }
            };
            let ranges: Vec<ScanRange<'_>> = (0..ends.len()).map(range).collect();
            let old = scan(call.context, state, &ranges)?;
            let mut puts = Puts::default();
            for (of, sub_key) in old.range_of.iter().zip(old.sub_keys.iter()) {
                puts.push(fired.keys.get(*of as usize), sub_key, None);
            }
            puts.write(call.context, state)?;
        }
        Ok(())
    }
}

impl Kind for Panes {
    fn process(&mut self, call: &mut Call<'_>) -> Result<(), Failure> {
        let taken = call.admit()?;
        let (mut keys, mut groups) = (Keys::default(), Groups::default());
        let (mut indexes, mut group_of) = (Vec::new(), Vec::new());
        for i in 0..call.events.len() {
            if !taken.is_empty() && !taken[i] {
                continue;
            }
            let Some(pane) = self.windows.pane_start(call.events.timestamps[i]) else { continue };
            let last = self.windows.last_window(pane);
            if self.last_time(last) > EventTime::LIMIT_MS {
                call.reject_far(i);
            } else if self.is_over(last, call.watermark) {
                call.late.push(i as u32);
            } else {
                let key = keys.number(call.events.keys.get(i).unwrap_or_default());
                indexes.push(i as u32);
                group_of.push(groups.number(key, pane));
            }
        }
        if indexes.is_empty() {
            return Ok(());
        }
        let (mut group_keys, mut group_panes) = (Column::default(), Column::default());
        for (key, pane) in &groups.of {
            group_keys.push(keys.keys.get(*key as usize));
            group_panes.push(&time_key(*pane));
        }
        let before: OptionalColumn = get(call.context, PANES, &group_keys, &group_panes)?;
        let done = call.accumulate(&indexes, &group_of, &before)?;
        // A new pane whose events were all refused does not come to be.
        let mut real = vec![true; groups.of.len()];
        if !done.rejections.is_empty() {
            (0..real.len()).for_each(|g| real[g] = before.get(g).is_some());
            let refused: Vec<u32> = done.rejections.iter().map(|r| r.index).collect();
            for (index, group) in indexes.iter().zip(&group_of) {
                real[*group as usize] |= !refused.contains(index);
            }
            call.rejections.extend(done.rejections);
        }
        let mut puts = Puts::default();
        let mut again: Vec<Due<'_>> = Vec::new();
        for (group, (_, pane)) in groups.of.iter().enumerate().filter(|(group, _)| real[*group]) {
            let key = group_keys.get(group);
            puts.push(key, group_panes.get(group), Some(done.accumulators.get(group)));
            let last = self.windows.last_window(*pane);
            if before.get(group).is_none() {
                if let Some(first) = self.windows.first_window_after(*pane, call.watermark) {
                    call.register(TimeDomain::EventTime, WINDOW_TIMER, key, self.last_time(first));
                }
                if self.lateness > 0 {
                    call.register(TimeDomain::EventTime, CLEAN_UP_TIMER, key, self.clean_up_time(last));
                }
            }
            if self.lateness > 0 {
                let passed =
                    |start: &i64| self.last_time(*start) <= call.watermark && !self.is_over(*start, call.watermark);
                // A pane lies wholly in each of the windows that hold its start.
                again.extend(self.windows.starts(*pane).filter(passed).map(|start| Due { start, key }));
            }
        }
        puts.write(call.context, PANES)?;
        again.sort_unstable();
        again.dedup();
        self.fire(&again, call).map(drop)
    }

    fn on_timers(&mut self, fired: &TimerBatch, call: &mut Call<'_>) -> Result<(), Failure> {
        match fired.timer {
            WINDOW_TIMER => self.on_window_timers(fired, call),
            _ => self.on_clean_up_timers(fired, call),
        }
    }
}
