//! `tidemill delete`: forgets a pipeline that does not run: its checkpoints, state and timers. Its streams stay.

use super::known;
use crate::cli::args::PipelineArg;
use crate::cli::session::Session;
use anyhow::{Result, bail};

pub(crate) fn run(args: &PipelineArg, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let name = &args.pipeline;
    known(&store, session, name)?;
    let running = session.access.jobs().and_then(|jobs| jobs.find(name)).is_some_and(|job| job.end().is_none());
    if running {
        bail!("pipeline {name} runs: stop it first, with `tidemill stop {name}`");
    }
    let state: u64 = store
        .describe()?
        .state
        .iter()
        .filter(|state| state.pipeline == *name)
        .map(|state| state.bytes.hot + state.bytes.sealed)
        .sum();
    store.delete_pipeline(name)?;
    session.output.data(
        || serde_json::json!({ "pipeline": name, "state_bytes": state }),
        || format!("{name} is forgotten with its {state} bytes of state; the streams that it wrote stay\n"),
    )
}
