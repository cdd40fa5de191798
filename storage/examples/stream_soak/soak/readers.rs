//! The four readers: two of all, of which one is slow and holds retention up; one that is too slow for retention; a cursor that reads
//! a stretch slowly, and then again. Each looks for gaps.

use super::link::Said;
use super::process::World;
use super::writers::{is_timed, parse};
use super::{CUT, KEPT};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tidemill_storage::hash::hash_key;
use tidemill_storage::stream::{ReadFrom, StreamCut, StreamRead, StreamReader};
use tidemill_storage::{Batch, EventTime, Offset, SegmentId, StreamName};

/// The readers of all, and subscribers of the kept stream.
pub(super) const ALL: [&str; 2] = ["all-1", "all-2"];
const READ_BYTES: usize = 32 << 10;
/// Events that the cursor compares.
const STRETCH: usize = 20_000;
const WAIT: Duration = Duration::from_millis(5);

/// What a reader was given, with nothing left out that it was not told of.
enum Given {
    Events(SegmentId, Offset, Batch),
    Truncated,
    Nothing,
    End,
}

struct Follower {
    reader: StreamReader,
    /// Where each segment goes on.
    next: BTreeMap<SegmentId, Offset>,
}

impl Follower {
    fn new(world: &World, stream: &str, from: ReadFrom, end: Option<StreamCut>) -> Result<Follower> {
        let reader = world.store.reader(&StreamName::new(stream)?, from, end)?;
        let next = reader.cut().positions();
        Ok(Follower { reader, next })
    }

    fn read(&mut self) -> Result<Given> {
        match self.reader.read(READ_BYTES)? {
            StreamRead::Events { segment, first, batch } => {
                // Of a successor, what was truncated before it was begun is gone untold.
                let expected = self.next.get(&segment).copied().unwrap_or(first);
                ensure!(first == expected, "segment {segment} goes on at {first}, and not at {expected}");
                self.next.insert(segment, first.plus(batch.len() as u64));
                Ok(Given::Events(segment, first, batch))
            }
            StreamRead::Truncated { segment, from, to } => {
                let expected = self.next.get(&segment).copied().unwrap_or(from);
                ensure!(from == expected, "segment {segment} was truncated from {from}, and not from {expected}");
                ensure!(to.is_none_or(|to| to > from), "segment {segment} was truncated from {from} to {to:?}");
                to.map(|to| self.next.insert(segment, to));
                Ok(Given::Truncated)
            }
            StreamRead::CaughtUp => Ok(Given::Nothing),
            StreamRead::End => Ok(Given::End),
        }
    }
}

/// Reads all, and says so before it gives what it has read up.
pub(super) fn read_all(world: &World, name: &str) -> Result<()> {
    let mut random = world.random(50 + hash_key(name.as_bytes()) % 7);
    let from = match world.orders.cuts.iter().find(|(reader, _)| reader == name) {
        Some((_, cut)) => ReadFrom::Cut(StreamCut::parse(cut)?),
        None => ReadFrom::Head,
    };
    let mut follower = Follower::new(world, KEPT, from, None)?;
    let is_slow = name == ALL[1];
    let mut floor = EventTime::MIN;
    loop {
        let last = world.draining.load(Ordering::SeqCst);
        let before = follower.reader.cut();
        floor = floor.max(world.store.time_window(&before)?.lower.unwrap_or(EventTime::MIN));
        match follower.read()? {
            Given::Events(segment, first, batch) => {
                let mut events = Vec::with_capacity(batch.len());
                for (time, value) in batch.timestamps.iter().zip(batch.values.iter()) {
                    let (writer, number) =
                        value.and_then(parse).with_context(|| format!("segment {segment}, after {first}: no event"))?;
                    ensure!(
                        !is_timed(writer) || *time > floor.0,
                        "event {number} of writer {writer} has time {time}; at {before} everything later than {} was to come",
                        floor.0
                    );
                    events.push((writer, number));
                }
                let cut = follower.reader.cut();
                world.mouth.say(&Said::Read(name.into(), cut.to_string(), events));
                if !is_slow || random.one_in(8) {
                    world.store.acknowledge(name, &cut)?;
                }
            }
            Given::Truncated => ensure!(false, "what a subscriber had not acknowledged was truncated at {before}"),
            Given::Nothing if last => return Ok(()),
            Given::Nothing => std::thread::sleep(WAIT),
            Given::End => ensure!(false, "the stream ended"),
        }
        if is_slow && !last && random.one_in(10) {
            std::thread::sleep(Duration::from_millis(random.range(0, 400)));
        }
    }
}

/// Reads the stream that is cut, too slowly: it is told of what it missed, and goes on.
pub(super) fn read_slowly(world: &World) -> Result<()> {
    let mut random = world.random(70);
    let mut follower = Follower::new(world, CUT, ReadFrom::Head, None)?;
    let mut last = BTreeMap::new();
    loop {
        let draining = world.draining.load(Ordering::SeqCst);
        match follower.read()? {
            Given::Events(_, _, batch) => {
                for (key, value) in batch.keys.iter().zip(batch.values.iter()) {
                    let (_, number) = value.and_then(parse).context("no event")?;
                    let before = last.insert(key.map(<[u8]>::to_vec), number);
                    ensure!(before < Some(number), "event {number} comes after {before:?}");
                }
            }
            Given::Truncated => world.mouth.say(&Said::Truncated("slow".into())),
            Given::Nothing if draining => return Ok(()),
            Given::Nothing => std::thread::sleep(WAIT),
            Given::End => ensure!(false, "the stream ended"),
        }
        if !draining {
            std::thread::sleep(Duration::from_millis(random.range(0, 120)));
        }
    }
}

/// Reads from the head to the tail, slowly, and again: what is still there is what it was, where it was.
pub(super) fn read_twice(world: &World) -> Result<()> {
    let mut random = world.random(80);
    while !world.stopping() {
        let info = world.stream(KEPT)?;
        let (head, tail) = (info.head_cut(), info.tail_cut());
        let mut seen = BTreeMap::new();
        for again in [false, true] {
            // The head may have moved on; a cut before it is told as a truncation.
            let mut follower = Follower::new(world, KEPT, ReadFrom::Cut(head.clone()), Some(tail.clone()))?;
            let mut budget = STRETCH;
            while budget > 0 && !world.stopping() {
                match follower.read()? {
                    Given::Events(segment, first, batch) => {
                        budget = budget.saturating_sub(batch.len());
                        for (i, value) in batch.values.iter().enumerate() {
                            let (place, digest) =
                                ((segment, first.plus(i as u64)), hash_key(value.unwrap_or_default()));
                            let before = if again { seen.get(&place).copied() } else { seen.insert(place, digest) };
                            ensure!(
                                before.is_none_or(|before| before == digest),
                                "segment {segment}, offset {}: another event than before",
                                place.1
                            );
                        }
                    }
                    Given::Truncated => world.mouth.say(&Said::Truncated("cursor".into())),
                    Given::Nothing => std::thread::sleep(WAIT),
                    Given::End => break,
                }
                std::thread::sleep(Duration::from_millis(random.range(0, 10)));
            }
        }
    }
    Ok(())
}
