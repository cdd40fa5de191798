//! Durations and sizes as people write them. The config readers feed it text; it gives milliseconds and bytes.

const DURATIONS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZES: [(&str, u64); 8] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// A duration in ms: `"200ms"`, `"1.5s"`, `"5m"`, `"2h"`, `"1d"`.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    amount(text, &DURATIONS).map_err(|why| {
        format!("{text:?} is not a duration: {why}; write a number and ms, s, m, h or d, as in \"200ms\"")
    })
}

/// A size in bytes: `"64MiB"`, `"1GB"`, `"4096B"`.
pub fn size_bytes(text: &str) -> Result<u64, String> {
    amount(text, &SIZES).map_err(|why| {
        format!(
            "{text:?} is not a size: {why}; write a number and B, kB, MB, GB, KiB, MiB, GiB or TiB, as in \"64MiB\""
        )
    })
}

/// A decimal number and a unit. Exact: a fraction that does not come out whole is refused.
fn amount(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim_start());
    if number.is_empty() {
        return Err("it has no number".into());
    }
    let Some((_, scale)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(if unit.is_empty() { "it has no unit".into() } else { format!("there is no unit {unit:?}") });
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) || fraction.len() > 9
    {
        return Err(format!("{number:?} is not a number"));
    }
    let too_large = || "it is too large".to_string();
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let mut total = whole.checked_mul(*scale).ok_or_else(too_large)?;
    if !fraction.is_empty() {
        let power = 10u64.pow(fraction.len() as u32);
        let part = fraction.parse::<u64>().map_err(|_| too_large())?.checked_mul(*scale).ok_or_else(too_large)?;
        if part % power != 0 {
            return Err("it is finer than the smallest unit".into());
        }
        total = total.checked_add(part / power).ok_or_else(too_large)?;
    }
    // Times are i64 ms and buffers are addressed with i64 in places: nothing sensible lies beyond.
    if total > i64::MAX as u64 { Err(too_large()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_exactly() {
        for (text, ms) in [
            ("0s", 0),
            ("200ms", 200),
            ("1s", 1_000),
            ("1.5s", 1_500),
            ("5m", 300_000),
            ("5 min", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("0.5d", 43_200_000),
        ] {
            assert_eq!(duration_ms(text), Ok(ms), "{text}");
        }
        for (text, bytes) in [
            ("4096B", 4096),
            ("64MiB", 64 << 20),
            ("1GB", 1_000_000_000),
            ("1.5KiB", 1536),
            ("2 kB", 2000),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(size_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_bad_one_is_said() {
        for (text, why) in [
            ("", "it has no number"),
            ("s", "it has no number"),
            ("10", "it has no unit"),
            ("10 parsecs", "there is no unit \"parsecs\""),
            ("-1s", "it has no number"),
            ("1.2.3s", "\"1.2.3\" is not a number"),
            (".5s", "\".5\" is not a number"),
            ("1.s", "\"1.\" is not a number"),
            ("1.0001s", "it is finer than the smallest unit"),
            ("99999999999999999999s", "it is too large"),
            ("999999999999999999d", "it is too large"),
        ] {
            let error = duration_ms(text).unwrap_err();
            assert!(error.contains(why) && error.contains("200ms"), "{text}: {error}");
        }
        assert!(size_bytes("64Mb").unwrap_err().contains("there is no unit \"Mb\""));
    }
}
