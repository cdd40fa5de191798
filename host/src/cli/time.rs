//! Times for people: event times and wall clock in RFC 3339, and back. Used by the commands that print or take a time.

use jiff::Timestamp;
use tidemill_storage::EventTime;

/// RFC 3339 with the milliseconds there are; "none" and "end" for the two sentinels.
pub(crate) fn show(time: EventTime) -> String {
    if !time.is_real() {
        return time.to_string();
    }
    Timestamp::from_millisecond(time.0).map_or_else(|_| format!("{} ms", time.0), |timestamp| timestamp.to_string())
}

/// An event time as people give it: an integer of ms, or RFC 3339.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let ms = match text.parse::<i64>() {
        Ok(ms) => ms,
        Err(_) => text
            .parse::<Timestamp>()
            .map_err(|_| format!("{text:?} is no time: write ms since 1970, or RFC 3339 as in 2013-06-01T12:00:00Z"))?
            .as_millisecond(),
    };
    if !EventTime(ms).is_real() {
        return Err(format!("{ms} ms is out of range: event times lie within +-(2^53 - 1) ms"));
    }
    Ok(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_from_what_is_shown() {
        for ms in [0, 1_370_088_000_000, -1, 1_370_088_000_123] {
            assert_eq!(parse(&show(EventTime(ms))), Ok(ms));
        }
        assert_eq!(show(EventTime::MIN), "none");
        assert_eq!(show(EventTime::MAX), "end");
        assert_eq!(show(EventTime(EventTime::LIMIT_MS)), format!("{} ms", EventTime::LIMIT_MS));
    }

    #[test]
    fn words_and_times_out_of_range_are_refused() {
        assert!(parse("tomorrow").unwrap_err().contains("RFC 3339"));
        assert!(parse("9007199254740992").unwrap_err().contains("out of range"));
    }
}
