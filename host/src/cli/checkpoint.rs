//! `tidemill checkpoint list`: what a pipeline committed lately, newest first.

use super::args::PipelineArg;
use super::output::{number, size, table};
use super::session::Session;
use super::{pipeline, time};
use anyhow::Result;
use tidemill_storage::EventTime;
use tidemill_storage::checkpoint::CheckpointSummary;

pub(crate) fn list(args: &PipelineArg, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    pipeline::known(&store, session, &args.pipeline)?;
    let checkpoints = store.checkpoints(&args.pipeline)?;
    session.output.data(|| checkpoints.iter().map(json).collect(), || text(&args.pipeline, &checkpoints))
}

/// Events read from all sources so far.
fn events_read(checkpoint: &CheckpointSummary) -> u64 {
    checkpoint.record.sources.values().flat_map(|partitions| partitions.values()).map(|place| place.events).sum()
}

/// One checkpoint.
pub(crate) fn json(checkpoint: &CheckpointSummary) -> serde_json::Value {
    let record = &checkpoint.record;
    serde_json::json!({
        "epoch": record.epoch.0,
        "incarnation": record.incarnation.0,
        "taken_at_ms": record.taken_at_ms,
        "finished": record.finished,
        "events_read": events_read(checkpoint),
        "output_events": checkpoint.output_events,
        "output_bytes": checkpoint.output_bytes,
        "state_bytes": checkpoint.state_bytes,
        "watermarks": record.watermarks.iter().map(|(uid, time)| (uid.clone(), time.0.into())).collect::<serde_json::Map<_, _>>(),
    })
}

/// All of them as a table.
pub(crate) fn text(name: &str, checkpoints: &[CheckpointSummary]) -> String {
    if checkpoints.is_empty() {
        return format!("pipeline {name} started but committed nothing yet\n");
    }
    let rows = checkpoints.iter().map(|checkpoint| {
        let record = &checkpoint.record;
        [
            record.epoch.to_string(),
            time::show(EventTime(record.taken_at_ms)),
            record.incarnation.to_string(),
            number(events_read(checkpoint)),
            number(checkpoint.output_events),
            size(checkpoint.output_bytes),
            size(checkpoint.state_bytes),
            if record.finished { "finished".into() } else { String::new() },
        ]
    });
    table(["epoch", "taken at", "run", "events read", "events out", "output", "state", ""], rows)
}
