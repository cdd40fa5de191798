//! `tidemill stream append`: lines of stdin become events. What waits when a commit ends goes into the next one, so that
//! a slow pipe is durable line by line and a file goes in by large batches.

use crate::cli::args::AppendArgs;
use crate::cli::disk;
use crate::cli::event::{self, NewEvent};
use crate::cli::output::number;
use crate::cli::session::{Input, Session};
use anyhow::{Context, Result, anyhow, bail};
use crossbeam_channel::{Receiver, bounded};
use std::io::{self, BufRead};
use std::time::Duration;
use tidemill::clock::Clock;
use tidemill_storage::commit::{Part, Write};
use tidemill_storage::stream::{Appender, EVENT_BYTES_MAX, StreamInfo, WriterOptions};
use tidemill_storage::{Batch, EventTime, Room, Store};

/// Most events of one commit.
const BATCH_EVENTS: usize = 8_192;
/// And about so many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes asked of one read of stdin.
const INPUT_BYTES: usize = 64 << 10;
/// Between two looks whether there is room on the disk.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn run(args: &AppendArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let stream = session.access.stream(&store, &args.name)?;
    if let Some(id) = &args.writer_id {
        return run_again(args, id, &store, session);
    }
    let mut appender = Appender::new(&stream);
    let lines = read_lines(session.input());
    let (mut seen, mut durable) = (0_u64, 0_u64);
    let clock = Clock::system();
    let mut wrong = None;
    while wrong.is_none() {
        let Ok(first) = lines.recv() else { break };
        let mut batch = Batch::default();
        let mut waiting = Some(first);
        while let Some(line) = waiting {
            seen += 1;
            let read = line.context("cannot read stdin");
            match read.and_then(|line| event(&line, args).with_context(|| format!("line {seen} of stdin"))) {
                Ok(Some(event)) => push(&mut batch, &event, clock.now_ms()),
                Ok(None) => {}
                Err(error) => {
                    wrong = Some(error);
                    break; // the good lines before it are appended all the same
                }
            }
            let full = batch.len() >= BATCH_EVENTS || batch.bytes() >= BATCH_BYTES;
            waiting = if full { None } else { lines.try_recv().ok() };
        }
        commit(&store, &stream, &mut appender, &batch, session)?;
        durable += batch.len() as u64;
    }
    if let Some(error) = wrong {
        return Err(error.context(format!("{} events were appended, then", number(durable))));
    }
    session.output.data(
        || serde_json::json!({ "stream": args.name.as_str(), "events": durable }),
        || format!("appended {} events to {}\n", number(durable), args.name),
    )
}

/// Lines without their end, from a thread of their own: reading and committing go on side by side.
fn read_lines(input: Input) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, lines) = bounded(BATCH_EVENTS);
    std::thread::spawn(move || {
        for line in io::BufReader::with_capacity(INPUT_BYTES, input).split(b'\n') {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// The event of a line; `None` for a blank line among JSON lines.
fn event(line: &[u8], args: &AppendArgs) -> Result<Option<NewEvent>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // What else there is of an event is small against this; the store has a limit of its own for what is packed together.
    if line.len() > EVENT_BYTES_MAX {
        bail!(
            "stream {}: an event of {} bytes is too large, the most is {EVENT_BYTES_MAX}: split it, or store a reference",
            args.name,
            line.len()
        );
    }
    let key = || args.key.as_ref().map(|key| key.as_bytes().to_vec());
    if !args.json_lines {
        return Ok(Some(NewEvent { time: args.time, key: key(), value: Some(line.to_vec()) }));
    }
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let mut event = event::read_line(std::str::from_utf8(line).context("not UTF-8")?)?;
    event.key = event.key.or_else(key);
    event.time = event.time.or(args.time);
    Ok(Some(event))
}

fn push(batch: &mut Batch, event: &NewEvent, now_ms: i64) {
    batch.push(EventTime(event.time.unwrap_or(now_ms)), event.key.as_deref(), event.value.as_deref());
}

/// Room on the disk for a part: waits for it as long as the client does.
fn wait_for_room(store: &Store, part: &Part, session: &Session) -> Result<Option<Room>> {
    let mut room = store.line_up(part);
    let mut said = false;
    while room.as_mut().is_some_and(|room| !room.is_granted()) {
        if session.is_over() {
            bail!("broken off while there was no room on the disk: the last lines may be appended or not");
        }
        if !std::mem::replace(&mut said, true) {
            session.output.say(&format!("{}: waiting", disk::text(&store.disk())));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(room)
}

/// The same for a writer with an id: its first line is its first event, so that what an earlier run has appended is passed over.
fn run_again(args: &AppendArgs, id: &str, store: &Store, session: &Session) -> Result<()> {
    let options = WriterOptions { id: Some(id.to_owned()), from_the_start: true, ..WriterOptions::default() };
    let mut writer = store.writer(&args.name, options)?;
    let lines = read_lines(session.input());
    let clock = Clock::system();
    let (mut seen, mut appended, mut passed) = (0_u64, 0_u64, 0_u64);
    let mut wrong = None;
    while wrong.is_none() {
        let Ok(first) = lines.recv() else { break };
        let mut waiting = Some(first);
        while let Some(line) = waiting {
            seen += 1;
            let read = line.context("cannot read stdin");
            let event = match read.and_then(|line| event(&line, args).with_context(|| format!("line {seen} of stdin")))
            {
                Ok(event) => event,
                Err(error) => {
                    wrong = Some(error);
                    break; // the good lines before it are appended all the same
                }
            };
            if let Some(event) = event {
                let time = EventTime(event.time.unwrap_or_else(|| clock.now_ms()));
                let written = writer.write(time, event.key.as_deref(), event.value.as_deref(), &[]);
                if written.with_context(|| format!("line {seen} of stdin"))? { appended += 1 } else { passed += 1 }
            }
            waiting = lines.try_recv().ok();
        }
        writer.flush().with_context(|| format!("run it again with --writer-id {id}: nothing is appended twice"))?;
    }
    if let Some(error) = wrong {
        return Err(error.context(format!("{} events were appended, then", number(appended))));
    }
    session.output.data(
        || serde_json::json!({ "stream": args.name.as_str(), "events": appended, "there_before": passed }),
        || {
            let before = if passed > 0 { format!(", {} were there before", number(passed)) } else { String::new() };
            format!("appended {} events to {}{before}\n", number(appended), args.name)
        },
    )
}

/// Durable when it returns: one part, whose events are led on when the stream is scaled meanwhile.
fn commit(store: &Store, stream: &StreamInfo, appender: &mut Appender, batch: &Batch, session: &Session) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let appends = appender.append(batch)?;
    let write = Write { stream: stream.stream, numbered: None, appends, expected_tails: Vec::new() };
    let (sender, outcome) = bounded(1);
    let part = Part::Write(Box::new(write));
    let room = wait_for_room(store, &part, session)?;
    store.submit_in(room, part, Box::new(move |outcome| drop(sender.send(outcome))));
    let accepted = outcome.recv().context("the store is closed: the last lines may be appended or not")?;
    let accepted = accepted.map_err(|error| anyhow!(error).context("the last lines may be appended or not"))?;
    if accepted.epoch != stream.epoch {
        let now = session.access.stream(store, &stream.name)?;
        *appender = Appender::new(&now);
    }
    Ok(())
}
