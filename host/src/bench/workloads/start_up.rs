//! How long it takes from wanting a pipeline to its first committed result: as a process, as a job in a running one, and
//! the instance of a component alone.

use super::Workload;
use crate::bench::events::{Events, events_of, feed, look};
use crate::bench::operators::{component, wasm};
use crate::bench::percentiles::Latencies;
use crate::bench::pipelines::{INPUT, OUTPUT, Spec};
use crate::bench::process::Process;
use crate::bench::report::Line;
use crate::bench::{Bench, BenchError};
use crate::config::settings::Settings;
use crate::job::{RunOptions, start_in};
use crate::operator::Context;
use std::hint::black_box;

pub(super) const WORKLOAD: Workload = Workload {
    name: "start-up",
    what: "process start and submit to first committed output with the component cached; an instance of a component",
    components: &["keyed-count"],
    run,
};

const EVENTS: u64 = 1_000;

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let component = component(&bench.options.components, "keyed-count")?;
    let times = bench.scaled(10, 2);
    let mut scratch = bench.fresh_store()?;
    feed(scratch.store()?, INPUT, 1, Events::new(EVENTS).take(EVENTS))?;

    // Each run is a new pipeline that reads from the start; the first one fills the cache of compiled components.
    let mut submits = Latencies::default();
    for i in 0..=times {
        let store = scratch.store()?;
        let pipeline = Spec::streams(&format!("submit-{i}"), Some(&component), true, 1).load(bench.path())?;
        let options = RunOptions { data_dir: scratch.data_dir.clone(), workers: 1, settings: Settings::default() };
        let there = store.stream(&crate::bench::events::stream(OUTPUT)?)?.map_or(0, |info| events_of(&info));
        let before = bench.clock.elapsed();
        let handle = start_in(pipeline, store.clone(), options, bench.clock.clone())?;
        while events_of(&look(store, OUTPUT)?) == there && !handle.is_done() {
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        if i > 0 {
            submits.push(bench.clock.elapsed() - before);
        }
        handle.wait()?;
    }
    scratch.close();
    let mut processes = Latencies::default();
    for i in 0..times {
        let spec = Spec::streams(&format!("process-{i}"), Some(&component), false, 1);
        let mut process = Process::start(bench.program, &bench.clock, &spec, bench.path(), &scratch.data_dir)?;
        processes.push(process.wait_for("its first output", |committed| committed.output_events > 0)?.1);
        process.stop()?;
    }
    let factory = wasm(&bench.engine()?, &bench.options.components, "keyed-count")?;
    let mut instances = Latencies::default();
    for _ in 0..bench.scaled(1_000, 20) {
        let before = bench.clock.elapsed();
        let made = factory.create(&mut Context::default());
        instances.push(bench.clock.elapsed() - before);
        if black_box(made).is_err() {
            return Err(BenchError::Wrong("the component keyed-count does not open".into()));
        }
    }
    for (case, mut times) in [("process", processes), ("submit", submits)] {
        let line = Line::new(WORKLOAD.name, case).ms("p50", times.quantile(0.5));
        bench.emit(line.ms("max", times.quantile(1.0)))?;
    }
    bench.emit(Line::new(WORKLOAD.name, "instance").latencies(&mut instances))
}
