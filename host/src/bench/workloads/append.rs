//! Durable appends of one event of 100 bytes: how long one writer waits, and what many get who wait at once.

use super::Workload;
use crate::bench::events::{Events, events_of, feed, look};
use crate::bench::percentiles::Latencies;
use crate::bench::pipelines::INPUT;
use crate::bench::report::{Line, Rate};
use crate::bench::{Bench, BenchError};
use crate::clock::Clock;
use tidemill_storage::Store;
use tidemill_storage::commit::Part;
use tidemill_storage::stream::{Appender, StreamInfo};

pub(super) const WORKLOAD: Workload = Workload {
    name: "append",
    what: "durable appends of one 100-byte event each: 1, 16 and 100 writers",
    components: &[],
    run,
};

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    for writers in [1, 16, 100] {
        let appends = bench.scaled(if writers == 1 { 2_000 } else { 500 }, if writers == 1 { 50 } else { 5 });
        let scratch = bench.fresh_store()?;
        let store = scratch.store()?;
        let info = feed(store, INPUT, 1, Events::new(1).take(1))?;
        let raw = bench.raw_sync()?;
        let before = bench.clock.elapsed();
        let mut latencies = write(store, &info, writers, appends, &bench.clock)?;
        let rate = Rate { events: writers * appends, took: bench.clock.elapsed() - before };
        let there = events_of(&look(store, INPUT)?);
        if there != rate.events + 1 {
            return Err(BenchError::Wrong(format!("{there} events are there after {} appends", rate.events)));
        }
        let case = if writers == 1 { "1 writer".to_owned() } else { format!("{writers} writers") };
        let sync = raw.as_secs_f64();
        let p50 = latencies.quantile(0.5).as_secs_f64();
        let line = Line::new(WORKLOAD.name, case).latencies(&mut latencies).ms("raw_sync_p50", raw);
        let line = line.ratio("p50_against_sync", p50 / sync).rate(rate);
        let line = line.ratio("appends_per_sync", rate.events_per_s() * sync);
        bench.emit(line)?;
    }
    Ok(())
}

/// Every writer appends one after the other, each when the last is durable.
fn write(store: &Store, info: &StreamInfo, writers: u64, appends: u64, clock: &Clock) -> Result<Latencies, BenchError> {
    let writer = || -> Result<Latencies, BenchError> {
        let (mut events, mut appender) = (Events::new(1_000), Appender::new(info));
        let mut latencies = Latencies::default();
        for _ in 0..appends {
            let event = events.batch(1);
            let before = clock.elapsed();
            for append in appender.append(&event)? {
                store.commit(Part::Append(append))?;
            }
            latencies.push(clock.elapsed() - before);
        }
        Ok(latencies)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers).map(|_| scope.spawn(writer)).collect();
        let mut all = Latencies::default();
        for thread in threads {
            let panicked = |_| Err(BenchError::Wrong("a writer panicked".into()));
            all.append(thread.join().unwrap_or_else(panicked)?);
        }
        Ok(all)
    })
}
