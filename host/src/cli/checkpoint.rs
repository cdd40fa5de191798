//! `tidemill checkpoint list`: what a pipeline committed lately, newest first.

use super::args::CheckpointListArgs;
use super::output::{Output, number, size, table};
use super::{data_dir, time};
use anyhow::{Result, bail};
use std::path::Path;
use tidemill::config::{Overrides, parse};
use tidemill_storage::EventTime;
use tidemill_storage::checkpoint::CheckpointSummary;

pub(crate) fn list(args: &CheckpointListArgs, output: &Output) -> Result<()> {
    let name = pipeline_name(&args.pipeline)?;
    let store = data_dir::open(&args.data.data_dir)?;
    let known = store.list_pipelines()?;
    if !known.contains(&name) {
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        bail!("no pipeline {name} ever ran in {}; these did: {known}", args.data.data_dir.display());
    }
    let checkpoints = store.checkpoints(&name)?;
    output.data(|| checkpoints.iter().map(json).collect(), || text(&name, &checkpoints))
}

/// A pipeline file stands for the name in it.
fn pipeline_name(argument: &str) -> Result<String> {
    if !argument.ends_with(".toml") {
        return Ok(argument.to_owned());
    }
    Ok(parse::load(Path::new(argument), &Overrides::default())?.name)
}

/// Events read from all sources so far.
fn events_read(checkpoint: &CheckpointSummary) -> u64 {
    checkpoint.record.sources.values().flat_map(|partitions| partitions.values()).map(|place| place.events).sum()
}

fn json(checkpoint: &CheckpointSummary) -> serde_json::Value {
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

fn text(name: &str, checkpoints: &[CheckpointSummary]) -> String {
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
