//! The pipelines of the workloads: a pipeline file around one operator, as a user would write it, run to its end in this
//! process with the time taken, or by a process of its own (`process.rs`).

use super::error::{BenchError, io};
use super::report::Rate;
use super::start_line::StartLine;
use crate::clock::Clock;
use crate::config::pipeline::Pipeline;
use crate::config::settings::Settings;
use crate::config::{Overrides, parse};
use crate::job::lifecycle::{self, start_with};
use crate::job::status::NodeStatus;
use crate::job::{RunHandle, RunOptions, RunStatus};
use crate::operator::SharedFactory;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidemill_storage::Store;

/// The stream that pipelines read.
pub const INPUT: &str = "bench/in";
/// The stream that they write.
pub const OUTPUT: &str = "bench/out";

/// One source, at most one operator, one sink.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The pipeline's name.
    pub name: String,
    /// Lines of `[sources.in]`.
    pub source: String,
    /// The operator's component; any path when the operator is given as a factory.
    pub operator: Option<PathBuf>,
    /// Subtasks.
    pub parallelism: u32,
    /// Lines of `[sinks.out]`.
    pub sink: String,
}

impl Spec {
    /// From stream to stream. Bounded: it ends when everything that is there at the start is read.
    pub fn streams(name: &str, operator: Option<&Path>, bounded: bool, parallelism: u32) -> Spec {
        Spec {
            name: name.into(),
            source: format!("stream = \"{INPUT}\"\nbounded = {bounded}\nwatermark = {{ out_of_orderness = \"0s\" }}\n"),
            operator: operator.map(Path::to_owned),
            parallelism,
            sink: format!("stream = \"{OUTPUT}\"\nsegments = {parallelism}\n"),
        }
    }

    /// Writes the pipeline file.
    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf, BenchError> {
        let Spec { name, source, operator, parallelism, sink } = self;
        let mut text = format!("[pipeline]\nname = \"{name}\"\nparallelism = {parallelism}\n");
        text.push_str("restart = { attempts = 0 }\n\n");
        text.push_str(&format!("[sources.in]\n{source}\n"));
        if let Some(component) = operator {
            let component = quoted(component);
            text.push_str(&format!("[operators.op]\ncomponent = {component}\ninput = \"in\"\n\n"));
        }
        let input = if operator.is_some() { "op" } else { "in" };
        text.push_str(&format!("[sinks.out]\ninput = \"{input}\"\n{sink}"));
        let file = folder.join(format!("{name}.toml"));
        std::fs::write(&file, text).map_err(io(format!("writing {}", file.display())))?;
        Ok(file)
    }

    /// Writes the pipeline file and reads it, as `tidemill run` does.
    pub fn load(&self, folder: &Path) -> Result<Pipeline, BenchError> {
        Ok(parse::load(&self.write(folder)?, &Overrides::default())?)
    }
}

/// A path as a TOML string.
pub(super) fn quoted(path: &Path) -> String {
    toml::Value::from(path.to_string_lossy().into_owned()).to_string()
}

/// Starts a pipeline with default settings.
pub(super) fn start(
    pipeline: Pipeline,
    operator: &SharedFactory,
    store: &Store,
    data_dir: &Path,
    workers: usize,
    clock: &Clock,
) -> Result<RunHandle, BenchError> {
    let options = RunOptions { data_dir: data_dir.to_owned(), workers, settings: Settings::default() };
    Ok(start_with(pipeline, vec![operator.clone()], store.clone(), options, clock.clone())?)
}

/// Events that the operator has taken, not all of them committed.
pub(super) fn taken(status: &RunStatus) -> u64 {
    status.nodes.iter().find(|node| node.kind == "operator").map_or(0, |node| node.events_in)
}

/// A job that ends by itself.
pub struct Job<'a> {
    /// What runs.
    pub pipeline: Pipeline,
    /// Its operator.
    pub operator: &'a SharedFactory,
    /// Where.
    pub store: &'a Store,
    /// The store's folder.
    pub data_dir: &'a Path,
    /// Worker threads.
    pub workers: usize,
    /// Events of the input in all; each gives one event of output.
    pub events: u64,
    /// So many of them come first and are not measured.
    pub unmeasured: u64,
}

impl Job<'_> {
    /// Runs it. The time is from its start, or from when the unmeasured events were taken, to the end of the final
    /// checkpoint, when everything is durable.
    pub(super) fn run(self, clock: &Clock) -> Result<Rate, BenchError> {
        let Job { pipeline, operator, store, data_dir, workers, events, unmeasured } = self;
        let name = pipeline.name.clone();
        let line = StartLine::new(unmeasured, clock.clone());
        let operator = if unmeasured > 0 { &line.around(operator) } else { operator };
        let started = clock.elapsed();
        let summary = start(pipeline, operator, store, data_dir, workers, clock)?.wait()?;
        let ended = clock.elapsed();
        let (since, seen) = line.crossed().unwrap_or((started, 0));
        let count = |kind: &str| summary.nodes.iter().find(|node| node.kind == kind).map_or(0, |node| node.events_in);
        if !summary.finished || summary.restarts > 0 || [count("operator"), count("sink")] != [events; 2] {
            return Err(BenchError::Wrong(format!(
                "pipeline {name} took {} and gave {} of {events} events in {} runs",
                count("operator"),
                count("sink"),
                summary.restarts + 1
            )));
        }
        Ok(Rate { events: events - seen.min(events), took: ended.saturating_sub(since) })
    }

    /// [`Job::run`] for others than the workloads.
    pub fn time(self, clock: &Clock) -> Result<Duration, BenchError> {
        self.run(clock).map(|rate| rate.took)
    }
}

/// A job of any shape, loaded as `tidemill run` does it; components come from its file.
pub(super) struct Whole<'a> {
    /// What runs.
    pub(super) pipeline: Pipeline,
    /// Where.
    pub(super) store: &'a Store,
    /// The store's folder.
    pub(super) data_dir: &'a Path,
    /// Worker threads.
    pub(super) workers: usize,
    /// Events of the input in all.
    pub(super) events: u64,
}

impl Whole<'_> {
    /// Runs it to its end: the time from its start to when everything is durable and in place, and the events that its sinks
    /// took. Components are compiled before.
    pub(super) fn run(self, clock: &Clock) -> Result<(Rate, u64), BenchError> {
        let Whole { pipeline, store, data_dir, workers, events } = self;
        let name = pipeline.name.clone();
        let options = RunOptions { data_dir: data_dir.to_owned(), workers, settings: Settings::default() };
        lifecycle::check(&pipeline, store, &options)?;
        let started = clock.elapsed();
        let summary = lifecycle::start_in(pipeline, store.clone(), options, clock.clone())?.wait()?;
        let took = clock.elapsed().saturating_sub(started);
        let of = |kind: &str, count: fn(&NodeStatus) -> u64| -> u64 {
            summary.nodes.iter().filter(|node| node.kind == kind).map(count).sum()
        };
        let (read, taken) = (of("source", |node| node.events_out), of("sink", |node| node.events_in));
        if !summary.finished || summary.restarts > 0 || read != events {
            return Err(BenchError::Wrong(format!(
                "pipeline {name} read {read} of {events} events in {} runs",
                summary.restarts + 1
            )));
        }
        Ok((Rate { events, took }, taken))
    }
}

/// Writes a pipeline file and reads it.
pub(super) fn load(folder: &Path, name: &str, text: &str) -> Result<Pipeline, BenchError> {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, text).map_err(io(format!("writing {}", file.display())))?;
    Ok(parse::load(&file, &Overrides::default())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::pipeline::OperatorKind;

    #[test]
    fn what_is_written_is_a_pipeline_file() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = Spec::streams("p", Some(Path::new("/a \"b\"")), true, 2).load(folder.path()).unwrap();
        assert_eq!((pipeline.name.as_str(), pipeline.parallelism, pipeline.restart.attempts), ("p", 2, 0));
        assert_eq!(pipeline.operators[0].kind, OperatorKind::Component(PathBuf::from("/a \"b\"")));
        assert_eq!(pipeline.operators[0].limits, super::super::operators::LIMITS);
        let pipeline = Spec::streams("q", None, false, 1).load(folder.path()).unwrap();
        assert!(pipeline.operators.is_empty());
    }
}
