//! What both kinds of windows do with batches: events by key and window, timers, results and late events out.

use super::{Call, LATE, LATE_DROPPED, OWN_METRICS, RESULTS};
use crate::operator::builtin::aggregate::{Accumulated, Admission, Aggregate, Finished, Window};
use crate::operator::{Context, Failure, MetricOp, Rejection, TimeDomain, TimerOp};
use hashbrown::HashTable;
use std::hash::BuildHasher;
use tidemill_storage::{Batch, Column, EventTime, OptionalColumn};

/// The keys of a call's events, each once, in the order of their first events.
#[derive(Default)]
pub(in crate::operator::builtin) struct Keys {
    table: HashTable<u32>,
    hasher: foldhash::fast::FixedState,
    pub(in crate::operator::builtin) keys: Column,
}

impl Keys {
    /// The number of a key. Events without a key count as those of the empty key, as edges route them.
    pub(in crate::operator::builtin) fn number(&mut self, key: &[u8]) -> u32 {
        let Keys { table, hasher, keys } = self;
        if let Some(last) = keys.len().checked_sub(1)
            && keys.get(last) == key
        {
            return last as u32;
        }
        let hash = hasher.hash_one(key);
        let known = table.find(hash, |i| keys.get(*i as usize) == key);
        if let Some(number) = known {
            return *number;
        }
        let number = keys.len() as u32;
        keys.push(key);
        table.insert_unique(hash, number, |i| hasher.hash_one(keys.get(*i as usize)));
        number
    }
}

/// Pairs of key and start, each once, in the order of their first events.
#[derive(Default)]
pub(super) struct Groups {
    table: HashTable<u32>,
    hasher: foldhash::fast::FixedState,
    pub(super) of: Vec<(u32, i64)>,
}

impl Groups {
    pub(super) fn number(&mut self, key: u32, start: i64) -> u32 {
        let Groups { table, hasher, of } = self;
        if of.last() == Some(&(key, start)) {
            return of.len() as u32 - 1;
        }
        let hash = hasher.hash_one((key, start));
        let known = table.find(hash, |i| of[*i as usize] == (key, start));
        if let Some(number) = known {
            return *number;
        }
        let number = of.len() as u32;
        of.push((key, start));
        table.insert_unique(hash, number, |i| hasher.hash_one(of[*i as usize]));
        number
    }
}

/// Windows that give results now.
#[derive(Default)]
pub(super) struct Firing {
    pub(super) keys: Column,
    pub(super) windows: Vec<Window>,
    /// Times of the results, ms.
    pub(super) times: Vec<i64>,
    pub(super) accumulators: Column,
}

impl Firing {
    pub(super) fn push(&mut self, key: &[u8], window: Window, time: i64, accumulator: &[u8]) {
        self.keys.push(key);
        self.windows.push(window);
        self.times.push(time);
        self.accumulators.push(accumulator);
    }
}

/// Asks an aggregate something; its metrics come after the window operator's own.
pub(super) fn ask<R>(
    aggregate: &mut dyn Aggregate,
    context: &mut Context,
    act: impl FnOnce(&mut dyn Aggregate, &mut Context) -> R,
) -> R {
    let before = context.metrics.len();
    let answer = act(aggregate, context);
    for metric in &mut context.metrics[before..] {
        let (MetricOp::Add(index, _) | MetricOp::Set(index, _) | MetricOp::Observe(index, _)) = metric;
        *index += OWN_METRICS;
    }
    answer
}

impl Call<'_> {
    /// Folds events into accumulators; gives one back per accumulator.
    pub(super) fn accumulate(
        &mut self,
        indexes: &[u32],
        groups: &[u32],
        accumulators: &OptionalColumn,
    ) -> Result<Accumulated, Failure> {
        let events = self.events;
        let done = ask(self.aggregate, self.context, |aggregate, context| {
            aggregate.accumulate(events, indexes, groups, accumulators, context)
        })?;
        if done.accumulators.len() != accumulators.len() {
            return Err(Failure::Bug("accumulate gave another number of accumulators than it was given".into()));
        }
        Ok(done)
    }

    /// Merges accumulators of `count` groups; `name` says which group it is, for failures.
    pub(super) fn merge(
        &mut self,
        groups: &[u32],
        accumulators: &Column,
        count: usize,
        name: &dyn Fn(u32) -> String,
    ) -> Result<Column, Failure> {
        let merged = ask(self.aggregate, self.context, |aggregate, context| {
            aggregate.merge(groups, accumulators, name, context)
        })?;
        if merged.len() != count {
            return Err(Failure::Bug("merge gave another number of accumulators than groups".into()));
        }
        Ok(merged)
    }

    /// Asks the aggregate which events take part, and keeps those it refuses.
    pub(super) fn admit(&mut self) -> Result<Vec<bool>, Failure> {
        let Admission { taken, rejections } = self.aggregate.admit(self.input, self.events)?;
        self.rejections.extend(rejections);
        Ok(taken)
    }

    /// Refuses an event whose window would end beyond real time.
    pub(super) fn reject_far(&mut self, event: usize) {
        let reason = format!("its window would end after the greatest time, {} ms", EventTime::LIMIT_MS);
        self.rejections.push(Rejection { index: event as u32, reason });
    }

    /// Registers a timer.
    pub(super) fn register(&mut self, domain: TimeDomain, timer: u32, key: &[u8], time: i64) {
        self.context.timers.push(TimerOp { register: true, domain, timer, key: key.to_vec(), time });
    }

    /// Gives results out.
    pub(super) fn fire(&mut self, firing: &Firing) -> Result<(), Failure> {
        if firing.windows.is_empty() {
            return Ok(());
        }
        let Finished { mut rows, window_of } = ask(self.aggregate, self.context, |aggregate, context| {
            aggregate.finish(&firing.keys, &firing.windows, &firing.accumulators, context)
        })?;
        let given = std::mem::take(&mut rows.keys);
        rows.timestamps.clear();
        for (row, window) in window_of.into_iter().enumerate() {
            let window = window as usize;
            let time = *firing.times.get(window).ok_or_else(|| Failure::Bug("a row of no window".into()))?;
            rows.timestamps.push(time);
            rows.keys.push(Some(given.get(row).unwrap_or_else(|| firing.keys.get(window))));
        }
        if !rows.is_empty() {
            self.context.output.push((RESULTS, rows));
        }
        Ok(())
    }

    /// Late events leave by their port, or are counted.
    pub(super) fn give_late(&mut self) -> Result<(), Failure> {
        if self.late.is_empty() {
            return Ok(());
        }
        if !self.late_output {
            self.context.metrics.push(MetricOp::Add(LATE_DROPPED, self.late.len() as u64));
            return Ok(());
        }
        let mut out = Batch::default();
        for event in self.late.drain(..) {
            let event = event as usize;
            out.extend_from(self.events, event..event + 1).map_err(|e| Failure::Bug(e.to_string()))?;
        }
        self.context.output.push((LATE + self.input, out));
        Ok(())
    }
}
