//! Where a job's measured part begins: an operator around the job's own one that notes the time at which so many events were
//! taken. A thread that looks now and then would come late on a busy machine.

use crate::clock::Clock;
use crate::operator::{Context, Descriptor, Failure, Operator, OperatorFactory, Rejection, SharedFactory, TimerBatch};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tidemill_storage::{Batch, EventTime};

/// The line that events cross, all subtasks together.
pub(super) struct StartLine {
    clock: Clock,
    after: u64,
    taken: AtomicU64,
    crossed: OnceLock<(Duration, u64)>,
}

impl StartLine {
    /// After so many events.
    pub(super) fn new(after: u64, clock: Clock) -> Arc<StartLine> {
        Arc::new(StartLine { clock, after, taken: AtomicU64::new(0), crossed: OnceLock::new() })
    }

    /// When it was crossed, and how many events had been taken then: those of one batch too many at most.
    pub(super) fn crossed(&self) -> Option<(Duration, u64)> {
        self.crossed.get().copied()
    }

    /// The operator, with its events counted.
    pub(super) fn around(self: &Arc<StartLine>, inner: &SharedFactory) -> SharedFactory {
        Arc::new(Watched { inner: inner.clone(), line: self.clone() })
    }

    fn take(&self, events: usize) {
        let taken = self.taken.fetch_add(events as u64, Ordering::Relaxed) + events as u64;
        if taken >= self.after && self.crossed.get().is_none() {
            // Another subtask may be first by a call.
            let _ = self.crossed.set((self.clock.elapsed(), taken));
        }
    }
}

struct Watched {
    inner: SharedFactory,
    line: Arc<StartLine>,
}

struct WatchedOperator {
    inner: Box<dyn Operator>,
    line: Arc<StartLine>,
}

impl OperatorFactory for Watched {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }

    fn create(&self, context: &mut Context) -> Result<Box<dyn Operator>, Failure> {
        Ok(Box::new(WatchedOperator { inner: self.inner.create(context)?, line: self.line.clone() }))
    }
}

impl Operator for WatchedOperator {
    fn process(
        &mut self,
        input: u32,
        watermark: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let done = self.inner.process(input, watermark, events, context);
        self.line.take(events.len());
        done
    }

    fn on_timers(
        &mut self,
        fired: &TimerBatch,
        watermark: EventTime,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        self.inner.on_timers(fired, watermark, context)
    }

    fn on_watermark(&mut self, watermark: EventTime, context: &mut Context) -> Result<(), Failure> {
        self.inner.on_watermark(watermark, context)
    }

    fn close(&mut self, context: &mut Context) -> Result<(), Failure> {
        self.inner.close(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::events::Events;
    use crate::bench::operators::native_pass_through;

    #[test]
    fn the_batch_that_crosses_the_line_sets_the_time() {
        let clock = Clock::manual(0);
        let line = StartLine::new(15, clock.clone());
        let mut context = Context::default();
        let factory = line.around(&native_pass_through());
        let mut operator = factory.create(&mut context).unwrap();
        let mut events = Events::new(3);
        for _ in 0..3 {
            assert_eq!(line.crossed().is_some(), context.output.len() >= 2);
            clock.advance(Duration::from_secs(1));
            operator.process(0, EventTime::MIN, &events.batch(10), &mut context).unwrap();
        }
        assert_eq!(line.crossed(), Some((Duration::from_secs(2), 20)));
        assert_eq!(context.output.len(), 3);
    }
}
