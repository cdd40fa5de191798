//! Time to live of entries: stamps in front of values, what is still alive, and when to look for what is not. `KeyedState`
//! asks it on every read and write of a state that has one; the operator's task registers the timers.
//!
//! ```text
//! state  STATES + s   entries of state s: i64 stamp | value      (a state of its own: turned on or off, it starts empty)
//! timer  TIMERS + s   look at a key of state s and delete what is over
//! ```
//!
//! Invariants:
//! 1. an entry is over when its stamp + time to live is at or before the clock; it is never read then, deleted or not;
//! 2. an entry that can be over has a timer at most an eighth of its time to live after that, so that what is over is freed;
//! 3. the clock is that of the call: the watermark, or the call's processing time; so a replay decides the same.
//!
//! In event time an entry is stamped with the newest time of its key's events in the call that wrote it, and no less than
//! the watermark.

use super::{KeyedState, StateError};
use crate::operator::descriptor::{StateDescriptor, StateKind, Ttl, TtlClock, TtlRefresh};
use crate::operator::{TimeDomain, TimerOp};
use hashbrown::HashMap;
use tidemill_storage::hash::hash_key;
use tidemill_storage::state::Unknown;
use tidemill_storage::{Column, EventTime, OptionalColumn};

/// Timers from here on are not the operator's.
pub const TIMERS: u32 = 1 << 31;
const STATES: u32 = 1 << 31;
pub(super) const STAMP_BYTES: usize = size_of::<i64>();
/// Timers of one entry that is written again and again, per time to live.
const TIMERS_PER_TTL: i64 = 8;

/// See the module's words.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    rules: Vec<Option<Ttl>>,
    in_event_time: bool,
    watermark: i64,
    now_ms: i64,
    /// Newest event time of the call, by h(key), and of all.
    newest_of: HashMap<u64, i64>,
    newest: i64,
    /// Timers that the call's writes need.
    timers: Vec<TimerOp>,
    scratch: Vec<u8>,
}

/// What is alive in one state, now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alive {
    ttl_ms: i64,
    now: i64,
    /// A read makes it last longer.
    pub(super) refresh: bool,
}

impl Alive {
    fn is_over(&self, stamp: i64) -> bool {
        stamp.saturating_add(self.ttl_ms) <= self.now
    }

    /// The value of a stored entry, if it is alive.
    pub(super) fn value<'a>(&self, stored: &'a [u8]) -> Option<&'a [u8]> {
        let (stamp, value) = stored.split_first_chunk::<STAMP_BYTES>()?;
        (!self.is_over(i64::from_le_bytes(*stamp))).then_some(value)
    }
}

impl Expiry {
    pub(super) fn new(states: &[StateDescriptor]) -> Expiry {
        let rules: Vec<Option<Ttl>> = states.iter().map(|state| state.ttl).collect();
        let in_event_time = rules.iter().flatten().any(|ttl| ttl.clock == TtlClock::EventTime);
        Expiry { rules, in_event_time, ..Expiry::default() }
    }

    /// A call begins about these keys and times.
    pub(super) fn begin<'a>(&mut self, watermark: i64, now_ms: i64, events: impl Iterator<Item = (&'a [u8], i64)>) {
        (self.watermark, self.now_ms) = (watermark, now_ms);
        if !self.in_event_time {
            return;
        }
        self.newest = i64::MIN;
        self.newest_of.clear();
        for (key, time) in events {
            self.newest = self.newest.max(time);
            let newest = self.newest_of.entry(hash_key(key)).or_insert(time);
            *newest = time.max(*newest);
        }
    }

    fn rule(&self, state: u32) -> Option<Ttl> {
        self.rules.get(state as usize).copied().flatten()
    }

    /// Where the entries of a state lie.
    pub(super) fn place(&self, state: u32) -> u32 {
        if self.rule(state).is_some() { STATES + state } else { state }
    }

    /// What is alive in a state that has a time to live.
    pub(super) fn alive(&self, state: u32) -> Option<Alive> {
        let rule = self.rule(state)?;
        let now = match rule.clock {
            TtlClock::EventTime => self.watermark,
            TtlClock::ProcessingTime => self.now_ms,
        };
        Some(Alive { ttl_ms: rule.ms, now, refresh: rule.refresh == TtlRefresh::ReadAndWrite })
    }

    /// What was alive in a state when its timer was due; nothing where the state has no time to live any more.
    pub(super) fn alive_at(&self, state: u32, time: i64) -> Alive {
        let ttl_ms = self.rule(state).map_or(0, |rule| rule.ms);
        let now = if self.rule(state).is_some() { time } else { i64::MAX };
        Alive { ttl_ms, now, refresh: false }
    }

    /// Where the entries of a state with a time to live lie, whether or not it still has one.
    pub(super) fn place_of_timer(state: u32) -> u32 {
        STATES + state
    }

    /// The stored form of a value written now, and the timer that it needs. Without a time to live the value itself.
    pub(super) fn stamped<'a>(&'a mut self, state: u32, hash: u64, key: &[u8], value: &'a [u8]) -> &'a [u8] {
        let Some(rule) = self.rule(state) else { return value };
        let (domain, stamp) = match rule.clock {
            TtlClock::ProcessingTime => (TimeDomain::ProcessingTime, self.now_ms),
            TtlClock::EventTime => {
                let newest = self.newest_of.get(&hash).copied().unwrap_or(self.newest);
                (TimeDomain::EventTime, newest.max(self.watermark))
            }
        };
        self.scratch.clear();
        self.scratch.extend_from_slice(&stamp.to_le_bytes());
        self.scratch.extend_from_slice(value);
        let grain = (rule.ms / TIMERS_PER_TTL).max(1);
        let over = stamp.saturating_add(rule.ms);
        let time = over.saturating_add((grain - over.rem_euclid(grain)) % grain);
        let known = |last: &TimerOp| (last.timer, last.time, &last.key[..]) == (TIMERS + state, time, key);
        if EventTime(time).is_real() && !self.timers.last().is_some_and(known) {
            self.timers.push(TimerOp { register: true, domain, timer: TIMERS + state, key: key.to_vec(), time });
        }
        &self.scratch
    }

    pub(super) fn take_timers(&mut self) -> Vec<TimerOp> {
        std::mem::take(&mut self.timers)
    }

    pub(super) fn roll_back(&mut self) {
        self.timers.clear();
    }
}

impl KeyedState {
    /// Such timers are due: deletes what was over by then. `timer`: [`TIMERS`] and the state.
    pub fn expire(&mut self, timer: u32, keys: &Column, times: &[i64]) -> Result<(), StateError> {
        let state = timer.saturating_sub(TIMERS);
        let place = Expiry::place_of_timer(state);
        for (key, time) in keys.iter().zip(times) {
            let (hash, alive) = (self.locate(state, key)?, self.expiry.alive_at(state, *time));
            let mut over: Vec<Vec<u8>> = Vec::new();
            if self.kinds.get(state as usize) == Some(&StateKind::Value) {
                let mut stored = OptionalColumn::default();
                self.get_stored(place, (hash, key), &mut stored)?;
                if stored.get(0).is_some_and(|stored| alive.value(stored).is_none()) {
                    self.overlay.put_value(&mut self.undo, (hash, place, key), None)?;
                }
                continue;
            }
            self.walk((hash, place, key), &[], None, |sub_key, stored| {
                if alive.value(stored).is_none() {
                    over.push(sub_key.to_vec());
                }
                true
            })?;
            for sub_key in over {
                self.overlay.put_sub(&mut self.undo, (hash, place, key), &sub_key, None)?;
            }
        }
        Ok(())
    }

    /// One stored value into `out`.
    fn get_stored(
        &mut self,
        place: u32,
        (hash, key): (u64, &[u8]),
        out: &mut OptionalColumn,
    ) -> Result<(), StateError> {
        let fetched;
        let value = match self.read(hash, place, key, &[]) {
            Ok(value) => value,
            Err(Unknown) => {
                fetched = self.view.fetch(hash, place, key, &[]).map_err(|e| self.read_failed(e))?;
                fetched.as_deref()
            }
        };
        out.push(value);
        Ok(())
    }
}
