//! Resident memory of real processes: an idle host, what an idle Rust operator adds, and pipelines at work.

use super::Workload;
use crate::bench::events::{Events, every_key, feed, write_bids};
use crate::bench::operators::component;
use crate::bench::pipelines::{INPUT, OUTPUT, Spec};
use crate::bench::process::{Memory, Process};
use crate::bench::report::{Line, Unit};
use crate::bench::{Bench, BenchError};

pub(super) const WORKLOAD: Workload = Workload {
    name: "memory",
    what: "resident memory: idle host, idle Rust operator, keyed counts and JSON at work",
    components: &["keyed-count", "count"],
    run,
};

/// Subtasks over which the memory of one is averaged.
const SUBTASKS: u32 = 65;

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let keyed_count = component(&bench.options.components, "keyed-count")?;
    let one = measure(bench, Spec::streams("idle", None, false, 1), 1, 1)?;
    emit(bench, "idle host", one)?;
    let operator = measure(bench, Spec::streams("idle-operator", Some(&keyed_count), false, 1), 1, 1)?;
    emit(bench, "idle host, 1 operator", operator)?;
    let many = measure(bench, Spec::streams("idle-operators", Some(&keyed_count), false, SUBTASKS), 1, 1)?;
    let each = many.resident.saturating_sub(operator.resident) as f64 / f64::from(SUBTASKS - 1);
    bench.emit(Line::new(WORKLOAD.name, "idle operator").with("resident", each, Unit::Bytes))?;

    let events = bench.scaled(2_000_000, 20_000);
    for keys in bench.scaled([1_000, 1_000_000], [100, 1_000]) {
        let spec = Spec::streams("counting", Some(&keyed_count), false, 1);
        let used = measure(bench, spec, keys, events)?;
        emit(bench, &format!("keyed count, {keys} keys"), used)?;
    }
    let file = bench.path().join("bids.jsonl");
    write_bids(&file, events, 10_000)?;
    let spec = Spec {
        name: "json".into(),
        source: super::json::source(&file),
        operator: Some(component(&bench.options.components, "count")?),
        parallelism: 1,
        sink: format!("stream = \"{OUTPUT}\"\n"),
    };
    // A file has an end, and the process with it: it is looked at while it works.
    let scratch = bench.fresh_store().map(|mut scratch| {
        scratch.close();
        scratch
    })?;
    let mut process = Process::start(bench.program, &bench.clock, &spec, bench.path(), &scratch.data_dir)?;
    process.wait_for("half of its input was read", |committed| committed.events_read >= events / 2)?;
    let used = process.memory()?;
    process.kill()?;
    emit(bench, "json to a stream", used)
}

fn emit(bench: &mut Bench<'_>, case: &str, used: Memory) -> Result<(), BenchError> {
    let line = Line::new(WORKLOAD.name, case).with("resident", used.resident as f64, Unit::Bytes);
    bench.emit(line.with("peak", used.peak as f64, Unit::Bytes))
}

/// A process over a stream of so many keys and events, when it has committed all of them.
fn measure(bench: &Bench<'_>, spec: Spec, keys: u64, events: u64) -> Result<Memory, BenchError> {
    let mut scratch = bench.fresh_store()?;
    feed(scratch.store()?, INPUT, 1, every_key(keys, 1).chain(Events::new(keys).take(events)))?;
    scratch.close();
    let mut process = Process::start(bench.program, &bench.clock, &spec, bench.path(), &scratch.data_dir)?;
    process.wait_for("all input was read", |committed| committed.events_read == keys + events)?;
    let used = process.memory()?;
    process.stop()?;
    Ok(used)
}
