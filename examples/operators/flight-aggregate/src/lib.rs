//! Departure statistics of an airport, as a window aggregate: rows of flights in, one result per airport and window out. Which
//! windows, how late an event may be and when results come is the pipeline file's affair.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tidemill_sdk::prelude::*;

/// The `config` table of the pipeline file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A flight that leaves more minutes late than this counts as late.
    #[serde(default = "fifteen")]
    threshold_minutes: i64,
}

fn fifteen() -> i64 {
    15
}

/// The columns that matter here; the event's time is the scheduled departure, its key the airport.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    dep_delay_min: Cow<'a, str>,
}

/// What is kept of some flights; whole numbers, so that their order changes nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Flights {
    count: u64,
    cancelled: u64,
    late: u64,
    delay_sum: i64,
    worst: Option<i64>,
}

/// One result.
#[derive(Serialize)]
struct Statistics<'a> {
    origin: &'a str,
    from: i64,
    to: i64,
    count: u64,
    cancelled: u64,
    late: u64,
    mean: Option<f64>,
    worst: Option<i64>,
}

/// The aggregate.
#[derive(Declare)]
pub struct FlightAggregate {
    config: Config<Settings>,
    results: Counter,
}

impl Aggregator for FlightAggregate {
    type Accumulator = Flights;

    fn add(&mut self, flights: &mut Flights, event: &Event<'_>) -> Result<()> {
        let row: Row<'_> = event.json()?;
        flights.count += 1;
        match row.dep_delay_min.trim() {
            "" => flights.cancelled += 1,
            text => {
                let minutes: i64 = text.parse()?;
                flights.delay_sum += minutes;
                flights.late += u64::from(minutes > self.config.threshold_minutes);
                flights.worst = flights.worst.max(Some(minutes));
            }
        }
        Ok(())
    }

    fn merge(&mut self, flights: &mut Flights, later: Flights) -> Result<()> {
        flights.count += later.count;
        flights.cancelled += later.cancelled;
        flights.late += later.late;
        flights.delay_sum += later.delay_sum;
        flights.worst = flights.worst.max(later.worst);
        Ok(())
    }

    fn finish(&mut self, window: &Window<'_>, flights: Flights, rows: &mut Rows) -> Result<()> {
        let Flights { count, cancelled, late, delay_sum, worst } = flights;
        let flown = count - cancelled;
        let mean = (flown > 0).then(|| delay_sum as f64 / flown as f64);
        let (origin, from, to) = (window.key_text()?, window.start(), window.end());
        self.results.add(1);
        rows.emit_json(&Statistics { origin, from, to, count, cancelled, late, mean, worst })
    }
}

tidemill_sdk::export_aggregator!(FlightAggregate);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};
    use tidemill_sdk::testing::{AggregateHarness, Record};

    fn flight(origin: &str, time_ms: i64, delay: &str) -> Record {
        Record::new(origin, json!({ "dep_delay_min": delay }).to_string()).at(time_ms)
    }

    #[test]
    fn a_window_gives_one_result_per_airport_whatever_the_order() {
        let flights = [flight("JFK", 90, "16"), flight("LGA", 5, "3"), flight("JFK", 10, ""), flight("JFK", 20, "-4")];
        for reversed in [false, true] {
            let mut harness = AggregateHarness::<FlightAggregate>::tumbling(100).unwrap();
            let mut flights = flights.to_vec();
            if reversed {
                flights.reverse();
            }
            for flight in flights {
                harness.send([flight]).unwrap();
                harness.replace_instance().unwrap();
            }
            harness.end().unwrap();
            let results: Vec<Json> = harness.results().iter().map(Record::json).collect();
            let row = |origin: &str, count: u64, cancelled: u64, late: u64, mean: f64, worst: i64| {
                json!({"origin": origin, "from": 0, "to": 100, "count": count, "cancelled": cancelled, "late": late,
                       "mean": mean, "worst": worst})
            };
            assert_eq!(results, [row("JFK", 3, 1, 1, 6.0, 16), row("LGA", 1, 0, 0, 3.0, 3)]);
            assert_eq!(harness.metric("results"), 2.0);
        }
    }

    #[test]
    fn a_refused_row_leaves_the_accumulator_as_it_was() {
        let mut harness = AggregateHarness::<FlightAggregate>::tumbling(100).unwrap();
        // `add` has counted the flight before it finds that the delay is none.
        let rows = ["7", "soon", "9", "later", "2"].map(|delay| flight("JFK", 1, delay));
        harness.send(rows).unwrap();
        assert_eq!(harness.dead_letters().len(), 2);
        harness.end().unwrap();
        let result = harness.results()[0].json();
        assert_eq!((&result["count"], &result["mean"]), (&json!(3), &json!(6.0)));
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let wrong = json!({"treshold_minutes": 2});
        let refused = AggregateHarness::<FlightAggregate>::with_config(100, &wrong).err().unwrap().to_string();
        assert!(refused.contains("unknown field `treshold_minutes`"), "{refused}");
    }
}
