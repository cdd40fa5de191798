//! What a workload says: lines of figures with their units. Workloads make them, the command line prints them.

use super::error::BenchError;
use super::percentiles::Latencies;
use std::time::Duration;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Events per second.
    EventsPerSecond,
    /// Bytes per second.
    BytesPerSecond,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Nanoseconds.
    Nanoseconds,
    /// A plain number.
    Count,
    /// This figure over another, as its name says.
    Ratio,
}

impl Unit {
    /// What a figure's name ends with in JSON.
    pub fn suffix(self) -> &'static str {
        match self {
            Unit::EventsPerSecond => "_events_per_s",
            Unit::BytesPerSecond => "_bytes_per_s",
            Unit::Bytes => "_bytes",
            Unit::Milliseconds => "_ms",
            Unit::Nanoseconds => "_ns",
            Unit::Count => "",
            Unit::Ratio => "_ratio",
        }
    }
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
}

/// A line: one case of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The workload's name.
    pub workload: &'static str,
    /// Which case of it.
    pub case: String,
    /// In the order of their weight.
    pub figures: Vec<Figure>,
    /// What no figure says; may be empty.
    pub note: String,
}

impl Line {
    pub(super) fn new(workload: &'static str, case: impl Into<String>) -> Line {
        Line { workload, case: case.into(), figures: Vec::new(), note: String::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: f64, unit: Unit) -> Line {
        self.figures.push(Figure { name, value, unit });
        self
    }

    pub(super) fn ms(self, name: &'static str, time: Duration) -> Line {
        self.with(name, time.as_secs_f64() * 1e3, Unit::Milliseconds)
    }

    pub(super) fn ratio(self, name: &'static str, value: f64) -> Line {
        self.with(name, value, Unit::Ratio)
    }

    /// Events per second and nanoseconds per event.
    pub(super) fn rate(self, rate: Rate) -> Line {
        self.with("throughput", rate.events_per_s(), Unit::EventsPerSecond).with("cost", rate.ns(), Unit::Nanoseconds)
    }

    /// p50, p95, p99 and the longest.
    pub(super) fn latencies(self, latencies: &mut Latencies) -> Line {
        let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|q| latencies.quantile(q));
        self.ms("p50", p50).ms("p95", p95).ms("p99", p99).ms("max", max)
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Line {
        self.note = note.into();
        self
    }
}

/// Events and the time they took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) events: u64,
    pub(super) took: Duration,
}

impl Rate {
    pub(super) fn events_per_s(self) -> f64 {
        self.events as f64 / self.seconds()
    }

    pub(super) fn ns(self) -> f64 {
        self.seconds() * 1e9 / self.events.max(1) as f64
    }

    /// Never zero, so that a clock too coarse gives a large figure rather than none.
    pub(super) fn seconds(self) -> f64 {
        self.took.max(Duration::from_nanos(1)).as_secs_f64()
    }

    /// The middle one by cost.
    pub(super) fn median(mut rates: Vec<Rate>) -> Result<Rate, BenchError> {
        rates.sort_by(|a, b| a.ns().total_cmp(&b.ns()));
        rates.get(rates.len() / 2).copied().ok_or_else(|| BenchError::Wrong("nothing was run".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_both_ways_and_the_median_is_the_middle_one() {
        let rate = |ms| Rate { events: 1_000, took: Duration::from_millis(ms) };
        assert_eq!((rate(1).events_per_s(), rate(1).ns()), (1e6, 1_000.0));
        let median = Rate::median(vec![rate(9), rate(1), rate(5)]);
        assert_eq!(median.unwrap().took, Duration::from_millis(5));
        assert!(Rate::median(Vec::new()).is_err());
        assert!(Rate { events: 1, took: Duration::ZERO }.events_per_s().is_finite());
    }

    #[test]
    fn a_line_keeps_its_figures_in_order() {
        let line = Line::new("append", "1 writer").ms("p50", Duration::from_micros(1_500)).ratio("against_sync", 1.25);
        let names: Vec<String> = line.figures.iter().map(|f| format!("{}{}", f.name, f.unit.suffix())).collect();
        assert_eq!(names, ["p50_ms", "against_sync_ratio"]);
        assert_eq!(line.figures[0].value, 1.5);
    }
}
