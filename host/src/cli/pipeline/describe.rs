//! `tidemill describe`: one pipeline in full. Of a stopped one, what its records tell.

use super::known;
use super::records::{Node, Overview};
use crate::cli::args::PipelineArg;
use crate::cli::output::{number, size, table};
use crate::cli::session::Session;
use crate::cli::{checkpoint, disk, time};
use anyhow::Result;
use tidemill::job::wiring::sink_stream;
use tidemill_storage::checkpoint::{CheckpointRecord, CheckpointSummary};
use tidemill_storage::stream::StreamInfo;
use tidemill_storage::{EventTime, Store};

pub(crate) fn run(args: &PipelineArg, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    known(&store, session, &args.pipeline)?;
    let checkpoints = store.checkpoints(&args.pipeline)?;
    let overview = Overview::of(&args.pipeline, &checkpoints, session);
    let streams = streams(&store, &args.pipeline, session)?;
    session.output.data(
        || json(&overview, &checkpoints, &streams),
        || text(&overview, &checkpoints, &streams, disk::warning(&store.disk())),
    )
}

/// The streams that it writes: those of the pipeline file while it runs, else those of its own scope.
fn streams(store: &Store, name: &str, session: &Session) -> Result<Vec<StreamInfo>> {
    let Some(job) = session.access.jobs().and_then(|jobs| jobs.find(name)) else {
        let own =
            |stream: &StreamInfo| stream.name.as_str().strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        return Ok(store.list_streams()?.into_iter().filter(own).collect());
    };
    let mut names = vec![job.pipeline.dead_letters.clone()];
    for sink in &job.pipeline.sinks {
        names.push(sink_stream(name, sink)?.0);
    }
    names.sort();
    names.dedup();
    let there = names.iter().map(|name| Ok(store.stream(name)?)).collect::<Result<Vec<_>>>()?;
    Ok(there.into_iter().flatten().collect())
}

fn events(stream: &StreamInfo) -> u64 {
    stream.segments.iter().map(|segment| segment.tail.0.saturating_sub(segment.head.0)).sum()
}

fn bytes(stream: &StreamInfo) -> u64 {
    stream.segments.iter().map(|segment| segment.bytes).sum()
}

fn json(overview: &Overview, checkpoints: &[CheckpointSummary], streams: &[StreamInfo]) -> serde_json::Value {
    let mut json = overview.json();
    let record = checkpoints.first().map(|checkpoint| &checkpoint.record);
    json["nodes"] = overview.nodes.iter().map(Node::json).collect();
    json["sources"] = record.map_or(serde_json::json!([]), sources_json);
    json["checkpoints"] = checkpoints.iter().map(checkpoint::json).collect();
    let stream = |stream: &StreamInfo| {
        serde_json::json!({
            "name": stream.name.as_str(),
            "events": events(stream),
            "bytes": bytes(stream),
            "watermark": stream.watermark.map(|watermark| watermark.0),
        })
    };
    json["streams"] = streams.iter().map(stream).collect();
    json
}

/// Committed positions.
fn sources_json(record: &CheckpointRecord) -> serde_json::Value {
    let sources = record.sources.iter().map(|(name, partitions)| {
        let partitions = partitions.iter().map(|(id, place)| {
            let watermark = EventTime(place.watermark);
            serde_json::json!({
                "id": id,
                "events": place.events,
                "watermark": watermark.is_real().then_some(watermark.0),
                "ended": place.ended,
            })
        });
        serde_json::json!({ "name": name, "partitions": partitions.collect::<Vec<_>>() })
    });
    sources.collect()
}

fn text(
    overview: &Overview,
    checkpoints: &[CheckpointSummary],
    streams: &[StreamInfo],
    disk: Option<String>,
) -> String {
    let mut text = format!("{} is {}, epoch {}", overview.name, overview.state, overview.epoch);
    if let Some(ms) = overview.checkpoint_age_ms {
        text.push_str(&format!(", last checkpoint {} ago", super::age(ms)));
    }
    if let Some(restarts) = overview.restarts.filter(|restarts| *restarts > 0) {
        text.push_str(&format!(", restarts {restarts}"));
    }
    text.push('\n');
    text.push_str(&disk.unwrap_or_default());
    text.push('\n');
    let nodes = overview.nodes.iter().map(|node| {
        [
            node.name.clone(),
            node.kind.into(),
            node.parallelism.map_or(String::new(), |parallelism| parallelism.to_string()),
            number(node.events_in),
            number(node.events_out),
            number(node.rejected),
            time::show(node.watermark),
        ]
    });
    text.push_str(&table(["node", "kind", "subtasks", "events in", "events out", "rejected", "watermark"], nodes));
    if let Some(record) = checkpoints.first().map(|checkpoint| &checkpoint.record) {
        let positions = record.sources.iter().flat_map(|(name, partitions)| {
            partitions.iter().map(move |(id, place)| {
                [
                    name.clone(),
                    id.clone(),
                    number(place.events),
                    time::show(EventTime(place.watermark)),
                    if place.ended { "ended".into() } else { String::new() },
                ]
            })
        });
        text.push('\n');
        text.push_str(&table(["source", "partition", "events read", "watermark", ""], positions));
    }
    let streams = streams.iter().map(|stream| {
        let watermark = stream.watermark.map_or("none".into(), time::show);
        [stream.name.to_string(), number(events(stream)), size(bytes(stream)), watermark]
    });
    text.push('\n');
    text.push_str(&table(["writes stream", "events", "size", "watermark"], streams));
    text.push('\n');
    text.push_str(&checkpoint::text(&overview.name, checkpoints));
    text
}
