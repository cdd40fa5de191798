//! What waits for the committer: bounded in parts and bytes, so that submitters feel back-pressure. `store.rs` pushes,
//! `committer.rs` takes everything that waits as one group.

use crate::commit::Part;
use crate::debt::StateDebt;
use crate::decide::{Outcome, Work};
use crate::error::{Error, Result};
use crate::ids::TransactionId;
use crate::pressure::Pressure;
use crate::space::{Room, Space};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

pub(crate) type OnOutcome = Box<dyn FnOnce(Result<Outcome>) + Send>;

pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) on_done: OnOutcome,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
    closed: bool,
    /// The thread that takes: it must never wait for itself.
    taker: Option<ThreadId>,
}

pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    added: Condvar,
    taken: Condvar,
    parts_max: usize,
    bytes_max: usize,
    pressure: Arc<Pressure>,
    debt: Arc<StateDebt>,
    /// Transactions whose commit waits or is being decided, and how many times.
    committing: Arc<Mutex<BTreeMap<TransactionId, u64>>>,
    space: Arc<Space>,
}

impl Queue {
    pub(crate) fn new(
        parts_max: usize,
        bytes_max: usize,
        pressure: Arc<Pressure>,
        debt: Arc<StateDebt>,
        space: Arc<Space>,
    ) -> Queue {
        Queue {
            pressure,
            debt,
            committing: Arc::default(),
            space,
            waiting: Mutex::default(),
            added: Condvar::new(),
            taken: Condvar::new(),
            parts_max: parts_max.max(1),
            bytes_max: bytes_max.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change under the lock is whole, so a panic elsewhere leaves nothing half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the disk, the hot file or the queue is full; a job bigger than the bound goes in alone.
    pub(crate) fn push(&self, job: Job) {
        let room = job.work.disk_bytes().map(|bytes| {
            let mut room = self.space.line_up(bytes);
            if self.is_taker() {
                room.force()
            } else {
                room.wait()
            }
            room
        });
        self.push_in(room, job);
    }

    /// The same for a job that has its room on the disk.
    pub(crate) fn push_in(&self, room: Option<Room>, job: Job) {
        let job = self.watched(job);
        let bytes = job.work.bytes();
        if let Work::Part(Part::Epoch(epoch)) = &job.work
            && !self.is_taker()
        {
            self.debt.wait(&epoch.pipeline, epoch.state.iter().map(|delta| delta.operator.as_str()));
        }
        self.pressure.admit(job.work.hot_bytes(), !self.is_taker());
        let mut waiting = self.lock();
        let full = |w: &Waiting| {
            w.jobs.len() >= self.parts_max || (!w.jobs.is_empty() && w.bytes.saturating_add(bytes) > self.bytes_max)
        };
        while full(&waiting) && !waiting.closed && waiting.taker != Some(thread::current().id()) {
            waiting = self.taken.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.closed {
            drop(waiting);
            self.pressure.settle(job.work.hot_bytes(), 0);
            drop(room);
            (job.on_done)(Err(closed()));
            return;
        }
        if let Some(room) = room {
            room.spend();
        }
        waiting.bytes += bytes;
        waiting.jobs.push_back(job);
        self.added.notify_one();
    }

    /// Notes a commit until its outcome is told.
    fn watched(&self, job: Job) -> Job {
        let Some(id) = job.work.commits() else { return job };
        *counts(&self.committing).entry(id).or_default() += 1;
        let committing = self.committing.clone();
        let on_done = move |outcome| {
            let mut waiting = counts(&committing);
            if let Some(times) = waiting.get_mut(&id) {
                *times -= 1;
            }
            waiting.retain(|_, times| *times > 0);
            drop(waiting);
            (job.on_done)(outcome);
        };
        Job { work: job.work, on_done: Box::new(on_done) }
    }

    /// Whether a commit of this transaction was asked for and is not decided.
    pub(crate) fn is_committing(&self, id: TransactionId) -> bool {
        counts(&self.committing).contains_key(&id)
    }

    /// Everything that waits; waits for something. None = closed and empty.
    pub(crate) fn take(&self) -> Option<Vec<Job>> {
        let mut waiting = self.lock();
        waiting.taker = Some(thread::current().id());
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.added.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.bytes = 0;
        let jobs = waiting.jobs.drain(..).collect();
        self.taken.notify_all();
        Some(jobs)
    }

    /// No more is let in; what waits is still taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.pressure.close();
        self.debt.close();
        self.space.close();
        self.added.notify_all();
        self.taken.notify_all();
    }

    /// Whether the store is closing, or closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether the caller is the thread that takes.
    pub(crate) fn is_taker(&self) -> bool {
        self.lock().taker == Some(thread::current().id())
    }
}

fn counts(map: &Mutex<BTreeMap<TransactionId, u64>>) -> MutexGuard<'_, BTreeMap<TransactionId, u64>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn closed() -> Error {
    Error::unavailable("the store is closed")
}
