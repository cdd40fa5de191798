//! Durable appends of one event each to a stream: how long a writer waits, by the size of the event, the number of writers who wait at
//! once, and the number of segments that their keys go to.

use super::Workload;
use crate::bench::events::{events_of, look};
use crate::bench::percentiles::Latencies;
use crate::bench::pipelines::INPUT;
use crate::bench::report::{Line, Rate};
use crate::bench::{Bench, BenchError};
use crate::clock::Clock;
use tidemill_storage::commit::Part;
use tidemill_storage::hash::hash_key;
use tidemill_storage::stream::{Appender, StreamConfig, StreamInfo};
use tidemill_storage::{Batch, EventTime, Store, StreamName};

pub(super) const WORKLOAD: Workload = Workload {
    name: "stream-append",
    what: "durable appends of one event each: 100 B and 10 KB, 1, 16 and 100 writers, over 1, 10 and 100 segments",
    components: &[],
    run,
};

/// An event with a key of its own and so many bytes that do not compress.
pub(super) fn event(number: u64, bytes: usize) -> Batch {
    let mut value: Vec<u8> = (0..)
        .map(|n: u64| hash_key(&(number << 20 | n).to_le_bytes()))
        .flat_map(u64::to_le_bytes)
        .take(bytes)
        .collect();
    value.truncate(bytes);
    let mut batch = Batch::default();
    batch.push(EventTime(number as i64), Some(format!("key-{number}").as_bytes()), Some(&value));
    batch
}

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    for (bytes, size) in [(100, "100 B"), (10_000, "10 KB")] {
        for segments in [1, 10, 100] {
            let scratch = bench.fresh_store()?;
            let store = scratch.store()?;
            let info = store.create_stream(&StreamName::new(INPUT)?, StreamConfig { segments })?;
            let mut appended = 0;
            for writers in [1, 16, 100] {
                let appends = bench.scaled(if writers == 1 { 1_000 } else { 200 }, if writers == 1 { 10 } else { 2 });
                let raw = bench.raw_sync()?;
                let before = bench.clock.elapsed();
                let mut latencies = write(store, &info, (writers, appends), bytes, &bench.clock)?;
                let rate = Rate { events: writers * appends, took: bench.clock.elapsed() - before };
                appended += rate.events;
                let there = events_of(&look(store, INPUT)?);
                if there != appended {
                    return Err(BenchError::Wrong(format!("{there} events are there after {appended} appends")));
                }
                let case = format!("{size}, {writers} writers, {segments} segments");
                let line = Line::new(WORKLOAD.name, case).latencies(&mut latencies).ms("raw_sync_p50", raw);
                bench.emit(line.rate(rate))?;
                bench.go_on()?;
            }
        }
    }
    Ok(())
}

/// Every writer appends one after the other, each when the last is durable.
fn write(
    store: &Store,
    info: &StreamInfo,
    (writers, appends): (u64, u64),
    bytes: usize,
    clock: &Clock,
) -> Result<Latencies, BenchError> {
    let writer = |id: u64| -> Result<Latencies, BenchError> {
        let (mut appender, mut latencies) = (Appender::new(info), Latencies::default());
        for n in 0..appends {
            let event = event(id << 32 | n, bytes);
            let before = clock.elapsed();
            for append in appender.append(&event)? {
                store.commit(Part::Append(append))?;
            }
            latencies.push(clock.elapsed() - before);
        }
        Ok(latencies)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers).map(|id| scope.spawn(move || writer(id))).collect();
        let mut all = Latencies::default();
        for thread in threads {
            let panicked = |_| Err(BenchError::Wrong("a writer panicked".into()));
            all.append(thread.join().unwrap_or_else(panicked)?);
        }
        Ok(all)
    })
}
