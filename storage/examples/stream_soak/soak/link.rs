//! The lines between the two processes. What the killed one has written is read whole: a pipe outlives its writer, and a line goes
//! out in one piece. So "acknowledged" is what was said to be, and a reader's place is where its last line says.

use anyhow::{Context, Result, bail};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// What the process is told before it begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    pub(super) seed: u64,
    /// Counts the processes.
    pub(super) run: u64,
    /// Where readers were, by name.
    pub(super) cuts: Vec<(String, String)>,
    /// Transactions whose outcome was not heard: writer, id.
    pub(super) open: Vec<(u64, u64)>,
}

impl Orders {
    pub(super) fn lines(&self) -> String {
        let mut lines = format!("run {} {}\n", self.seed, self.run);
        for (reader, cut) in &self.cuts {
            lines += &format!("cut {reader} {cut}\n");
        }
        for (writer, id) in &self.open {
            lines += &format!("open {writer} {id}\n");
        }
        lines + "go\n"
    }

    /// Takes lines up to "go".
    pub(super) fn read(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> Result<Orders> {
        let mut orders = Orders::default();
        for line in lines {
            let line = line.context("standard input")?;
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["go"] => return Ok(orders),
                ["run", seed, run] => (orders.seed, orders.run) = (seed.parse()?, run.parse()?),
                ["cut", reader, cut] => orders.cuts.push((reader.into(), cut.into())),
                ["open", writer, id] => orders.open.push((writer.parse()?, id.parse()?)),
                _ => bail!("what is {line:?}?"),
            }
        }
        bail!("the orders ended early")
    }
}

/// What the process says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// These events of a writer are durable: first and last number.
    Acknowledged(u64, u64, u64),
    /// A transaction of a writer holds these events and is about to be committed: writer, id, first, last.
    Asked(u64, u64, u64, u64),
    /// How it ended: writer, id, whether it was committed.
    Ended(u64, u64, bool),
    /// A reader read these events, (writer, number), up to a cut.
    Read(String, String, Vec<(u64, u64)>),
    /// A reader was told of a truncation.
    Truncated(String),
    /// The stream's watermark.
    Watermark(String, i64),
    /// Another set of segments: how many.
    Scaled(u64),
    /// Everything is read, and `check` found nothing.
    Done,
    /// What must hold does not.
    Violated(String),
}

/// Begins every line, so that others of the process can be told apart.
const MARK: &str = "@@ ";

impl Said {
    fn line(&self) -> String {
        let body = match self {
            Said::Acknowledged(writer, first, last) => format!("ack {writer} {first} {last}"),
            Said::Asked(writer, id, first, last) => format!("asked {writer} {id} {first} {last}"),
            Said::Ended(writer, id, committed) => format!("ended {writer} {id} {committed}"),
            Said::Read(reader, cut, events) => {
                let mut body = format!("read {reader} {cut}");
                events.iter().for_each(|(writer, number)| body += &format!(" {writer}:{number}"));
                body
            }
            Said::Truncated(reader) => format!("truncated {reader}"),
            Said::Watermark(stream, time) => format!("watermark {stream} {time}"),
            Said::Scaled(count) => format!("scaled {count}"),
            Said::Done => "done".into(),
            Said::Violated(what) => format!("violated {}", what.replace('\n', " | ")),
        };
        format!("{MARK}{body}\n")
    }

    /// None = the line is none of ours, or the last one and cut short by the kill.
    pub(super) fn parse(line: &str) -> Result<Option<Said>> {
        // A test harness writes a name in front of the first line.
        let Some((_, body)) = line.split_once(MARK) else { return Ok(None) };
        let Some(body) = body.strip_suffix('\n') else { return Ok(None) };
        let (verb, rest) = body.split_once(' ').unwrap_or((body, ""));
        let words: Vec<&str> = rest.split(' ').collect();
        Ok(Some(match (verb, &words[..]) {
            ("ack", [writer, first, last]) => Said::Acknowledged(writer.parse()?, first.parse()?, last.parse()?),
            ("asked", [writer, id, first, last]) => {
                Said::Asked(writer.parse()?, id.parse()?, first.parse()?, last.parse()?)
            }
            ("ended", [writer, id, committed]) => Said::Ended(writer.parse()?, id.parse()?, committed.parse()?),
            ("read", [reader, cut, events @ ..]) => {
                let event = |text: &&str| {
                    let (writer, number) = text.split_once(':').context("no event")?;
                    Ok((writer.parse()?, number.parse()?))
                };
                Said::Read((*reader).into(), (*cut).into(), events.iter().map(event).collect::<Result<_>>()?)
            }
            ("truncated", [reader]) => Said::Truncated((*reader).into()),
            ("watermark", [stream, time]) => Said::Watermark((*stream).into(), time.parse()?),
            ("scaled", [count]) => Said::Scaled(count.parse()?),
            ("done", _) => Said::Done,
            ("violated", _) => Said::Violated(rest.into()),
            _ => bail!("what is {line:?}?"),
        }))
    }
}

/// The process' mouth.
#[derive(Default)]
pub(super) struct Mouth(Mutex<()>);

impl Mouth {
    /// One line in one piece. The error of a listener that is gone is not worth telling: nobody hears it.
    pub(super) fn say(&self, said: &Said) {
        let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(said.line().as_bytes()).and_then(|()| out.flush());
    }
}
