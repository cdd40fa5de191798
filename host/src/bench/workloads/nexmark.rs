//! The Nexmark queries of `examples/pipelines/nexmark-*`: from one JSON lines file into files, exactly once, checkpoints on,
//! beside the figures of Flink that the design aims at; without code, and the same with components.

use super::Workload;
use crate::bench::operators::component;
use crate::bench::pipelines::Whole;
use crate::bench::report::{Line, Rate, Unit};
use crate::bench::{Bench, BenchError, error};
use crate::config::Overrides;
use crate::config::parse;
use crate::config::pipeline::{OperatorKind, Pipeline, SinkKind, SourceKind};
use std::path::Path;

pub(super) const WORKLOAD: Workload = Workload {
    name: "nexmark",
    what: "the Nexmark queries, one JSON lines file -> files (exactly once), one worker; ratio to Flink 2.3 (figures of another \
           machine, from the design)",
    components: &COMPONENTS,
    run,
};

/// What the pipelines `wasm.toml` are of.
const COMPONENTS: [&str; 3] = ["nexmark-select", "nexmark-join", "nexmark-window"];
/// Event time passes at this rate, events a second: 2 M events are 200 s.
const RATE: usize = 10_000;

struct Query {
    name: &'static str,
    file: &'static str,
    wasm: &'static str,
    /// Flink 2.3, exactly once, 1 s checkpoints, heap state, the same events as JSON lines, file sink, parallelism 1.
    flink_events_per_s: Option<f64>,
}

macro_rules! query {
    ($name:literal, $flink:expr) => {
        Query {
            name: $name,
            file: include_str!(concat!("../../../../examples/pipelines/nexmark-", $name, "/pipeline.toml")),
            wasm: include_str!(concat!("../../../../examples/pipelines/nexmark-", $name, "/wasm.toml")),
            flink_events_per_s: $flink,
        }
    };
}

const QUERIES: [Query; 10] = [
    query!("q0", Some(112e3)),
    query!("q1", Some(80e3)),
    query!("q2", Some(370e3)),
    query!("q3", Some(340e3)),
    query!("q4", None), // at the end of input here, for ever there
    query!("q5", Some(146e3)),
    query!("q7", Some(129e3)),
    query!("q8", Some(296e3)),
    query!("q11", Some(120e3)),
    query!("q12", Some(289e3)),
];

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let events = bench.scaled(2_000_000, 20_000);
    let input = bench.path().join("nexmark");
    let options = nexmark_generate::Options { events, rate: RATE, partitions: 1 };
    nexmark_generate::write_merged(&options, &input).map_err(error::io(format!("writing {}", input.display())))?;
    for query in &QUERIES {
        let builtin = case(bench, query, &input, events, None)?;
        case(bench, query, &input, events, Some(builtin))?;
    }
    let io = error::io(format!("removing {}", input.display()));
    std::fs::remove_file(&input).map_err(io)
}

/// One query; beside the rate of the built-in operators, if given, with components.
fn case(
    bench: &mut Bench<'_>,
    query: &Query,
    input: &Path,
    events: u64,
    builtin: Option<Rate>,
) -> Result<Rate, BenchError> {
    let mut rates = Vec::new();
    let out = bench.path().join("nexmark-out");
    for _ in 0..bench.scaled(3, 1) {
        bench.go_on()?;
        let scratch = bench.fresh_store()?;
        let text = if builtin.is_some() { query.wasm } else { query.file };
        let mut pipeline = load(bench.path(), query.name, text, input, &out)?;
        for operator in &mut pipeline.operators {
            if let OperatorKind::Component(path) | OperatorKind::Aggregator { component: path, .. } = &mut operator.kind
            {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                *path = component(&bench.options.components, name)?;
            }
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
    let name = if builtin.is_some() { format!("{}, component", query.name) } else { query.name.to_owned() };
    let mut line = Line::new(WORKLOAD.name, name).rate(rate);
    if let Some(flink) = query.flink_events_per_s {
        line = line.ratio("against_flink", rate.events_per_s() / flink).with("flink", flink, Unit::EventsPerSecond);
    }
    if let Some(builtin) = builtin {
        line = line.ratio("wasm_tax", rate.ns() / builtin.ns());
    }
    bench.emit(line)?;
    Ok(rate)
}

/// The example's pipeline between these files.
fn load(folder: &Path, name: &str, text: &str, input: &Path, out: &Path) -> Result<Pipeline, BenchError> {
    let file = folder.join(format!("nexmark-{name}.toml"));
    std::fs::write(&file, text).map_err(error::io(format!("writing {}", file.display())))?;
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
