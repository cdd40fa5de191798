//! `join`: a result for every pair of a left and a right event with the same key, whichever came first; with an interval,
//! only of pairs whose times are close, and what can find no partner any more is forgotten.
//!
//! ```text
//! state left, right   what kept.rs keeps
//! timer 0, 1          left, right: the watermark has passed the last time at which a partner may come
//! ```
//!
//! With an interval an event at or before the watermark is late: counted, dropped.

use super::kept::{NewRows, between, rows_in, side_of, state_of};
use super::sides::{Halves, Pair, PairTests, Row, Shown};
use super::state_access::{Puts, time_of};
use crate::config::builtin::{JoinSpec, Side};
use crate::operator::descriptor::Descriptor;
use crate::operator::{Context, Failure, Operator, Rejection, TimerBatch};
use tidemill_storage::{Batch, EventTime};

/// The operator.
pub(super) struct Join {
    sides: Halves,
    interval: Option<(i64, i64)>,
    tests: PairTests,
    shown: Shown,
}

pub(super) fn describe() -> Descriptor {
    super::kept::describe("join", &["left", "right"])
}

impl Join {
    pub(super) fn new(spec: &JoinSpec) -> Join {
        let mut sides = Halves::default();
        let tests = sides.tests(&spec.conditions);
        let shown = sides.shown(&spec.output);
        Join { sides, interval: spec.interval_ms, tests, shown }
    }

    /// Times at which a partner of an event may lie: from, to.
    fn partners(&self, side: Side, time: i64) -> (i64, i64) {
        match (self.interval, side) {
            (None, _) => (i64::MIN, i64::MAX),
            (Some((lower, upper)), Side::Left) => (time.saturating_add(lower), time.saturating_add(upper)),
            (Some((lower, upper)), Side::Right) => (time.saturating_sub(upper), time.saturating_sub(lower)),
        }
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
        let bounds = bounds.into_iter().map(|bound| bound.unwrap_or((i64::MIN, i64::MAX)));
        let found = between(context, other, &new.keys, bounds)?;
        let mut partners: Vec<Vec<(i64, Row<'_>)>> = vec![Vec::new(); new.keys.len()];
        for (i, key) in found.range_of.iter().enumerate() {
            let time = time_of(found.sub_keys.get(i))?;
            for row in rows_in(found.values.get(i)) {
                partners[*key as usize].push((time, other_half.decode(row?)?));
            }
        }
        let (mut out, mut value) = (Batch::default(), Vec::new());
        for (i, key) in new.key_of.iter().enumerate() {
            let (from, to) = self.partners(side, new.times[i]);
            let row = own_half.decode(new.rows.get(i))?;
            for (time, partner) in partners[*key as usize].iter().filter(|(time, _)| (from..=to).contains(time)) {
                let (left, right) = if side == Side::Left { (&row, partner) } else { (partner, &row) };
                let pair = Pair { left: Some(left), right: Some(right) };
                if self.tests.hold(pair) {
                    self.shown.write(pair, &mut value);
                    out.push(EventTime(new.times[i].max(*time)), Some(new.key(i)), Some(&value));
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
        if self.interval.is_none() {
            return new.add(0..new.len(), side, context);
        }
        let until = |i: usize| self.partners(side, new.times[i]).1;
        let wanted: Vec<usize> = (0..new.len()).filter(|i| until(*i) > watermark).collect();
        wanted.iter().for_each(|i| new.register(*i, side, until(*i), context));
        new.add(wanted.into_iter(), side, context)
    }
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
        let late = self.interval.map(|_| watermark.0);
        let (new, rejections) = NewRows::read(self.sides.of_mut(side), events, late, context);
        if new.len() > 0 {
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
        let last = |time: &i64| if *time >= EventTime::LIMIT_MS { i64::MAX } else { time.saturating_sub(reach) };
        let old = between(context, side, &fired.keys, fired.times.iter().map(|time| (i64::MIN, last(time))))?;
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
