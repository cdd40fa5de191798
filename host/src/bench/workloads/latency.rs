//! From the intended send time of an event to the moment at which a committed read sees its result, through two commits:
//! the append of the event, and the checkpoint of the pipeline that counts it.

use super::Workload;
use crate::bench::events::{Events, events_of, feed, fill, look, tail};
use crate::bench::open_loop::Load;
use crate::bench::operators::wasm;
use crate::bench::percentiles::Latencies;
use crate::bench::pipelines::{INPUT, OUTPUT, Spec, start, taken};
use crate::bench::report::{Line, Unit};
use crate::bench::{Bench, BenchError, Scratch};
use crate::clock::Clock;
use crate::job::RunHandle;
use crate::operator::SharedFactory;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tidemill_storage::stream::StreamInfo;

pub(super) const WORKLOAD: Workload = Workload {
    name: "latency",
    what: "append to committed result of a keyed count at 1 k, 10 k and 100 k events/s, open loop; --gb: with as much stored",
    components: &["keyed-count"],
    run,
};

const KEYS: u64 = 1_000;

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let component = wasm(&bench.engine()?, &bench.options.components, "keyed-count")?;
    let seconds = bench.scaled(10.0, 0.3);
    let mut sizes = bench.options.stored_bytes.clone();
    if sizes.is_empty() {
        sizes.push(0);
    }
    for stored in sizes {
        let stage = Stage::set(bench, &component, KEYS, stored)?;
        for rate in [1_000, 10_000, 100_000] {
            let raw = bench.raw_sync()?;
            let events = (rate as f64 * seconds) as u64;
            let latencies = Mutex::default();
            let driven = stage.load(&bench.clock, rate, events, KEYS)?.drive(&latencies, || bench.go_on());
            if driven.is_err() {
                return stage.end().and(driven);
            }
            let mut latencies: Latencies = latencies.into_inner().unwrap_or_else(PoisonError::into_inner);
            let p50 = latencies.quantile(0.5).as_secs_f64();
            let with = if stored == 0 { String::new() } else { format!(", {:.1} GB stored", stored as f64 / 1e9) };
            let line = Line::new(WORKLOAD.name, format!("{rate} events/s{with}")).latencies(&mut latencies);
            let line = line.ms("raw_sync_p50", raw).ratio("p50_against_sync", p50 / raw.as_secs_f64());
            bench.emit(line.with("events", latencies.len() as f64, Unit::Count))?;
        }
        stage.end()?;
    }
    Ok(())
}

/// A running job that has done something already.
pub(super) struct Stage {
    pub(super) scratch: Scratch,
    handle: RunHandle,
    input: StreamInfo,
}

impl Stage {
    /// Fills the store with `stored` bytes, starts a keyed count and waits until it has committed every key.
    pub(super) fn set(
        bench: &Bench<'_>,
        operator: &SharedFactory,
        keys: u64,
        stored: u64,
    ) -> Result<Stage, BenchError> {
        let scratch = bench.fresh_store()?;
        let store = scratch.store()?;
        if stored > 0 {
            fill(store, "bench/history", stored, || bench.go_on())?;
        }
        let input = feed(store, INPUT, 1, Events::new(keys).take(keys))?;
        let spec = Spec::streams("steady", Some(Path::new("given")), false, 1);
        let pipeline = spec.load(bench.path())?;
        let handle = start(pipeline, operator, store, &scratch.data_dir, 1, &bench.clock)?;
        while events_of(&look(store, OUTPUT)?) < keys {
            std::thread::sleep(Duration::from_millis(1));
            if handle.is_done() {
                let taken = taken(&handle.status());
                handle.wait()?;
                return Err(BenchError::Wrong(format!("the pipeline ended after {taken} events")));
            }
        }
        Ok(Stage { scratch, handle, input })
    }

    /// A load on it, when it has given everything that the last one asked for.
    pub(super) fn load<'a>(
        &'a self,
        clock: &'a Clock,
        rate: u64,
        events: u64,
        keys: u64,
    ) -> Result<Load<'a>, BenchError> {
        let store = self.scratch.store()?;
        let output = tail(&look(store, OUTPUT)?)?;
        Ok(Load { store, clock, input: &self.input, output, rate, events, keys })
    }

    /// Stops the job.
    pub(super) fn end(self) -> Result<(), BenchError> {
        self.handle.stop();
        self.handle.wait()?;
        Ok(())
    }
}
