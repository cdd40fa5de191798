//! Whether the streams agree with the ledger: every appended event once and in order in the input; of every key the counts 1,
//! 2, 3... in both hops, never more than there are events, and all of them in the end.

use super::Actor;
use super::ledger::Ledger;
use super::world::{COUNTS, HOP, INPUT, SEGMENTS, World};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The place in a stream up to which it was looked at.
#[derive(Default)]
pub(super) struct Cursor(BTreeMap<u64, u64>);

impl Cursor {
    /// Reads on to the tail of every segment.
    pub(super) fn read(
        &mut self,
        world: &World,
        stream: &str,
        segments: u64,
        mut each: impl FnMut(&str, &Value) -> Result<()>,
    ) -> Result<u64> {
        let mut read = 0;
        for segment in 0..segments {
            let next = self.0.entry(segment).or_default();
            let args = ["stream", "cat", stream, "--segment", &segment.to_string(), "--from-offset", &next.to_string()];
            let text = String::from_utf8(world.ok(&args)?).context("not UTF-8")?;
            for line in text.lines() {
                let event: Value = serde_json::from_str(line).with_context(|| format!("not an event: {line}"))?;
                if event["offset"].as_u64() != Some(*next) {
                    bail!("stream {stream}, segment {segment}: {line} comes at offset {next}");
                }
                *next += 1;
                read += 1;
                let key = event["key"].as_str().with_context(|| format!("no key: {line}"))?;
                each(key, &event["value"]).with_context(|| format!("stream {stream}, {line}"))?;
            }
        }
        Ok(read)
    }
}

/// The counts of a stream, by key.
#[derive(Default)]
pub(super) struct Counting {
    cursor: Cursor,
    pub(super) counts: BTreeMap<String, u64>,
}

impl Counting {
    /// Each count is one more than the last of its key.
    pub(super) fn read(&mut self, world: &World, stream: &str, segments: u64) -> Result<()> {
        let counts = &mut self.counts;
        self.cursor.read(world, stream, segments, |key, value| {
            let last = counts.entry(key.to_owned()).or_default();
            if value.as_u64() != Some(*last + 1) {
                bail!("after {last} comes {value}");
            }
            *last += 1;
            Ok(())
        })?;
        Ok(())
    }
}

pub(super) struct Counts {
    ledger: Arc<Ledger>,
    input: Cursor,
    counts: Counting,
    hop: Counting,
}

impl Counts {
    pub(super) fn new(ledger: Arc<Ledger>) -> Counts {
        Counts { ledger, input: Cursor::default(), counts: Counting::default(), hop: Counting::default() }
    }
}

/// No key has more in the later stream, and each as many when the work is done.
fn compare(what: &str, later: &BTreeMap<String, u64>, earlier: &BTreeMap<String, u64>, last: bool) -> Result<()> {
    let of = |counts: &BTreeMap<String, u64>, key| counts.get(key).copied().unwrap_or(0);
    for key in earlier.keys().chain(later.keys()) {
        let (before, after) = (of(earlier, key), of(later, key));
        if after > before || (last && after != before) {
            bail!("{what}: key {key} has {before} events before it and {after} after it");
        }
    }
    Ok(())
}

impl Actor for Counts {
    fn name(&self) -> String {
        "exactly once".into()
    }

    fn step(&mut self, _world: &World) -> Result<()> {
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    fn at_rest(&mut self, world: &World, last: bool) -> Result<()> {
        let ledger = &self.ledger;
        let read = self.input.read(world, INPUT, SEGMENTS, |key, value| {
            if value["key"].as_str() != Some(key) {
                bail!("another key's value");
            }
            ledger.found(key, value["number"].as_u64().context("no number")?)
        })?;
        ledger.settle()?;
        world.totals.inputs_read.fetch_add(read, Ordering::Relaxed);
        self.counts.read(world, COUNTS, SEGMENTS)?;
        self.hop.read(world, HOP, SEGMENTS)?;
        compare("pipeline counts", &self.counts.counts, &ledger.totals(), last)?;
        compare("pipeline hop", &self.hop.counts, &self.counts.counts, last)
    }
}
