//! Storage's errors. The kind says what the receiver should do; the message names the thing and the mend.

use std::fmt;

/// What the receiver of an error should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fix the request; nothing was changed.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// A newer incarnation, epoch or handle owns this; stop.
    Fenced,
    /// Truncated or of another generation: the position no longer stands for anything.
    Truncated,
    /// Somebody else was first: what was expected is no longer so; read it again, then decide anew.
    Conflict,
    /// The segment takes no more events, others have its place: look the stream up again and route by key.
    Sealed,
    /// Passing: the outcome of a commit may be unknown; reopen, look, retry.
    Unavailable,
    /// The disk is full or a quota is used up; make room, then go on as after [`Kind::Unavailable`]: the outcome of a
    /// commit may be unknown.
    Full,
    /// Bytes on disk fail a check: stop, keep the files.
    Corrupt,
    /// The data directory is owned by another process or written by a newer version.
    Refused,
    /// A broken invariant of Tidemill itself: stop this job and report.
    Bug,
}

/// An error of the storage layer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
}

/// Storage's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! constructors {
    ($($name:ident => $kind:ident),* $(,)?) => {
        $(
            #[doc = concat!("An error of kind [`Kind::", stringify!($kind), "`].")]
            pub fn $name(message: impl fmt::Display) -> Error {
                Error::new(Kind::$kind, message)
            }
        )*
    };
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: Kind, message: impl fmt::Display) -> Error {
        Error { kind, message: message.to_string() }
    }

    /// What to do about it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same error with what was being done put in front.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Error {
        self.message = format!("{what}: {}", self.message);
        self
    }

    constructors! {
        invalid => Invalid,
        not_found => NotFound,
        fenced => Fenced,
        truncated => Truncated,
        conflict => Conflict,
        sealed => Sealed,
        unavailable => Unavailable,
        full => Full,
        corrupt => Corrupt,
        refused => Refused,
        bug => Bug,
    }
}
