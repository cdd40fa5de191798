//! What operators with two inputs keep of their events: rows in keyed state, by key and event time. Joins and lookups read
//! a call's events, keep and find rows with it.
//!
//! ```text
//! state left, right   key, event time -> rows of that time, each u32 length | fields (as results and conditions need them)
//! ```
//!
//! Events without a key have no partner, and so leave nothing.

use super::aggregate::{push_field, take_field};
use super::sides::Half;
use super::state_access::{Puts, Scanned, damaged, get, scan, time_key};
use super::window::Keys;
use crate::config::builtin::Side;
use crate::operator::descriptor::{Descriptor, StateKind};
use crate::operator::{Context, Failure, MetricOp, Rejection, TimeDomain, TimerOp};
use crate::state::ScanRange;
use std::collections::BTreeMap;
use tidemill_storage::{Batch, Column, EventTime};

const LATE_DROPPED: u32 = 0;

/// An operator with two inputs that keeps both in such states, with these timers.
pub(super) fn describe(name: &str, timers: &[&str]) -> Descriptor {
    let states = [("left", StateKind::Map), ("right", StateKind::Map)];
    super::describe(name, &["left", "right"], &["out"], &states, timers, &["late_dropped"])
}

/// The side of an input.
pub(super) fn side_of(input: u32) -> Side {
    if input == 0 { Side::Left } else { Side::Right }
}

/// The state that keeps a side's rows, and the timer that is of them.
pub(super) fn state_of(side: Side) -> u32 {
    match side {
        Side::Left => 0,
        Side::Right => 1,
    }
}

/// Rows of a call's events.
#[derive(Default)]
pub(super) struct NewRows {
    /// Their keys, each once.
    pub(super) keys: Column,
    /// Row i's key.
    pub(super) key_of: Vec<u32>,
    pub(super) times: Vec<i64>,
    pub(super) rows: Column,
}

impl NewRows {
    /// Reads events. Those at or before `late` are counted and dropped, those that cannot be read are refused.
    pub(super) fn read(
        half: &mut Half,
        events: &Batch,
        late: Option<i64>,
        context: &mut Context,
    ) -> (NewRows, Vec<Rejection>) {
        let (mut numbers, mut new, mut row) = (Keys::default(), NewRows::default(), Vec::new());
        let (mut rejections, mut dropped) = (Vec::new(), 0);
        for i in 0..events.len() {
            let (Some(key), time) = (events.keys.get(i), events.timestamps[i]) else { continue };
            if late.is_some_and(|late| time <= late) {
                dropped += 1;
                continue;
            }
            match half.row(events.values.get(i), &mut row) {
                Err(reason) => rejections.push(Rejection { index: i as u32, reason }),
                Ok(()) => {
                    new.key_of.push(numbers.number(key));
                    new.times.push(time);
                    new.rows.push(&row);
                }
            }
        }
        if dropped > 0 {
            context.metrics.push(MetricOp::Add(LATE_DROPPED, dropped));
        }
        new.keys = numbers.keys;
        (new, rejections)
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Row i's key.
    pub(super) fn key(&self, i: usize) -> &[u8] {
        self.keys.get(self.key_of[i] as usize)
    }

    /// Has the timer of a side fire at this time for row i's key.
    pub(super) fn register(&self, i: usize, side: Side, time: i64, context: &mut Context) {
        let (domain, timer, key) = (TimeDomain::EventTime, state_of(side), self.key(i).to_vec());
        let time = time.min(EventTime::LIMIT_MS);
        context.timers.push(TimerOp { register: true, domain, timer, key, time });
    }

    /// Keeps some of the rows beside those of the same key and time.
    pub(super) fn add(
        &self,
        which: impl Iterator<Item = usize>,
        side: Side,
        context: &mut Context,
    ) -> Result<(), Failure> {
        let mut added: BTreeMap<(u32, i64), Vec<u8>> = BTreeMap::new();
        for i in which {
            push_field(Some(self.rows.get(i)), added.entry((self.key_of[i], self.times[i])).or_default());
        }
        let (mut keys, mut times) = (Column::default(), Column::default());
        for (key, time) in added.keys() {
            keys.push(self.keys.get(*key as usize));
            times.push(&time_key(*time));
        }
        let before = get(context, state_of(side), &keys, &times)?;
        let mut puts = Puts::default();
        for (i, rows) in added.into_values().enumerate() {
            let all = [before.get(i).unwrap_or_default(), &rows].concat();
            puts.push(keys.get(i), times.get(i), Some(&all));
        }
        puts.write(context, state_of(side))
    }
}

/// What a side keeps of these keys from the one to the other time beside each.
pub(super) fn between(
    context: &mut Context,
    side: Side,
    keys: &Column,
    bounds: impl Iterator<Item = (i64, i64)>,
) -> Result<Scanned, Failure> {
    let bounds: Vec<_> = bounds.map(|(from, to)| (time_key(from), to.checked_add(1).map(time_key))).collect();
    let range = |(key, (from, end))| {
        let (from, end): (&[u8; 8], &Option<[u8; 8]>) = (from, end);
        ScanRange { key, start: Some(from), end: end.as_ref().map(|end| &end[..]) }
    };
    let ranges: Vec<ScanRange<'_>> = keys.iter().zip(bounds.iter().map(|(from, end)| (from, end))).map(range).collect();
    scan(context, state_of(side), &ranges)
}

/// The rows of one key and time.
pub(super) fn rows_in<'a>(mut stored: &'a [u8]) -> impl Iterator<Item = Result<&'a [u8], Failure>> {
    std::iter::from_fn(move || {
        let next = |rest: &mut &'a [u8]| take_field(rest)?.ok_or_else(|| damaged("a row that is null"));
        if stored.is_empty() {
            return None;
        }
        let row = next(&mut stored);
        if row.is_err() {
            stored = &[];
        }
        Some(row)
    })
}
