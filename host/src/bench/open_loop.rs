//! A steady load that never waits for its answers: event i is due at start + i / rate, and its latency runs from then to the
//! moment at which a committed read sees its result. A stall therefore counts for every event that was due in it.
//!
//! The job must give one event per event in the order of its input: result i belongs to event i.

use super::error::BenchError;
use super::events::Events;
use super::percentiles::Latencies;
use crate::clock::Clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidemill_storage::commit::Part;
use tidemill_storage::stream::{Appender, StreamInfo};
use tidemill_storage::{Position, Store};

/// How often the writer looks at what is due: events wait for it, and their latency counts that.
const TICK: Duration = Duration::from_millis(1);
/// How often the reader looks for results while there are none.
const LOOK_EVERY: Duration = Duration::from_micros(200);
/// Most events of one append after a stall.
const APPEND_EVENTS_MAX: u64 = 16_384;
/// Longest time without any result.
const PATIENCE: Duration = Duration::from_secs(60);

/// The load.
pub(super) struct Load<'a> {
    pub(super) store: &'a Store,
    pub(super) clock: &'a Clock,
    /// Where events go, one segment.
    pub(super) input: &'a StreamInfo,
    /// Where the first result will be.
    pub(super) output: Position,
    /// Events a second.
    pub(super) rate: u64,
    /// Events in all.
    pub(super) events: u64,
    /// Keys they are drawn from.
    pub(super) keys: u64,
}

impl Load<'_> {
    /// When event i is due, after the start.
    fn due(&self, i: u64) -> Duration {
        Duration::from_nanos((u128::from(i) * 1_000_000_000 / u128::from(self.rate.max(1))) as u64)
    }

    /// How many events are due so long after the start.
    fn due_by(&self, since: Duration) -> u64 {
        let events = since.as_nanos() * u128::from(self.rate) / 1_000_000_000 + 1;
        self.events.min(events as u64)
    }

    /// Offers the load until all results are there; latencies are added as they come. `watch` is called every few ms
    /// and ends it with its error.
    pub(super) fn drive(
        &self,
        latencies: &Mutex<Latencies>,
        mut watch: impl FnMut() -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let start = self.clock.elapsed();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| self.write(start, &over));
            let reader = scope.spawn(|| self.read(start, latencies, &over));
            let mut watched = Ok(());
            while !reader.is_finished() {
                std::thread::sleep(Duration::from_millis(5));
                if watched.is_ok() {
                    watched = watch();
                }
                if watched.is_err() {
                    over.store(true, Ordering::Relaxed);
                }
            }
            over.store(true, Ordering::Relaxed);
            let panicked = || BenchError::Wrong("a thread of the load panicked".into());
            let written = writer.join().unwrap_or_else(|_| Err(panicked()));
            let read = reader.join().unwrap_or_else(|_| Err(panicked()));
            watched.and(written).and(read)
        })
    }

    fn write(&self, start: Duration, over: &AtomicBool) -> Result<(), BenchError> {
        let mut events = Events::new(self.keys);
        let mut appender = Appender::new(self.input);
        let failed: Arc<Mutex<Option<tidemill_storage::Error>>> = Arc::default();
        let mut sent = 0;
        while sent < self.events && !over.load(Ordering::Relaxed) {
            let due = self.due_by(self.clock.elapsed() - start).min(sent + APPEND_EVENTS_MAX);
            if due > sent {
                for append in appender.append(&events.batch(due - sent))? {
                    let failed = failed.clone();
                    let on_done = move |done: tidemill_storage::Result<_>| {
                        if let Err(error) = done {
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        }
                    };
                    self.store.submit(Part::Append(append), Box::new(on_done));
                }
                sent = due;
            }
            if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                over.store(true, Ordering::Relaxed);
                return Err(error.into());
            }
            let tick = start + TICK * ((self.clock.elapsed() - start).as_millis() as u32 + 1);
            std::thread::sleep(tick.saturating_sub(self.clock.elapsed()));
        }
        Ok(())
    }

    fn read(&self, start: Duration, latencies: &Mutex<Latencies>, over: &AtomicBool) -> Result<(), BenchError> {
        let mut at = self.output;
        let mut seen = 0;
        let mut last = self.clock.elapsed();
        while seen < self.events {
            let chunk = self.store.read(at, 256 << 10)?;
            let now = self.clock.elapsed();
            if chunk.batch.is_empty() {
                if over.load(Ordering::Relaxed) {
                    return Err(BenchError::Interrupted);
                }
                if now - last > PATIENCE {
                    return Err(BenchError::Wrong(format!(
                        "no result for {} s: {seen} of {} are there",
                        PATIENCE.as_secs(),
                        self.events
                    )));
                }
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
            let mut latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner);
            for i in seen..seen + chunk.batch.len() as u64 {
                latencies.push(now.saturating_sub(start + self.due(i)));
            }
            seen += chunk.batch.len() as u64;
            (at.offset, last) = (chunk.next, now);
        }
        Ok(())
    }
}
