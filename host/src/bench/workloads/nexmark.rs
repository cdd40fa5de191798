//! The Nexmark queries of `examples/pipelines/nexmark-*`: from one JSON lines file into files, exactly once, checkpoints on,
//! beside the figures of Flink that the design aims at; with the aggregate as a component where there is one.

use super::Workload;
use crate::bench::operators::component;
use crate::bench::pipelines::Whole;
use crate::bench::report::{Line, Rate, Unit};
use crate::bench::{Bench, BenchError, error};
use crate::config::Overrides;
use crate::config::builtin::{Builtin, WindowSpec};
use crate::config::parse;
use crate::config::pipeline::{OperatorKind, Pipeline, SinkKind, SourceKind};
use std::path::Path;

pub(super) const WORKLOAD: Workload = Workload {
    name: "nexmark",
    what: "the Nexmark queries, one JSON lines file -> files (exactly once), one worker; ratio to Flink 2.3 (figures of another \
           machine, from the design)",
    components: &[COUNT],
    run,
};

/// The aggregate of q11 and q12 as a component.
const COUNT: &str = "bid-count";
/// Event time passes at this rate, events a second: 2 M events are 200 s.
const RATE: usize = 10_000;

struct Query {
    name: &'static str,
    file: &'static str,
    /// Flink 2.3, exactly once, 1 s checkpoints, heap state, the same events as JSON lines, file sink, parallelism 1.
    flink_events_per_s: f64,
}

macro_rules! query {
    ($name:literal, $flink:literal) => {
        Query {
            name: $name,
            file: include_str!(concat!("../../../../examples/pipelines/nexmark-", $name, "/pipeline.toml")),
            flink_events_per_s: $flink,
        }
    };
}

const QUERIES: [Query; 9] = [
    query!("q0", 112e3),
    query!("q1", 80e3),
    query!("q2", 370e3),
    query!("q3", 340e3),
    query!("q5", 146e3),
    query!("q7", 129e3),
    query!("q8", 296e3),
    query!("q11", 120e3),
    query!("q12", 289e3),
];

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let events = bench.scaled(2_000_000, 20_000);
    let input = bench.path().join("nexmark");
    let options = nexmark_generate::Options { events, rate: RATE, partitions: 1 };
    nexmark_generate::write_merged(&options, &input).map_err(error::io(format!("writing {}", input.display())))?;
    for query in &QUERIES {
        let builtin = case(bench, query, &input, events, None)?;
        if !["q11", "q12"].contains(&query.name) {
            continue;
        }
        let component = component(&bench.options.components, COUNT)?;
        case(bench, query, &input, events, Some((&component, builtin)))?;
    }
    let io = error::io(format!("removing {}", input.display()));
    std::fs::remove_file(&input).map_err(io)
}

/// One query; with `component` its windows are over that, beside the rate of the built-in aggregate.
fn case(
    bench: &mut Bench<'_>,
    query: &Query,
    input: &Path,
    events: u64,
    component: Option<(&Path, Rate)>,
) -> Result<Rate, BenchError> {
    let mut rates = Vec::new();
    let out = bench.path().join("nexmark-out");
    for _ in 0..bench.scaled(3, 1) {
        bench.go_on()?;
        let scratch = bench.fresh_store()?;
        let mut pipeline = load(bench.path(), query, input, &out)?;
        if let Some((component, _)) = component {
            over_component(&mut pipeline, component)?;
        }
        let whole = Whole { pipeline, store: scratch.store()?, data_dir: &scratch.data_dir, workers: 1, events };
        let (rate, rows) = whole.run(&bench.clock)?;
        let lines = super::take_lines(&out)?;
        if rows == 0 || lines != rows {
            return Err(BenchError::Wrong(format!("{}: the files hold {lines} lines of {rows} results", query.name)));
        }
        rates.push(rate);
    }
    let rate = Rate::median(rates)?;
    let name = if component.is_some() { format!("{}, component", query.name) } else { query.name.to_owned() };
    let mut line = Line::new(WORKLOAD.name, name).rate(rate);
    line = line.ratio("against_flink", rate.events_per_s() / query.flink_events_per_s);
    if let Some((_, builtin)) = component {
        line = line.ratio("wasm_tax", rate.ns() / builtin.ns());
    }
    line = line.with("flink", query.flink_events_per_s, Unit::EventsPerSecond);
    bench.emit(line)?;
    Ok(rate)
}

/// The example's pipeline between these files.
fn load(folder: &Path, query: &Query, input: &Path, out: &Path) -> Result<Pipeline, BenchError> {
    let file = folder.join(format!("nexmark-{}.toml", query.name));
    std::fs::write(&file, query.file).map_err(error::io(format!("writing {}", file.display())))?;
    let mut pipeline = parse::load(&file, &Overrides::default())?;
    for source in &mut pipeline.sources {
        if let SourceKind::File(source) = &mut source.kind {
            source.paths = vec![input.to_owned()];
        }
    }
    for sink in &mut pipeline.sinks {
        if let SinkKind::File(sink) = &mut sink.kind {
            sink.path = out.to_owned();
        }
    }
    pipeline.restart.attempts = 0;
    Ok(pipeline)
}

/// Puts a component in the place of the one window's built-in aggregates.
fn over_component(pipeline: &mut Pipeline, component: &Path) -> Result<(), BenchError> {
    let kinds = pipeline.operators.iter_mut().map(|operator| &mut operator.kind);
    for kind in kinds {
        let OperatorKind::Builtin(builtin) = kind else { continue };
        let Builtin::Window(window) = &**builtin else { continue };
        let window = Box::new(WindowSpec { output: Vec::new(), ..window.clone() });
        *kind = OperatorKind::Aggregator { window, component: component.to_owned() };
        return Ok(());
    }
    Err(BenchError::Wrong(format!("pipeline {} has no window", pipeline.name)))
}
