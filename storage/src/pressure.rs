//! How full the hot file is with chunks, and who waits for that: appends and epochs, in the order of their coming, once
//! twice the setting is reached. `queue.rs` admits, the committer settles, the mover brings the level down.
//!
//! Invariant: hot bytes + bytes admitted and not yet committed stay below twice the setting, or a single part larger than
//! that went in alone.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Level {
    /// Committed bytes of hot chunks.
    hot: u64,
    /// On the way to the committer.
    admitted: u64,
    /// Who waits, by ticket.
    waiting: BTreeSet<u64>,
    next_ticket: u64,
    /// Nobody waits: whoever comes must hear that the store is latched, or closed.
    latched: bool,
    closed: bool,
}

/// The level, shared by all threads of a store.
#[derive(Debug)]
pub(crate) struct Pressure {
    level: Mutex<Level>,
    changed: Condvar,
    /// Beyond it the mover works.
    max: u64,
}

impl Pressure {
    pub(crate) fn new(hot_bytes_max: u64) -> Pressure {
        Pressure { level: Mutex::default(), changed: Condvar::new(), max: hot_bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, f: impl FnOnce(&mut Level)) {
        f(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until so many bytes of new chunks may come; `wait` = false: they come whatever the level.
    pub(crate) fn admit(&self, bytes: u64, wait: bool) {
        if bytes == 0 {
            return;
        }
        let limit = self.max.saturating_mul(2);
        let mut level = self.lock();
        if wait {
            let ticket = level.next_ticket;
            level.next_ticket += 1;
            level.waiting.insert(ticket);
            loop {
                let sum = level.hot.saturating_add(level.admitted).saturating_add(bytes);
                let alone = level.admitted == 0 && level.hot <= self.max;
                let turn = level.waiting.first() == Some(&ticket);
                if level.latched || level.closed || (turn && (sum <= limit || alone)) {
                    break;
                }
                level = self.changed.wait(level).unwrap_or_else(PoisonError::into_inner);
            }
            level.waiting.remove(&ticket);
        }
        level.admitted = level.admitted.saturating_add(bytes);
        drop(level);
        self.changed.notify_all();
    }

    /// What was admitted has been decided; `hot` = how the level changed by all that was committed.
    pub(crate) fn settle(&self, admitted: u64, hot: i64) {
        self.change(|level| {
            level.admitted = level.admitted.saturating_sub(admitted);
            level.hot = level.hot.saturating_add_signed(hot);
        });
    }

    /// The level as counted anew.
    pub(crate) fn set_hot(&self, hot: u64) {
        self.change(|level| level.hot = hot);
    }

    /// Lets everybody through, until it is reopened.
    pub(crate) fn set_latched(&self, latched: bool) {
        self.change(|level| level.latched = latched);
    }

    /// Lets everybody through for good.
    pub(crate) fn close(&self) {
        self.change(|level| level.closed = true);
    }

    /// Committed bytes of hot chunks.
    pub(crate) fn hot(&self) -> u64 {
        self.lock().hot
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    pub(crate) fn is_high(&self) -> bool {
        self.hot() > self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    fn admit_aside(pressure: &Arc<Pressure>, bytes: u64) -> thread::JoinHandle<()> {
        let (other, before) = (pressure.clone(), pressure.waiting());
        let handle = thread::spawn(move || other.admit(bytes, true));
        while pressure.waiting() == before {
            thread::yield_now();
        }
        handle
    }

    #[test]
    fn whoever_would_pass_twice_the_setting_waits_until_bytes_have_moved() {
        let pressure = Arc::new(Pressure::new(100));
        pressure.admit(150, true);
        pressure.settle(150, 150);
        pressure.admit(50, true);
        let first = admit_aside(&pressure, 60);
        let second = admit_aside(&pressure, 1);
        pressure.settle(50, 0);
        assert_eq!(pressure.waiting(), 2, "150 + 60 is too much, and the small one comes after the large one");
        pressure.settle(0, -50);
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!((pressure.hot(), pressure.waiting()), (100, 0));
    }

    #[test]
    fn a_part_larger_than_the_limit_goes_in_alone() {
        let pressure = Arc::new(Pressure::new(100));
        pressure.admit(10, true);
        let large = admit_aside(&pressure, 1_000);
        pressure.settle(10, 10);
        large.join().unwrap();
        pressure.settle(1_000, 1_000);
        assert!(pressure.is_high());
        pressure.admit(0, true);
        pressure.admit(5, false);
    }

    #[test]
    fn a_latched_store_lets_everybody_in() {
        let pressure = Arc::new(Pressure::new(1));
        pressure.set_hot(10);
        let waits = admit_aside(&pressure, 5);
        pressure.set_latched(true);
        waits.join().unwrap();
    }
}
