//! How long a store takes to open, and a killed process to go on: from the start of the new process to the first epoch with
//! output that it commits, by the size of what is stored. Real processes, `kill -9`, a live pipeline with work left.

use super::Workload;
use crate::bench::events::{BATCH_EVENTS, every_key, feed, fill};
use crate::bench::folder::bytes_below;
use crate::bench::operators::{component, native_keep};
use crate::bench::percentiles::Latencies;
use crate::bench::pipelines::{INPUT, Spec, start, taken};
use crate::bench::process::{Committed, Process};
use crate::bench::report::{Line, Unit};
use crate::bench::{Bench, BenchError, Scratch};
use std::time::Duration;
use tidemill_storage::{Batch, EventTime};

pub(super) const WORKLOAD: Workload = Workload {
    name: "restart",
    what: "open a store, and restart after kill -9 to the first new committed output; --gb, --state-gb: by size",
    components: &["keyed-count"],
    run,
};

/// The pipeline's name, under which its state is kept.
const PIPELINE: &str = "restart";
/// Bytes of a value of the state that fills it.
const STATE_VALUE_BYTES: usize = 100;

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let mut sizes = bench.options.stored_bytes.clone();
    if sizes.is_empty() {
        sizes.push(bench.scaled(1_000_000_000, 10_000_000));
    }
    let state_bytes = bench.options.state_bytes.unwrap_or_else(|| bench.scaled(100_000_000, 1_000_000));
    for stored in sizes {
        let mut scratch = fill_up(bench, stored, state_bytes)?;
        let size =
            |line: Line| line.with("stored", stored as f64, Unit::Bytes).with("state", state_bytes as f64, Unit::Bytes);
        let on_disk = bytes_below(&scratch.data_dir);
        let mut opened = Latencies::default();
        for _ in 0..bench.scaled(5, 2) {
            scratch.close();
            let before = bench.clock.elapsed();
            scratch.open(&bench.clock)?;
            opened.push(bench.clock.elapsed() - before);
        }
        scratch.close();
        let line = Line::new(WORKLOAD.name, format!("open, {}", gigabytes(stored)));
        let line = line.ms("p50", opened.quantile(0.5)).ms("max", opened.quantile(1.0));
        bench.emit(size(line).with("on_disk", on_disk as f64, Unit::Bytes))?;

        let (mut restarted, peak) = kill_and_restart(bench, &scratch)?;
        let line = Line::new(WORKLOAD.name, format!("kill -9, {}", gigabytes(stored)));
        let line = line.ms("p50", restarted.quantile(0.5)).ms("max", restarted.quantile(1.0));
        bench.emit(size(line).with("peak_memory", peak as f64, Unit::Bytes))?;
    }
    Ok(())
}

fn gigabytes(bytes: u64) -> String {
    format!("{} GB stored", (bytes as f64 / 1e7).round() / 100.0)
}

/// A store with so many bytes of streams, so many of state of the pipeline, and input that it has not read yet.
fn fill_up(bench: &Bench<'_>, stored: u64, state_bytes: u64) -> Result<Scratch, BenchError> {
    let scratch = bench.fresh_store()?;
    let store = scratch.store()?;
    fill(store, "bench/history", stored, || bench.go_on())?;
    // A key, a value and the headers of both.
    let keys = state_bytes / (STATE_VALUE_BYTES as u64 + 12);
    feed(store, INPUT, 1, every_key(keys, STATE_VALUE_BYTES))?;
    // The operator's state is kept under the names of pipeline and node: the component finds it there.
    let spec = Spec::streams(PIPELINE, Some("given".as_ref()), false, 1);
    let handle = start(spec.load(bench.path())?, &native_keep(), store, &scratch.data_dir, 1, &bench.clock)?;
    while taken(&handle.status()) < keys && !handle.is_done() && bench.go_on().is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    handle.stop();
    handle.wait()?; // at a checkpoint
    bench.go_on()?;
    let record = store.checkpoints(PIPELINE)?.into_iter().next().map(|checkpoint| checkpoint.record);
    let read: u64 = record.iter().flat_map(|r| r.sources.values().flat_map(|p| p.values())).map(|p| p.events).sum();
    if read != keys {
        return Err(BenchError::Wrong(format!("{read} of {keys} keys of state are committed")));
    }
    let events = bench.scaled(5_000_000, 500_000);
    feed(store, INPUT, 1, live(events))?;
    Ok(scratch)
}

/// So many small events of few keys that are not the state's: a restart must not depend on which it meets first.
fn live(events: u64) -> impl Iterator<Item = Batch> {
    (0..events.div_ceil(BATCH_EVENTS)).map(|_| {
        let mut batch = Batch::default();
        (0..BATCH_EVENTS).for_each(|i| batch.push(EventTime(0), Some(&[b'l', i as u8]), Some(b"x")));
        batch
    })
}

/// Times from the start of a process to the first committed output of its own, and the most memory that one took.
fn kill_and_restart(bench: &Bench<'_>, scratch: &Scratch) -> Result<(Latencies, u64), BenchError> {
    let component = component(&bench.options.components, "keyed-count")?;
    let spec = Spec::streams(PIPELINE, Some(&component), false, 1);
    let mut times = Latencies::default();
    let mut peak = 0;
    let mut last_run = 0;
    // The first start compiles the component and follows no kill: it does not count.
    for attempt in 0..=bench.scaled(5, 2) {
        let mut process = Process::start(bench.program, &bench.clock, &spec, bench.path(), &scratch.data_dir)?;
        let is_new = |committed: &Committed| committed.incarnation > last_run && committed.output_events > 0;
        let (committed, took) = process.wait_for("its first output", is_new)?;
        last_run = committed.incarnation;
        if attempt > 0 {
            times.push(took);
        }
        peak = peak.max(process.memory()?.peak);
        process.kill()?;
    }
    Ok((times, peak))
}
