//! Encodes the output of sinks beside the workers. Sinks stage batches here; the coordinator takes the chunks of an epoch
//! for its commit. Compressing costs about as much as an operator does: with a core to spare it is off the hot path.
//!
//! Invariants:
//! 1. the chunks of an epoch hold what was staged in it, in order: the end of each epoch stands in the queue, and whoever
//!    encodes holds the appender's lock and takes from the queue's front;
//! 2. what waits is bounded: past [`WAITING_BYTES_MAX`] the one who stages encodes, too;
//! 3. nobody depends on the encoder's thread: what it has not done by the commit, the coordinator does.

use crossbeam_channel::{Sender, unbounded};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidemill_storage::commit::Append;
use tidemill_storage::stream::Appender;
use tidemill_storage::{Batch, Epoch, Error, Result};

/// So much output of one sink waits for the encoder at most, bytes.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// The thread of one run. Dropping it stops and joins it.
pub struct Encoder {
    orders: Sender<Order>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Tells the encoder that something waits. Cheap to clone.
#[derive(Clone)]
pub struct EncoderHandle(Sender<Order>);

enum Order {
    Encode(Arc<Staging>),
    Stop,
}

/// What one sink subtask puts out.
pub struct Staging {
    waiting: Mutex<Waiting>,
    encoding: Mutex<Encoding>,
}

#[derive(Default)]
struct Waiting {
    steps: VecDeque<Step>,
    bytes: usize,
}

enum Step {
    Batch(Batch),
    EndOf(Epoch),
}

struct Encoding {
    appender: Appender,
    /// Epochs whose end was reached and that nobody has taken yet.
    ended: VecDeque<(Epoch, Result<Vec<Append>>)>,
    /// After an error the appender holds part of a batch: the run rolls back.
    failed: Option<Error>,
}

// Whoever panics with a lock held leaves a queue that is whole, or an appender whose epoch ends with its run.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Encoder {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Encoder> {
        let (orders, waiting) = unbounded();
        let thread = std::thread::Builder::new().name("encoder".into()).spawn(move || {
            while let Ok(Order::Encode(staging)) = waiting.recv() {
                drop(staging.encode_until(|_| false));
            }
        })?;
        Ok(Encoder { orders, thread: Some(thread) })
    }

    /// For the sinks.
    pub fn handle(&self) -> EncoderHandle {
        EncoderHandle(self.orders.clone())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // If the thread panicked, nobody listens, and the coordinator has done its work and met the same fault.
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Staging {
    /// For the sink that writes through `appender`.
    pub fn new(appender: Appender) -> Arc<Staging> {
        let encoding = Encoding { appender, ended: VecDeque::new(), failed: None };
        Arc::new(Staging { waiting: Mutex::default(), encoding: Mutex::new(encoding) })
    }

    /// Stages events; they are encoded soon, at the latest in [`Staging::take`].
    pub fn stage(self: &Arc<Staging>, events: Batch, encoder: &EncoderHandle) {
        let mut waiting = lock(&self.waiting);
        let was_empty = waiting.steps.is_empty();
        waiting.bytes += events.bytes();
        waiting.steps.push_back(Step::Batch(events));
        let full = waiting.bytes > WAITING_BYTES_MAX;
        drop(waiting);
        if full {
            drop(self.encode_until(|_| false));
        } else if was_empty {
            // Without an encoder (the run is about to end) the coordinator does the work.
            let _ = encoder.0.send(Order::Encode(self.clone()));
        }
    }

    /// What is staged from now on belongs to the next epoch.
    pub fn end_epoch(&self, epoch: Epoch) {
        lock(&self.waiting).steps.push_back(Step::EndOf(epoch));
    }

    /// The chunks of an epoch that was ended. Epochs are taken in order.
    pub fn take(&self, epoch: Epoch) -> Result<Vec<Append>> {
        let is_there = |ended: &VecDeque<(Epoch, _)>| ended.front().is_some_and(|(ended, _)| *ended == epoch);
        let mut encoding = self.encode_until(is_there);
        match encoding.ended.pop_front() {
            Some((ended, chunks)) if ended == epoch => chunks,
            _ => Err(Error::bug(format!("the output of epoch {epoch} was asked for before the epoch's end"))),
        }
    }

    /// Takes one step after the other until none is left or `enough`.
    fn encode_until(
        &self,
        enough: impl Fn(&VecDeque<(Epoch, Result<Vec<Append>>)>) -> bool,
    ) -> MutexGuard<'_, Encoding> {
        let mut encoding = lock(&self.encoding);
        while !enough(&encoding.ended)
            && let Some(step) = self.next_step()
        {
            encoding.take_step(step);
        }
        encoding
    }

    fn next_step(&self) -> Option<Step> {
        let mut waiting = lock(&self.waiting);
        let step = waiting.steps.pop_front()?;
        if let Step::Batch(events) = &step {
            waiting.bytes -= events.bytes();
        }
        Some(step)
    }
}

impl Encoding {
    fn take_step(&mut self, step: Step) {
        match step {
            Step::Batch(events) => {
                if self.failed.is_none() {
                    self.failed = self.appender.push(&events).err();
                }
            }
            Step::EndOf(epoch) => {
                let chunks = match &self.failed {
                    Some(error) => Err(error.clone()),
                    None => self.appender.finish(),
                };
                self.ended.push_back((epoch, chunks));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_storage::stream::StreamConfig;
    use tidemill_storage::{EventTime, Kind, Store, StoreOptions, StreamName, decode_chunk};

    fn appender() -> Appender {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
        let info = store.ensure_stream(&StreamName::new("a/b").unwrap(), StreamConfig { segments: 1 }).unwrap();
        Appender::new(&info)
    }

    fn batch(first: i64, events: i64) -> Batch {
        let mut batch = Batch::default();
        (first..first + events).for_each(|i| batch.push(EventTime(i), Some(&i.to_le_bytes()), Some(&[7; 100])));
        batch
    }

    fn times(appends: &[Append]) -> Vec<i64> {
        let chunks = appends.iter().flat_map(|append| &append.chunks);
        chunks.flat_map(|chunk| decode_chunk(&chunk.bytes).unwrap().timestamps).collect()
    }

    #[test]
    fn an_epoch_holds_what_was_staged_in_it_in_order_whoever_encodes() {
        let encoder = Encoder::start().unwrap();
        let handle = encoder.handle();
        let staging = Staging::new(appender());
        // More than may wait: the one who stages encodes as well, and the encoder at the same time.
        (0..100).for_each(|i| staging.stage(batch(i * 1_000, 1_000), &handle));
        staging.end_epoch(Epoch(1));
        staging.end_epoch(Epoch(2));
        staging.stage(batch(7, 3), &handle);
        staging.end_epoch(Epoch(3));
        assert_eq!(times(&staging.take(Epoch(1)).unwrap()), (0..100_000).collect::<Vec<_>>());
        assert!(staging.take(Epoch(2)).unwrap().is_empty());
        assert_eq!(times(&staging.take(Epoch(3)).unwrap()), [7, 8, 9]);
        assert_eq!(staging.take(Epoch(4)).unwrap_err().kind(), Kind::Bug);
    }

    #[test]
    fn nothing_is_lost_when_the_encoder_is_gone() {
        let handle = Encoder::start().unwrap().handle();
        let staging = Staging::new(appender());
        staging.stage(batch(0, 10), &handle);
        staging.end_epoch(Epoch(1));
        assert_eq!(times(&staging.take(Epoch(1)).unwrap()).len(), 10);
    }

    #[test]
    fn a_batch_that_cannot_be_encoded_fails_its_epoch_and_those_after_it() {
        let encoder = Encoder::start().unwrap();
        let staging = Staging::new(appender());
        let mut bad = batch(0, 2);
        bad.timestamps[1] = i64::MAX;
        staging.stage(bad, &encoder.handle());
        staging.end_epoch(Epoch(1));
        staging.stage(batch(0, 1), &encoder.handle());
        staging.end_epoch(Epoch(2));
        for epoch in [1, 2] {
            assert_eq!(staging.take(Epoch(epoch)).unwrap_err().kind(), Kind::Invalid);
        }
    }
}
