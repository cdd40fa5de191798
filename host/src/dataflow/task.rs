//! A task: a state machine that a worker, or a simulator, steps. It never blocks its thread.

use std::fmt;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Step again.
    Working,
    /// Nothing to do until a queue wakes the task, or at the latest at this clock time, ms.
    Blocked(Option<i64>),
}

/// Why a task failed: who should act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The operator or its input: the restart policy decides.
    Guest,
    /// The operator asked to stop: no restart.
    Fatal,
    /// Passing trouble of the outside or the store: the restart policy decides.
    Unavailable,
    /// A disk is full: the pipeline waits for room, however long, and goes on.
    Full,
    /// The user has to mend something: no restart.
    Invalid,
    /// Tidemill's own fault: no restart.
    Bug,
}

/// A task's failure: the pipeline rolls back to the last committed epoch.
#[derive(Clone, Debug)]
pub struct TaskFailure {
    /// Who should act.
    pub kind: FailureKind,
    /// Names the operator, the events and the cause.
    pub message: String,
}

impl TaskFailure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, message: impl fmt::Display) -> TaskFailure {
        TaskFailure { kind, message: message.to_string() }
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<tidemill_storage::Error> for TaskFailure {
    fn from(error: tidemill_storage::Error) -> TaskFailure {
        use tidemill_storage::Kind;
        let kind = match error.kind() {
            Kind::Full => FailureKind::Full,
            Kind::Unavailable => FailureKind::Unavailable,
            Kind::Bug => FailureKind::Bug,
            _ => FailureKind::Invalid,
        };
        TaskFailure::new(kind, error)
    }
}

impl From<crate::connector::ConnectorError> for TaskFailure {
    fn from(error: crate::connector::ConnectorError) -> TaskFailure {
        use crate::connector::ConnectorError;
        match error {
            ConnectorError::Invalid(message) => TaskFailure::new(FailureKind::Invalid, message),
            ConnectorError::Unavailable(message) => TaskFailure::new(FailureKind::Unavailable, message),
            ConnectorError::Full(message) => TaskFailure::new(FailureKind::Full, message),
            ConnectorError::Storage(error) => error.into(),
        }
    }
}

/// A step-driven task.
pub trait Task: Send {
    /// One small piece of work, at most one operator call.
    fn step(&mut self) -> Result<Progress, TaskFailure>;
}
