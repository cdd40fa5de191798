//! Numbers the legs of each aircraft: flights keyed by tail number in; out the same with the leg's number, keyed by
//! aircraft and destination. Feeds `running-total`.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tidemill_sdk::prelude::*;

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    dest: Cow<'a, str>,
    #[serde(borrow)]
    distance_mi: Cow<'a, str>,
}

#[derive(Serialize)]
struct Leg<'a> {
    tail: &'a str,
    dest: &'a str,
    leg: u32,
    miles: u32,
}

/// How many legs each aircraft has flown.
#[derive(Declare)]
pub struct Enrich {
    legs_flown: Value<u32>,
    legs: Output,
}

impl Operator for Enrich {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        let tail = event.key_text()?;
        if tail.is_empty() {
            reject!("the flight has no tail number");
        }
        // Counted before the row is read: a row that turns out bad takes its count back.
        let leg = self.legs_flown.update(|n| n + 1)?;
        let row: Row<'_> = event.json()?;
        let miles = row.distance_mi.parse()?;
        let key = format!("{tail} {}", row.dest);
        self.legs.emit_json(&key, &Leg { tail, dest: &row.dest, leg, miles })
    }
}

tidemill_sdk::export!(Enrich);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Harness, Record};

    #[test]
    fn a_bad_row_takes_no_leg_number() {
        let row = |miles: &str| Record::new("N1", format!(r#"{{"dest":"IAH","distance_mi":"{miles}"}}"#));
        let mut harness = Harness::<Enrich>::open().unwrap();
        harness
            .send([row("100"), row("far"), row("100"), Record::new("", r#"{"dest":"IAH","distance_mi":"1"}"#)])
            .unwrap();
        let legs: Vec<_> = harness.output("legs").iter().map(|leg| leg.json()["leg"].as_u64()).collect();
        assert_eq!(legs, [Some(1), Some(2)]);
        let reasons: Vec<_> = harness.dead_letters().into_iter().map(|letter| letter.reason).collect();
        assert_eq!(reasons, ["invalid digit found in string", "the flight has no tail number"]);
    }
}
