//! What is kept of one origin's day, and the result made of it. Everything is summed in integers, so that the result does
//! not depend on the order of the flights.

use crate::date::day_name;
use serde::{Deserialize, Serialize};

/// Length of a day, ms.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// Sums of one origin's day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Day {
    count: u64,
    cancelled: u64,
    delay_sum: i64,
    worst: Option<i64>,
    over: u64,
}

/// One row of the output.
#[derive(Debug, Serialize)]
pub(crate) struct DailyResult<'a> {
    origin: &'a str,
    day: String,
    count: u64,
    cancelled: u64,
    mean: Option<f64>,
    worst: Option<i64>,
    over15: Option<f64>,
}

impl Day {
    /// With one more flight: its departure delay in minutes, or none when it was cancelled.
    pub(crate) fn with(mut self, delay: Option<i64>, threshold_minutes: i64) -> Day {
        self.count += 1;
        match delay {
            None => self.cancelled += 1,
            Some(minutes) => {
                self.delay_sum += minutes;
                self.worst = Some(self.worst.map_or(minutes, |worst| worst.max(minutes)));
                self.over += u64::from(minutes > threshold_minutes);
            }
        }
        self
    }

    /// The row that goes out.
    pub(crate) fn result<'a>(&self, origin: &'a str, day: i64) -> DailyResult<'a> {
        let flown = (self.count - self.cancelled) as i64;
        DailyResult {
            origin,
            day: day_name(day),
            count: self.count,
            cancelled: self.cancelled,
            mean: rounded(self.delay_sum, flown, 100),
            worst: self.worst,
            over15: rounded(self.over as i64, flown, 10_000),
        }
    }
}

/// sum / n, rounded half away from zero to 1 / scale; none when n is 0.
fn rounded(sum: i64, n: i64, scale: i64) -> Option<f64> {
    if n == 0 {
        return None;
    }
    let doubled = 2 * sum.abs() * scale + n;
    Some((doubled / (2 * n) * sum.signum()) as f64 / scale as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_rounded_half_away_from_zero() {
        assert_eq!(rounded(1, 8, 100), Some(0.13));
        assert_eq!(rounded(-1, 8, 100), Some(-0.13));
        assert_eq!(rounded(2, 3, 10_000), Some(0.6667));
        assert_eq!(rounded(0, 5, 100), Some(0.0));
        assert_eq!(rounded(5, 0, 100), None);
    }

    #[test]
    fn only_flown_flights_count_into_mean_worst_and_share() {
        let day = [Some(20), None, Some(-5), Some(15)].into_iter().fold(Day::default(), |day, d| day.with(d, 15));
        let result = serde_json::to_string(&day.result("JFK", 15_706)).unwrap();
        assert_eq!(
            result,
            r#"{"origin":"JFK","day":"2013-01-01","count":4,"cancelled":1,"mean":10.0,"worst":20,"over15":0.3333}"#
        );
    }
}
