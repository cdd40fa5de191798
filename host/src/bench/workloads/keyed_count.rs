//! A count per key from stream to stream, native and as a component, over states of growing size; and two workers against
//! one. The state holds every key before anything is measured, so that growth shows what size costs, not what inserting does.

use super::Workload;
use crate::bench::events::{Events, every_key, feed};
use crate::bench::operators::{native_count, wasm};
use crate::bench::pipelines::{INPUT, Job, Spec};
use crate::bench::report::{Line, Rate};
use crate::bench::{Bench, BenchError, floor};
use crate::operator::SharedFactory;
use std::path::Path;
use tidemill_storage::Batch;

pub(super) const WORKLOAD: Workload = Workload {
    name: "keyed-count",
    what: "count per key, stream -> operator -> stream, at 1 k, 1 M and 10 M keys: native, as a component, on two workers",
    components: &["keyed-count"],
    run,
};

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let events = bench.scaled(2_000_000, 20_000);
    let sizes: [u64; 3] = bench.scaled([1_000, 1_000_000, 10_000_000], [100, 1_000, 10_000]);
    let component = wasm(&bench.engine()?, &bench.options.components, "keyed-count")?;
    let operators = [native_count(), component.clone()];
    let mut first = None;
    for keys in sizes {
        let (mut floors, mut rates) = (Vec::new(), [Vec::new(), Vec::new()]);
        // In turn, so that a change of the machine's load meets all of them.
        for _ in 0..bench.scaled(if keys > 1_000_000 { 1 } else { 3 }, 1) {
            let batches: Vec<Batch> = Events::new(keys).take(events).collect();
            floors.push(floor::keyed_count(every_key(keys, 1), &batches, &bench.clock));
            drop(batches);
            for (operator, rates) in operators.iter().zip(&mut rates) {
                rates.push(measure(bench, operator, Shape { keys, events, parallelism: 1, segments: 1 })?);
            }
        }
        let floor = Rate::median(floors)?;
        let [native, wasm] = rates.map(Rate::median);
        let (native, wasm) = (native?, wasm?);
        let (first_native, first_wasm) = *first.get_or_insert((native, wasm));
        for (case, rate, first) in [("native", native, first_native), ("wasm", wasm, first_wasm)] {
            let line = Line::new(WORKLOAD.name, format!("{case}, {keys} keys")).rate(rate);
            let line = line.ratio("against_loop", floor.ns() / rate.ns()).ratio("growth", rate.ns() / first.ns());
            let tax = rate.ns() / native.ns();
            bench.emit(if case == "wasm" { line.ratio("wasm_tax", tax) } else { line })?;
        }
    }
    workers(bench, &component, events)
}

/// The same input, of two segments: one task on one worker, and two of each.
fn workers(bench: &mut Bench<'_>, component: &SharedFactory, events: u64) -> Result<(), BenchError> {
    let keys = 1_000;
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..bench.scaled(3, 1) {
        for (parallelism, rates) in [1, 2].into_iter().zip(&mut rates) {
            rates.push(measure(bench, component, Shape { keys, events, parallelism, segments: 2 })?);
        }
    }
    let [one, two] = rates.map(Rate::median);
    let (one, two) = (one?, two?);
    let line = Line::new(WORKLOAD.name, "wasm, 2 workers").rate(two).ratio("against_1_worker", one.ns() / two.ns());
    bench.emit(line)
}

#[derive(Clone, Copy)]
struct Shape {
    keys: u64,
    events: u64,
    /// Subtasks, and workers for them.
    parallelism: u32,
    /// Of the input.
    segments: u32,
}

fn measure(bench: &Bench<'_>, operator: &SharedFactory, shape: Shape) -> Result<Rate, BenchError> {
    let Shape { keys, events, parallelism, segments } = shape;
    let scratch = bench.fresh_store()?;
    let store = scratch.store()?;
    feed(store, INPUT, segments, every_key(keys, 1).chain(Events::new(keys).take(events)))?;
    let spec = Spec::streams("keyed-count", Some(Path::new("given")), true, parallelism);
    let job = Job {
        pipeline: spec.load(bench.path())?,
        operator,
        store,
        data_dir: &scratch.data_dir,
        workers: parallelism as usize,
        events: keys + events,
        unmeasured: keys,
    };
    job.run(&bench.clock)
}
