//! The checkpoint protocol as a pure state machine: no I/O, no threads, time handed in. The coordinator feeds it.
//!
//! ```text
//! idle --begin--> aligning(n) --all tasks handed over--> committing(n) --committed--> durable(n)
//!                      ^                                     |
//!                      +---- n+1 may begin when n is handed over and few enough epochs are in flight
//! ```
//!
//! Invariants:
//! 1. one barrier at a time is under way; epochs are begun, completed and committed in order without gaps;
//! 2. at most `in_flight_max` epochs are handed over and not yet durable;
//! 3. an epoch begins only when there is something to commit, or to stop;
//! 4. commits are no more frequent than `min_commit_interval_ms`, and leave the pipeline several times their own length.

use std::collections::{BTreeSet, VecDeque};
use tidemill_storage::Epoch;

/// When epochs begin.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Shortest time between barriers, ms.
    pub min_commit_interval_ms: i64,
    /// Longest time between barriers while there is something to commit, ms.
    pub checkpoint_interval_ms: i64,
    /// Epochs handed over and not yet durable, at most.
    pub in_flight_max: usize,
    /// Staged output bytes that force a barrier.
    pub staged_bytes_max: u64,
}

/// A commit may take at most one part in this many of the time: under load epochs grow until their cost is small.
const COMMIT_SHARE: i64 = 5;

/// The state machine.
#[derive(Debug)]
pub struct Protocol {
    pace: Pace,
    tasks: usize,
    next: Epoch,
    aligning: Option<Aligning>,
    in_flight: VecDeque<InFlight>,
    last_begin_ms: i64,
    last_cost_ms: i64,
    stopping: bool,
    final_epoch: Option<Epoch>,
}

#[derive(Debug)]
struct Aligning {
    epoch: Epoch,
    waiting: BTreeSet<usize>,
    ended: bool,
    began_ms: i64,
}

#[derive(Debug)]
struct InFlight {
    epoch: Epoch,
    began_ms: i64,
}

/// What the outside looks like when the coordinator asks whether to begin.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Now, ms.
    pub now_ms: i64,
    /// Something was done since the last barrier.
    pub dirty: bool,
    /// Output bytes staged.
    pub staged_bytes: u64,
}

/// An epoch that every task has handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complete {
    /// The epoch.
    pub epoch: Epoch,
    /// End of input has passed every task: nothing follows.
    pub finished: bool,
}

/// A message that does not fit the protocol: a bug in a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {task} handed over epoch {epoch}, which is not under way (please report this)")]
pub struct OutOfOrder {
    /// The task.
    pub task: usize,
    /// The epoch it named.
    pub epoch: Epoch,
}

impl Protocol {
    /// After `committed`, for `tasks` tasks.
    pub fn new(pace: Pace, tasks: usize, committed: Epoch, now_ms: i64) -> Protocol {
        Protocol {
            pace,
            tasks,
            next: committed.next(),
            aligning: None,
            in_flight: VecDeque::new(),
            last_begin_ms: now_ms,
            last_cost_ms: 0,
            stopping: false,
            final_epoch: None,
        }
    }

    /// The user wants to stop: one more epoch, then nothing.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The epoch whose barrier should start now, if any.
    pub fn begin(&mut self, situation: Situation) -> Option<Epoch> {
        let Situation { now_ms, dirty, staged_bytes } = situation;
        if self.aligning.is_some() || self.final_epoch.is_some() || self.in_flight.len() >= self.pace.in_flight_max {
            return None;
        }
        if !self.stopping && !self.due(now_ms, dirty, staged_bytes) {
            return None;
        }
        let epoch = self.next;
        self.next = epoch.next();
        self.last_begin_ms = now_ms;
        if self.stopping {
            self.final_epoch = Some(epoch);
        }
        self.aligning = Some(Aligning { epoch, waiting: (0..self.tasks).collect(), ended: true, began_ms: now_ms });
        Some(epoch)
    }

    fn due(&self, now_ms: i64, dirty: bool, staged_bytes: u64) -> bool {
        let since = now_ms.saturating_sub(self.last_begin_ms);
        if !dirty {
            return false;
        }
        if staged_bytes >= self.pace.staged_bytes_max || since >= self.pace.checkpoint_interval_ms {
            return true;
        }
        let wait = self.pace.min_commit_interval_ms.max(self.last_cost_ms.saturating_mul(COMMIT_SHARE));
        self.in_flight.is_empty() && since >= wait
    }

    /// How long until [`Protocol::begin`] can say yes by time alone, ms.
    pub fn wait_ms(&self, now_ms: i64) -> i64 {
        let wait = self.pace.min_commit_interval_ms.max(self.last_cost_ms.saturating_mul(COMMIT_SHARE));
        (self.last_begin_ms + wait.min(self.pace.checkpoint_interval_ms) - now_ms).max(0)
    }

    /// A task handed over; `ended` = the end of input had passed it.
    pub fn handed_over(&mut self, task: usize, epoch: Epoch, ended: bool) -> Result<Option<Complete>, OutOfOrder> {
        let Some(aligning) = self.aligning.as_mut().filter(|a| a.epoch == epoch) else {
            return Err(OutOfOrder { task, epoch });
        };
        if !aligning.waiting.remove(&task) {
            return Err(OutOfOrder { task, epoch });
        }
        aligning.ended &= ended;
        if !aligning.waiting.is_empty() {
            return Ok(None);
        }
        let (finished, began_ms) = (aligning.ended, aligning.began_ms);
        self.aligning = None;
        self.in_flight.push_back(InFlight { epoch, began_ms });
        if finished {
            self.final_epoch = Some(epoch);
        }
        Ok(Some(Complete { epoch, finished }))
    }

    /// An epoch is durable. Returns whether it was the last one.
    pub fn committed(&mut self, epoch: Epoch, now_ms: i64) -> bool {
        if let Some(first) = self.in_flight.pop_front_if(|first| first.epoch == epoch) {
            self.last_cost_ms = now_ms.saturating_sub(first.began_ms);
        }
        self.final_epoch == Some(epoch)
    }

    /// Whether a barrier is under way.
    pub fn is_aligning(&self) -> bool {
        self.aligning.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace =
        Pace { min_commit_interval_ms: 5, checkpoint_interval_ms: 1_000, in_flight_max: 2, staged_bytes_max: 1_000 };

    fn at(now_ms: i64, dirty: bool) -> Situation {
        Situation { now_ms, dirty, staged_bytes: 0 }
    }

    #[test]
    fn an_epoch_is_complete_when_every_task_handed_it_over_once() {
        let mut p = Protocol::new(PACE, 2, Epoch(7), 0);
        assert_eq!(p.begin(at(4, true)), None, "too soon");
        assert_eq!(p.begin(at(5, false)), None, "nothing to commit");
        assert_eq!(p.begin(at(5, true)), Some(Epoch(8)));
        assert_eq!(p.begin(at(100, true)), None, "one barrier at a time");
        assert_eq!(p.handed_over(0, Epoch(8), false), Ok(None));
        assert!(p.handed_over(0, Epoch(8), false).is_err(), "twice");
        assert!(p.handed_over(1, Epoch(9), false).is_err(), "another epoch");
        assert_eq!(p.handed_over(1, Epoch(8), true), Ok(Some(Complete { epoch: Epoch(8), finished: false })));
    }

    #[test]
    fn the_next_epoch_waits_for_the_commit_but_not_longer_than_the_interval() {
        let mut p = Protocol::new(PACE, 1, Epoch(0), 0);
        assert_eq!(p.begin(at(5, true)), Some(Epoch(1)));
        p.handed_over(0, Epoch(1), false).unwrap();
        assert_eq!(p.begin(at(900, true)), None);
        assert_eq!(p.begin(at(1_005, true)), Some(Epoch(2)), "the interval is over: pipelined");
        p.handed_over(0, Epoch(2), false).unwrap();
        assert_eq!(p.begin(at(9_000, true)), None, "two in flight is the most");
        assert!(!p.committed(Epoch(1), 9_000));
        assert_eq!(p.begin(at(9_000, true)), Some(Epoch(3)));
    }

    #[test]
    fn dear_commits_make_epochs_longer_and_staged_bytes_make_them_shorter() {
        let mut p = Protocol::new(PACE, 1, Epoch(0), 0);
        p.begin(at(5, true));
        p.handed_over(0, Epoch(1), false).unwrap();
        p.committed(Epoch(1), 45);
        assert_eq!(p.begin(at(100, true)), None, "the last one took 40 ms");
        let staged = Situation { now_ms: 101, dirty: true, staged_bytes: 1_000 };
        assert_eq!(p.begin(staged), Some(Epoch(2)));
    }

    #[test]
    fn stopping_and_the_end_of_input_both_end_with_a_last_epoch() {
        let mut p = Protocol::new(PACE, 1, Epoch(0), 0);
        p.stop();
        assert_eq!(p.begin(at(0, false)), Some(Epoch(1)));
        assert_eq!(p.handed_over(0, Epoch(1), false).unwrap().map(|c| c.finished), Some(false));
        assert_eq!(p.begin(at(5_000, true)), None);
        assert!(p.committed(Epoch(1), 1));

        let mut p = Protocol::new(PACE, 1, Epoch(0), 0);
        p.begin(at(5, true));
        assert_eq!(p.handed_over(0, Epoch(1), true).unwrap().map(|c| c.finished), Some(true));
        assert!(p.committed(Epoch(1), 9));
    }
}
