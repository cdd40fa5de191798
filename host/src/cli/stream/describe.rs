//! `tidemill stream describe`: one stream's segments, sizes and watermark, as one consistent snapshot.

use super::list::events;
use crate::cli::args::DescribeArgs;
use crate::cli::output::{number, size, table};
use crate::cli::session::Session;
use crate::cli::time;
use anyhow::Result;
use tidemill_storage::EventTime;
use tidemill_storage::stream::{StreamInfo, StreamState};

pub(crate) fn run(args: &DescribeArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let stream = session.access.stream(&store, &args.name)?;
    print(&stream, session)
}

/// What there is of a stream.
pub(super) fn print(stream: &StreamInfo, session: &Session) -> Result<()> {
    session.output.data(|| json(stream), || text(stream))
}

fn json(stream: &StreamInfo) -> serde_json::Value {
    let segments = stream.all_segments().map(|segment| {
        serde_json::json!({
            "id": segment.id.0,
            "active": stream.is_active(segment.id),
            "successors": stream.successors(segment.id).iter().map(|id| id.0).collect::<Vec<_>>(),
            "keys": [format!("{:016x}", segment.range.0), format!("{:016x}", segment.range.1)],
            "head": segment.head.0,
            "tail": segment.tail.0,
            "chunks": segment.chunks,
            "bytes": segment.bytes,
            "raw_bytes": segment.raw_bytes,
        })
    });
    serde_json::json!({
        "name": stream.name.as_str(),
        "id": stream.stream.id.0,
        "generation": stream.stream.generation.0,
        "created_at_ms": stream.created_at_ms,
        "sealed": stream.state == StreamState::Sealed,
        "epoch": stream.epoch,
        "watermark": stream.watermark.map(|watermark| watermark.0),
        "events": events(stream),
        "segments": segments.collect::<Vec<_>>(),
    })
}

fn text(stream: &StreamInfo) -> String {
    let rows = stream.all_segments().map(|segment| {
        let mark = if stream.is_past(segment.id) { " (sealed)" } else { "" };
        [
            format!("{}{mark}", segment.id),
            format!("{:016x}", segment.range.0),
            segment.head.to_string(),
            segment.tail.to_string(),
            number(segment.chunks),
            size(segment.bytes),
            size(segment.raw_bytes),
        ]
    });
    format!(
        "{}{}\n  id {}, generation {}, created {}\n  watermark {}\n  {} events\n\n{}",
        stream.name,
        if stream.state == StreamState::Sealed { " (sealed)" } else { "" },
        stream.stream.id,
        stream.stream.generation,
        time::show(EventTime(stream.created_at_ms)),
        stream.watermark.map_or("none".into(), time::show),
        number(events(stream)),
        table(["segment", "keys from", "head", "tail", "chunks", "size", "decoded"], rows)
    )
}
