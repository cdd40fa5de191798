//! `tidemill run`: starts the jobs over one store, shows how they go, ends them at a checkpoint on Ctrl-C, and sums up.
//! While it runs it serves other commands on the control socket.

use super::access::{self, Owned};
use super::args::RunArgs;
use super::control::server::ControlServer;
use super::interrupt::Interrupt;
use super::jobs::{End, Job, Jobs};
use super::live::View;
use super::output::{Output, number, table};
use super::time;
use anyhow::{Result, anyhow, bail};
use std::sync::Arc;
use std::time::Duration;
use tidemill::clock::Clock;
use tidemill::config::pipeline::Pipeline;
use tidemill::config::settings::Settings;
use tidemill::config::{Overrides, parse};
use tidemill::job::{self, JobError, RunHandle, RunOptions, RunSummary};
use tidemill_storage::Store;

/// How often the jobs are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) fn run(args: &RunArgs, output: &Output) -> Result<()> {
    let pipelines = load(args)?;
    let interrupt = Interrupt::install()?;
    let settings = Settings::load(args.settings.settings.as_deref())?;
    let workers = args.workers.map_or(settings.workers.threads as usize, usize::from);
    let options = RunOptions { data_dir: args.data.data_dir.clone(), workers, settings };
    let clock = Clock::system();
    let store = access::retry_while_refused(|| match job::open_store(&options, &clock) {
        Err(JobError::Storage(error)) => Err(error.into()), // it names the data directory
        opened => Ok(opened?),
    })?;
    let owned = Owned { store: store.clone(), jobs: Arc::default() };
    let jobs = owned.jobs.clone();
    let server = ControlServer::start(&options.data_dir, owned)
        .inspect_err(|error| tracing::warn!("no commands beside this run: {error:#}"))
        .ok();
    let done =
        start(pipelines, &store, &options, &clock, &jobs, output).and_then(|runs| watch(runs, &interrupt, output));
    drop(server);
    store.close(); // also when a command on the socket did not end in time
    done
}

fn load(args: &RunArgs) -> Result<Vec<Pipeline>> {
    if args.pipelines.len() > 1 && !args.set.is_empty() {
        bail!(
            "--set changes one pipeline file and {} are given: write the values into the files",
            args.pipelines.len()
        );
    }
    let overrides = Overrides { set: args.set.clone(), parallelism: args.parallelism };
    let mut pipelines: Vec<Pipeline> = Vec::new();
    for file in &args.pipelines {
        let pipeline = parse::load(file, &overrides)?;
        if pipelines.iter().any(|other| other.name == pipeline.name) {
            bail!("{}: a pipeline {} is given already: give each its own name", file.display(), pipeline.name);
        }
        pipelines.push(pipeline);
    }
    Ok(pipelines)
}

/// A job while it runs.
struct Run<'a> {
    job: Arc<Job>,
    handle: Option<RunHandle>,
    view: Option<View<'a>>,
}

/// Starts them in order, so that one may read what another before it writes. All start, or none goes on.
fn start<'a>(
    pipelines: Vec<Pipeline>,
    store: &Store,
    options: &RunOptions,
    clock: &Clock,
    jobs: &Jobs,
    output: &'a Output,
) -> Result<Vec<Run<'a>>> {
    let several = pipelines.len() > 1;
    let mut runs: Vec<Run<'a>> = Vec::new();
    for pipeline in pipelines {
        let label = several.then(|| pipeline.name.clone());
        match job::start_in(pipeline.clone(), store.clone(), options.clone(), clock.clone()) {
            Ok(handle) => {
                let job = jobs.add(pipeline, handle.control());
                runs.push(Run { job, handle: Some(handle), view: Some(View::new(output, label)) });
            }
            Err(error) => {
                for handle in runs.iter_mut().filter_map(|run| run.handle.take()) {
                    handle.stop();
                    // What it did is committed; the one that did not start is the news.
                    let _ = handle.wait();
                }
                return Err(if several {
                    anyhow!(error).context(format!("pipeline {}", pipeline.name))
                } else {
                    error.into()
                });
            }
        }
    }
    Ok(runs)
}

/// Shows them until all are over.
fn watch(mut runs: Vec<Run<'_>>, interrupt: &Interrupt, output: &Output) -> Result<()> {
    let all = runs.len();
    let mut failed = Vec::new();
    let mut printed = Ok(());
    let mut stopping = false;
    while runs.iter().any(|run| run.handle.is_some()) {
        if interrupt.asked() && !stopping {
            stopping = true;
            output.say("stopping at a checkpoint; Ctrl-C again breaks off");
            runs.iter().filter_map(|run| run.handle.as_ref()).for_each(RunHandle::stop);
        }
        for run in &mut runs {
            if let Some(handle) = run.handle.take_if(|handle| handle.is_done()) {
                if let Some(view) = run.view.take() {
                    view.close();
                }
                match handle.wait() {
                    Ok(summary) => printed = printed.and(conclude(&run.job, &summary, output)),
                    Err(error) => {
                        run.job.set_end(End::Failed(error.to_string()));
                        if all > 1 {
                            output.say(&format!("error: pipeline {}: {error}", run.job.pipeline.name));
                        }
                        failed.push(error);
                    }
                }
            } else if let (Some(handle), Some(view)) = (&run.handle, &mut run.view) {
                view.show(|| handle.status());
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
    match failed.pop() {
        None => printed,
        Some(error) if all == 1 => Err(error.into()),
        Some(_) => bail!("{} of {all} pipelines failed", failed.len() + 1),
    }
}

/// Sums up one that did not fail.
fn conclude(job: &Job, summary: &RunSummary, output: &Output) -> Result<()> {
    let pipeline = &job.pipeline;
    job.set_end(if summary.finished { End::Finished } else { End::Stopped });
    output.say(&text(pipeline, summary));
    match output.json() {
        true => output.data(|| json(pipeline, summary), String::new),
        false => Ok(()),
    }
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
