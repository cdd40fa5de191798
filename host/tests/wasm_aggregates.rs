//! Components of world `aggregator` under the window operator: results, what a guest may refuse, and what becomes of the
//! batch when a guest dies or gives back what it should not.

#[path = "wasm_support/mod.rs"]
mod wasm_support;
#[path = "support/windows.rs"]
mod windows;

use std::sync::Arc;
use tidemill::config::builtin::{Builtin, Gap, WindowSpec, Windows};
use tidemill::config::pipeline::Limits;
use tidemill::operator::builtin::window::factory_over;
use tidemill::operator::{Context, SharedFactory};
use tidemill::wasm::{WasmAggregates, WasmFactory};
use wasm_support::{LIMITS, engine, load};
use windows::{Event, Rig, aligned, spec};

const MISFOLD: &str = "guest-misfold";

fn over(windows: Windows, limits: &Limits) -> SharedFactory {
    let spec = WindowSpec { output: Vec::new(), ..spec(windows) };
    let engine = engine();
    let component = load(&engine, MISFOLD);
    let aggregates = WasmAggregates::new(&engine, component, &serde_json::json!({}), limits, "weeks").unwrap();
    factory_over(&spec, Arc::new(aggregates)).unwrap()
}

fn rig(windows: Windows) -> Rig {
    Rig::over(over(windows, &LIMITS))
}

fn event(time: i64, key: &str, value: &str) -> Event {
    (time, key.to_string(), value.to_string())
}

/// Results as (time, key, value).
fn results(rig: &mut Rig) -> Vec<(i64, String, String)> {
    rig.take().into_iter().map(|(_, time, key, value)| (time, key, value)).collect()
}

fn row(time: i64, key: &str, value: &str) -> (i64, String, String) {
    (time, key.to_string(), value.to_string())
}

#[test]
fn rows_have_the_windows_time_and_their_own_key_or_the_windows() {
    let mut rig = rig(aligned(10, 10, 0));
    rig.batch(0, &[event(1, "a", "x"), event(2, "b", "x"), event(3, "a", "x"), event(11, "a", "x")]);
    rig.crash_after_commit();
    rig.batch(0, &[event(4, "a", "x")]);
    rig.advance(100);
    // The guest gives the last window's rows first; the host puts them in the order of windows.
    let expected = [
        row(9, "a", "3"),
        row(9, "a+", "again"),
        row(9, "b", "1"),
        row(9, "b+", "again"),
        row(19, "a", "1"),
        row(19, "a+", "again"),
    ];
    assert_eq!(results(&mut rig), expected);
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn panes_and_sessions_are_merged_by_the_guest() {
    let mut sliding = rig(aligned(20, 10, 0));
    sliding.batch(0, &[event(5, "a", "x"), event(15, "a", "x"), event(16, "a", "x")]);
    sliding.advance(100);
    let counts: Vec<String> = results(&mut sliding).into_iter().map(|r| r.2).filter(|v| v != "again").collect();
    assert_eq!(counts, ["1", "3", "2"]);

    let mut sessions = rig(Windows::Session(Gap::Fixed(10)));
    sessions.batch(0, &[event(0, "a", "x"), event(20, "a", "x")]);
    sessions.batch(0, &[event(10, "a", "x")]);
    sessions.advance(100);
    assert_eq!(results(&mut sessions)[0], row(29, "a", "3"));
}

#[test]
fn one_poison_event_among_many_is_rejected_and_all_others_count() {
    for poison in ["panic", "loop", "allocate"] {
        let limits = Limits { call_deadline_ms: 200, ..LIMITS };
        let mut rig = Rig::over(over(aligned(10_000, 10_000, 0), &limits));
        let mut events: Vec<Event> = (0..300).map(|i| event(i, ["a", "b", "c"][i as usize % 3], "metric")).collect();
        events[0].2 = "reject".into();
        events[77].2 = poison.into();
        events[299].2 = "reject".into();
        rig.batch(0, &events);
        let rejected: Vec<(u32, bool)> =
            rig.rejected.iter().map(|r| (r.index, r.reason.starts_with("poison: "))).collect();
        assert_eq!(rejected, [(0, false), (77, true), (299, false)], "{poison}");
        // The fresh instances count on where the accumulators are; the metrics of calls that died are not counted twice.
        assert_eq!(rig.guest_metric, 297, "{poison}");
        rig.advance(i64::MAX);
        let counts: Vec<String> = results(&mut rig).into_iter().map(|r| r.2).filter(|v| v != "again").collect();
        assert_eq!(counts, ["99", "100", "98"], "{poison}");
    }
}

#[test]
fn a_batch_of_nothing_but_poison_leaves_nothing_behind() {
    let mut rig = rig(aligned(10, 10, 0));
    rig.batch(0, &[event(1, "a", "panic"), event(2, "b", "panic")]);
    assert_eq!(rig.rejected.len(), 2);
    assert!(rig.rejected[0].reason.contains("panicked"), "{:?}", rig.rejected[0]);
    rig.advance(100);
    assert_eq!(results(&mut rig), []);
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn the_search_for_poison_is_bounded() {
    let mut rig = rig(aligned(10_000, 10_000, 0));
    let events: Vec<Event> = (0..1_000).map(|i| event(i, "a", "panic")).collect();
    let failure = rig.batch_fails(&events);
    assert!(failure.contains("accumulate panicked"), "{failure}");
}

#[test]
fn retry_and_fatal_are_the_calls_and_nothing_is_kept() {
    let mut rig = rig(aligned(10, 10, 0));
    assert_eq!(rig.batch_fails(&[event(1, "a", "x"), event(1, "a", "retry")]), "Retry(Some(5))");
    let failure = rig.batch_fails(&[event(1, "a", "x"), event(1, "a", "fatal")]);
    assert!(failure.contains("Fatal(\"told so\")"), "{failure}");
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn what_accumulate_gives_back_is_checked() {
    for (value, expected) in [
        ("few", "the accumulators: it gave 0 for 1"),
        ("bad-ends", "the accumulators: ends must never decrease and must finish at the length of data"),
        ("reject-beyond", "it rejected index 1000000"),
        ("reject-twice", "it rejected index 0 twice"),
    ] {
        let mut rig = rig(aligned(10, 10, 0));
        rig.batch(0, &[event(1, "a", value), event(2, "b", "x")]);
        assert_eq!(rig.rejected.len(), 1, "{value}");
        assert!(rig.rejected[0].reason.contains(expected), "{value}: {:?}", rig.rejected[0]);
        rig.advance(100);
        assert_eq!(results(&mut rig)[0], row(9, "b", "1"), "{value}");
    }
}

#[test]
fn a_window_that_finish_fails_on_is_named() {
    let limits = Limits { call_deadline_ms: 200, ..LIMITS };
    for (value, expected) in [
        ("panic-finish", "finish aborted"),
        ("loop-finish", "finish exceeded its deadline of 200 ms"),
        ("no-window", "window-of names window 99 of a call with 1"),
        ("few-windows", "it gave 2 rows and 1 entries in window-of"),
        ("bad-time", "outside +-(2^53 - 1)"),
    ] {
        let mut rig = Rig::over(over(aligned(10, 10, 0), &limits));
        rig.timers_per_call = 100;
        let mut events: Vec<Event> = (0..20).map(|i| event(1, &format!("k{i}"), "x")).collect();
        events[13].2 = value.into();
        rig.batch(0, &events);
        let failure = rig.advance_fails(100);
        assert!(failure.contains(expected), "{value}: {failure}");
        assert!(failure.contains("it finished the window [0, 10) of key \\\"k13\\\""), "{value}: {failure}");
    }
}

#[test]
fn what_merge_fails_on_is_named() {
    for (value, expected) in [("panic-merge", "merge aborted"), ("few-merge", "it gave 0 for 1")] {
        let mut sliding = rig(aligned(20, 10, 0));
        sliding.batch(0, &[event(5, "a", "x"), event(15, "a", "x"), event(5, "b", value), event(15, "b", "x")]);
        let failure = sliding.advance_fails(100);
        assert!(failure.contains(expected), "{value}: {failure}");
        assert!(failure.contains("it merged the panes of the window [0, 20) of key \\\"b\\\""), "{value}: {failure}");

        let mut sessions = rig(Windows::Session(Gap::Fixed(10)));
        sessions.batch(0, &[event(0, "a", value), event(20, "a", "x")]);
        let failure = sessions.batch_fails(&[event(10, "a", "x")]);
        assert!(failure.contains("it merged the sessions that became [0, 30) of key \\\"a\\\""), "{failure}");
    }
}

#[test]
fn accumulators_larger_than_a_call_takes_are_folded_in_parts() {
    let mut rig = rig(aligned(1_000_000, 1_000_000, 0));
    let keys: Vec<String> = (0..200).map(|k| format!("k{k}")).collect();
    for key in &keys {
        rig.batch(0, &[event(0, key, "grow")]);
    }
    let all: Vec<Event> = keys.iter().rev().map(|key| event(1, key, "x")).collect();
    rig.batch(0, &all);
    assert_eq!(rig.rejected.len(), 0);
    rig.timers_per_call = 4_096;
    rig.advance(i64::MAX);
    let counts: Vec<String> = results(&mut rig).into_iter().map(|r| r.2).filter(|v| v != "again").collect();
    assert_eq!(counts, vec!["2"; 200]);
}

#[test]
fn metrics_of_the_guest_stand_beside_the_windows_own() {
    let factory = over(aligned(10, 10, 0), &LIMITS);
    let names: Vec<&str> = factory.descriptor().metrics.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["late_dropped", "seen"]);
    assert_eq!(factory.descriptor().name, "misfold");
    let mut rig = Rig::over(factory);
    rig.batch(0, &[event(1, "a", "metric"), event(2, "a", "metric"), event(3, "a", "x")]);
    assert_eq!(rig.guest_metric, 2);
    rig.close();
    assert_eq!(rig.guest_metric, 7);
}

#[test]
fn each_world_has_its_place() {
    let (engine, config) = (engine(), serde_json::json!({}));
    let processor = WasmAggregates::new(&engine, load(&engine, "guest-misbehave"), &config, &LIMITS, "weeks");
    let message = processor.err().expect("refused").to_string();
    assert!(message.contains("is an operator of world processor") && message.contains("remove window"), "{message}");
    let aggregator = WasmFactory::new(&engine, load(&engine, MISFOLD), &config, &LIMITS, "weeks");
    let message = aggregator.err().expect("refused").to_string();
    assert!(message.contains("is a window aggregate") && message.contains("needs a window"), "{message}");
}

#[test]
fn open_may_refuse_the_configuration() {
    let engine = engine();
    let config = serde_json::json!({ "how": "fail-open" });
    let aggregates = WasmAggregates::new(&engine, load(&engine, MISFOLD), &config, &LIMITS, "weeks").unwrap();
    let spec = WindowSpec { output: Vec::new(), ..spec(aligned(10, 10, 0)) };
    let factory = factory_over(&spec, Arc::new(aggregates)).unwrap();
    let failure = factory.create(&mut Context::default()).err().expect("it fails");
    assert_eq!(format!("{failure:?}"), "Fatal(\"told so\")");
}

#[test]
fn a_builtin_aggregates_windows_are_refused_by_a_component() {
    // The same state under another aggregate: the guest says that it cannot read it, and nothing is lost.
    let builtin = Builtin::Window(spec(aligned(10, 10, 0)));
    let mut rig = Rig::new(&builtin);
    rig.batch(0, &[windows::event(1, "a", 5)]);
    let engine = engine();
    let component = load(&engine, "guest-fold");
    let aggregates = WasmAggregates::new(&engine, component, &serde_json::json!({}), &LIMITS, "weeks").unwrap();
    let over = factory_over(&spec(aligned(10, 10, 0)), Arc::new(aggregates)).unwrap();
    let mut rig = rig.replaced_by_factory(over);
    let failure = rig.advance_fails(100);
    assert!(failure.contains("an accumulator does not decode"), "{failure}");
}
