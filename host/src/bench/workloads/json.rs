//! JSON lines out of a file, counted by a field of theirs, into a stream and into files (exactly once), beside a loop with
//! serde_json over the same file.

use super::{Workload, take_lines};
use crate::bench::events::write_bids;
use crate::bench::operators::wasm;
use crate::bench::pipelines::{Job, OUTPUT, Spec, quoted};
use crate::bench::report::{Line, Rate, Unit};
use crate::bench::{Bench, BenchError, floor};
use std::path::Path;

pub(super) const WORKLOAD: Workload = Workload {
    name: "json",
    what: "bids as JSON lines (about 200 bytes) counted by bidder, file -> component -> stream and -> files, one worker",
    components: &["count"],
    run,
};

const BIDDERS: u64 = 10_000;

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let events = bench.scaled(2_000_000, 20_000);
    let runs = bench.scaled(3, 1);
    let file = bench.path().join("bids.jsonl");
    let bytes = write_bids(&file, events, BIDDERS)?;
    let mut floors = Vec::new();
    for _ in 0..runs {
        floors.push(floor::count_bids(&file, &bench.path().join("counts.txt"), &bench.clock)?);
    }
    let floor = Rate::median(floors)?;
    let speed = |rate: Rate| bytes as f64 / rate.seconds();
    let line = Line::new(WORKLOAD.name, "hand-written loop").rate(floor);
    bench.emit(line.with("read", speed(floor), Unit::BytesPerSecond))?;

    let operator = wasm(&bench.engine()?, &bench.options.components, "count")?;
    for case in ["to a stream", "to files"] {
        let mut rates = Vec::new();
        for _ in 0..runs {
            let scratch = bench.fresh_store()?;
            let files = bench.path().join("files");
            let sink = match case {
                "to files" => format!("file = {{ path = {} }}\n", quoted(&files)),
                _ => format!("stream = \"{OUTPUT}\"\n"),
            };
            let spec = Spec {
                name: "json".into(),
                source: source(&file),
                operator: Some("given".into()),
                parallelism: 1,
                sink,
            };
            let job = Job {
                pipeline: spec.load(bench.path())?,
                operator: &operator,
                store: scratch.store()?,
                data_dir: &scratch.data_dir,
                workers: 1,
                events,
                unmeasured: 0,
            };
            rates.push(job.run(&bench.clock)?);
            if case == "to files" {
                let lines = take_lines(&files)?;
                if lines != events {
                    return Err(BenchError::Wrong(format!("the files hold {lines} lines of {events}")));
                }
            }
        }
        let rate = Rate::median(rates)?;
        let line = Line::new(WORKLOAD.name, case).rate(rate).with("read", speed(rate), Unit::BytesPerSecond);
        bench.emit(line.ratio("against_loop", floor.ns() / rate.ns()))?;
    }
    Ok(())
}

/// Lines of a source over the bids.
pub(super) fn source(file: &Path) -> String {
    format!(
        "file = {{ path = {}, format = \"json\" }}\ntime = {{ pointer = \"/dateTime\", format = \"ms\" }}\n\
         key = {{ pointer = \"/bidder\" }}\nwatermark = {{ out_of_orderness = \"0s\" }}\n",
        quoted(file)
    )
}
