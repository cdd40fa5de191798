//! Why a benchmark could not run or proved wrong. Workloads make it, the command line shows it.

use crate::config::ConfigError;
use crate::job::JobError;
use crate::wasm::ComponentError;
use std::io;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Something that the user can mend.
    #[error("{0}")]
    Invalid(String),
    /// A job failed.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The store.
    #[error(transparent)]
    Storage(#[from] tidemill_storage::Error),
    /// A component.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// A pipeline file of the benchmark's own.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or process.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, to what.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A job ended, but not with what it had to give: its figure would mean nothing.
    #[error("{0} (please report this)")]
    Wrong(String),
    /// Whoever reads the lines wants no more.
    #[error("broken off")]
    Interrupted,
}

/// For `map_err`.
pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> BenchError {
    move |source| BenchError::Io { doing: doing.into(), source }
}
