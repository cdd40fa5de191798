//! The rules of the alerts, without Wasm.

use super::FlightAlerts;
use tidemill_sdk::testing::{Harness, Record};

const FLIGHTS: u32 = 0;
const RULES: u32 = 1;

fn harness() -> Harness<FlightAlerts> {
    let mut harness = Harness::with_config(&serde_json::json!({ "least_minutes": 60 })).unwrap();
    harness.broadcast("rules");
    harness
}

fn rule(time: i64, text: &str) -> Record {
    Record::new("", text).at(time)
}

fn flight(time: i64, origin: &str, minutes: i64, flight: u32) -> Record {
    let row = format!(r#"{{"dep_delay_min":"{minutes}","carrier":"HA","flight":"{flight}"}}"#);
    Record::new(origin, row.as_str()).at(time)
}

fn alerts(harness: &mut Harness<FlightAlerts>) -> Vec<String> {
    let of = |record: Record| {
        let value: serde_json::Value = serde_json::from_str(&record.text()).unwrap();
        format!("{} {} {}", record.time, value["rule"].as_str().unwrap(), value["flight"].as_str().unwrap())
    };
    harness.output("alerts").into_iter().map(of).collect()
}

#[test]
fn a_flight_is_judged_by_the_rules_of_its_time_whichever_came_first() {
    let mut harness = harness();
    harness
        .send_to(FLIGHTS, [flight(10, "JFK", 100, 1), flight(20, "JFK", 100, 2), flight(30, "JFK", 100, 3)])
        .unwrap();
    harness
        .send_to(
            RULES,
            [
                rule(10, r#"{"rule":"a","minutes":100}"#),
                rule(20, r#"{"rule":"a","minutes":101}"#),
                rule(5, r#"{"rule":"b","minutes":60,"origin":"LGA"}"#),
                rule(30, r#"{"rule":"a","minutes":null}"#),
                rule(30, r#"{"rule":"c","minutes":60,"carrier":"HA"}"#),
            ],
        )
        .unwrap();
    harness.replace_instance().unwrap();
    harness.end().unwrap();
    assert_eq!(alerts(&mut harness), ["10 a 1", "30 c 3"]);
    assert_eq!(harness.state_entries("delayed"), 0);
}

#[test]
fn a_rule_that_cannot_be_is_refused_and_the_others_hold() {
    let mut harness = harness();
    harness
        .send_to(
            RULES,
            [
                rule(0, r#"{"rule":"soon","minutes":5}"#),
                rule(0, r#"{"rule":"odd","minutes":"many"}"#),
                rule(0, r#"{"rule":"good","minutes":60}"#),
            ],
        )
        .unwrap();
    assert_eq!(harness.dead_letters().len(), 2);
    harness.send_to(FLIGHTS, [flight(1, "JFK", 59, 1), flight(1, "JFK", 60, 2)]).unwrap();
    harness.end().unwrap();
    assert_eq!(alerts(&mut harness), ["1 good 2"]);
}
