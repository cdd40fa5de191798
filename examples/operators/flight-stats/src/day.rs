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
            mean: quotient(self.delay_sum, flown),
            worst: self.worst,
            over15: quotient(self.over as i64, flown),
        }
    }
}

/// sum / n, as it is: who shows it rounds it. None when n is 0.
fn quotient(sum: i64, n: i64) -> Option<f64> {
    (n != 0).then(|| sum as f64 / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_flown_has_no_mean() {
        assert_eq!(quotient(0, 5), Some(0.0));
        assert_eq!(quotient(-1, 8), Some(-0.125));
        assert_eq!(quotient(5, 0), None);
    }

    #[test]
    fn only_flown_flights_count_into_mean_worst_and_share() {
        let day = [Some(20), None, Some(-5), Some(15)].into_iter().fold(Day::default(), |day, d| day.with(d, 15));
        let result = serde_json::to_string(&day.result("JFK", 15_706)).unwrap();
        assert_eq!(
            result,
            r#"{"origin":"JFK","day":"2013-01-01","count":4,"cancelled":1,"mean":10.0,"worst":20,"over15":0.3333333333333333}"#
        );
    }
}
