//! strftime patterns of event times: checked when a pipeline file is read, used by the file source for every event.

use jiff::civil::Time;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

/// With an offset in the text it is taken; without one the time is UTC; a date alone is its midnight.
pub(crate) fn parse(pattern: &str, text: &[u8]) -> Result<jiff::Timestamp, jiff::Error> {
    let parts = BrokenDownTime::parse(pattern, text)?;
    if let Ok(time) = parts.to_timestamp() {
        return Ok(time);
    }
    let has_time = parts.hour().is_some() || parts.minute().is_some() || parts.second().is_some();
    let civil = if has_time { parts.to_datetime()? } else { parts.to_date()?.to_datetime(Time::midnight()) };
    TimeZone::UTC.to_timestamp(civil)
}

/// Whether a pattern can give a time: it is tried on a known one.
pub(super) fn check(with: &str) -> Result<(), String> {
    const SAMPLE_S: i64 = 1_234_567_890;
    let bad = |why: String| {
        format!(
            "{with:?} is not a time format: {why}; write \"ms\", \"s\", \"rfc3339\" or a strftime pattern as \
             \"%Y-%m-%d %H:%M:%S\""
        )
    };
    if !with.contains('%') {
        return Err(bad("it has no %".to_string()));
    }
    let sample = jiff::Timestamp::from_second(SAMPLE_S).map_err(|e| bad(e.to_string()))?.to_zoned(TimeZone::UTC);
    let text = BrokenDownTime::from(&sample).to_string(with).map_err(|e| bad(e.to_string()))?;
    match parse(with, text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(error) => Err(bad(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_give_no_time_are_refused() {
        for pattern in ["iso", "%H:%M", "%Q!", "%Y", "%"] {
            let error = check(pattern).unwrap_err();
            assert!(error.contains(&format!("{pattern:?} is not a time format")), "{error}");
        }
    }
}
