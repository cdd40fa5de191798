//! `lookup`: every left event with what the right input, a table of versions, said of its key at the event's time. The
//! version of an event is the right event of its key with the greatest time at or before its own; it is known when the
//! watermark has reached that time, so the left event waits until then, whichever of the two came first.
//!
//! ```text
//! state left   key, event time -> rows that wait, each u32 length | fields
//! state right  key, version time -> row (of equal times the last one to come)
//! timer 0      the time of waiting left rows: they go out
//! timer 1      the time of a version, of a late one the watermark: of all up to then only the last one serves anybody
//! ```
//!
//! A left event at or before the watermark is late: its version may be gone, so it is counted and dropped. Events without
//! a key have no version, and are none.

use super::aggregate::{push_field, take_field};
use super::sides::{Halves, Pair, Shown, side_of, state_of};
use super::state_access::{Puts, damaged, get, scan, time_key};
use super::window::Keys;
use crate::config::builtin::{LookupSpec, Side};
use crate::operator::descriptor::{Descriptor, StateKind};
use crate::operator::{Context, Failure, MetricOp, Operator, Rejection, TimeDomain, TimerBatch, TimerOp};
use crate::state::ScanRange;
use std::collections::BTreeMap;
use tidemill_storage::{Batch, Column, EventTime};

const LATE_DROPPED: u32 = 0;
const GO_OUT: u32 = 0;

/// The operator.
pub(super) struct Lookup {
    sides: Halves,
    shown: Shown,
    keep_missing: bool,
}

pub(super) fn describe() -> Descriptor {
    let states = [("left", StateKind::Map), ("right", StateKind::Map)];
    super::describe("lookup", &["left", "right"], &["out"], &states, &["go-out", "forget"], &["late_dropped"])
}

impl Lookup {
    pub(super) fn new(spec: &LookupSpec) -> Lookup {
        let mut sides = Halves::default();
        let shown = sides.shown(&spec.output);
        Lookup { sides, shown, keep_missing: spec.keep_missing }
    }

    /// Adds rows to what a side keeps: to those that wait, or in the place of the version of that time.
    fn keep(
        side: Side,
        rows: BTreeMap<(u32, i64), Vec<u8>>,
        keys: &Column,
        watermark: i64,
        context: &mut Context,
    ) -> Result<(), Failure> {
        let (mut row_keys, mut times) = (Column::default(), Column::default());
        for (key, time) in rows.keys() {
            let key = keys.get(*key as usize);
            row_keys.push(key);
            times.push(&time_key(*time));
            let (domain, timer) = (TimeDomain::EventTime, state_of(side));
            let time = watermark.max(*time).min(EventTime::LIMIT_MS);
            context.timers.push(TimerOp { register: true, domain, timer, key: key.to_vec(), time });
        }
        let mut puts = Puts::default();
        match side {
            Side::Left => {
                let before = get(context, state_of(side), &row_keys, &times)?;
                for (i, rows) in rows.into_values().enumerate() {
                    let mut all = before.get(i).unwrap_or_default().to_vec();
                    all.extend_from_slice(&rows);
                    puts.push(row_keys.get(i), times.get(i), Some(&all));
                }
            }
            Side::Right => {
                for (i, row) in rows.into_values().enumerate() {
                    puts.push(row_keys.get(i), times.get(i), Some(&row));
                }
            }
        }
        puts.write(context, state_of(side))
    }

    /// Gives out what waited for these times.
    fn go_out(&self, fired: &TimerBatch, context: &mut Context) -> Result<(), Failure> {
        let mut times = Column::default();
        fired.times.iter().for_each(|time| times.push(&time_key(*time)));
        let waiting = get(context, state_of(Side::Left), &fired.keys, &times)?;
        let ends: Vec<[u8; 8]> = fired.times.iter().map(|time| time_key(time + 1)).collect();
        let range = |(key, end)| {
            let end: &[u8; 8] = end;
            ScanRange { key, start: None, end: Some(end) }
        };
        let ranges: Vec<ScanRange<'_>> = fired.keys.iter().zip(&ends).map(range).collect();
        let versions = scan(context, state_of(Side::Right), &ranges)?;
        let mut version_of = vec![None; fired.times.len()];
        for (i, of) in versions.range_of.iter().enumerate() {
            version_of[*of as usize] = Some(i); // in the order of times: the last one stays
        }
        let (mut out, mut value, mut puts) = (Batch::default(), Vec::new(), Puts::default());
        for (i, version) in version_of.into_iter().enumerate() {
            puts.push(fired.keys.get(i), times.get(i), None);
            let right = version.map(|at| self.sides.of(Side::Right).decode(versions.values.get(at))).transpose()?;
            if right.is_none() && !self.keep_missing {
                continue;
            }
            let mut rest = waiting.get(i).unwrap_or_default();
            while !rest.is_empty() {
                let row = take_field(&mut rest)?.ok_or_else(|| damaged("a row that is null"))?;
                let left = self.sides.of(Side::Left).decode(row)?;
                self.shown.write(Pair { left: Some(&left), right: right.as_ref() }, &mut value);
                out.push(EventTime(fired.times[i]), Some(fired.keys.get(i)), Some(&value));
            }
        }
        puts.write(context, state_of(Side::Left))?;
        if !out.is_empty() {
            context.output.push((0, out));
        }
        Ok(())
    }

    /// Forgets all versions up to these times but the last: what waited for them has gone out.
    fn forget(fired: &TimerBatch, context: &mut Context) -> Result<(), Failure> {
        let ends: Vec<[u8; 8]> = fired.times.iter().map(|time| time_key(time + 1)).collect();
        let range = |(key, end)| {
            let end: &[u8; 8] = end;
            ScanRange { key, start: None, end: Some(end) }
        };
        let ranges: Vec<ScanRange<'_>> = fired.keys.iter().zip(&ends).map(range).collect();
        let old = scan(context, state_of(Side::Right), &ranges)?;
        let mut puts = Puts::default();
        for (i, of) in old.range_of.iter().enumerate() {
            if old.range_of.get(i + 1) == Some(of) {
                puts.push(fired.keys.get(*of as usize), old.sub_keys.get(i), None);
            }
        }
        puts.write(context, state_of(Side::Right))
    }
}

impl Operator for Lookup {
    fn process(
        &mut self,
        input: u32,
        watermark: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let side = side_of(input);
        let half = self.sides.of_mut(side);
        let (mut rejections, mut late, mut row) = (Vec::new(), 0, Vec::new());
        let (mut numbers, mut rows): (Keys, BTreeMap<(u32, i64), Vec<u8>>) = Default::default();
        for i in 0..events.len() {
            let (Some(key), time) = (events.keys.get(i), events.timestamps[i]) else { continue };
            if side == Side::Left && time <= watermark.0 {
                late += 1;
                continue;
            }
            match half.row(events.values.get(i), &mut row) {
                Err(reason) => rejections.push(Rejection { index: i as u32, reason }),
                Ok(()) => {
                    let kept = rows.entry((numbers.number(key), time)).or_default();
                    match side {
                        Side::Left => push_field(Some(&row), kept),
                        Side::Right => kept.clone_from(&row),
                    }
                }
            }
        }
        if late > 0 {
            context.metrics.push(MetricOp::Add(LATE_DROPPED, late));
        }
        Lookup::keep(side, rows, &numbers.keys, watermark.0, context)?;
        Ok(rejections)
    }

    fn on_timers(
        &mut self,
        fired: &TimerBatch,
        _watermark: EventTime,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        if fired.timer == GO_OUT {
            self.go_out(fired, context)?
        } else {
            Lookup::forget(fired, context)?
        }
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _: EventTime, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}
