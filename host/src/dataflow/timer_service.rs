//! Timers of one operator subtask: what is due, in order. The operator's task asks it for batches and commits or rolls
//! back each call through it; keyed state stores the timers, so that they are in the epoch's delta.
//!
//! A drain is the task's loop: `due` -> `on_timers` -> `commit_call` -> `due` again, until there is none. A timer that a
//! call registers at or before the watermark is due at once in the next round; between two rounds the task may take a
//! barrier instead, for what is left lies in keyed state.
//!
//! Invariants:
//! 1. the queues hold exactly the timers that keyed state shows between two calls;
//! 2. a batch is the front of its queue, cut before the second timer of a key and before another timer index: batches
//!    never run ahead of an earlier timer, whose call may cancel or register any later one;
//! 3. delivered timers leave queue and state when their call is committed: rolled back, they are due again.

use crate::operator::{Context, TimeDomain, TimerBatch, TimerOp};
use crate::state::{KeyedState, StateError, shown};
use std::collections::{BTreeSet, HashSet};
use tidemill_storage::{Column, EventTime};

/// See the module's words.
#[derive(Debug, Default)]
pub struct TimerService {
    event_time: BTreeSet<Timer>,
    processing_time: BTreeSet<Timer>,
    /// What the current call was given: so many timers from the front of the clock's queue.
    delivered: Option<(TimeDomain, usize)>,
}

/// Sorts by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    time: i64,
    timer: u32,
    key: Box<[u8]>,
}

impl TimerService {
    /// The timers of committed state; `Corrupt` when one of them is damaged.
    pub fn load(state: &KeyedState) -> tidemill_storage::Result<TimerService> {
        let mut service = TimerService::default();
        for timer in state.timers() {
            let timer = timer?;
            let entry = Timer { time: timer.time, timer: timer.timer, key: timer.key.into() };
            service.queue_mut(timer.domain).insert(entry);
        }
        Ok(service)
    }

    /// The next batch of timers with times at or before `up_to`, at most `max` of them: earliest first, one timer index,
    /// at most one timer per key. The call it is for ends with [`TimerService::commit_call`] or
    /// [`TimerService::roll_back_call`].
    pub fn due(&mut self, domain: TimeDomain, up_to: i64, max: usize) -> Option<TimerBatch> {
        let queue = self.queue(domain);
        let first = queue.first().filter(|first| first.time <= up_to)?;
        let mut batch = TimerBatch { domain, timer: first.timer, keys: Column::default(), times: Vec::new() };
        let mut keys = HashSet::with_hasher(foldhash::fast::RandomState::default());
        for entry in queue.iter().take(max.max(1)) {
            if entry.time > up_to || entry.timer != batch.timer || !keys.insert(&entry.key) {
                break;
            }
            batch.keys.push(&entry.key);
            batch.times.push(entry.time);
        }
        self.delivered = Some((domain, batch.times.len()));
        Some(batch)
    }

    /// Commits the current call: the timers it was given are gone, its timer operations take effect in order, and its
    /// state writes stay. On an error (a key of another subtask, an unreal time, too much state in one epoch) the queues
    /// are as before; roll the call back.
    pub fn commit_call(&mut self, context: &mut Context) -> Result<(), StateError> {
        context.timers.iter().try_for_each(|op| check_op(op, &context.state))?;
        let mut done = Vec::new();
        if let Err(error) = self.apply(context, &mut done) {
            for (domain, inserted, timer) in done.into_iter().rev() {
                match inserted {
                    true => self.queue_mut(domain).remove(&timer),
                    false => self.queue_mut(domain).insert(timer),
                };
            }
            return Err(error);
        }
        self.delivered = None;
        context.state.commit_call();
        Ok(())
    }

    /// Writes to state only what changes a queue: operators register the timer of a window or day with every event.
    /// `done`: whether each changed timer was inserted.
    fn apply(&mut self, context: &mut Context, done: &mut Vec<(TimeDomain, bool, Timer)>) -> Result<(), StateError> {
        let state = &mut context.state;
        let (domain, count) = self.delivered.unwrap_or((TimeDomain::EventTime, 0));
        for _ in 0..count {
            let Some(timer) = self.queue_mut(domain).pop_first() else { break };
            let deleted = state.delete_timer(domain, timer.timer, &timer.key, timer.time);
            done.push((domain, false, timer));
            deleted?;
        }
        for TimerOp { register, domain, timer, key, time } in context.timers.drain(..) {
            let entry = Timer { time, timer, key: key.into_boxed_slice() };
            if register {
                if self.queue(domain).contains(&entry) {
                    continue;
                }
                state.put_timer(domain, timer, &entry.key, time)?;
                self.queue_mut(domain).insert(entry.clone());
                done.push((domain, true, entry));
            } else if self.queue_mut(domain).remove(&entry) {
                let deleted = state.delete_timer(domain, timer, &entry.key, time);
                done.push((domain, false, entry));
                deleted?;
            }
        }
        Ok(())
    }

    /// Drops every effect of the current call but its log lines; the timers it was given are due again.
    pub fn roll_back_call(&mut self, context: &mut Context) {
        self.delivered = None;
        context.roll_back();
    }

    /// When the earliest processing-time timer is due, ms.
    pub fn next_processing_time(&self) -> Option<i64> {
        self.processing_time.first().map(|timer| timer.time)
    }

    /// When the earliest event-time timer is due, ms.
    pub fn next_event_time(&self) -> Option<i64> {
        self.event_time.first().map(|timer| timer.time)
    }

    /// The keys that have this timer.
    pub fn keys_of(&self, domain: TimeDomain, timer: u32) -> Column {
        let keys: BTreeSet<&[u8]> =
            self.queue(domain).iter().filter(|entry| entry.timer == timer).map(|entry| &*entry.key).collect();
        let mut column = Column::default();
        keys.into_iter().for_each(|key| column.push(key));
        column
    }

    /// How many timers wait on a clock.
    pub fn pending(&self, domain: TimeDomain) -> usize {
        self.queue(domain).len()
    }

    fn queue(&self, domain: TimeDomain) -> &BTreeSet<Timer> {
        match domain {
            TimeDomain::EventTime => &self.event_time,
            TimeDomain::ProcessingTime => &self.processing_time,
        }
    }

    fn queue_mut(&mut self, domain: TimeDomain) -> &mut BTreeSet<Timer> {
        match domain {
            TimeDomain::EventTime => &mut self.event_time,
            TimeDomain::ProcessingTime => &mut self.processing_time,
        }
    }
}

fn check_op(op: &TimerOp, state: &KeyedState) -> Result<(), StateError> {
    if !EventTime(op.time).is_real() {
        return Err(StateError::Malformed(format!(
            "timer {} of key {:?}: time {} ms is outside +-(2^53 - 1); register a real time",
            op.timer,
            shown(&op.key),
            op.time
        )));
    }
    state.check_timer_key(op.domain, &op.key)
}
