//! Numbers and names that must not be mixed, each its own type. Everything durable is addressed with these.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A stream, for the life of the data directory; never reused.
    StreamId(u64)
);
number!(
    /// One life of a stream name: deletion and re-creation, or a restored backup, start a new one.
    Generation(u64)
);
number!(
    /// A segment: `(creation epoch of the segment set << 32) | segment number`, so that ids order generations.
    SegmentId(u64)
);
number!(
    /// An event's place in its segment, counted in events from 0.
    Offset(u64)
);
number!(
    /// A checkpoint interval of a pipeline, counted from 1; epoch n is committed by checkpoint n.
    Epoch(u64)
);
number!(
    /// One run of a pipeline: each start takes the next, and commits of an older one are refused.
    Incarnation(u64)
);
number!(
    /// A slice of the key space that moves between subtasks as a whole: 0..max parallelism.
    KeyGroup(u32)
);
number!(
    /// A transaction, for the life of the data directory; never reused.
    TransactionId(u64)
);

impl SegmentId {
    /// The epoch of the segment set that it was made with.
    #[must_use]
    pub fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Its number in the stream; never used twice in a generation.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0 as u32
    }
}

impl Offset {
    /// The offset `events` later.
    #[must_use]
    pub fn plus(self, events: u64) -> Offset {
        Offset(self.0 + events)
    }
}

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

/// Longest scope or stream name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;

/// Checks a `scope/name`: parts of ASCII letters, digits, `.`, `_` and `-`, at least two.
pub(crate) fn check_scoped(what: &str, name: &str) -> Result<()> {
    let part_ok =
        |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if name.len() > NAME_BYTES_MAX || !name.contains('/') || !name.split('/').all(part_ok) {
        return Err(Error::invalid(format!(
            "{what} name {name:?}: write scope/{what}, in letters, digits, '.', '_' and '-', at most {NAME_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// `scope/stream`. A scope may itself hold slashes; the last part is the stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamName(String);

impl StreamName {
    /// Checks and takes a `scope/stream` name: parts of ASCII letters, digits, `.`, `_` and `-`, at least two.
    pub fn new(name: impl Into<String>) -> Result<StreamName> {
        let name = name.into();
        check_scoped("stream", &name)?;
        Ok(StreamName(name))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// All but the last part.
    pub fn scope(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(scope, _)| scope)
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for StreamName {
    type Error = Error;
    fn try_from(name: String) -> Result<StreamName> {
        StreamName::new(name)
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> String {
        name.0
    }
}

/// Where a reader stands: a position holds only within one generation of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The stream.
    pub stream: StreamId,
    /// The life of the stream that the offset belongs to.
    pub generation: Generation,
    /// The segment.
    pub segment: SegmentId,
    /// The next event to read.
    pub offset: Offset,
}
