//! Reading a stream back whole, from the hot file and from sealed files; what its events take on the disk, and what is left of that
//! after a truncation.

use super::Workload;
use super::stream_append::event;
use crate::bench::folder::bytes_below;
use crate::bench::pipelines::INPUT;
use crate::bench::report::{Line, Rate, Unit};
use crate::bench::{Bench, BenchError};
use tidemill_storage::commit::Part;
use tidemill_storage::stream::{Appender, ReadFrom, StreamConfig, StreamRead};
use tidemill_storage::{Batch, Store, StreamName};

pub(super) const WORKLOAD: Workload = Workload {
    name: "stream-read",
    what: "reading back 100 B and 10 KB events, hot and sealed; disk bytes per event, and what is left after a truncation",
    components: &[],
    run,
};

const READ_BYTES: usize = 1 << 20;

/// Events and bytes of keys and values that a reader of the whole stream is given.
fn read(store: &Store) -> Result<(u64, u64), BenchError> {
    let mut reader = store.reader(&StreamName::new(INPUT)?, ReadFrom::Head, None)?;
    let (mut events, mut bytes) = (0, 0);
    loop {
        match reader.read(READ_BYTES)? {
            StreamRead::Events { batch, .. } => {
                events += batch.len() as u64;
                bytes += (batch.keys.data.len() + batch.values.data.len()) as u64;
            }
            StreamRead::CaughtUp | StreamRead::End => return Ok((events, bytes)),
            StreamRead::Truncated { segment, .. } => {
                return Err(BenchError::Wrong(format!("segment {segment} was truncated by nobody")));
            }
        }
    }
}

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    for (bytes, size) in [(100, "100 B"), (10_000, "10 KB")] {
        let count = bench.scaled(200_000_000, 400_000) / bytes as u64;
        let scratch = bench.fresh_store()?;
        let store = scratch.store()?;
        let empty = bytes_below(&scratch.data_dir);
        let info = store.create_stream(&StreamName::new(INPUT)?, StreamConfig { segments: 4 })?;
        let mut appender = Appender::new(&info);
        let per_part = (1_000_000 / bytes as u64).min(count);
        for first in (0..count).step_by(per_part as usize) {
            let mut batch = Batch::default();
            for number in first..(first + per_part).min(count) {
                let one = event(number, bytes);
                batch.extend_from(&one, 0..1)?;
            }
            for append in appender.append(&batch)? {
                store.commit(Part::Append(append))?;
            }
            bench.go_on()?;
        }
        let as_written = bytes_below(&scratch.data_dir).saturating_sub(empty);
        for sealed in [false, true] {
            if sealed {
                store.seal(0)?;
            }
            let before = bench.clock.elapsed();
            let (events, read) = read(store)?;
            let rate = Rate { events, took: bench.clock.elapsed() - before };
            if events != count {
                return Err(BenchError::Wrong(format!("{events} of {count} events came back")));
            }
            let case = format!("{size}, {}", if sealed { "sealed" } else { "as written" });
            let line = Line::new(WORKLOAD.name, case).rate(rate);
            bench.emit(line.with("read", read as f64 / rate.seconds(), Unit::BytesPerSecond))?;
        }
        let sealed: u64 = bytes_below(&scratch.data_dir.join("sealed"));
        let whole = bytes_below(&scratch.data_dir);
        let info = store.stream(&info.name)?.ok_or_else(|| BenchError::Wrong("the stream is gone".into()))?;
        store.truncate_stream(&info.name, &info.tail_cut())?;
        store.maintain()?;
        store.seal(0)?;
        let left = bytes_below(&scratch.data_dir);
        let line = Line::new(WORKLOAD.name, format!("{size}, space"));
        let line = line.with("sealed_per_event", sealed as f64 / count as f64, Unit::Bytes);
        let line = line.with("as_written_per_event", as_written as f64 / count as f64, Unit::Bytes);
        let line = line.with("directory", whole as f64, Unit::Bytes).with("after_truncation", left as f64, Unit::Bytes);
        bench.emit(line)?;
    }
    Ok(())
}
