//! Event times as text into milliseconds. The file reader parses every event's time with it.

use crate::config::pipeline::TimeFormat;
use crate::config::time_pattern;
use tidemill_storage::EventTime;

/// The pattern of most logs and exports; parsed by hand, as jiff does, ten times faster.
const COMMON: &str = "%Y-%m-%dT%H:%M:%S";

/// A parser of one format.
#[derive(Clone, Debug)]
pub(super) enum TimeParser {
    EpochMs,
    EpochSeconds,
    Rfc3339,
    Common,
    Pattern(String),
}

impl TimeParser {
    pub(super) fn new(format: &TimeFormat) -> TimeParser {
        match format {
            TimeFormat::EpochMs => TimeParser::EpochMs,
            TimeFormat::EpochSeconds => TimeParser::EpochSeconds,
            TimeFormat::Rfc3339 => TimeParser::Rfc3339,
            TimeFormat::Pattern(pattern) if pattern == COMMON => TimeParser::Common,
            TimeFormat::Pattern(pattern) => TimeParser::Pattern(pattern.clone()),
        }
    }

    /// The time of a text. The error says what was expected.
    pub(super) fn parse(&self, text: &[u8]) -> Result<EventTime, String> {
        let time = match self {
            TimeParser::EpochMs => integer(text, 1),
            TimeParser::EpochSeconds => integer(text, 1_000),
            TimeParser::Rfc3339 => rfc3339(text),
            TimeParser::Common => common(text).map_or_else(|| pattern(COMMON, text), Ok),
            TimeParser::Pattern(with) => pattern(with, text),
        };
        match time {
            Ok(ms) if EventTime(ms).is_real() => Ok(EventTime(ms)),
            Ok(_) => Err(format!("time {:?} is out of range", shown(text))),
            Err(expected) => Err(format!("time {:?} is not {expected}", shown(text))),
        }
    }
}

fn shown(text: &[u8]) -> String {
    const SHOWN_CHARS: usize = 60;
    let text = String::from_utf8_lossy(text);
    if text.chars().count() > SHOWN_CHARS {
        text.chars().take(SHOWN_CHARS).chain("...".chars()).collect()
    } else {
        text.into_owned()
    }
}

fn integer(text: &[u8], scale: i64) -> Result<i64, String> {
    let unit = if scale == 1 { "milliseconds" } else { "seconds" };
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim().parse::<i64>().ok())
        .and_then(|n| n.checked_mul(scale))
        .ok_or_else(|| format!("a whole number of {unit} since 1970"))
}

fn rfc3339(text: &[u8]) -> Result<i64, String> {
    if let Some((head, b"Z")) = text.split_at_checked(19)
        && let Some(ms) = common(head)
    {
        return Ok(ms);
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .map(floor_ms)
        .ok_or_else(|| "RFC 3339, as 2013-01-31T12:00:00Z or 2013-01-31T12:00:00.5+01:00".to_string())
}

fn floor_ms(time: jiff::Timestamp) -> i64 {
    time.as_nanosecond().div_euclid(1_000_000) as i64
}

fn pattern(pattern: &str, text: &[u8]) -> Result<i64, String> {
    time_pattern::parse(pattern, text).map(floor_ms).map_err(|_| format!("of the form {pattern}"))
}

/// `YYYY-MM-DDTHH:MM:SS`, strictly; anything else is jiff's to judge.
fn common(text: &[u8]) -> Option<i64> {
    let text: &[u8; 19] = text.try_into().ok()?;
    let digits = |range: std::ops::Range<usize>| {
        text[range].iter().try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    if text[4] != b'-' || text[7] != b'-' || text[10] != b'T' || text[13] != b':' || text[16] != b':' {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in_month(year, month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    Some((days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible low-level date
/// algorithms", days_from_civil), for years from 0.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(format: &TimeFormat, text: &str) -> Result<i64, String> {
        TimeParser::new(format).parse(text.as_bytes()).map(|t| t.0)
    }

    fn with(pattern: &str) -> TimeFormat {
        TimeFormat::Pattern(pattern.to_string())
    }

    #[test]
    fn each_format_gives_its_milliseconds() {
        for (format, text, ms) in [
            (TimeFormat::EpochMs, "1357017300000", 1_357_017_300_000),
            (TimeFormat::EpochMs, "-5", -5),
            (TimeFormat::EpochSeconds, " 1357017300 ", 1_357_017_300_000),
            (TimeFormat::Rfc3339, "2013-01-01T05:15:00Z", 1_357_017_300_000),
            (TimeFormat::Rfc3339, "2013-01-01T05:15:00.1239Z", 1_357_017_300_123),
            (TimeFormat::Rfc3339, "2013-01-01T06:15:00+01:00", 1_357_017_300_000),
            (TimeFormat::Rfc3339, "1969-12-31T23:59:59.9995Z", -1),
            (with(COMMON), "2013-01-01T05:15:00", 1_357_017_300_000),
            (with("%Y-%m-%d %H:%M:%S%.f"), "2013-01-01 05:15:00.25", 1_357_017_300_250),
            (with("%d/%b/%Y:%H:%M:%S %z"), "01/Jan/2013:06:15:00 +0100", 1_357_017_300_000),
            (with("%Y-%m-%d"), "2013-01-01", 1_356_998_400_000),
            (with("%m/%d/%Y %H:%M"), "01/31/2013 00:01", 1_359_590_460_000),
        ] {
            assert_eq!(parse(&format, text), Ok(ms), "{format:?} {text}");
        }
    }

    #[test]
    fn a_bad_time_says_what_was_expected() {
        for (format, text, expected) in [
            (TimeFormat::EpochMs, "12.5", "time \"12.5\" is not a whole number of milliseconds since 1970"),
            (TimeFormat::EpochSeconds, "", "time \"\" is not a whole number of seconds since 1970"),
            (TimeFormat::EpochSeconds, "9007199254741", "time \"9007199254741\" is out of range"),
            (
                TimeFormat::Rfc3339,
                "2013-01-01 noon",
                "time \"2013-01-01 noon\" is not RFC 3339, as 2013-01-31T12:00:00Z or 2013-01-31T12:00:00.5+01:00",
            ),
            (with(COMMON), "2013-02-29T00:00:00", "time \"2013-02-29T00:00:00\" is not of the form %Y-%m-%dT%H:%M:%S"),
            (with(COMMON), "NA", "time \"NA\" is not of the form %Y-%m-%dT%H:%M:%S"),
        ] {
            assert_eq!(parse(&format, text).unwrap_err(), expected);
        }
    }

    proptest! {
        #[test]
        fn the_hand_written_road_agrees_with_jiff(
            year in 0i16..=9999, month in 0u8..=13, day in 0u8..=32, hour in 0u8..=24, minute in 0u8..=60, second in 0u8..=60,
        ) {
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
            let by_jiff = time_pattern::parse(COMMON, text.as_bytes()).map(floor_ms).ok();
            if let Some(by_hand) = common(text.as_bytes()) {
                prop_assert_eq!(Some(by_hand), by_jiff);
            } else {
                // Jiff may take more (second 60), never less.
                let plain = (1..=12).contains(&month) && (1..=28).contains(&day) && hour <= 23 && minute <= 59 && second <= 59;
                prop_assert!(!plain, "{} should take the short road", text);
            }
        }
    }
}
