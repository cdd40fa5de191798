//! `tidemill stop`: ends a running pipeline at a checkpoint, and waits for it.

use super::known;
use crate::cli::args::PipelineArg;
use crate::cli::jobs::End;
use crate::cli::session::Session;
use anyhow::{Result, bail};
use std::time::Duration;

/// How often it is asked whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) fn run(args: &PipelineArg, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    known(&store, session, &args.pipeline)?;
    let name = &args.pipeline;
    let job = session.access.jobs().and_then(|jobs| jobs.find(name)).filter(|job| job.end().is_none());
    let Some(job) = job else {
        let running = session.access.jobs().map(|jobs| jobs.running()).unwrap_or_default();
        let names: Vec<&str> = running.iter().map(|job| job.pipeline.name.as_str()).collect();
        let names = if names.is_empty() { "none".into() } else { names.join(", ") };
        bail!("pipeline {name} does not run; running in {}: {names}", session.access.data_dir().display());
    };
    drop(store);
    let interrupt = session.interrupt()?;
    job.stop();
    let end = loop {
        if let Some(end) = job.end() {
            break end;
        }
        if interrupt.asked() {
            session.output.say(&format!("{name} is asked to stop and does so without you"));
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let epoch = job.status().epoch;
    let how = match end {
        End::Stopped => "stopped",
        End::Finished => "finished",
        End::Failed(why) => bail!("pipeline {name} failed before it stopped: {why}"),
    };
    session.output.data(
        || serde_json::json!({ "pipeline": name, "state": how, "epoch": epoch }),
        || format!("{name} {how} at epoch {epoch}\n"),
    )
}
