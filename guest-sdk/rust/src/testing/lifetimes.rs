//! Time to live in the host in memory: what entries are stamped with that a call writes or reads, and what is over. As the real
//! host does it, but that what is over is freed at once.

use crate::descriptor::{State, Ttl, TtlClock, TtlRefresh};
use std::collections::BTreeMap;

/// The clocks of a call, and the newest times of the keys that it is about.
#[derive(Default)]
pub(super) struct Lifetimes {
    rules: Vec<Option<Ttl>>,
    watermark: i64,
    pub(super) clock_ms: i64,
    newest_of: BTreeMap<Vec<u8>, i64>,
    newest: i64,
}

impl Lifetimes {
    pub(super) fn declare(&mut self, states: &[State]) {
        self.rules = states.iter().map(|state| state.ttl).collect();
    }

    /// A call begins about these keys and times.
    pub(super) fn begin<'a>(&mut self, watermark: i64, events: impl Iterator<Item = (&'a [u8], i64)>) {
        self.watermark = watermark;
        self.newest = i64::MIN;
        self.newest_of.clear();
        for (key, time) in events {
            self.newest = self.newest.max(time);
            let newest = self.newest_of.entry(key.to_vec()).or_insert(time);
            *newest = time.max(*newest);
        }
    }

    fn rule(&self, state: u32) -> Option<&Ttl> {
        self.rules.get(state as usize)?.as_ref()
    }

    /// What an entry is stamped with now; without meaning where the state lasts for ever.
    pub(super) fn stamp(&self, state: u32, key: &[u8]) -> i64 {
        match self.rule(state).map(|rule| rule.clock) {
            Some(TtlClock::ProcessingTime) => self.clock_ms,
            Some(TtlClock::EventTime) => self.watermark.max(self.newest_of.get(key).copied().unwrap_or(self.newest)),
            None => 0,
        }
    }

    /// Whether a read makes an entry last longer.
    pub(super) fn refreshes(&self, state: u32) -> bool {
        self.rule(state).is_some_and(|rule| rule.refresh == TtlRefresh::ReadAndWrite)
    }

    /// Whether an entry with this stamp is over.
    pub(super) fn is_over(&self, state: u32, stamp: i64) -> bool {
        self.rule(state).is_some_and(|rule| {
            let now = match rule.clock {
                TtlClock::EventTime => self.watermark,
                TtlClock::ProcessingTime => self.clock_ms,
            };
            stamp.saturating_add(rule.ms) <= now
        })
    }
}
