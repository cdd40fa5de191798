//! Flights and miles so far for each key (an aircraft and a destination): takes the legs of `enrich`.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tidemill_sdk::prelude::*;

#[derive(Deserialize)]
struct Leg<'a> {
    #[serde(borrow)]
    tail: Cow<'a, str>,
    #[serde(borrow)]
    dest: Cow<'a, str>,
    leg: u32,
    miles: u64,
}

#[derive(Serialize)]
struct Total<'a> {
    tail: &'a str,
    dest: &'a str,
    leg: u32,
    flights: u64,
    miles: u64,
}

/// Folds the legs of a key into flights and miles.
pub struct Tally;

impl Aggregate for Tally {
    type In = u64;
    type Accumulator = (u64, u64);
    type Out = (u64, u64);

    fn add(accumulator: &mut (u64, u64), miles: u64) {
        accumulator.0 += 1;
        accumulator.1 += miles;
    }

    fn result(accumulator: &(u64, u64)) -> (u64, u64) {
        *accumulator
    }
}

/// A tally per key.
#[derive(Declare)]
pub struct RunningTotal {
    tally: Aggregating<Tally>,
    totals: Output,
}

impl Operator for RunningTotal {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        let leg: Leg<'_> = event.json()?;
        self.tally.add(leg.miles)?;
        let (flights, miles) = self.tally.get()?.unwrap_or_default();
        let total = Total { tail: &leg.tail, dest: &leg.dest, leg: leg.leg, flights, miles };
        self.totals.emit_json(event.key(), &total)
    }
}

tidemill_sdk::export!(RunningTotal);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Harness, Record};

    #[test]
    fn totals_run_on_per_key() {
        let leg =
            |key: &str, leg: u32| Record::new(key, format!(r#"{{"tail":"N1","dest":"IAH","leg":{leg},"miles":100}}"#));
        let mut harness = Harness::<RunningTotal>::open().unwrap();
        harness.send([leg("N1 IAH", 1), leg("N1 MIA", 2), leg("N1 IAH", 3)]).unwrap();
        harness.send([leg("N1 IAH", 4)]).unwrap();
        let totals: Vec<_> = harness.output("totals").iter().map(|t| t.json()["miles"].as_u64().unwrap()).collect();
        assert_eq!(totals, [100, 100, 200, 300]);
    }
}
