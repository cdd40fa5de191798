//! Lets the clock work: leases and lives of transactions end, silent writers stop holding time up, the wall clock is noted for
//! those who go by it. A thread of the store runs [`run`] as the timer; [`crate::Store::sweep`] does the same when asked.
//!
//! What is decided by the clock is decided the same at every other part: a commit after the lease's end is refused, swept or not.

use crate::decide::{Outcome, Work};
use crate::error::{Error, Result};
use crate::queue::{Job, Queue, closed};
use crate::stream::StreamRef;
use crate::stream::time::TimeNote;
use crate::terms::TermsSource;
use crate::time::EventTime;
use crossbeam_channel::bounded;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Transactions whose lease or life was over, or whose stream is gone.
    pub transactions_aborted: u64,
    /// Transactions that ended so long ago that they are unknown from now on.
    pub transactions_forgotten: u64,
    /// Writers that no longer take part in a stream's time.
    pub writers_gone: u64,
    /// Watermarks that could be emitted then.
    pub watermarks: u64,
}

/// A writer whose time is the wall clock.
#[derive(Debug)]
pub(crate) struct AutoWriter {
    pub(crate) stream: StreamRef,
    pub(crate) writer: String,
    pub(crate) every_ms: u64,
    /// When it was noted last.
    pub(crate) noted_at_ms: AtomicI64,
}

pub(crate) struct Sweeper {
    queue: Arc<Queue>,
    terms: Arc<TermsSource>,
    auto: Mutex<Vec<Weak<AutoWriter>>>,
    closed: Mutex<bool>,
    signalled: Condvar,
}

/// Sweeps every so often, until the sweeper is closed.
pub(crate) fn run(sweeper: &Sweeper, every: Duration) {
    while sweeper.wait(every) {
        // The next one tries again; a store that is latched says so to everybody else, too.
        if let Err(e) = sweeper.sweep() {
            tracing::debug!(error = %e, "a sweep failed");
        }
    }
}

impl Sweeper {
    pub(crate) fn new(queue: Arc<Queue>, terms: Arc<TermsSource>) -> Sweeper {
        Sweeper { queue, terms, auto: Mutex::default(), closed: Mutex::default(), signalled: Condvar::new() }
    }

    fn auto(&self) -> MutexGuard<'_, Vec<Weak<AutoWriter>>> {
        self.auto.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the wall clock for it from now on, as long as somebody holds it.
    pub(crate) fn add(&self, writer: &Arc<AutoWriter>) {
        self.auto().push(Arc::downgrade(writer));
    }

    pub(crate) fn close(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.signalled.notify_all();
    }

    /// False when closed.
    fn wait(&self, every: Duration) -> bool {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.signalled.wait_timeout_while(closed, every, |closed| !*closed);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Notes that are due.
    fn due(&self) -> Vec<TimeNote> {
        let now_ms = self.terms.now().now_ms;
        let mut auto = self.auto();
        auto.retain(|writer| writer.strong_count() > 0);
        let mut notes = Vec::new();
        for writer in auto.iter().filter_map(Weak::upgrade) {
            let noted_at_ms = writer.noted_at_ms.load(Ordering::SeqCst);
            if now_ms.saturating_sub(noted_at_ms) >= i64::try_from(writer.every_ms).unwrap_or(i64::MAX) {
                writer.noted_at_ms.store(now_ms, Ordering::SeqCst);
                notes.push(TimeNote::auto(writer.stream, writer.writer.clone(), EventTime(now_ms)));
            }
        }
        notes
    }

    pub(crate) fn sweep(&self) -> Result<SweepReport> {
        let (answer, answered) = bounded(1);
        let work = Work::Sweep { notes: self.due() };
        self.queue.push(Job { work, on_done: Box::new(move |outcome| drop(answer.send(outcome))) });
        match answered.recv().unwrap_or_else(|_| Err(closed()))? {
            Outcome::Swept(report) => Ok(report),
            other => Err(Error::bug(format!("the committer answered another question: {other:?}"))),
        }
    }
}
