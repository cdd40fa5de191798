//! The operator under the native harness: results by watermark, days side by side, bad rows.

use super::*;
use serde_json::{Value as Json, json};
use tidemill_sdk::testing::{Harness, Record};

const HOUR_MS: i64 = 3_600_000;
/// 2013-01-01T00:00:00Z.
const NEW_YEAR: i64 = 15_706 * DAY_MS;

fn flight(origin: &str, time_ms: i64, delay: &str) -> Record {
    Record::new(origin, json!({ "dep_delay_min": delay, "origin": origin }).to_string()).at(time_ms)
}

fn results(harness: &mut Harness<FlightStats>) -> Vec<Json> {
    harness.output("daily").iter().map(Record::json).collect()
}

#[test]
fn a_day_comes_out_once_when_the_watermark_passes_its_end() {
    let mut harness = Harness::<FlightStats>::open().unwrap();
    harness.send([flight("JFK", NEW_YEAR + 5 * HOUR_MS, "16"), flight("JFK", NEW_YEAR + 23 * HOUR_MS, "-2")]).unwrap();
    harness.watermark(NEW_YEAR + DAY_MS - 2).unwrap();
    assert_eq!(results(&mut harness), [] as [Json; 0]);
    harness.watermark(NEW_YEAR + DAY_MS - 1).unwrap();
    let expected = json!({"origin": "JFK", "day": "2013-01-01", "count": 2, "cancelled": 0, "mean": 7.0, "worst": 16, "over15": 0.5});
    assert_eq!(results(&mut harness), [expected]);
    harness.end().unwrap();
    assert_eq!(results(&mut harness), [] as [Json; 0]);
    assert_eq!(harness.state_entries("days"), 0, "nothing is kept of a day that is out");
    assert_eq!(harness.metric("results"), 1.0);
}

#[test]
fn days_and_origins_are_open_side_by_side_and_survive_the_instance() {
    let mut harness = Harness::<FlightStats>::open().unwrap();
    harness.send([flight("EWR", NEW_YEAR + DAY_MS, "1"), flight("EWR", NEW_YEAR, "")]).unwrap();
    harness.replace_instance().unwrap();
    harness.send([flight("LGA", NEW_YEAR, "3"), flight("EWR", NEW_YEAR + 1, "")]).unwrap();
    harness.end().unwrap();
    let got: Vec<_> = results(&mut harness)
        .iter()
        .map(|r| (r["origin"].clone(), r["day"].clone(), r["count"].clone(), r["mean"].clone()))
        .collect();
    let expected = [
        (json!("EWR"), json!("2013-01-01"), json!(2), Json::Null),
        (json!("LGA"), json!("2013-01-01"), json!(1), json!(3.0)),
        (json!("EWR"), json!("2013-01-02"), json!(1), json!(1.0)),
    ];
    assert_eq!(got, expected);
}

#[test]
fn bad_and_late_rows_are_refused_and_leave_nothing_behind() {
    let mut harness = Harness::<FlightStats>::open().unwrap();
    harness.watermark(NEW_YEAR + 2 * DAY_MS).unwrap();
    let bad = Record::new("JFK", r#"{"dep_delay_min":"soon"}"#).at(NEW_YEAR + 3 * DAY_MS);
    let no_json = Record::new("JFK", "dep_delay_min=3").at(NEW_YEAR + 3 * DAY_MS);
    let no_key = Record { key: None, ..flight("JFK", NEW_YEAR + 3 * DAY_MS, "3") };
    harness.send([bad, no_json, no_key, flight("JFK", NEW_YEAR, "3")]).unwrap();
    let reasons: Vec<_> = harness.dead_letters().into_iter().map(|letter| letter.reason).collect();
    let wanted = [
        "`soon` is no whole number",
        "not the JSON that is needed",
        "the event has no key",
        "late: the result of 2013-01-01",
    ];
    assert_eq!(reasons.len(), wanted.len());
    for (reason, wanted) in reasons.iter().zip(wanted) {
        assert!(reason.contains(wanted), "{reason}");
    }
    assert_eq!((harness.state_entries("days"), harness.timers().len()), (0, 0));
}

#[test]
fn the_threshold_is_configured_and_a_wrong_setting_is_named() {
    let mut harness = Harness::<FlightStats>::with_config(&json!({"threshold_minutes": 2})).unwrap();
    harness.send([flight("JFK", NEW_YEAR, "3"), flight("JFK", NEW_YEAR, "2")]).unwrap();
    harness.end().unwrap();
    assert_eq!(results(&mut harness)[0]["over15"], json!(0.5));
    let refused = Harness::<FlightStats>::with_config(&json!({"treshold_minutes": 2})).err().unwrap().to_string();
    assert!(refused.contains("unknown field `treshold_minutes`") && refused.contains("flight-stats"), "{refused}");
}
