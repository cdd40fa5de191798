//! `lookup`: every left event with what the right input, a table of versions, said of its key at the event's time. The
//! version of an event is the right event of its key with the greatest time at or before its own; it is known when the
//! watermark has reached that time, so the left event waits until then, whichever of the two came first.
//!
//! ```text
//! state left   what kept.rs keeps: rows that wait
//! state right  key, version time -> row (of equal times the last one to come)
//! timer 0      the time of waiting left rows: they go out
//! timer 1      the time of a version, of a late one the watermark: of all up to then only the last one serves anybody
//! ```
//!
//! A left event at or before the watermark is late: its version may be gone, so it is counted and dropped. Events without
//! a key have no version, and are none.

use super::kept::{NewRows, between, rows_in, side_of, state_of};
use super::sides::{Halves, Pair, Shown};
use super::state_access::{Puts, Scanned, get, time_key};
use crate::config::builtin::{LookupSpec, Side};
use crate::operator::descriptor::Descriptor;
use crate::operator::{Context, Failure, Operator, Rejection, TimerBatch};
use std::collections::BTreeSet;
use tidemill_storage::{Batch, Column, EventTime};

const GO_OUT: u32 = 0;

/// The operator.
pub(super) struct Lookup {
    sides: Halves,
    shown: Shown,
    keep_missing: bool,
}

pub(super) fn describe() -> Descriptor {
    super::kept::describe("lookup", &["go-out", "forget"])
}

impl Lookup {
    pub(super) fn new(spec: &LookupSpec) -> Lookup {
        let mut sides = Halves::default();
        let shown = sides.shown(&spec.output);
        Lookup { sides, shown, keep_missing: spec.keep_missing }
    }

    /// Adds rows to what a side keeps: to those that wait, or in the place of the version of that time.
    fn keep(side: Side, new: &NewRows, watermark: i64, context: &mut Context) -> Result<(), Failure> {
        let mut places = BTreeSet::new();
        for i in 0..new.len() {
            if places.insert((new.key_of[i], new.times[i])) {
                new.register(i, side, watermark.max(new.times[i]), context);
            }
        }
        if side == Side::Left {
            return new.add(0..new.len(), side, context);
        }
        let mut puts = Puts::default();
        (0..new.len()).for_each(|i| puts.push(new.key(i), &time_key(new.times[i]), Some(new.rows.get(i))));
        puts.write(context, state_of(side))
    }

    /// Gives out what waited for these times.
    fn go_out(&self, fired: &TimerBatch, context: &mut Context) -> Result<(), Failure> {
        let mut times = Column::default();
        fired.times.iter().for_each(|time| times.push(&time_key(*time)));
        let waiting = get(context, state_of(Side::Left), &fired.keys, &times)?;
        let versions = up_to(fired, context)?;
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
            for row in rows_in(waiting.get(i).unwrap_or_default()) {
                let left = self.sides.of(Side::Left).decode(row?)?;
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
        let old = up_to(fired, context)?;
        let mut puts = Puts::default();
        for (i, of) in old.range_of.iter().enumerate() {
            if old.range_of.get(i + 1) == Some(of) {
                puts.push(fired.keys.get(*of as usize), old.sub_keys.get(i), None);
            }
        }
        puts.write(context, state_of(Side::Right))
    }
}

/// The versions of keys at or before the times that fired.
fn up_to(fired: &TimerBatch, context: &mut Context) -> Result<Scanned, Failure> {
    between(context, Side::Right, &fired.keys, fired.times.iter().map(|time| (i64::MIN, *time)))
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
        let late = (side == Side::Left).then_some(watermark.0);
        let (new, rejections) = NewRows::read(self.sides.of_mut(side), events, late, context);
        Lookup::keep(side, &new, watermark.0, context)?;
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
