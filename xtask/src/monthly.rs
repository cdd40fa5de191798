//! The demo's table: daily statistics as `tidemill stream cat` prints them, summed by month and origin. `demo.rs` feeds it.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt::Write;

/// One line of `tidemill stream cat flights/daily`.
pub(crate) struct Daily {
    origin: String,
    day: String,
    count: u64,
    cancelled: u64,
    mean: Option<f64>,
    worst: Option<f64>,
    over15: Option<f64>,
}

/// A month of one origin.
#[derive(Default)]
struct Month {
    flights: u64,
    cancelled: u64,
    delay: f64,
}

/// Reads the lines; each must be an event whose value is the statistics of one origin and day.
pub(crate) fn parse(lines: &str) -> Result<Vec<Daily>> {
    lines.lines().map(|line| daily(line).with_context(|| format!("not a day's statistics: {line}"))).collect()
}

fn daily(line: &str) -> Result<Daily> {
    let event: serde_json::Value = serde_json::from_str(line).context("not JSON")?;
    let value = &event["value"];
    let text = |name: &str| value[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    let number = |name: &str| value[name].as_u64().with_context(|| format!("no {name}"));
    Ok(Daily {
        origin: text("origin")?,
        day: text("day")?,
        count: number("count")?,
        cancelled: number("cancelled")?,
        mean: value["mean"].as_f64(),
        worst: value["worst"].as_f64(),
        over15: value["over15"].as_f64(),
    })
}

/// The first rows as they came, by day.
pub(crate) fn first_rows(days: &[Daily], rows: usize) -> String {
    let mut sorted: Vec<&Daily> = days.iter().collect();
    sorted.sort_by(|a, b| (&a.day, &a.origin).cmp(&(&b.day, &b.origin)));
    let mut out = String::from("  day         origin  flights  cancelled  mean delay     worst  over 15 min\n");
    let minutes = |m: Option<f64>| m.map_or("-".into(), |m| format!("{m:.1}"));
    for day in sorted.into_iter().take(rows) {
        let over15 = day.over15.map_or("-".into(), |share| format!("{:.1} %", share * 100.0));
        let _ = writeln!(
            out,
            "  {:<10}  {:<6}  {:>7}  {:>9}  {:>10}  {:>8}  {:>11}",
            day.day,
            day.origin,
            day.count,
            day.cancelled,
            minutes(day.mean),
            minutes(day.worst),
            over15
        );
    }
    out
}

/// Twelve rows, three columns of numbers per origin.
pub(crate) fn by_month(days: &[Daily]) -> String {
    let mut months: BTreeMap<&str, BTreeMap<&str, Month>> = BTreeMap::new();
    let mut origins: Vec<&str> = days.iter().map(|day| day.origin.as_str()).collect();
    origins.sort_unstable();
    origins.dedup();
    for day in days {
        let name = day.day.get(..7).unwrap_or(&day.day);
        let month = months.entry(name).or_default().entry(&day.origin).or_default();
        month.flights += day.count;
        month.cancelled += day.cancelled;
        month.delay += day.mean.unwrap_or(0.0) * day.count.saturating_sub(day.cancelled) as f64;
    }
    let mut out = String::from("           ");
    for origin in &origins {
        let _ = write!(out, "  {origin:<30}");
    }
    out.truncate(out.trim_end().len());
    out.push_str("\n  month    ");
    for _ in &origins {
        out.push_str("  flights  cancelled  mean delay");
    }
    out.push('\n');
    for (name, row) in &months {
        let _ = write!(out, "  {name:<9}");
        for origin in &origins {
            let month = row.get(origin).unwrap_or(&NONE);
            let flown = month.flights.saturating_sub(month.cancelled);
            let share = 100.0 * month.cancelled as f64 / month.flights.max(1) as f64;
            let mean = month.delay / flown.max(1) as f64;
            let _ = write!(out, "  {:>7}  {share:>7.1} %  {mean:>6.1} min", month.flights);
        }
        out.push('\n');
    }
    out
}

const NONE: Month = Month { flights: 0, cancelled: 0, delay: 0.0 };

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"{"segment":0,"offset":0,"timestamp":1,"key":"JFK","value":{"origin":"JFK","day":"2013-01-01","count":10,"cancelled":2,"mean":5.0,"worst":60,"over15":0.25}}
{"segment":0,"offset":1,"timestamp":1,"key":"JFK","value":{"origin":"JFK","day":"2013-01-02","count":4,"cancelled":4,"mean":null,"worst":null,"over15":null}}
{"segment":0,"offset":2,"timestamp":1,"key":"EWR","value":{"origin":"EWR","day":"2013-02-01","count":1,"cancelled":0,"mean":-3.0,"worst":-3,"over15":0.0}}"#;

    #[test]
    fn months_weigh_the_mean_by_flights_that_flew() {
        let days = parse(LINES).unwrap();
        let table = by_month(&days);
        let january = table.lines().find(|line| line.contains("2013-01")).unwrap();
        let words: Vec<&str> = january.split_whitespace().collect();
        assert_eq!(words, ["2013-01", "0", "0.0", "%", "0.0", "min", "14", "42.9", "%", "5.0", "min"]);
        let rows = first_rows(&days, 2);
        assert!(rows.contains("25.0 %") && rows.lines().count() == 3, "{rows}");
    }

    #[test]
    fn a_line_that_is_no_statistics_is_named() {
        let Err(error) = parse(r#"{"value":{"origin":"JFK"}}"#) else { panic!("accepted") };
        assert!(format!("{error:#}").contains("no day"), "{error:#}");
    }
}
