//! A client that appends: each append is a process of its own, through the control socket, and its outcome is noted in the
//! ledger. `counts.rs` looks whether the stream agrees.

use super::Actor;
use super::ledger::Ledger;
use super::random::Random;
use super::world::{INPUT, World};
use anyhow::{Result, bail};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Keys of a writer.
const KEYS: u64 = 8;
/// Most events of an append; now and then there are ten times as many.
const EVENTS_MAX: u64 = 120;

pub(super) struct Writer {
    id: u64,
    random: Random,
    ledger: Arc<Ledger>,
    next: u64,
}

impl Writer {
    pub(super) fn new(id: u64, seed: u64, ledger: Arc<Ledger>) -> Writer {
        Writer { id, random: Random::new(seed, 100 + id), ledger, next: 0 }
    }
}

impl Actor for Writer {
    fn name(&self) -> String {
        format!("writer {}", self.id)
    }

    fn step(&mut self, world: &World) -> Result<()> {
        let most = if self.random.one_in(20) { 10 * EVENTS_MAX } else { EVENTS_MAX };
        let count = self.random.range(1, most);
        let mut lines = String::new();
        let mut events = Vec::new();
        for number in self.next..self.next + count {
            let key = format!("w{}-{}", self.id, self.random.range(0, KEYS));
            lines += &json!({ "key": key, "value": { "key": key, "number": number }, "timestamp": number }).to_string();
            lines.push('\n');
            events.push((key, number));
        }
        self.next += count;
        let append = self.ledger.begin(events);
        let done = world.beside(&["stream", "append", INPUT, "--json-lines"], lines.as_bytes())?;
        if done.ok {
            self.ledger.acknowledge(append);
            world.totals.acknowledged.fetch_add(count, Ordering::Relaxed);
        } else {
            if done.stderr.contains("panicked") || done.stderr.contains("please report") {
                bail!("an append failed by a fault of Tidemill's own: {}", done.stderr);
            }
            world.totals.unknown.fetch_add(count, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(self.random.range(0, 60)));
        Ok(())
    }

    fn at_rest(&mut self, _world: &World, _last: bool) -> Result<()> {
        Ok(())
    }
}
