//! What Flink's users know of windows, one behaviour each, and the corner cases that were bugs elsewhere: assignment,
//! sessions, triggers, lateness, side output, clean-up, processing time. (Windows of every kind against a model:
//! windows_model.rs.) Stories of the reference:
//!
//! W-24: a global window's timer at the end of time fired for ever, or not at all (`a_global_window_gives_its_result_once_at_the_end_of_input`).
//!
//! W-25 (FLINK-26334, FLINK-11326, FLINK-36664): a remainder that is negative put events before 1970, and windows with a negative offset, one
//! window too late. We take the floor (`negative_times_fall_in_the_window_below_and_results_are_at_the_last_millisecond`).
//!
//! W-26 (WindowOperator.cleanupTime): end + a huge lateness overflowed, and windows went at once. The sum stops at the end of time
//! (`a_lateness_without_end_keeps_windows_until_the_end_of_input`).
//!
//! W-27 (FLINK-5713): a session that would have ended below the watermark after a merge threw, and the job restarted, read the event
//! again and threw. Such a session is not opened; its event is late (`a_session_that_would_be_over_already_is_not_opened`).
//!
//! W-28 (FLINK-4994): a late event joined two sessions that had fired, and left the timers and states of both behind
//! (`a_late_event_that_joins_two_fired_sessions_gives_one_result_of_all`).
//!
//! W-29 (FLINK-4994): purging a session forgot that it was there, and a late event opened another one inside it
//! (`a_discarded_session_is_still_there_for_late_events`).
//!
//! W-30 (FLINK-5717): a trigger's timers were lost, or failed, when sessions merged (`sessions_that_merge_keep_their_early_results`).
//!
//! W-31 (MergingWindowSet.addWindow): an event's window that enclosed a session took the place of the session's state, which was lost
//! (`an_event_whose_window_encloses_a_session_becomes_part_of_it`).
//!
//! W-32 (beam#18677): what an event does that touches a session which is over was left open. Here it opens one beside it
//! (`an_event_after_an_expired_session_starts_another_one_beside_it`).
//!
//! W-35 (FLINK-14231, FLINK-18647): processing-time timers that waited at the end of input vanished, or fired into tasks that had
//! ended. Windows give what they hold before the end goes on; other such timers stay in the state, unfired
//! (`processing_time_windows_follow_the_clock_and_give_the_rest_at_the_end_of_input`).

#[path = "support/windows.rs"]
mod windows;

use tidemill::config::builtin::*;
use windows::{Out, Rig, aligned, event, spec};

/// Results as (key, start, end, firing, count, sum).
fn results(out: &[Out]) -> Vec<(String, i64, i64, i64, i64, i64)> {
    out.iter()
        .filter(|out| out.0 == 0)
        .map(|(_, _, key, value)| {
            let value: serde_json::Value = serde_json::from_str(value).unwrap();
            let int = |member: &str| value[member].as_i64().unwrap_or(-1);
            (key.clone(), int("s"), int("e"), int("f"), int("n"), int("sum"))
        })
        .collect()
}

fn rig(spec: &WindowSpec) -> Rig {
    Rig::new(&Builtin::Window(spec.clone()))
}

fn row(key: &str, start: i64, end: i64, firing: i64, count: i64, sum: i64) -> (String, i64, i64, i64, i64, i64) {
    (key.to_string(), start, end, firing, count, sum)
}

#[test]
fn negative_times_fall_in_the_window_below_and_results_are_at_the_last_millisecond() {
    let mut rig = rig(&spec(aligned(10, 10, 0)));
    rig.batch(0, &[event(-1, "k", 1), event(-10, "k", 2), event(0, "k", 4)]);
    rig.advance(i64::MAX);
    let out = rig.take();
    assert_eq!(results(&out), [row("k", -10, 0, 0, 2, 3), row("k", 0, 10, 0, 1, 4)]);
    assert_eq!(out.iter().map(|out| out.1).collect::<Vec<_>>(), [-1, 9]);
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn an_event_is_in_every_sliding_window_that_holds_it() {
    let mut rig = rig(&spec(aligned(10, 5, 0)));
    rig.batch(0, &[event(7, "k", 1)]);
    rig.advance(i64::MAX);
    assert_eq!(results(&rig.take()), [row("k", 0, 10, 0, 1, 1), row("k", 5, 15, 0, 1, 1)]);
}

#[test]
fn a_window_fires_when_the_watermark_reaches_its_last_millisecond_and_no_sooner() {
    let mut rig = rig(&spec(aligned(10, 10, 0)));
    rig.batch(0, &[event(3, "k", 1)]);
    rig.advance(8);
    assert!(rig.take().is_empty());
    rig.advance(9);
    assert_eq!(results(&rig.take()), [row("k", 0, 10, 0, 1, 1)]);
}

#[test]
fn late_events_within_the_lateness_give_updated_results_and_later_ones_leave_by_the_side() {
    let mut rig = rig(&WindowSpec { lateness_ms: 5, ..spec(aligned(10, 10, 0)) });
    rig.batch(0, &[event(1, "k", 1)]);
    rig.advance(9);
    assert_eq!(results(&rig.take()), [row("k", 0, 10, 0, 1, 1)]);
    rig.advance(12);
    rig.batch(0, &[event(3, "k", 2)]);
    assert_eq!(results(&rig.take()), [row("k", 0, 10, 1, 2, 3)]);
    rig.advance(14);
    rig.batch(0, &[event(3, "k", 4)]);
    let out = rig.take();
    assert_eq!(out, [(1, 3, "k".to_string(), "{\"v\":4}".to_string())], "only the late port has it");
    assert_eq!((rig.counted, rig.entries_left()), (0, 0));
}

#[test]
fn without_the_side_output_late_events_are_counted() {
    let mut rig = rig(&WindowSpec { late_output: false, ..spec(aligned(10, 10, 0)) });
    rig.advance(9);
    rig.batch(0, &[event(3, "k", 1), event(4, "k", 1), event(10, "k", 1)]);
    assert!(rig.take().is_empty());
    assert_eq!(rig.counted, 2);
}

#[test]
fn a_discarding_window_tells_only_of_what_came_after_its_last_result() {
    let mut rig = rig(&WindowSpec { lateness_ms: 5, discard: true, ..spec(aligned(10, 10, 0)) });
    rig.batch(0, &[event(1, "k", 1)]);
    rig.advance(10);
    rig.batch(0, &[event(3, "k", 2)]);
    assert_eq!(results(&rig.take()), [row("k", 0, 10, 0, 1, 1), row("k", 0, 10, 1, 1, 2)]);
    rig.advance(14);
    assert_eq!(rig.entries_left(), 0, "the emptied window goes with its lateness, not before");
}

#[test]
fn sessions_merge_also_when_they_only_touch() {
    let mut rig = rig(&spec(Windows::Session(Gap::Fixed(10))));
    rig.batch(0, &[event(0, "k", 1), event(30, "k", 2)]);
    rig.batch(0, &[event(15, "k", 4)]);
    rig.batch(0, &[event(8, "k", 8)]);
    rig.batch(0, &[event(40, "k", 16)]);
    rig.advance(i64::MAX);
    assert_eq!(results(&rig.take()), [row("k", 0, 25, 0, 3, 13), row("k", 30, 50, 0, 2, 18)]);
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn a_late_event_that_joins_two_fired_sessions_gives_one_result_of_all() {
    let mut rig = rig(&WindowSpec { lateness_ms: 100, ..spec(Windows::Session(Gap::Fixed(10))) });
    rig.batch(0, &[event(0, "k", 1), event(16, "k", 2)]);
    rig.advance(30);
    assert_eq!(results(&rig.take()), [row("k", 0, 10, 0, 1, 1), row("k", 16, 26, 0, 1, 2)]);
    rig.batch(0, &[event(8, "k", 4)]);
    assert_eq!(results(&rig.take()), [row("k", 0, 26, 1, 3, 7)]);
    rig.advance(i64::MAX);
    assert!(rig.take().is_empty(), "the timers of the old sessions find nothing");
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn a_discarded_session_is_still_there_for_late_events() {
    let mut rig = rig(&WindowSpec { lateness_ms: 100, discard: true, ..spec(Windows::Session(Gap::Fixed(10))) });
    rig.batch(0, &[event(0, "k", 1)]);
    rig.advance(30);
    assert_eq!(results(&rig.take()), [row("k", 0, 10, 0, 1, 1)]);
    rig.batch(0, &[event(5, "k", 2)]);
    assert_eq!(results(&rig.take()), [row("k", 0, 15, 1, 1, 2)], "one session, which tells of what is new");
    rig.advance(i64::MAX);
    assert!(rig.take().is_empty());
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn an_event_whose_window_encloses_a_session_becomes_part_of_it() {
    let session = Windows::Session(Gap::Field("/g".into()));
    let mut rig = rig(&spec(session));
    let with_gap = |time: i64, gap: &str| (time, "k".to_string(), format!("{{\"v\":1,\"g\":{gap}}}"));
    rig.batch(0, &[with_gap(10, "5")]);
    rig.batch(0, &[with_gap(8, "50"), with_gap(9, "0"), with_gap(9, "\"x\"")]);
    rig.advance(i64::MAX);
    assert_eq!(results(&rig.take()), [row("k", 8, 58, 0, 2, 2)]);
    assert_eq!(rig.rejected.len(), 2, "a gap of nothing and one that is no number");
}

#[test]
fn an_event_after_an_expired_session_starts_another_one_beside_it() {
    // Beam's discussion 18677: a session that has given its last result is over, so a later event that would have touched
    // it opens a session of its own.
    let mut rig = rig(&spec(Windows::Session(Gap::Fixed(10))));
    rig.batch(0, &[event(0, "k", 1)]);
    rig.advance(9);
    rig.batch(0, &[event(9, "k", 2)]);
    rig.advance(i64::MAX);
    assert_eq!(results(&rig.take()), [row("k", 0, 10, 0, 1, 1), row("k", 9, 19, 0, 1, 2)]);
}

#[test]
fn a_session_that_would_be_over_already_is_not_opened() {
    let mut rig = rig(&spec(Windows::Session(Gap::Fixed(10))));
    rig.advance(50);
    rig.batch(0, &[event(41, "k", 1), event(42, "k", 2)]);
    rig.advance(i64::MAX);
    let out = rig.take();
    assert_eq!(results(&out), [row("k", 42, 52, 0, 1, 2)]);
    assert_eq!(out.iter().filter(|out| out.0 == 1).count(), 1, "the first left by the late port");
}

#[test]
fn a_count_trigger_fires_at_every_nth_event_of_a_key() {
    let trigger = Trigger { at_end: false, count: Some(3), every: None };
    for (discard, second) in [(false, row("k", -1, -1, 1, 6, 21)), (true, row("k", -1, -1, 0, 3, 15))] {
        let mut rig = rig(&WindowSpec { trigger, discard, late_output: false, ..spec(Windows::Global) });
        let events: Vec<_> = (1..=7).map(|v| event(v, "k", v)).collect();
        rig.batch(0, &events);
        rig.advance(i64::MAX);
        assert_eq!(results(&rig.take()), [row("k", -1, -1, 0, 3, 6), second], "7 events, 2 results");
    }
}

#[test]
fn early_results_come_as_the_watermark_passes_and_only_with_news() {
    let trigger = Trigger { at_end: true, count: None, every: Some((10, Clock::Event)) };
    let mut rig = rig(&WindowSpec { trigger, ..spec(aligned(100, 100, 0)) });
    rig.batch(0, &[event(5, "k", 1)]);
    rig.advance(9);
    assert!(rig.take().is_empty());
    rig.advance(35);
    assert_eq!(results(&rig.take()), [row("k", 0, 100, 0, 1, 1)], "one result, however many multiples were passed");
    rig.batch(0, &[event(36, "k", 2)]);
    rig.advance(98);
    assert_eq!(results(&rig.take()), [row("k", 0, 100, 1, 2, 3)]);
    rig.advance(99);
    assert_eq!(results(&rig.take()), [row("k", 0, 100, 2, 2, 3)], "the end tells all");
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn sessions_that_merge_keep_their_early_results() {
    // FLINK-5717: a continuous trigger lost its timers, or died, when sessions merged. Here a merged session is looked at
    // whenever one of its parts would have been.
    let trigger = Trigger { at_end: true, count: None, every: Some((10, Clock::Event)) };
    let mut rig = rig(&WindowSpec { trigger, ..spec(Windows::Session(Gap::Fixed(20))) });
    rig.batch(0, &[event(1, "k", 1), event(30, "k", 2)]);
    rig.batch(0, &[event(15, "k", 4)]);
    rig.commit();
    rig.crash();
    rig.advance(10);
    assert_eq!(results(&rig.take()), [row("k", 1, 50, 0, 3, 7)]);
    rig.batch(0, &[event(31, "k", 8)]);
    rig.advance(40);
    assert_eq!(results(&rig.take()), [row("k", 1, 51, 1, 4, 15)]);
    rig.advance(i64::MAX);
    assert_eq!(results(&rig.take()), [row("k", 1, 51, 2, 4, 15)]);
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn early_results_by_the_clock_on_the_wall_survive_a_restart() {
    let trigger = Trigger { at_end: true, count: None, every: Some((1_000, Clock::Processing)) };
    let mut rig = rig(&WindowSpec { trigger, ..spec(aligned(100, 100, 0)) });
    rig.tick(2_500);
    rig.batch(0, &[event(5, "k", 1)]);
    rig.commit();
    rig.crash();
    rig.tick(2_999);
    assert!(rig.take().is_empty());
    rig.tick(3_000);
    assert_eq!(results(&rig.take()), [row("k", 0, 100, 0, 1, 1)]);
}

#[test]
fn processing_time_windows_follow_the_clock_and_give_the_rest_at_the_end_of_input() {
    let mut rig = rig(&WindowSpec { clock: Clock::Processing, late_output: false, ..spec(aligned(10, 10, 0)) });
    rig.tick(12);
    rig.batch(0, &[event(-500, "k", 1)]);
    rig.tick(18);
    rig.batch(0, &[event(900, "k", 2)]);
    assert!(rig.take().is_empty());
    rig.tick(19);
    assert_eq!(results(&rig.take()), [row("k", 10, 20, 0, 2, 3)]);
    assert_eq!(rig.entries_left(), 0, "no timer for the end of input stays behind for a key without windows");
    rig.tick(21);
    rig.batch(0, &[event(0, "j", 4)]);
    rig.advance(i64::MAX);
    assert_eq!(results(&rig.take()), [row("j", 20, 30, 0, 1, 4)], "what is left is given, not lost");
}

#[test]
fn a_global_window_gives_its_result_once_at_the_end_of_input() {
    let mut rig = rig(&WindowSpec { late_output: false, ..spec(Windows::Global) });
    rig.batch(0, &[event(5, "k", 1), event(3, "k", 2)]);
    rig.advance(1_000_000);
    assert!(rig.take().is_empty());
    rig.advance(i64::MAX);
    let out = rig.take();
    assert_eq!(results(&out), [row("k", -1, -1, 0, 2, 3)]);
    assert_eq!(out[0].1, 5, "its time is the greatest event time");
    rig.advance(i64::MAX);
    assert!(rig.take().is_empty());
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn a_lateness_without_end_keeps_windows_until_the_end_of_input() {
    let mut rig = rig(&WindowSpec { lateness_ms: u64::MAX, ..spec(aligned(10, 10, 0)) });
    rig.batch(0, &[event(1, "k", 1)]);
    rig.advance(tidemill_storage::EventTime::LIMIT_MS - 1);
    rig.batch(0, &[event(2, "k", 2)]);
    assert_eq!(results(&rig.take()), [row("k", 0, 10, 0, 1, 1), row("k", 0, 10, 1, 2, 3)]);
    rig.advance(i64::MAX);
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn a_window_that_would_end_after_the_greatest_time_is_refused() {
    for windows in [aligned(1_000, 1_000, 0), aligned(1_000, 500, 0), Windows::Session(Gap::Fixed(1_000))] {
        let mut rig = rig(&spec(windows));
        rig.batch(0, &[event(tidemill_storage::EventTime::LIMIT_MS, "k", 1), event(0, "k", 1)]);
        assert_eq!(rig.rejected.iter().map(|r| r.index).collect::<Vec<_>>(), [0]);
        assert!(rig.rejected[0].reason.contains("greatest time"), "{}", rig.rejected[0].reason);
    }
}

#[test]
fn values_that_cannot_be_aggregated_are_refused_and_leave_nothing() {
    let mut rig = rig(&spec(aligned(10, 10, 0)));
    let raw = |value: &str| (1, "k".to_string(), value.to_string());
    rig.batch(0, &[raw("{\"v\":\"x\"}"), raw("no"), raw(&format!("{{\"v\":{}}}", "9".repeat(50)))]);
    assert_eq!(rig.rejected.len(), 3);
    assert_eq!(rig.entries_left(), 0, "no window for refused events");
    rig.batch(0, &[raw("{\"v\":null}"), raw("{}")]);
    rig.advance(9);
    let nothing =
        "{\"s\":0,\"e\":10,\"f\":0,\"n\":2,\"sum\":null,\"min\":null,\"max\":null,\"first\":null,\"last\":null}";
    assert_eq!(rig.take(), [(0, 9, "k".to_string(), nothing.to_string())]);
}

#[test]
fn results_of_one_advance_come_in_the_order_of_ends_and_keys() {
    let run = || {
        let mut rig = rig(&spec(aligned(10, 5, 0)));
        rig.timers_per_call = 4_096;
        let events: Vec<_> = (0..200).map(|i| event(i % 37, &format!("k{}", (i * 7) % 23), i)).collect();
        rig.batch(0, &events);
        rig.advance(i64::MAX);
        rig.take()
    };
    let out = run();
    let order: Vec<(i64, String)> = out.iter().map(|(_, time, key, _)| (*time, key.clone())).collect();
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(out, run());
}

#[test]
fn accumulators_of_other_aggregates_stop_the_operator() {
    let mut first = rig(&spec(aligned(10, 10, 0)));
    first.batch(0, &[event(1, "k", 1)]);
    let mut other = spec(aligned(10, 10, 0));
    other.output.truncate(5);
    let failure = first.replaced_by(&Builtin::Window(other)).batch_fails(&[event(2, "k", 1)]);
    assert!(failure.contains("other aggregates") && failure.contains("another name"), "{failure}");
}
