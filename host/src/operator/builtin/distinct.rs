//! `distinct`: the first event of each key goes through, later ones are dropped; with a time to live a key is new again
//! that long after the event that went through, in event time.
//!
//! State: key -> time of the event that went through. Timer: when that is forgotten.

use super::state_access::{damaged, refused};
use super::window::Keys;
use crate::config::builtin::DistinctSpec;
use crate::operator::descriptor::{Descriptor, StateKind};
use crate::operator::{Context, Failure, MetricOp, Operator, Rejection, TimeDomain, TimerBatch, TimerOp};
use tidemill_storage::{Batch, Column, EventTime, OptionalColumn};

const DROPPED: u32 = 0;

/// The operator.
pub(super) struct Distinct {
    ttl_ms: Option<i64>,
}

pub(super) fn describe() -> Descriptor {
    super::describe("distinct", &["in"], &["out"], &[("seen", StateKind::Value)], &["forget"], &["duplicates_dropped"])
}

impl Distinct {
    pub(super) fn new(spec: &DistinctSpec) -> Distinct {
        Distinct { ttl_ms: spec.ttl_ms }
    }

    fn forgotten_at(&self, first: i64) -> Option<i64> {
        self.ttl_ms.map(|ttl| first.saturating_add(ttl).min(EventTime::LIMIT_MS))
    }
}

fn read_times(context: &mut Context, keys: &Column) -> Result<Vec<Option<i64>>, Failure> {
    let mut seen = OptionalColumn::default();
    context.state.get(0, keys.into(), None, &mut seen).map_err(refused)?;
    let time = |bytes: &[u8]| bytes.try_into().map(i64::from_le_bytes).map_err(|_| damaged("a time of the wrong size"));
    seen.iter().map(|bytes| bytes.map(time).transpose()).collect()
}

fn write_times(context: &mut Context, keys: &Column, times: &[Option<i64>]) -> Result<(), Failure> {
    let mut values = OptionalColumn::default();
    times.iter().for_each(|time| values.push(time.map(i64::to_le_bytes).as_ref().map(|bytes| &bytes[..])));
    context.state.put(0, keys.into(), None, (&values).into()).map_err(refused)
}

impl Operator for Distinct {
    fn process(
        &mut self,
        _input: u32,
        _watermark: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let mut keys = Keys::default();
        let numbers: Vec<u32> =
            (0..events.len()).map(|i| keys.number(events.keys.get(i).unwrap_or_default())).collect();
        let keys = keys.keys;
        let mut seen = read_times(context, &keys)?;
        let (mut out, mut first_new) = (Batch::default(), 0);
        let (mut changed, mut dropped) = (vec![false; keys.len()], 0);
        // Events that go through are copied in runs.
        for (i, number) in numbers.iter().enumerate() {
            let (time, number) = (events.timestamps[i], *number as usize);
            let known = seen[number].is_some_and(|first| self.forgotten_at(first).is_none_or(|end| time < end));
            if known {
                out.extend_from(events, first_new..i).map_err(|e| Failure::Bug(e.to_string()))?;
                first_new = i + 1;
                dropped += 1;
                continue;
            }
            seen[number] = Some(time);
            changed[number] = true;
            if let Some(time) = self.forgotten_at(time) {
                let key = keys.get(number).to_vec();
                context.timers.push(TimerOp { register: true, domain: TimeDomain::EventTime, timer: 0, key, time });
            }
        }
        out.extend_from(events, first_new..events.len()).map_err(|e| Failure::Bug(e.to_string()))?;
        let mut new = Column::default();
        (0..keys.len()).filter(|i| changed[*i]).for_each(|i| new.push(keys.get(i)));
        let times: Vec<Option<i64>> =
            seen.into_iter().zip(&changed).filter(|(_, c)| **c).map(|(time, _)| time).collect();
        write_times(context, &new, &times)?;
        if dropped > 0 {
            context.metrics.push(MetricOp::Add(DROPPED, dropped));
        }
        context.output.push((0, out));
        Ok(Vec::new())
    }

    fn on_timers(
        &mut self,
        fired: &TimerBatch,
        _watermark: EventTime,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let seen = read_times(context, &fired.keys)?;
        let mut gone = Column::default();
        for (i, first) in seen.iter().enumerate() {
            if first.and_then(|first| self.forgotten_at(first)).is_some_and(|end| end <= fired.times[i]) {
                gone.push(fired.keys.get(i));
            }
        }
        write_times(context, &gone, &vec![None; gone.len()])?;
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _: EventTime, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}
