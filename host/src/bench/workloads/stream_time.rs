//! From the call that notes a writer's time to the moment at which a reader that stands at the tail sees it as the lower bound of its
//! time window.

use super::Workload;
use crate::bench::percentiles::Latencies;
use crate::bench::pipelines::INPUT;
use crate::bench::report::{Line, Unit};
use crate::bench::{Bench, BenchError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tidemill_storage::stream::{StreamConfig, StreamInfo};
use tidemill_storage::{EventTime, Store, StreamName};

pub(super) const WORKLOAD: Workload = Workload {
    name: "stream-time",
    what: "from noting a time to the window of a reader at the tail, of 1 and 10 segments",
    components: &[],
    run,
};

const WRITER: &str = "bench";

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let notes = bench.scaled(1_000, 10);
    for segments in [1, 10] {
        let scratch = bench.fresh_store()?;
        let store = scratch.store()?;
        let info = store.create_stream(&StreamName::new(INPUT)?, StreamConfig { segments })?;
        let raw = bench.raw_sync()?;
        let (over, clock) = (AtomicBool::new(false), &bench.clock);
        let mut delays = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(store, &info, notes, &over, || clock.elapsed()));
            let mut noted = Vec::new();
            for n in 1..=notes {
                noted.push(clock.elapsed());
                if let Err(error) = store.note_time(info.stream, WRITER, EventTime(n)) {
                    over.store(true, Ordering::SeqCst);
                    return Err(error.into());
                }
            }
            let seen = watcher.join().map_err(|_| BenchError::Wrong("the watcher panicked".into()))??;
            let mut delays = Latencies::default();
            noted.iter().zip(seen).for_each(|(noted, seen)| delays.push(seen.saturating_sub(*noted)));
            Ok::<_, BenchError>(delays)
        })?;
        let line = Line::new(WORKLOAD.name, format!("{segments} segments")).latencies(&mut delays);
        bench.emit(line.ms("raw_sync_p50", raw).with("notes", delays.len() as f64, Unit::Count))?;
    }
    Ok(())
}

/// When each time was seen first.
fn watch(
    store: &Store,
    info: &StreamInfo,
    notes: i64,
    over: &AtomicBool,
    elapsed: impl Fn() -> Duration,
) -> Result<Vec<Duration>, BenchError> {
    let (tail, mut seen) = (info.tail_cut(), Vec::new());
    while (seen.len() as i64) < notes && !over.load(Ordering::SeqCst) {
        let lower = store.time_window(&tail)?.lower.map_or(0, |lower| lower.0);
        while (seen.len() as i64) < lower {
            seen.push(elapsed());
        }
        std::thread::yield_now();
    }
    Ok(seen)
}
