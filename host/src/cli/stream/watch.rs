//! How `tidemill stream tail --follow` looks on a terminal: the stream's rate, size and watermark above, its last events below, drawn again
//! when they change. Elsewhere `tail` prints plain lines.

use super::events;
use crate::cli::args::TailArgs;
use crate::cli::output::number;
use crate::cli::rates::Rates;
use crate::cli::session::Session;
use crate::cli::time;
use anyhow::Result;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tidemill_storage::stream::{ReadFrom, StreamInfo, StreamRead, StreamReader, StreamState};
use tidemill_storage::{Offset, Store, StreamCut};

/// Between two looks, and two pictures.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Events below the head line.
const SHOWN: usize = 20;
/// Characters of an event that are shown; a terminal that is narrower breaks the line.
const WIDTH: usize = 160;
/// Bytes asked of one read, and reads of one look: a stream that is faster is passed over, not followed into the past.
const READ_BYTES: usize = 256 << 10;
const READS: usize = 64;
/// Puts the cursor into the corner and clears what is below it: the picture before.
const CLEAR: &str = "\x1b[H\x1b[J";

pub(super) fn run(args: &TailArgs, store: &Store, session: &Session) -> Result<()> {
    let interrupt = session.interrupt()?;
    let stream = session.access.stream(store, &args.name)?;
    let begin = stream.segments.iter().map(|s| (s.id, Offset(s.head.0.max(s.tail.0.saturating_sub(args.last)))));
    let begin = StreamCut::of_positions(&stream, &begin.collect())?;
    let mut reader = store.reader(&args.name, ReadFrom::Cut(begin), None)?;
    let mut last = VecDeque::new();
    let (started, mut rates, mut gone) = (Instant::now(), Rates::default(), 0);
    let (mut out, mut shown) = (session.output.stdout(), String::new());
    loop {
        // Asked before looking: what was committed until then is still shown.
        let over = interrupt.asked();
        gone += follow(&mut reader, store, args, &mut last)?;
        let stream = session.access.stream(store, &args.name)?;
        let appended: u64 = stream.all_segments().map(|s| s.tail.0).sum();
        let rate = rates.update(started.elapsed().as_millis() as u64, &[appended]).first().copied().unwrap_or(0);
        let picture = picture(&stream, rate, gone, &last);
        if picture != shown {
            out.write(CLEAR.as_bytes())?;
            out.write(picture.as_bytes())?;
            out.flush()?;
            shown = picture;
        }
        if over || stream.state == StreamState::Sealed {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Reads on to the tail, or as far as one look may take; how often it heard of a truncation.
fn follow(reader: &mut StreamReader, store: &Store, args: &TailArgs, last: &mut VecDeque<String>) -> Result<u64> {
    let mut gone = 0;
    for _ in 0..READS {
        match reader.read(READ_BYTES)? {
            StreamRead::Events { segment, first, batch } => {
                for line in events::lines(segment, first, &batch, batch.len().saturating_sub(SHOWN))? {
                    last.push_back(shortened(&line));
                }
                let over = last.len().saturating_sub(SHOWN);
                last.drain(..over);
            }
            StreamRead::Truncated { .. } => gone += 1,
            StreamRead::CaughtUp | StreamRead::End => return Ok(gone),
        }
    }
    *reader = store.reader(&args.name, ReadFrom::Tail, None)?;
    Ok(gone)
}

/// As much of a line as is shown.
fn shortened(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

fn picture(stream: &StreamInfo, rate: u64, gone: u64, last: &VecDeque<String>) -> String {
    let events: u64 = stream.all_segments().map(|s| s.tail.0.saturating_sub(s.head.0)).sum();
    let state = match stream.state {
        StreamState::Active => "",
        StreamState::Sealed => ", sealed: nothing more comes",
        StreamState::Deleted => ", deleted",
    };
    let gone = if gone > 0 { format!(", {} truncations were ahead of this view", number(gone)) } else { String::new() };
    let watermark = stream.watermark.map_or("none".into(), time::show);
    let mut text = format!(
        "{}: {} events/s, {} events in {} segments, watermark {watermark}{state}{gone}\n\n",
        stream.name,
        number(rate),
        number(events),
        stream.segments.len(),
    );
    for line in last {
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_storage::fault::FaultDisk;
    use tidemill_storage::stream::StreamConfig;
    use tidemill_storage::{EventTime, StoreOptions, StreamName};

    #[test]
    fn the_picture_has_rate_size_watermark_and_the_last_events() {
        let store = Store::open_with(FaultDisk::new(1), StoreOptions::default()).unwrap();
        let info = store.create_stream(&StreamName::new("a/b").unwrap(), StreamConfig { segments: 2 }).unwrap();
        store.note_time(info.stream, "w", EventTime(0)).unwrap();
        let info = store.stream(&info.name).unwrap().unwrap();
        let text = picture(&info, 1_200, 1, &["one".to_string(), "two".to_string()].into());
        let expected = "a/b: 1,200 events/s, 0 events in 2 segments, watermark 1970-01-01T00:00:00Z, 1 truncations were ahead of this \
                        view\n\none\ntwo\n";
        assert_eq!(text, expected);
        assert_eq!(shortened(&"é".repeat(WIDTH)), "é".repeat(WIDTH));
        assert_eq!(shortened(&"é".repeat(WIDTH + 1)), "é".repeat(WIDTH) + "…");
    }
}
