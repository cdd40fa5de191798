//! A client with an open cursor: `stream tail --follow`, started again with every owner. What it has seen of a segment is one
//! run of offsets, without gap, repetition or change, over all owners: only what is committed is ever shown.

use super::Actor;
use super::world::World;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Events of each segment that a new tail shows again.
const AGAIN: u64 = 2_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) struct Reader {
    stream: &'static str,
    /// Of each segment: the first offset seen, and a hash of every event from there on.
    seen: BTreeMap<u64, (u64, Vec<u64>)>,
}

impl Reader {
    pub(super) fn new(stream: &'static str) -> Reader {
        Reader { stream, seen: BTreeMap::new() }
    }

    /// `next` = where this tail must go on in each segment.
    fn line(&mut self, line: &str, next: &mut BTreeMap<u64, u64>) -> Result<()> {
        let event: Value = serde_json::from_str(line).with_context(|| format!("not an event: {line}"))?;
        let number = |name: &str| event[name].as_u64().with_context(|| format!("no {name}: {line}"));
        let (segment, offset) = (number("segment")?, number("offset")?);
        if let Some(expected) = next.get(&segment).filter(|expected| **expected != offset) {
            bail!("segment {segment}: after offset {} comes {offset}", expected.saturating_sub(1));
        }
        next.insert(segment, offset + 1);
        let mut hash = DefaultHasher::new();
        line.hash(&mut hash);
        let hash = hash.finish();
        let (first, hashes) = self.seen.entry(segment).or_insert((offset, Vec::new()));
        let at = offset.checked_sub(*first).map(|at| at as usize);
        match at.map(|at| (at, hashes.get(at))) {
            Some((_, Some(known))) if *known != hash => bail!("segment {segment}: offset {offset} has changed: {line}"),
            Some((_, Some(_))) => {}
            Some((at, None)) if at == hashes.len() => hashes.push(hash),
            // A tail of a new owner begins later than the last one ended.
            _ => (*first, *hashes) = (offset, vec![hash]),
        }
        Ok(())
    }
}

impl Actor for Reader {
    fn name(&self) -> String {
        format!("tail of {}", self.stream)
    }

    fn step(&mut self, world: &World) -> Result<()> {
        let mut command = world.command(&["stream", "tail", self.stream, "--follow", "--last", &AGAIN.to_string()]);
        let mut child = command.stderr(Stdio::null()).spawn().context("cannot start tidemill")?;
        let out = child.stdout.take().context("no pipe")?;
        let (sender, lines): (_, Receiver<String>) = channel();
        std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            let mut line = String::new();
            // A line without an end was cut off with the owner.
            while out.read_line(&mut line).is_ok_and(|n| n > 0) && line.ends_with('\n') {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    break;
                }
            }
        });
        let mut next = BTreeMap::new();
        let done = loop {
            match lines.recv_timeout(LOOK_EVERY) {
                Ok(line) => {
                    world.totals.tailed.fetch_add(1, Ordering::Relaxed);
                    if let Err(error) = self.line(&line, &mut next) {
                        break Err(error);
                    }
                }
                Err(RecvTimeoutError::Timeout) if world.is_up() => {}
                Err(_) => break Ok(()),
            }
        };
        let _ = child.kill();
        child.wait().context("the tail got lost")?;
        done
    }

    fn at_rest(&mut self, _world: &World, _last: bool) -> Result<()> {
        Ok(())
    }
}
