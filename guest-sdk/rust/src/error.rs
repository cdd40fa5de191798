//! What an operator's methods return when something is wrong: the kind says what the host should do about it.

use std::fmt;

/// The result of an operator's method.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Why an operator could not do what it was asked. Any `std::error::Error` becomes [`Error::Reject`] through `?`: an
/// event that does not parse is the event's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// This event is bad: undo what it did, send it to the dead letters, go on with the next.
    Reject(String),
    /// Something outside is not ready: drop the whole call and make it again.
    Retry {
        /// Wait so long first, ms.
        after_ms: Option<u32>,
    },
    /// Stop the pipeline, keep everything.
    Fatal(String),
}

impl Error {
    /// Refuse the event in progress.
    pub fn reject(reason: impl fmt::Display) -> Error {
        Error::Reject(reason.to_string())
    }

    /// Make the call again, when the host sees fit.
    pub fn retry() -> Error {
        Error::Retry { after_ms: None }
    }

    /// Make the call again after this many ms.
    pub fn retry_after(ms: u32) -> Error {
        Error::Retry { after_ms: Some(ms) }
    }

    /// Stop the pipeline.
    pub fn fatal(reason: impl fmt::Display) -> Error {
        Error::Fatal(reason.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Reject(reason) => write!(f, "rejected: {reason}"),
            Error::Retry { after_ms: None } => f.write_str("retry"),
            Error::Retry { after_ms: Some(ms) } => write!(f, "retry after {ms} ms"),
            Error::Fatal(reason) => write!(f, "fatal: {reason}"),
        }
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Error {
        Error::Reject(error.to_string())
    }
}
