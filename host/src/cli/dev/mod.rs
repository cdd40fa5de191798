//! `tidemill dev`: builds a pipeline's operators, runs it, and does both again whenever a source changes. State is kept: the
//! pipeline stops at a checkpoint and goes on from there with the new component. What fails to build leaves the old one
//! running.
//!
//! ```text
//! watch.rs   which files changed
//! tail.rs    what was committed
//! ```

mod tail;
mod watch;

use super::access::{self, Owned};
use super::args::DevArgs;
use super::build;
use super::control::server::ControlServer;
use super::interrupt::Interrupt;
use super::jobs::{End, Job, Jobs};
use super::output::Output;
use super::project;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tail::Tail;
use tidemill::clock::Clock;
use tidemill::config::pipeline::{OperatorKind, Pipeline};
use tidemill::config::settings::Settings;
use tidemill::config::{Overrides, parse};
use tidemill::job::{self, JobError, RunHandle, RunOptions};
use tidemill_storage::Store;
use watch::Watch;

/// How often files, job and streams are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) fn run(args: &DevArgs, output: &Output) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let settings = Settings::load(args.settings.settings.as_deref())?;
    let data_dir = match &args.data_dir {
        Some(folder) => folder.clone(),
        None => args.pipeline.pipeline.with_file_name(build::sdk::GENERATED).join("dev"),
    };
    std::fs::create_dir_all(&data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
    let workers = settings.workers.threads as usize;
    let options = RunOptions { data_dir, workers, settings };
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
    let desk = Desk { args, output, options, clock, store: store.clone(), jobs };
    let done = desk.work(&interrupt);
    drop(server);
    store.close(); // also when a command on the socket did not end in time
    done
}

/// Where a pipeline is worked on.
struct Desk<'a> {
    args: &'a DevArgs,
    output: &'a Output,
    options: RunOptions,
    clock: Clock,
    store: Store,
    jobs: Arc<Jobs>,
}

/// A pipeline that runs, or ran.
struct Running {
    pipeline: Pipeline,
    /// What it was made of: the text of its file and the components.
    made_of: Vec<Vec<u8>>,
    job: Arc<Job>,
    /// None once it is over.
    handle: Option<RunHandle>,
}

impl Desk<'_> {
    fn work(&self, interrupt: &Interrupt) -> Result<()> {
        let mut watch = Watch::new(&self.options.data_dir)?;
        watch.file(&self.args.pipeline.pipeline)?;
        let mut tail = Tail::default();
        let mut running: Option<Running> = None;
        let mut again = true;
        let mut said = String::new();
        while !interrupt.asked() {
            if again {
                let error = self.renew(&mut running, &mut watch, &mut tail).err();
                let error = error.map(|error| format!("error: {error:#}")).unwrap_or_default();
                let kept = running.as_ref().is_some_and(|running| running.handle.is_some());
                let next = if kept { "the one before keeps running" } else { "nothing runs; waiting for a change" };
                if !error.is_empty() && error != said {
                    self.output.say(&format!("{error}\n{next}"));
                }
                said = error;
            }
            if let Some(running) = &mut running {
                self.look(running, &mut tail)?;
            }
            again = watch.changed();
            std::thread::sleep(LOOK_EVERY);
        }
        let Some(mut running) = running else { return Ok(()) };
        self.output.say("stopping at a checkpoint; Ctrl-C again breaks off");
        self.stop(&mut running);
        tail.show(&running.pipeline, &self.store, self.output)
    }

    /// Builds what there is, and runs it if it is something new.
    fn renew(&self, running: &mut Option<Running>, watch: &mut Watch, tail: &mut Tail) -> Result<()> {
        let started = Instant::now();
        let overrides = Overrides { set: self.args.pipeline.set.clone(), parallelism: self.args.pipeline.parallelism };
        let pipeline = parse::load(&self.args.pipeline.pipeline, &overrides)?;
        let mut made_of = vec![read(&self.args.pipeline.pipeline)?];
        for component in components(&pipeline) {
            if component.join(project::FILE).is_file() {
                watch.project(&component)?; // first: what changes while it is built counts
                build::build(&component, false, self.output)?;
                made_of.push(read(&component.join(tidemill::wasm::component::BUILT_COMPONENT))?);
            } else if component.is_file() {
                watch.file(&component)?;
                made_of.push(read(&component)?);
            }
        }
        if running.as_ref().is_some_and(|running| running.made_of == made_of) {
            return Ok(());
        }
        // Before the old one stops: what is refused here does not cost it its place.
        job::check(&pipeline, &self.store, &self.options)?;
        tail.follow(&pipeline, &self.store);
        let first = running.is_none();
        if let Some(old) = running.as_mut() {
            self.stop(old);
            tail.show(&old.pipeline, &self.store, self.output)?;
        }
        let handle = job::start_in(pipeline.clone(), self.store.clone(), self.options.clone(), self.clock.clone())?;
        let job = self.jobs.renew(pipeline.clone(), handle.control());
        let took = started.elapsed().as_secs_f64();
        self.output.say(&match first {
            true => {
                format!("running {} after {took:.1} s; watching {} folders; Ctrl-C stops", pipeline.name, watch.len())
            }
            false => format!("running {} with what changed, after {took:.1} s", pipeline.name),
        });
        *running = Some(Running { pipeline, made_of, job, handle: Some(handle) });
        Ok(())
    }

    /// Shows what there is to show of a job.
    fn look(&self, running: &mut Running, tail: &mut Tail) -> Result<()> {
        let ended = running.handle.take_if(|handle| handle.is_done());
        tail.show(&running.pipeline, &self.store, self.output)?;
        if let Some(handle) = ended {
            self.conclude(&running.job, handle);
        }
        Ok(())
    }

    fn stop(&self, running: &mut Running) {
        if let Some(handle) = running.handle.take() {
            handle.stop();
            self.conclude(&running.job, handle);
        }
    }

    /// Waits for its end and says how it came.
    fn conclude(&self, job: &Job, handle: RunHandle) {
        match handle.wait() {
            Ok(summary) if summary.finished => {
                job.set_end(End::Finished);
                self.output.say("all input is read and everything committed; waiting for a change");
            }
            Ok(_) => job.set_end(End::Stopped),
            Err(error) => {
                job.set_end(End::Failed(error.to_string()));
                self.output.say(&format!("error: {error:#}\nnothing runs; waiting for a change"));
            }
        }
    }
}

/// Folders or files of the components of a pipeline.
fn components(pipeline: &Pipeline) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for operator in &pipeline.operators {
        match &operator.kind {
            OperatorKind::Component(component) | OperatorKind::Aggregator { component, .. } => {
                if !found.contains(component) {
                    found.push(component.clone());
                }
            }
            OperatorKind::Builtin(_) => {}
        }
    }
    found
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
