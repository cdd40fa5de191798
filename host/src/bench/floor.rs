//! The same jobs as a careful hand would write them: one thread, one loop over the events, nothing durable, nothing that
//! survives. What a workload reaches of it is what Tidemill leaves of the machine.

use super::error::{BenchError, io};
use super::report::Rate;
use crate::clock::Clock;
use serde::Deserialize;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use tidemill_storage::{Batch, EventTime};

type Counts<K> = hashbrown::HashMap<K, u64, foldhash::fast::RandomState>;

fn events(batches: &[Batch]) -> u64 {
    batches.iter().map(|batch| batch.len() as u64).sum()
}

/// Copies every event from one batch to another.
pub(super) fn pass_through(batches: &[Batch], clock: &Clock) -> Rate {
    let before = clock.elapsed();
    for batch in batches {
        let mut out = Batch::default();
        for i in 0..batch.len() {
            out.push(EventTime(batch.timestamps[i]), batch.keys.get(i), batch.values.get(i));
        }
        black_box(&out);
    }
    Rate { events: events(batches), took: clock.elapsed() - before }
}

/// Counts by key and gives the count with every event; the table holds every key of `known` before.
pub(super) fn keyed_count(known: impl Iterator<Item = Batch>, batches: &[Batch], clock: &Clock) -> Rate {
    let mut counts: Counts<Vec<u8>> = Counts::default();
    for batch in known {
        batch.keys.iter().flatten().for_each(|key| *counts.entry_ref(key).or_default() += 1);
    }
    let before = clock.elapsed();
    for batch in batches {
        let mut out = Batch::default();
        for i in 0..batch.len() {
            let key = batch.keys.get(i).unwrap_or_default();
            let count = counts.entry_ref(key).or_default();
            *count += 1;
            out.push(EventTime(batch.timestamps[i]), Some(key), Some(&count.to_le_bytes()));
        }
        black_box(&out);
    }
    Rate { events: events(batches), took: clock.elapsed() - before }
}

/// What the loop over bids names of a line.
#[derive(Deserialize)]
struct Bid {
    bidder: u64,
    #[serde(rename = "dateTime")]
    time: i64,
}

/// Reads bids line by line with serde_json, counts by bidder, and writes the count of every line into a file.
pub(super) fn count_bids(from: &Path, to: &Path, clock: &Clock) -> Result<Rate, BenchError> {
    let before = clock.elapsed();
    let (mut events, mut latest) = (0, i64::MIN);
    let mut run = || {
        let mut lines = BufReader::with_capacity(1 << 20, File::open(from)?);
        let mut out = BufWriter::with_capacity(1 << 20, File::create(to)?);
        let mut counts: Counts<u64> = Counts::default();
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let bid: Bid = serde_json::from_slice(&line)?;
            latest = latest.max(bid.time);
            let count = counts.entry(bid.bidder).or_default();
            *count += 1;
            writeln!(out, "{count}")?;
            events += 1;
            line.clear();
        }
        out.flush()
    };
    run().map_err(io(format!("counting the bids of {}", from.display())))?;
    black_box(latest);
    Ok(Rate { events, took: clock.elapsed() - before })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::events::{Events, every_key, write_bids};

    #[test]
    fn the_loops_see_every_event() {
        let clock = Clock::system();
        let batches: Vec<Batch> = Events::new(10).take(5_000).collect();
        assert_eq!(pass_through(&batches, &clock).events, 5_000);
        assert_eq!(keyed_count(every_key(10, 1), &batches, &clock).events, 5_000);
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        write_bids(&from, 100, 1).unwrap();
        assert_eq!(count_bids(&from, &to, &clock).unwrap().events, 100);
        let expected: String = (1..=100).map(|n| format!("{n}\n")).collect();
        assert_eq!(std::fs::read_to_string(to).unwrap(), expected);
    }
}
