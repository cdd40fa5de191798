//! The eight writers: three with an id that go on where they were, two without, two by transactions, and one that fills the stream
//! which is cut. Each says what was acknowledged.

use super::link::Said;
use super::process::World;
use super::random::Random;
use super::{CUT, KEPT};
use anyhow::{Result, ensure};
use std::time::Duration;
use tidemill_storage::stream::transaction::{TransactionOptions, TransactionState};
use tidemill_storage::stream::{EventWriter, WriterOptions};
use tidemill_storage::{Batch, EventTime, StreamName, TimeNote, TransactionId};

pub(super) const COUNT: u64 = 8;
/// Keys of a writer.
const KEYS: u64 = 13;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers its events for good: 1, 2, 3.. over all processes.
    Idempotent,
    /// Starts with numbers of its own in each process.
    Plain,
    /// The same, by transactions.
    Transactions,
    /// Idempotent, on the stream that is cut; nobody reads all of it.
    Cut,
}

pub(super) fn kind(writer: u64) -> Kind {
    match writer {
        0..3 => Kind::Idempotent,
        3..5 => Kind::Plain,
        5..7 => Kind::Transactions,
        _ => Kind::Cut,
    }
}

/// Whether it notes its time: its later events are later than its notes.
pub(super) fn is_timed(writer: u64) -> bool {
    matches!(writer, 0 | 1 | 5)
}

/// The key of an event, by its number.
pub(super) fn key_of(number: u64) -> u64 {
    number % KEYS
}

/// Reads an event's value: writer and number.
pub(super) fn parse(value: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(value).ok()?;
    let mut words = text.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn event(writer: u64, number: u64) -> (String, String) {
    let filling = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (format!("w{writer}-{}", key_of(number)), format!("{writer} {number} {filling:064x}"))
}

pub(super) fn run(world: &World, id: u64) -> Result<()> {
    let mut random = world.random(id);
    match kind(id) {
        Kind::Idempotent | Kind::Cut => idempotent(world, id, &mut random),
        Kind::Plain => plain(world, id, &mut random),
        Kind::Transactions => transactions(world, id, &mut random),
    }
}

fn pause(random: &mut Random) {
    if random.one_in(3) {
        std::thread::sleep(Duration::from_millis(random.range(0, 30)));
    }
}

fn write(world: &World, writer: &mut EventWriter, id: u64, number: u64) -> Result<i64> {
    let (time, (key, value)) = (world.tick(), event(id, number));
    writer.write(EventTime(time), Some(key.as_bytes()), Some(value.as_bytes()), &[])?;
    Ok(time)
}

fn idempotent(world: &World, id: u64, random: &mut Random) -> Result<()> {
    let stream = StreamName::new(if kind(id) == Kind::Cut { CUT } else { KEPT })?;
    let options = WriterOptions { id: Some(format!("w{id}")), batch_events: 50, ..WriterOptions::default() };
    let mut writer = world.store.writer(&stream, options)?;
    // What was there and not acknowledged is acknowledged now.
    let mut next = writer.durable() + 1;
    while world.may_write() {
        let mut time = 0;
        let last = next + random.range(1, 300);
        for number in next..last {
            time = write(world, &mut writer, id, number)?;
        }
        writer.flush()?;
        ensure!(writer.durable() == last - 1, "{} are durable, and {} were written", writer.durable(), last - 1);
        if kind(id) != Kind::Cut {
            world.mouth.say(&Said::Acknowledged(id, next, last - 1));
        }
        if is_timed(id) {
            world.store.note_time(world.stream(KEPT)?.stream, &format!("w{id}"), EventTime(time))?;
        }
        next = last;
        pause(random);
    }
    Ok(())
}

fn plain(world: &World, id: u64, random: &mut Random) -> Result<()> {
    let mut writer = world.store.writer(&StreamName::new(KEPT)?, WriterOptions::default())?;
    let mut next = world.orders.run << 32 | 1;
    while world.may_write() {
        let last = next + random.range(1, 200);
        for number in next..last {
            write(world, &mut writer, id, number)?;
        }
        writer.flush()?;
        world.mouth.say(&Said::Acknowledged(id, next, last - 1));
        next = last;
        pause(random);
    }
    Ok(())
}

/// Decides what an earlier process has left open.
fn decide(world: &World, writer: u64, id: u64, random: &mut Random) -> Result<()> {
    let id = TransactionId(id);
    let state = world.store.transaction_info(id)?.map(|info| info.state);
    let committed = match state {
        Some(TransactionState::Committed) => true,
        Some(TransactionState::Open | TransactionState::Prepared) if random.one_in(2) => {
            world.store.commit_transaction(id, None)?;
            // Asked again, the same is answered, and nothing is there twice.
            world.store.commit_transaction(id, None)?;
            true
        }
        _ => {
            world.store.abort_transaction(id)?;
            false
        }
    };
    world.mouth.say(&Said::Ended(writer, id.0, committed));
    Ok(())
}

/// Before anybody writes: ends what an earlier process has left open, whose events are of old times; then every timed writer takes
/// part in the stream's time, so that none of its events is late.
pub(super) fn begin(world: &World) -> Result<()> {
    let mut random = world.random(90);
    for (writer, open) in &world.orders.open {
        decide(world, *writer, *open, &mut random)?;
    }
    let (stream, time) = (world.stream(KEPT)?.stream, EventTime(world.tick()));
    let timed = (0..COUNT).filter(|writer| is_timed(*writer));
    world.store.note_times(timed.map(|writer| TimeNote::time(stream, &format!("w{writer}"), time)).collect())?;
    Ok(())
}

fn transactions(world: &World, id: u64, random: &mut Random) -> Result<()> {
    let mut next = world.orders.run << 32 | 1;
    while world.may_write() {
        let options = TransactionOptions { lease_ms: 60_000, writer: is_timed(id).then(|| format!("w{id}")) };
        let mut transaction = world.store.begin_transaction(world.stream(KEPT)?.stream, options)?;
        let last = next + random.range(1, 200);
        let (mut batch, mut time) = (Batch::default(), 0);
        for number in next..last {
            time = world.tick();
            let (key, value) = event(id, number);
            batch.push(EventTime(time), Some(key.as_bytes()), Some(value.as_bytes()));
            if random.one_in(60) {
                transaction.write(&batch)?;
                transaction.flush()?;
                batch.clear();
                pause(random);
            }
        }
        transaction.write(&batch)?;
        // All of it is durable before its end is asked for: whoever finds it open may commit it.
        transaction.prepare()?;
        world.mouth.say(&Said::Asked(id, transaction.id().0, next, last - 1));
        let commit = !random.one_in(5);
        match commit {
            true => drop(transaction.commit(is_timed(id).then_some(EventTime(time)))?.id),
            false => drop(transaction.abort()?.id),
        }
        world.mouth.say(&Said::Ended(id, transaction.id().0, commit));
        next = last;
        pause(random);
    }
    Ok(())
}
