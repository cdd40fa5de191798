//! Departure statistics per origin and day, in event time: rows of flights in, one result per origin and day out, when
//! the watermark has passed the day.

mod date;
mod day;

use day::{DAY_MS, Day};
use serde::Deserialize;
use std::borrow::Cow;
use tidemill_sdk::prelude::*;

/// The `config` table of the pipeline file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A flight that leaves more minutes late than this counts into `over15`.
    #[serde(default = "fifteen")]
    threshold_minutes: i64,
}

fn fifteen() -> i64 {
    15
}

/// The columns that matter here; the event's time is the scheduled departure, its key the origin.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    dep_delay_min: Cow<'a, str>,
}

/// Several days are open at once, so the state is a map by day.
#[derive(Declare)]
pub struct FlightStats {
    config: Config<Settings>,
    days: Map<i64, Day>,
    day_end: EventTimer,
    results: Counter,
    daily: Output,
}

impl Operator for FlightStats {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        let row: Row<'_> = event.json()?;
        let delay = match row.dep_delay_min.trim() {
            "" => None,
            text => match text.parse::<i64>() {
                Ok(minutes) => Some(minutes),
                Err(e) => reject!("dep_delay_min `{text}` is no whole number of minutes: {e}"),
            },
        };
        let day = event.timestamp().div_euclid(DAY_MS);
        let last_ms = day * DAY_MS + DAY_MS - 1;
        if last_ms <= event.watermark() {
            reject!("late: the result of {} is out already; allow more out_of_orderness", date::day_name(day));
        }
        let threshold = self.config.threshold_minutes;
        self.days.update(&day, |stats| stats.with(delay, threshold))?;
        self.day_end.register(last_ms)
    }

    fn on_timer(&mut self, timer: &Timer<'_>) -> Result<()> {
        let day = timer.time().div_euclid(DAY_MS);
        if let Some(stats) = self.days.take(&day)? {
            self.results.add(1);
            self.daily.emit_json(timer.key(), &stats.result(timer.key_text()?, day))?;
        }
        Ok(())
    }
}

tidemill_sdk::export!(FlightStats);

#[cfg(test)]
mod tests;
