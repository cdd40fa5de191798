//! `tidemill stream append`: lines of stdin become events. What waits when a commit ends goes into the next one, so that
//! a slow pipe is durable line by line and a file goes in by large batches.

use crate::cli::args::AppendArgs;
use crate::cli::data_dir;
use crate::cli::event::{self, NewEvent};
use crate::cli::output::{Output, number};
use anyhow::{Context, Result, anyhow};
use crossbeam_channel::{Receiver, bounded};
use std::io::{self, BufRead};
use tidemill::clock::Clock;
use tidemill_storage::commit::Part;
use tidemill_storage::stream::Appender;
use tidemill_storage::{Batch, EventTime, Store};

/// Most events of one commit.
const BATCH_EVENTS: usize = 8_192;
/// And about so many bytes.
const BATCH_BYTES: usize = 1 << 20;

pub(crate) fn run(args: &AppendArgs, output: &Output) -> Result<()> {
    let store = data_dir::open(&args.data.data_dir)?;
    let stream = data_dir::stream(&store, &args.name, &args.data.data_dir)?;
    let mut appender = Appender::new(&stream);
    let lines = read_stdin();
    let (mut seen, mut durable) = (0_u64, 0_u64);
    let clock = Clock::system();
    let mut wrong = None;
    while wrong.is_none() {
        let Ok(first) = lines.recv() else { break };
        let mut batch = Batch::default();
        let mut waiting = Some(first);
        while let Some(line) = waiting {
            let line = line.context("cannot read stdin")?;
            seen += 1;
            match event(&line, args) {
                Ok(Some(event)) => push(&mut batch, &event, clock.now_ms()),
                Ok(None) => {}
                Err(error) => {
                    wrong = Some(error.context(format!("line {seen} of stdin")));
                    break; // the good lines before it are appended all the same
                }
            }
            let full = batch.len() >= BATCH_EVENTS || batch.bytes() >= BATCH_BYTES;
            waiting = if full { None } else { lines.try_recv().ok() };
        }
        commit(&store, &mut appender, &batch)?;
        durable += batch.len() as u64;
    }
    if let Some(error) = wrong {
        return Err(error.context(format!("{} events were appended, then", number(durable))));
    }
    output.data(
        || serde_json::json!({ "stream": args.name.as_str(), "events": durable }),
        || format!("appended {} events to {}\n", number(durable), args.name),
    )
}

/// Lines without their end, from a thread of their own: reading and committing go on side by side.
fn read_stdin() -> Receiver<io::Result<Vec<u8>>> {
    let (sender, lines) = bounded(BATCH_EVENTS);
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
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

/// Durable when it returns; one commit for all segments where the committer can.
fn commit(store: &Store, appender: &mut Appender, batch: &Batch) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let appends = appender.append(batch)?;
    let (sender, outcomes) = bounded(appends.len());
    for append in appends {
        let sender = sender.clone();
        store.submit(Part::Append(append), Box::new(move |outcome| drop(sender.send(outcome))));
    }
    drop(sender);
    for outcome in outcomes {
        outcome.map_err(|error| anyhow!(error).context("the last lines may be appended or not"))?;
    }
    Ok(())
}
