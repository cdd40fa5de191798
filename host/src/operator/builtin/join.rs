//! `join`: a result for every pair of a left and a right event with the same key, whichever came first; with an interval,
//! only of pairs whose times are close, and what can find no partner any more is forgotten.
//!
//! ```text
//! state left, right   key, event time -> rows of that time, each u32 length | fields (as results and conditions need them)
//! timer 0, 1          left, right: the watermark has passed the last time at which a partner may come
//! ```
//!
//! Events without a key have no partner. With an interval an event at or before the watermark is late: counted, dropped.

use super::aggregate::{push_field, take_field};
use super::sides::{Halves, Pair, Place, Row, Shown, side_of, state_of};
use super::state_access::{Puts, damaged, get, scan, time_key, time_of};
use super::window::Keys;
use crate::config::builtin::{JoinSpec, PairCondition, Side};
use crate::config::decimal::Decimal;
use crate::operator::descriptor::{Descriptor, StateKind};
use crate::operator::{Context, Failure, MetricOp, Operator, Rejection, TimeDomain, TimerBatch, TimerOp};
use crate::state::ScanRange;
use tidemill_storage::{Batch, Column, EventTime};

const LATE_DROPPED: u32 = 0;

/// The operator.
pub(super) struct Join {
    sides: Halves,
    interval: Option<(i64, i64)>,
    conditions: Vec<Test>,
    shown: Shown,
}

struct Test {
    field: Place,
    at_least: Option<Place>,
    at_most: Option<Place>,
}

pub(super) fn describe() -> Descriptor {
    let states = [("left", StateKind::Map), ("right", StateKind::Map)];
    super::describe("join", &["left", "right"], &["out"], &states, &["left", "right"], &["late_dropped"])
}

impl Join {
    pub(super) fn new(spec: &JoinSpec) -> Join {
        let mut sides = Halves::default();
        let mut test = |condition: &PairCondition| {
            let mut place = |(side, pointer): &(Side, String)| sides.place(*side, pointer);
            Test {
                field: place(&condition.field),
                at_least: condition.at_least.as_ref().map(&mut place),
                at_most: condition.at_most.as_ref().map(&mut place),
            }
        };
        let conditions = spec.conditions.iter().map(&mut test).collect();
        let shown = sides.shown(&spec.output);
        Join { sides, interval: spec.interval_ms, conditions, shown }
    }

    /// Times at which a partner of an event may lie: from, to.
    fn partners(&self, side: Side, time: i64) -> (i64, i64) {
        match (self.interval, side) {
            (None, _) => (i64::MIN, i64::MAX),
            (Some((lower, upper)), Side::Left) => (time.saturating_add(lower), time.saturating_add(upper)),
            (Some((lower, upper)), Side::Right) => (time.saturating_sub(upper), time.saturating_sub(lower)),
        }
    }

    fn holds(&self, pair: Pair<'_>) -> bool {
        let number = |place: Place| pair.raw(place).and_then(Decimal::parse);
        self.conditions.iter().all(|test| {
            let Some(value) = number(test.field) else { return false };
            test.at_least.is_none_or(|least| number(least).is_some_and(|least| value >= least))
                && test.at_most.is_none_or(|most| number(most).is_some_and(|most| value <= most))
        })
    }

    /// Gives the pairs of new rows with what the other side has.
    fn match_rows(&self, side: Side, new: &NewRows, context: &mut Context) -> Result<(), Failure> {
        let other = if side == Side::Left { Side::Right } else { Side::Left };
        let (own_half, other_half) = (self.sides.of(side), self.sides.of(other));
        let mut bounds: Vec<Option<(i64, i64)>> = vec![None; new.keys.len()];
        for (key, time) in new.key_of.iter().zip(&new.times) {
            let (from, to) = self.partners(side, *time);
            let bound = bounds[*key as usize].get_or_insert((from, to));
            *bound = (bound.0.min(from), bound.1.max(to));
        }
        let bounds: Vec<([u8; 8], Option<[u8; 8]>)> = bounds
            .into_iter()
            .map(|b| b.unwrap_or((i64::MIN, i64::MAX)))
            .map(|(from, to)| (time_key(from), to.checked_add(1).map(time_key)))
            .collect();
        let range = |(key, (start, end))| {
            let (start, end): (&[u8; 8], &Option<[u8; 8]>) = (start, end);
            ScanRange { key, start: Some(start), end: end.as_ref().map(|end| &end[..]) }
        };
        let ranges: Vec<ScanRange<'_>> =
            new.keys.iter().zip(bounds.iter().map(|(start, end)| (start, end))).map(range).collect();
        let found = scan(context, state_of(other), &ranges)?;
        let mut partners: Vec<Vec<(i64, Row<'_>)>> = vec![Vec::new(); new.keys.len()];
        for (i, key) in found.range_of.iter().enumerate() {
            let time = time_of(found.sub_keys.get(i))?;
            let mut rest = found.values.get(i);
            while !rest.is_empty() {
                let row = take_field(&mut rest)?.ok_or_else(|| damaged("a row that is null"))?;
                partners[*key as usize].push((time, other_half.decode(row)?));
            }
        }
        let (mut out, mut value) = (Batch::default(), Vec::new());
        for (i, key) in new.key_of.iter().enumerate() {
            let (from, to) = self.partners(side, new.times[i]);
            let row = own_half.decode(new.rows.get(i))?;
            for (time, partner) in partners[*key as usize].iter().filter(|(time, _)| (from..=to).contains(time)) {
                let (left, right) = if side == Side::Left { (&row, partner) } else { (partner, &row) };
                let pair = Pair { left: Some(left), right: Some(right) };
                if self.holds(pair) {
                    self.shown.write(pair, &mut value);
                    let time = EventTime(new.times[i].max(*time));
                    out.push(time, Some(new.keys.get(*key as usize)), Some(&value));
                }
            }
        }
        if !out.is_empty() {
            context.output.push((0, out));
        }
        Ok(())
    }

    /// Keeps new rows for partners to come.
    fn keep(&self, side: Side, new: &NewRows, watermark: i64, context: &mut Context) -> Result<(), Failure> {
        let (mut keys, mut times, mut first): (_, _, Vec<Vec<usize>>) =
            (Column::default(), Column::default(), Vec::new());
        let mut numbers = std::collections::BTreeMap::new();
        for (i, key) in new.key_of.iter().enumerate() {
            let (_, until) = self.partners(side, new.times[i]);
            if self.interval.is_some() {
                if until <= watermark {
                    continue; // nobody can come any more
                }
                let (key, time) = (new.keys.get(*key as usize).to_vec(), until.min(EventTime::LIMIT_MS));
                let domain = TimeDomain::EventTime;
                context.timers.push(TimerOp { register: true, domain, timer: state_of(side), key, time });
            }
            let number = *numbers.entry((*key, new.times[i])).or_insert_with(|| {
                keys.push(new.keys.get(*key as usize));
                times.push(&time_key(new.times[i]));
                first.push(Vec::new());
                first.len() - 1
            });
            first[number].push(i);
        }
        let before = get(context, state_of(side), &keys, &times)?;
        let (mut puts, mut value) = (Puts::default(), Vec::new());
        for (number, rows) in first.iter().enumerate() {
            value.clear();
            value.extend_from_slice(before.get(number).unwrap_or_default());
            rows.iter().for_each(|row| push_field(Some(new.rows.get(*row)), &mut value));
            puts.push(keys.get(number), times.get(number), Some(&value));
        }
        puts.write(context, state_of(side))
    }
}

/// Rows of a call's events, by key.
#[derive(Default)]
struct NewRows {
    keys: Column,
    key_of: Vec<u32>,
    times: Vec<i64>,
    rows: Column,
}

impl Operator for Join {
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
        let (mut numbers, mut new) = (Keys::default(), NewRows::default());
        for i in 0..events.len() {
            let (Some(key), time) = (events.keys.get(i), events.timestamps[i]) else { continue };
            if self.interval.is_some() && time <= watermark.0 {
                late += 1;
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
        new.keys = numbers.keys;
        if late > 0 {
            context.metrics.push(MetricOp::Add(LATE_DROPPED, late));
        }
        if !new.times.is_empty() {
            self.match_rows(side, &new, context)?;
            self.keep(side, &new, watermark.0, context)?;
        }
        Ok(rejections)
    }

    fn on_timers(
        &mut self,
        fired: &TimerBatch,
        _watermark: EventTime,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let side = side_of(fired.timer);
        let (_, reach) = self.partners(side, 0);
        let end = |time: &i64| if *time >= EventTime::LIMIT_MS { i64::MAX } else { time.saturating_sub(reach) + 1 };
        let ends: Vec<[u8; 8]> = fired.times.iter().map(|time| time_key(end(time))).collect();
        let range = |(key, end)| {
            let end: &[u8; 8] = end;
            ScanRange { key, start: None, end: Some(end) }
        };
        let ranges: Vec<ScanRange<'_>> = fired.keys.iter().zip(&ends).map(range).collect();
        let old = scan(context, state_of(side), &ranges)?;
        let mut puts = Puts::default();
        for (of, sub_key) in old.range_of.iter().zip(old.sub_keys.iter()) {
            puts.push(fired.keys.get(*of as usize), sub_key, None);
        }
        puts.write(context, state_of(side))?;
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _: EventTime, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}
