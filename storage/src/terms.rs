//! The terms under which a group is decided, besides the rows: the time, and the store's settings. `store.rs` makes the one
//! [`TermsSource`], the committer asks it once per group.

use crate::store::Clock;
use crate::stream::transaction::TransactionLimits;
use std::sync::atomic::{AtomicI64, Ordering};

/// The terms of one group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) checkpoints_retained: usize,
    /// By the store's clock, ms since the Unix epoch; never less than for an earlier group.
    pub(crate) now_ms: i64,
    /// When the store was opened: nobody could be heard before, so no silence and no lease counts from before.
    pub(crate) opened_at_ms: i64,
    pub(crate) transactions: TransactionLimits,
}

/// Says the terms of the moment.
pub(crate) struct TermsSource {
    clock: Clock,
    last_ms: AtomicI64,
    opened: Terms,
}

impl TermsSource {
    pub(crate) fn new(clock: Clock, checkpoints_retained: usize, transactions: TransactionLimits) -> TermsSource {
        let now_ms = clock();
        let opened = Terms { checkpoints_retained, now_ms, opened_at_ms: now_ms, transactions };
        TermsSource { clock, last_ms: AtomicI64::new(now_ms), opened }
    }

    pub(crate) fn now(&self) -> Terms {
        // A wall clock that is set back must not renew a lease that was refused.
        let now_ms = (self.clock)();
        let now_ms = self.last_ms.fetch_max(now_ms, Ordering::SeqCst).max(now_ms);
        Terms { now_ms, ..self.opened }
    }
}

#[cfg(test)]
impl Default for Terms {
    fn default() -> Terms {
        Terms { checkpoints_retained: 10, now_ms: 0, opened_at_ms: 0, transactions: TransactionLimits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn time_stands_still_when_the_clock_goes_back() {
        let hand = Arc::new(AtomicI64::new(100));
        let clock = hand.clone();
        let source = TermsSource::new(Arc::new(move || clock.load(Ordering::SeqCst)), 3, TransactionLimits::default());
        let mut seen = Vec::new();
        for at in [150, 120, 151] {
            hand.store(at, Ordering::SeqCst);
            let terms = source.now();
            assert_eq!((terms.opened_at_ms, terms.checkpoints_retained), (100, 3));
            seen.push(terms.now_ms);
        }
        assert_eq!(seen, [150, 150, 151]);
    }
}
