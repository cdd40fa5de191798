//! Event time: milliseconds since 1970-01-01T00:00:00Z, signed, everywhere.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A time in milliseconds since the Unix epoch. `MIN` = "no watermark yet", `MAX` = "end of input"; real times lie
/// within +-(2^53 - 1), so that a language whose numbers are doubles keeps them exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventTime(pub i64);

impl EventTime {
    /// No watermark yet.
    pub const MIN: EventTime = EventTime(i64::MIN);
    /// End of input.
    pub const MAX: EventTime = EventTime(i64::MAX);
    /// Greatest magnitude of a real time, in ms.
    pub const LIMIT_MS: i64 = (1 << 53) - 1;

    /// Whether this is a real time, neither sentinel nor out of range.
    pub fn is_real(self) -> bool {
        (-Self::LIMIT_MS..=Self::LIMIT_MS).contains(&self.0)
    }

    /// `self - ms`, keeping the sentinels and stopping at the limit.
    #[must_use]
    pub fn minus_ms(self, ms: i64) -> EventTime {
        if self == Self::MIN || self == Self::MAX {
            return self;
        }
        EventTime(self.0.saturating_sub(ms).clamp(-Self::LIMIT_MS, Self::LIMIT_MS))
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            EventTime::MIN => f.write_str("none"),
            EventTime::MAX => f.write_str("end"),
            EventTime(ms) => ms.fmt(f),
        }
    }
}
