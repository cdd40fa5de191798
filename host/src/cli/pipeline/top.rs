//! `tidemill top`: the running pipelines and their nodes, again and again.

use super::age;
use super::records::Overview;
use crate::cli::args::TopArgs;
use crate::cli::disk;
use crate::cli::output::{number, table};
use crate::cli::rates::Rates;
use crate::cli::session::Session;
use crate::cli::time;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two pictures.
const SHOW_EVERY: Duration = Duration::from_secs(1);
/// Between two looks; also the time over which `--once` measures rates.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Puts the cursor into the corner and clears what is below it: the picture before.
const CLEAR: &str = "\x1b[H\x1b[J";

pub(crate) fn run(args: &TopArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let data_dir = session.access.data_dir().display();
    let jobs = session
        .access
        .jobs()
        .with_context(|| format!("no pipeline runs in {data_dir}: start one with `tidemill run`"))?;
    if jobs.running().is_empty() {
        bail!("no pipeline runs in {data_dir} any more");
    }
    let interrupt = session.interrupt()?;
    let started = Instant::now();
    let mut rates: BTreeMap<String, Rates> = BTreeMap::new();
    let mut shown: Option<Instant> = None;
    for look in 0.. {
        let mut pipelines = Vec::new();
        for job in jobs.running() {
            let overview = Overview::load(&store, &job.pipeline.name, session)?;
            let totals: Vec<u64> = overview.nodes.iter().map(|node| node.total()).collect();
            let at_ms = started.elapsed().as_millis() as u64;
            let rates = rates.entry(job.pipeline.name.clone()).or_default().update(at_ms, &totals);
            pipelines.push((overview, rates));
        }
        // The first look has no rates yet.
        if look > 0 && shown.is_none_or(|shown| shown.elapsed() >= SHOW_EVERY) {
            shown = Some(Instant::now());
            let clear = if session.output.stdout_is_terminal() && !args.once { CLEAR } else { "" };
            session.output.data(
                || json(&pipelines),
                || clear.to_owned() + &text(&pipelines) + &disk::warning(&store.disk()).unwrap_or_default(),
            )?;
            if args.once {
                return Ok(());
            }
        }
        if interrupt.asked() || pipelines.is_empty() {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn json(pipelines: &[(Overview, Vec<u64>)]) -> serde_json::Value {
    let pipeline = |(overview, rates): &(Overview, Vec<u64>)| {
        let mut json = overview.json();
        let node = |(node, rate): (&super::records::Node, &u64)| {
            let mut json = node.json();
            json["events_per_s"] = (*rate).into();
            json["total"] = node.total().into();
            json
        };
        json["nodes"] = overview.nodes.iter().zip(rates).map(node).collect();
        json
    };
    pipelines.iter().map(pipeline).collect()
}

fn text(pipelines: &[(Overview, Vec<u64>)]) -> String {
    let picture = |(overview, rates): &(Overview, Vec<u64>)| {
        let checkpoint = overview
            .checkpoint_age_ms
            .map_or("no checkpoint yet".into(), |ms| format!("last checkpoint {} ago", age(ms)));
        let restarts = overview.restarts.unwrap_or(0);
        let rows = overview.nodes.iter().zip(rates).map(|(node, rate)| {
            [
                node.name.clone(),
                node.kind.into(),
                number(*rate),
                number(node.total()),
                number(node.rejected),
                time::show(node.watermark),
            ]
        });
        format!(
            "{} {}, epoch {}, {checkpoint}, restarts {restarts}\n{}\n",
            overview.name,
            overview.state,
            overview.epoch,
            table(["node", "kind", "events/s", "total", "rejected", "watermark"], rows)
        )
    };
    if pipelines.is_empty() {
        return "no pipeline runs any more\n".into();
    }
    pipelines.iter().map(picture).collect()
}
