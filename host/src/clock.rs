//! The one door to time. Everything in the host that asks what time it is holds a `Clock`; tests hold one that they turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clock: wall time and monotonic time. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
enum Inner {
    System { made: Instant },
    Manual { now_ms: AtomicI64, elapsed_ns: AtomicU64 },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(Arc::new(Inner::System { made: Instant::now() }))
    }

    /// A clock that stands at `now_ms` until it is advanced.
    pub fn manual(now_ms: i64) -> Clock {
        Clock(Arc::new(Inner::Manual { now_ms: AtomicI64::new(now_ms), elapsed_ns: AtomicU64::new(0) }))
    }

    /// Wall time, ms since the Unix epoch. It may jump when the machine's clock is set.
    pub fn now_ms(&self) -> i64 {
        match &*self.0 {
            Inner::System { .. } => system_ms(),
            Inner::Manual { now_ms, .. } => now_ms.load(Ordering::SeqCst),
        }
    }

    /// Time since this clock was made. It never goes back.
    pub fn elapsed(&self) -> Duration {
        match &*self.0 {
            Inner::System { made } => made.elapsed(),
            Inner::Manual { elapsed_ns, .. } => Duration::from_nanos(elapsed_ns.load(Ordering::SeqCst)),
        }
    }

    /// Turns a manual clock forward. The machine's clock takes no orders: there this does nothing.
    pub fn advance(&self, by: Duration) {
        if let Inner::Manual { now_ms, elapsed_ns } = &*self.0 {
            now_ms.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
            elapsed_ns.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
        }
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::system()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn system_ms() -> i64 {
    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_turned_and_clones_share_it() {
        let clock = Clock::manual(1_000);
        let other = clock.clone();
        assert_eq!((clock.now_ms(), clock.elapsed()), (1_000, Duration::ZERO));
        other.advance(Duration::from_millis(250));
        assert_eq!((clock.now_ms(), clock.elapsed()), (1_250, Duration::from_millis(250)));
    }

    #[test]
    fn the_system_clock_is_after_the_year_2020_and_takes_no_orders() {
        let clock = Clock::system();
        let before = clock.now_ms();
        assert!(before > 1_577_836_800_000);
        let elapsed = clock.elapsed();
        clock.advance(Duration::from_secs(3_600_000));
        assert!(clock.now_ms() < before + 3_600_000_000);
        assert!(clock.elapsed() < elapsed + Duration::from_secs(3_600_000));
    }
}
