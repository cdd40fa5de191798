//! A pipeline as a job: its graph, the plan that wires tasks (the one wiring place), and its life: start, checkpoints,
//! restarts, end.

pub mod egress;
pub mod graph;
pub mod lifecycle;
pub mod planner;
pub mod restart;
pub mod status;
pub mod wiring;

pub use lifecycle::{JobControl, RunHandle, RunOptions, check, open_store, start, start_in, store_options};
pub use status::{NodeStatus, RunStatus, RunSummary};

use crate::connector::ConnectorError;
use crate::dataflow::task::TaskFailure;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Waits for the user's order to stop; false = there is none.
fn stopped_within(stop: &Receiver<()>, wait: Duration) -> bool {
    match stop.recv_timeout(wait) {
        Ok(()) => true,
        Err(RecvTimeoutError::Timeout) => false,
        Err(RecvTimeoutError::Disconnected) => {
            // Nobody holds the job any more; it goes on all the same, and not in a hurry.
            std::thread::sleep(wait);
            false
        }
    }
}

/// Why a job could not start or go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JobError {
    /// The pipeline file, a component or the input has to be mended.
    #[error("{0}")]
    Invalid(String),
    /// The data directory.
    #[error(transparent)]
    Storage(#[from] tidemill_storage::Error),
    /// A source or sink.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// The pipeline failed and was not restarted; everything committed is kept.
    #[error("pipeline failed: {failure}\n{advice}")]
    Failed {
        /// The last failure.
        failure: TaskFailure,
        /// What to do.
        advice: String,
    },
    /// The operating system refused something.
    #[error("{0}")]
    System(String),
}
