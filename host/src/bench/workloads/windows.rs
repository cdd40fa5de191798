//! Windows over streams: what an event costs in sliding windows as they overlap more and more, and sessions of many keys.

use super::Workload;
use crate::bench::events::{Random, feed, key};
use crate::bench::pipelines::{INPUT, OUTPUT, Whole, load};
use crate::bench::report::{Line, Rate, Unit};
use crate::bench::{Bench, BenchError};
use tidemill_storage::{Batch, EventTime};

pub(super) const SLIDE: Workload = Workload {
    name: "window-slide",
    what: "counts of 10 keys in sliding windows of 1 to 1,000 s every second, 100 k events a second of event time, stream -> \
           window -> stream, one worker",
    components: &[],
    run: run_slide,
};

pub(super) const SESSIONS: Workload = Workload {
    name: "sessions",
    what: "counts of 1 M keys in sessions of 60 s, all of them open at once, stream -> window -> stream, one worker",
    components: &[],
    run: run_sessions,
};

/// Windows in which each event falls.
const OVERLAPS: [u64; 4] = [1, 10, 100, 1_000];

fn run_slide(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let events = bench.scaled(2_000_000, 20_000);
    let mut tumbling: Option<Rate> = None;
    for overlap in OVERLAPS {
        let window = match overlap {
            1 => "tumbling = \"1s\"".to_owned(),
            _ => format!("sliding = \"{overlap}s\"\nslide = \"1s\""),
        };
        // 100 events a millisecond.
        let (rate, rows) = measure(bench, "slide", &window, events, 10, 100)?;
        let line = Line::new(SLIDE.name, format!("size / slide = {overlap}")).rate(rate);
        let first = *tumbling.get_or_insert(rate);
        let line = line.with("results", rows as f64, Unit::Count).ratio("growth", rate.ns() / first.ns());
        bench.emit(line)?;
    }
    Ok(())
}

fn run_sessions(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let (events, keys) = bench.scaled((4_000_000, 1_000_000), (40_000, 10_000));
    // Each key comes every 10 s, evenly drawn: a session lasts until a minute of silence.
    let (rate, rows) = measure(bench, "sessions", "session = \"60s\"", events, keys, (keys / 10_000).max(1))?;
    let line = Line::new(SESSIONS.name, format!("{keys} keys")).rate(rate).with("results", rows as f64, Unit::Count);
    bench.emit(line)
}

/// The median of some runs of a window over events of so many keys, so many a millisecond; and the results.
fn measure(
    bench: &mut Bench<'_>,
    name: &str,
    window: &str,
    events: u64,
    keys: u64,
    per_ms: u64,
) -> Result<(Rate, u64), BenchError> {
    let text = format!(
        "[pipeline]\nname = \"{name}\"\nrestart = {{ attempts = 0 }}\n\n[sources.in]\nstream = \"{INPUT}\"\nbounded = true\n\
         watermark = {{ out_of_orderness = \"0s\" }}\n\n[operators.op]\ninput = \"in\"\n\n[operators.op.window]\n{window}\n\
         output = {{ start = \"window.start\", key = \"key\", n = \"count\" }}\n\n[sinks.out]\ninput = \"op.results\"\n\
         stream = \"{OUTPUT}\"\n"
    );
    let (mut rates, mut results) = (Vec::new(), 0);
    for _ in 0..bench.scaled(3, 1) {
        bench.go_on()?;
        let scratch = bench.fresh_store()?;
        feed(scratch.store()?, INPUT, 1, ticks(events, keys, per_ms))?;
        let pipeline = load(bench.path(), name, &text)?;
        let whole = Whole { pipeline, store: scratch.store()?, data_dir: &scratch.data_dir, workers: 1, events };
        let (rate, rows) = whole.run(&bench.clock)?;
        rates.push(rate);
        results = rows;
    }
    Ok((Rate::median(rates)?, results))
}

/// Small events of keys drawn evenly, so many a millisecond.
fn ticks(events: u64, keys: u64, per_ms: u64) -> impl Iterator<Item = Batch> {
    const BATCH: u64 = 2_048;
    let mut random = Random::new(19);
    (0..events.div_ceil(BATCH)).map(move |batch| {
        let mut out = Batch::default();
        for i in batch * BATCH..((batch + 1) * BATCH).min(events) {
            out.push(EventTime((i / per_ms) as i64), Some(&key(random.below(keys))), Some(b"{}"));
        }
        out
    })
}
