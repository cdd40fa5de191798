//! The pipelines of this process: `run` notes each as it starts and ends, the commands of the control socket look at them
//! and stop them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidemill::config::pipeline::Pipeline;
use tidemill::job::{JobControl, RunStatus};

/// How a pipeline of this process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All input is read.
    Finished,
    /// At a checkpoint, because somebody asked for it.
    Stopped,
    /// Why.
    Failed(String),
}

/// A pipeline that this process runs or ran.
pub(crate) struct Job {
    pub(crate) pipeline: Pipeline,
    control: JobControl,
    end: Mutex<Option<End>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Job {
    /// A look at it.
    pub(crate) fn status(&self) -> RunStatus {
        self.control.status()
    }

    /// Stops it at a checkpoint.
    pub(crate) fn stop(&self) {
        self.control.stop();
    }

    /// How it ended; none while it runs.
    pub(crate) fn end(&self) -> Option<End> {
        lock(&self.end).clone()
    }

    /// It is over.
    pub(crate) fn set_end(&self, end: End) {
        *lock(&self.end) = Some(end);
    }

    /// Its state in a word.
    pub(crate) fn state(&self) -> String {
        match self.end() {
            Some(End::Finished) => "finished".into(),
            Some(End::Stopped) => "stopped".into(),
            Some(End::Failed(_)) => "failed".into(),
            None => self.status().state,
        }
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Jobs {
    jobs: Mutex<Vec<Arc<Job>>>,
}

impl Jobs {
    /// Notes one that has started.
    pub(crate) fn add(&self, pipeline: Pipeline, control: JobControl) -> Arc<Job> {
        let job = Arc::new(Job { pipeline, control, end: Mutex::new(None) });
        lock(&self.jobs).push(job.clone());
        job
    }

    /// Notes one that takes the place of an earlier one of its name.
    pub(crate) fn renew(&self, pipeline: Pipeline, control: JobControl) -> Arc<Job> {
        lock(&self.jobs).retain(|job| job.pipeline.name != pipeline.name);
        self.add(pipeline, control)
    }

    /// In the order in which they started.
    pub(crate) fn all(&self) -> Vec<Arc<Job>> {
        lock(&self.jobs).clone()
    }

    /// Those that are not over.
    pub(crate) fn running(&self) -> Vec<Arc<Job>> {
        self.all().into_iter().filter(|job| job.end().is_none()).collect()
    }

    /// The one of this name.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Job>> {
        self.all().into_iter().find(|job| job.pipeline.name == name)
    }
}
