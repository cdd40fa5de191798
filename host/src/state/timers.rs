//! Timers as keyed state: entries of the reserved state of their clock. The timer service writes them here and starts from
//! what is committed.

use super::{KeyedState, StateError};
use crate::operator::TimeDomain;
use tidemill_storage::timer;

/// A timer in committed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedTimer<'a> {
    /// The clock it follows.
    pub domain: TimeDomain,
    /// When it is due, ms.
    pub time: i64,
    /// Index in the descriptor.
    pub timer: u32,
    /// Its key.
    pub key: &'a [u8],
}

impl KeyedState {
    /// Stores a timer in the reserved state of its clock; a timer already there stays one.
    pub fn put_timer(&mut self, domain: TimeDomain, timer: u32, key: &[u8], time: i64) -> Result<(), StateError> {
        self.write_timer(domain, timer, key, time, Some(&[]))
    }

    /// Removes a timer; nothing happens when it is not there.
    pub fn delete_timer(&mut self, domain: TimeDomain, timer: u32, key: &[u8], time: i64) -> Result<(), StateError> {
        self.write_timer(domain, timer, key, time, None)
    }

    fn write_timer(
        &mut self,
        domain: TimeDomain,
        timer: u32,
        key: &[u8],
        time: i64,
        value: Option<&[u8]>,
    ) -> Result<(), StateError> {
        let state = timer_state(domain);
        let hash = self.locate(state, key)?;
        self.call_bytes += key.len() + timer::SUB_KEY_BYTES;
        self.overlay.put_sub(&mut self.undo, (hash, state, key), &timer::sub_key(time, timer), value)
    }

    /// Timers of committed state, in no order, all of which the view loads at the start of a run: what a timer service starts from. `Corrupt` for a damaged entry.
    pub fn timers(&self) -> impl Iterator<Item = tidemill_storage::Result<CommittedTimer<'_>>> {
        [TimeDomain::EventTime, TimeDomain::ProcessingTime].into_iter().flat_map(|domain| {
            self.view.memory().entries_of(timer_state(domain)).map(move |entry| {
                let (time, timer) = timer::decode_sub_key(entry.sub_key)?;
                Ok(CommittedTimer { domain, time, timer, key: entry.key })
            })
        })
    }

    /// That the key lies in the subtask's key groups; names a timer's clock or a state in the error.
    pub fn check_timer_key(&self, domain: TimeDomain, key: &[u8]) -> Result<(), StateError> {
        self.locate(timer_state(domain), key).map(drop)
    }
}

fn timer_state(domain: TimeDomain) -> u32 {
    match domain {
        TimeDomain::EventTime => timer::EVENT_TIME,
        TimeDomain::ProcessingTime => timer::PROCESSING_TIME,
    }
}
