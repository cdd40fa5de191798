//! Events of 100 bytes from stream to stream through an operator that hands them on: what a job costs beside its operator.

use super::Workload;
use crate::bench::events::{Events, bytes_of, feed, look};
use crate::bench::operators::{native_pass_through, wasm};
use crate::bench::pipelines::{INPUT, Job, OUTPUT, Spec};
use crate::bench::report::{Line, Rate, Unit};
use crate::bench::{Bench, BenchError, floor};
use crate::operator::SharedFactory;
use std::path::Path;
use tidemill_storage::Batch;

pub(super) const WORKLOAD: Workload = Workload {
    name: "pass-through",
    what: "100-byte events, stream -> operator -> stream, one worker: native and as a component",
    components: &["pass-through"],
    run,
};

const KEYS: u64 = 1_000;

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let events = bench.scaled(2_000_000, 20_000);
    let component = wasm(&bench.engine()?, &bench.options.components, "pass-through")?;
    let operators = [native_pass_through(), component];
    let (mut floors, mut rates) = (Vec::new(), [Vec::new(), Vec::new()]);
    let mut written = 0;
    // In turn, so that a change of the machine's load meets all of them.
    for _ in 0..bench.scaled(3, 1) {
        let batches: Vec<Batch> = Events::new(KEYS).take(events).collect();
        floors.push(floor::pass_through(&batches, &bench.clock));
        drop(batches);
        for (operator, rates) in operators.iter().zip(&mut rates) {
            let (rate, bytes) = measure(bench, operator, events)?;
            rates.push(rate);
            written = bytes;
        }
    }
    let floor = Rate::median(floors)?;
    let [native, wasm] = rates.map(Rate::median);
    let (native, wasm) = (native?, wasm?);
    for (case, rate) in [("native", native), ("wasm", wasm)] {
        let written_per_s = written as f64 / rate.seconds();
        let line = Line::new(WORKLOAD.name, case).rate(rate).ratio("against_loop", floor.ns() / rate.ns());
        let line = line.with("written", written_per_s, Unit::BytesPerSecond);
        let line = line.ratio("against_disk", written_per_s / bench.machine.sequential_bytes_per_s());
        let tax = rate.ns() / native.ns();
        bench.emit(if case == "wasm" { line.ratio("wasm_tax", tax) } else { line })?;
    }
    Ok(())
}

/// One run, and the bytes of output that it wrote.
fn measure(bench: &Bench<'_>, operator: &SharedFactory, events: u64) -> Result<(Rate, u64), BenchError> {
    let scratch = bench.fresh_store()?;
    let store = scratch.store()?;
    feed(store, INPUT, 1, Events::new(KEYS).take(events))?;
    let spec = Spec::streams("pass-through", Some(Path::new("given")), true, 1);
    let job = Job {
        pipeline: spec.load(bench.path())?,
        operator,
        store,
        data_dir: &scratch.data_dir,
        workers: 1,
        events,
        unmeasured: 0,
    };
    Ok((job.run(&bench.clock)?, bytes_of(&look(store, OUTPUT)?)))
}
