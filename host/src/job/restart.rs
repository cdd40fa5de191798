//! The restart policy: whether a failed run starts again, and after how long. Pure.
//!
//! Failures are counted in a sliding window, not since the last commit: a poison event that fails again and again
//! between commits of other partitions must still come to an end.

use crate::config::pipeline::Restart;
use crate::dataflow::task::FailureKind;
use std::collections::VecDeque;

/// Failures older than this no longer count, ms.
const WINDOW_MS: i64 = 10 * 60 * 1_000;

/// Remembers failures of one job.
#[derive(Debug)]
pub struct RestartPolicy {
    settings: Restart,
    failures: VecDeque<i64>,
    /// Times that the disk was full since the last commit.
    full: u32,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start again after so many ms.
    Restart(u64),
    /// Give up.
    Fail,
}

impl RestartPolicy {
    /// With the pipeline's settings.
    pub fn new(settings: Restart) -> RestartPolicy {
        RestartPolicy { settings, failures: VecDeque::new(), full: 0 }
    }

    /// A run failed at `now_ms`.
    pub fn failed(&mut self, kind: FailureKind, now_ms: i64) -> Verdict {
        match kind {
            FailureKind::Fatal | FailureKind::Invalid | FailureKind::Bug => return Verdict::Fail,
            FailureKind::Full => {
                // It is nobody's fault, and no attempt mends it: only the wait grows.
                self.full = self.full.saturating_add(1);
                return Verdict::Restart(self.wait_ms(self.full - 1));
            }
            FailureKind::Guest | FailureKind::Unavailable => {}
        }
        while self.failures.front().is_some_and(|at| now_ms.saturating_sub(*at) > WINDOW_MS) {
            self.failures.pop_front();
        }
        let earlier = self.failures.len() as u32;
        if earlier >= self.settings.attempts {
            return Verdict::Fail;
        }
        self.failures.push_back(now_ms);
        Verdict::Restart(self.wait_ms(earlier))
    }

    /// An epoch was committed: there is room.
    pub fn committed(&mut self) {
        self.full = 0;
    }

    fn wait_ms(&self, earlier: u32) -> u64 {
        let factor = 1u64.checked_shl(earlier).unwrap_or(u64::MAX);
        self.settings.backoff_ms.saturating_mul(factor).min(self.settings.backoff_max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_bounded_within_the_window_and_the_wait_doubles_up_to_its_limit() {
        let mut policy = RestartPolicy::new(Restart { attempts: 3, backoff_ms: 100, backoff_max_ms: 300 });
        let verdicts: Vec<_> = (0..4).map(|i| policy.failed(FailureKind::Guest, i)).collect();
        assert_eq!(verdicts, [Verdict::Restart(100), Verdict::Restart(200), Verdict::Restart(300), Verdict::Fail]);
        assert_eq!(policy.failed(FailureKind::Guest, WINDOW_MS * 2), Verdict::Restart(100), "long ago counts no more");
        assert_eq!(policy.failed(FailureKind::Fatal, WINDOW_MS * 2), Verdict::Fail);
    }

    #[test]
    fn a_full_disk_uses_up_no_attempt() {
        let mut policy = RestartPolicy::new(Restart { attempts: 1, backoff_ms: 100, backoff_max_ms: 300 });
        let waits: Vec<_> = (0..4).map(|i| policy.failed(FailureKind::Full, i)).collect();
        assert_eq!(waits, [100, 200, 300, 300].map(Verdict::Restart));
        policy.committed();
        assert_eq!(policy.failed(FailureKind::Full, 4), Verdict::Restart(100));
        assert_eq!(policy.failed(FailureKind::Unavailable, 5), Verdict::Restart(100));
        assert_eq!(policy.failed(FailureKind::Unavailable, 6), Verdict::Fail);
    }
}
