//! Worker threads that drive tasks: one shared run queue, so that no core idles while a task can run.
//!
//! A task is in one of four states: idle, queued, running, running-and-woken. [`Waker::wake`] moves idle to queued and
//! running to running-and-woken; a worker that finishes a blocked step moves running to idle, or back to queued if it
//! was woken meanwhile. So no wake is lost and no task runs on two workers.

use crate::clock::Clock;
use crate::dataflow::task::{FailureKind, Progress, Task, TaskFailure};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const WOKEN: u8 = 3;

/// Steps a task gets in a row before others have a turn.
const STEPS_PER_TURN: u32 = 16;

struct Slot {
    state: AtomicU8,
    /// The earliest alarm that is set, `i64::MAX` for none: later ones are not kept, so alarms stay bounded.
    alarm: AtomicI64,
    task: Mutex<Option<Box<dyn Task>>>,
}

#[derive(Default)]
struct RunQueue {
    runnable: VecDeque<usize>,
    alarms: BinaryHeap<Reverse<(i64, usize)>>,
}

struct Shared {
    slots: Vec<Slot>,
    queue: Mutex<RunQueue>,
    ready: Condvar,
    stop: AtomicBool,
    clock: Clock,
}

/// Wakes one task. Cheap to clone.
#[derive(Clone)]
pub struct Waker {
    shared: Arc<Shared>,
    task: usize,
}

/// Takes a task's failure; called on the worker's thread.
pub type OnFailure = Arc<dyn Fn(usize, TaskFailure) + Send + Sync>;

/// The tasks of one run and the threads that drive them. Dropping it stops and joins them.
pub struct Executor {
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

// A worker never panics while it holds a lock (steps run under catch_unwind), so a poisoned lock still holds good data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn wake(&self, task: usize) {
        let state = &self.slots[task].state;
        let woken = state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |s| match s {
            IDLE => Some(QUEUED),
            RUNNING => Some(WOKEN),
            _ => None,
        });
        if woken == Ok(IDLE) {
            lock(&self.queue).runnable.push_back(task);
            self.ready.notify_one();
        }
    }

    fn enqueue(&self, task: usize) {
        self.slots[task].state.store(QUEUED, Ordering::Release);
        lock(&self.queue).runnable.push_back(task);
        self.ready.notify_one();
    }

    /// The next task to run; waits for one. `None` = stop.
    fn next(&self) -> Option<usize> {
        let mut queue = lock(&self.queue);
        loop {
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            let now = self.clock.now_ms();
            while let Some(&Reverse((at, task))) = queue.alarms.peek()
                && at <= now
            {
                queue.alarms.pop();
                let alarm = &self.slots[task].alarm;
                // Whichever alarm fired, the task runs and will ask again for what it still needs.
                alarm.store(i64::MAX, Ordering::Release);
                let state = &self.slots[task].state;
                if state.compare_exchange(IDLE, QUEUED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    queue.runnable.push_back(task);
                }
            }
            if let Some(task) = queue.runnable.pop_front() {
                if !queue.runnable.is_empty() {
                    self.ready.notify_one();
                }
                return Some(task);
            }
            let wait_ms = queue.alarms.peek().map_or(100, |Reverse((at, _))| (at - now).clamp(1, 100));
            queue = self
                .ready
                .wait_timeout(queue, Duration::from_millis(wait_ms as u64))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn run_turn(&self, index: usize, on_failure: &OnFailure) {
        let slot = &self.slots[index];
        slot.state.store(RUNNING, Ordering::Release);
        let mut guard = lock(&slot.task);
        let Some(task) = guard.as_mut() else { return };
        for _ in 0..STEPS_PER_TURN {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let step = catch_unwind(AssertUnwindSafe(|| task.step())).unwrap_or_else(|panic| {
                let what = panic.downcast_ref::<String>().map(String::as_str);
                let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown cause");
                Err(TaskFailure::new(FailureKind::Bug, format!("a task panicked (please report this): {what}")))
            });
            match step {
                Ok(Progress::Working) => {}
                Ok(Progress::Blocked(until)) => {
                    if let Some(at) = until {
                        let mut queue = lock(&self.queue);
                        if at < slot.alarm.load(Ordering::Acquire) {
                            slot.alarm.store(at, Ordering::Release);
                            queue.alarms.push(Reverse((at, index)));
                        }
                    }
                    let idle = slot.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok();
                    if !idle {
                        drop(guard);
                        self.enqueue(index);
                    } else if until.is_some() {
                        // Another worker may sleep towards a later alarm.
                        self.ready.notify_one();
                    }
                    return;
                }
                Err(failure) => {
                    // A failed task is gone; the whole run will be rolled back.
                    *guard = None;
                    on_failure(index, failure);
                    return;
                }
            }
        }
        drop(guard);
        self.enqueue(index);
    }
}

impl Waker {
    /// Makes the task run again soon.
    pub fn wake(&self) {
        self.shared.wake(self.task);
    }
}

impl Executor {
    /// Room for `tasks` tasks; they are put in by [`Executor::start`], so that queues can hold their wakers before.
    pub fn new(tasks: usize, clock: Clock) -> Executor {
        let slots = (0..tasks)
            .map(|_| Slot { state: AtomicU8::new(IDLE), alarm: AtomicI64::new(i64::MAX), task: Mutex::new(None) })
            .collect();
        let shared =
            Shared { slots, queue: Mutex::default(), ready: Condvar::new(), stop: AtomicBool::new(false), clock };
        Executor { shared: Arc::new(shared), threads: Vec::new() }
    }

    /// The waker of task `task`.
    pub fn waker(&self, task: usize) -> Waker {
        Waker { shared: self.shared.clone(), task }
    }

    /// Puts the tasks in and starts `workers` threads.
    pub fn start(&mut self, tasks: Vec<Box<dyn Task>>, workers: usize, on_failure: OnFailure) -> std::io::Result<()> {
        for (index, task) in tasks.into_iter().enumerate() {
            *lock(&self.shared.slots[index].task) = Some(task);
            self.shared.wake(index);
        }
        for worker in 0..workers.max(1) {
            let (shared, on_failure) = (self.shared.clone(), on_failure.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{worker}")).spawn(move || {
                while let Some(task) = shared.next() {
                    shared.run_turn(task, &on_failure);
                }
            })?;
            self.threads.push(thread);
        }
        Ok(())
    }

    /// Something that wakes every task: after a barrier was requested, or a commit.
    pub fn wake_all_handle(&self) -> Box<dyn Fn() + Send> {
        let shared = self.shared.clone();
        Box::new(move || (0..shared.slots.len()).for_each(|task| shared.wake(task)))
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        {
            // Under the lock, so that no worker is between its check and its wait.
            let _queue = lock(&self.shared.queue);
            self.shared.ready.notify_all();
        }
        for thread in self.threads.drain(..) {
            // A worker's panic was already reported by its task; there is nothing more to learn here.
            drop(thread.join());
        }
        for slot in &self.shared.slots {
            *lock(&slot.task) = None;
        }
    }
}
