//! `tidemill run`: starts the job, shows how it goes, ends it at a checkpoint on Ctrl-C, and sums up.

use super::args::RunArgs;
use super::interrupt::Interrupt;
use super::live::View;
use super::output::{Output, number, table};
use super::time;
use anyhow::Result;
use std::time::Duration;
use tidemill::config::pipeline::Pipeline;
use tidemill::config::settings::Settings;
use tidemill::config::{Overrides, parse};
use tidemill::job::{self, RunOptions, RunSummary};

/// How often the job is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) fn run(args: &RunArgs, output: &Output) -> Result<()> {
    let overrides = Overrides { set: args.pipeline.set.clone(), parallelism: args.pipeline.parallelism };
    let pipeline = parse::load(&args.pipeline.pipeline, &overrides)?;
    let interrupt = Interrupt::install()?;
    let settings = Settings::load(args.settings.settings.as_deref())?;
    let workers = args.workers.map_or(settings.workers.threads as usize, usize::from);
    let options = RunOptions { data_dir: args.data.data_dir.clone(), workers, settings };
    let handle = job::start(pipeline.clone(), options)?;
    let mut view = View::new(output);
    let mut stopping = false;
    while !handle.is_done() {
        if interrupt.asked() && !stopping {
            stopping = true;
            output.say("stopping at a checkpoint; Ctrl-C again breaks off");
            handle.stop();
        }
        view.show(|| handle.status());
        std::thread::sleep(LOOK_EVERY);
    }
    view.close();
    let summary = handle.wait()?;
    output.say(&text(&pipeline, &summary));
    if output.json() {
        output.data(|| json(&pipeline, &summary), String::new)?;
    }
    Ok(())
}

fn json(pipeline: &Pipeline, summary: &RunSummary) -> serde_json::Value {
    let nodes = summary.nodes.iter().map(|node| {
        serde_json::json!({
            "name": node.name,
            "kind": node.kind,
            "events_in": node.events_in,
            "events_out": node.events_out,
            "rejected": node.rejected,
            "watermark": node.watermark.is_real().then_some(node.watermark.0),
        })
    });
    serde_json::json!({
        "pipeline": pipeline.name,
        "finished": summary.finished,
        "epochs": summary.epochs,
        "restarts": summary.restarts,
        "elapsed_ms": summary.elapsed_ms,
        "nodes": nodes.collect::<Vec<_>>(),
    })
}

fn text(pipeline: &Pipeline, summary: &RunSummary) -> String {
    let outcome = match summary.finished {
        true => "finished: all input is read and everything committed",
        false => "stopped at a checkpoint; run it again to go on from there",
    };
    let rows = summary.nodes.iter().map(|node| {
        [
            node.name.clone(),
            node.kind.to_owned(),
            number(node.events_in),
            number(node.events_out),
            number(node.rejected),
            time::show(node.watermark),
        ]
    });
    let mut text = format!(
        "{} {outcome} ({:.1} s, {} epochs{})\n{}",
        pipeline.name,
        summary.elapsed_ms as f64 / 1_000.0,
        number(summary.epochs),
        match summary.restarts {
            0 => String::new(),
            1 => ", 1 restart".into(),
            n => format!(", {n} restarts"),
        },
        table(["node", "kind", "events in", "events out", "rejected", "watermark"], rows)
    );
    let rejected: u64 = summary.nodes.iter().map(|node| node.rejected).sum();
    if rejected > 0 {
        let events = if rejected == 1 { "event is" } else { "events are" };
        text.push_str(&format!("{} rejected {events} in stream {}\n", number(rejected), pipeline.dead_letters));
    }
    text.truncate(text.trim_end().len());
    text
}
