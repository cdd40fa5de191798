//! What waits for the committer: bounded in parts and bytes, so that submitters feel back-pressure. `store.rs` pushes,
//! `committer.rs` takes everything that waits as one group.

use crate::decide::{Outcome, Work};
use crate::error::{Error, Result};
use crate::pressure::Pressure;
use crate::space::{Room, Space};
use std::collections::VecDeque;
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
    space: Arc<Space>,
}

impl Queue {
    pub(crate) fn new(parts_max: usize, bytes_max: usize, pressure: Arc<Pressure>, space: Arc<Space>) -> Queue {
        Queue {
            pressure,
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
        let bytes = job.work.bytes();
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
        self.space.close();
        self.added.notify_all();
        self.taken.notify_all();
    }

    /// Whether the caller is the thread that takes.
    pub(crate) fn is_taker(&self) -> bool {
        self.lock().taker == Some(thread::current().id())
    }
}

pub(crate) fn closed() -> Error {
    Error::unavailable("the store is closed")
}
