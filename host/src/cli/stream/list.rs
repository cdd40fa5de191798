//! `tidemill stream list`: every stream of a data directory with its size.

use crate::cli::output::{number, size, table};
use crate::cli::session::Session;
use crate::cli::time;
use anyhow::Result;
use tidemill_storage::stream::StreamInfo;

pub(crate) fn run(session: &Session) -> Result<()> {
    let streams = session.access.open()?.list_streams()?;
    session.output.data(|| streams.iter().map(json).collect(), || text(&streams))
}

/// Events that can be read.
pub(crate) fn events(stream: &StreamInfo) -> u64 {
    stream.all_segments().map(|segment| segment.tail.0.saturating_sub(segment.head.0)).sum()
}

fn bytes(stream: &StreamInfo) -> u64 {
    stream.all_segments().map(|segment| segment.bytes).sum()
}

fn json(stream: &StreamInfo) -> serde_json::Value {
    serde_json::json!({
        "name": stream.name.as_str(),
        "segments": stream.segments.len(),
        "events": events(stream),
        "bytes": bytes(stream),
        "watermark": stream.watermark.map(|watermark| watermark.0),
    })
}

fn text(streams: &[StreamInfo]) -> String {
    if streams.is_empty() {
        return "no streams\n".into();
    }
    let rows = streams.iter().map(|stream| {
        [
            stream.name.to_string(),
            stream.segments.len().to_string(),
            number(events(stream)),
            size(bytes(stream)),
            stream.watermark.map_or("none".into(), time::show),
        ]
    });
    table(["stream", "segments", "events", "size", "watermark"], rows)
}
