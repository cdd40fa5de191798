//! `tidemill stream watermark`: a stream's time: its newest watermarks, its writers' marks, how silent ones are treated.

use crate::cli::args::WatermarkArgs;
use crate::cli::output::{number, table};
use crate::cli::session::Session;
use crate::cli::time;
use anyhow::Result;
use serde_json::{Value, json};
use tidemill_storage::{EventTime, StreamInfo, StreamTime, TimeConfig, Watermark, WriterMark};

pub(crate) fn run(args: &WatermarkArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let stream = session.access.stream(&store, &args.name)?;
    if let Some(timeout) = args.idle_timeout {
        store.configure_time(stream.stream, TimeConfig { idle_timeout_ms: timeout.ms })?;
    }
    for writer in &args.close {
        store.close_time_writer(stream.stream, writer)?;
    }
    // After the settings: they may have let time go on.
    let stream = session.access.stream(&store, &args.name)?;
    let found = store.stream_time(stream.stream, args.last)?;
    session.output.data(|| json(&stream, &found), || text(&stream, &found))
}

fn positions<'a>(
    places: impl IntoIterator<Item = (&'a tidemill_storage::SegmentId, &'a tidemill_storage::Offset)>,
) -> Value {
    places.into_iter().map(|(segment, offset)| (segment.to_string(), json!(offset.0))).collect()
}

fn json(stream: &StreamInfo, found: &StreamTime) -> Value {
    let mark = |mark: &WriterMark| {
        json!({
            "writer": mark.writer,
            "time": mark.time.0,
            "position": positions(&mark.position),
            "alive": mark.alive,
            "auto": mark.auto,
            "silent_since_ms": mark.silent_since_ms,
        })
    };
    let watermark = |watermark: &Watermark| {
        json!({
            "lower": watermark.lower.0,
            "upper": watermark.upper.0,
            "cut": positions(&watermark.cut.positions()),
            "emitted_at_ms": watermark.emitted_at_ms,
        })
    };
    json!({
        "name": stream.name.as_str(),
        "watermark": stream.watermark.map(|watermark| watermark.0),
        "idle_timeout_ms": found.config.idle_timeout_ms,
        "writers": found.marks.iter().map(mark).collect::<Vec<_>>(),
        "watermarks_kept": found.watermarks_kept,
        "watermarks": found.watermarks.iter().map(watermark).collect::<Vec<_>>(),
    })
}

fn text(stream: &StreamInfo, found: &StreamTime) -> String {
    let timeout = match found.config.idle_timeout_ms {
        Some(ms) => format!("a silent writer is waited for {ms} ms"),
        None => "a silent writer is waited for until it is closed".into(),
    };
    let mut parts = vec![format!(
        "{}\n  watermark {}\n  {timeout}\n",
        stream.name,
        stream.watermark.map_or("none".into(), time::show)
    )];
    if !found.marks.is_empty() {
        let rows = found.marks.iter().map(|mark| {
            let state = match (mark.alive, mark.silent_since_ms) {
                (false, _) => "closed".into(),
                (true, Some(since)) => format!("silent since {}", time::show(EventTime(since))),
                (true, None) => "ahead".to_string(),
            };
            [mark.writer.clone(), time::show(mark.time), state]
        });
        parts.push(table(["writer", "time", "state"], rows));
    }
    if !found.watermarks.is_empty() {
        let rows = found.watermarks.iter().rev().map(|watermark| {
            let behind = watermark.cut.positions().values().map(|offset| offset.0).sum();
            [
                time::show(watermark.lower),
                time::show(watermark.upper),
                number(behind),
                time::show(EventTime(watermark.emitted_at_ms)),
            ]
        });
        parts.push(table(["watermark", "latest noted", "behind offsets (sum)", "emitted"], rows));
    }
    parts.join("\n")
}
