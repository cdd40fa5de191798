//! Timers of both clocks, and watermarks.

use crate::Case;
use crate::guest::{Guest, ask, call, texts};
use crate::rig::Rig;
use tidemill::operator::TimeDomain;
use tidemill_storage::EventTime;

pub(crate) const CASES: &[Case] = &[
    ("event_time_timers", event_time_timers),
    ("processing_time_timers", processing_time_timers),
    ("a_timer_registers_the_next", again),
    ("a_timer_is_refused", refused),
    ("timers_are_stored", stored),
    ("watermarks", watermarks),
    ("time_to_live_on_the_clock", on_the_clock),
    ("time_to_live_in_event_time", in_event_time),
];

/// How many entries are stored, by state.
fn stored_entries(rig: &mut Rig) -> Vec<(u32, usize)> {
    let entries = rig.state();
    (0..6).map(|state| (state, entries.iter().filter(|entry| entry.state == state).count())).collect()
}

fn on_the_clock(guest: &Guest) {
    let mut rig = guest.open();
    rig.time(1_000).unwrap();
    assert_eq!(ask(&mut rig, &["brief", "count"]), ["1", "1"]);
    rig.time(1_099).unwrap();
    assert_eq!(ask(&mut rig, &["brief"]), ["2"], "a millisecond before it is over");
    rig.replace().unwrap();
    rig.time(1_199).unwrap();
    assert_eq!(ask(&mut rig, &["brief", "count"]), ["1", "2"], "100 ms after it was written last");
    rig.time(1_400).unwrap();
    assert!(fired(&mut rig).is_empty(), "the operator sees no timer of it");
    assert_eq!(stored_entries(&mut rig), [(0, 1), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)], "what is over is freed");
}

fn in_event_time(guest: &Guest) {
    let mut rig = guest.open();
    let ask_at = |rig: &mut Rig, time: i64, command: &str| texts(&call(rig, &[("k", time, command)]).unwrap(), 0);
    ask_at(&mut rig, 1_000, "keep a");
    ask_at(&mut rig, 1_000, "keep b");
    assert_eq!(ask_at(&mut rig, 1_000, "note x"), ["x"]);
    rig.watermark(EventTime(1_099)).unwrap();
    assert_eq!(ask_at(&mut rig, 1_050, "note y"), ["x,y"]);
    assert_eq!(ask_at(&mut rig, 0, "kept a"), ["kept"], "a read counts from the watermark");
    rig.watermark(EventTime(1_198)).unwrap();
    assert_eq!(ask_at(&mut rig, 0, "kept b"), ["-"], "nobody read it");
    assert_eq!(ask_at(&mut rig, 1_200, "kept a"), ["kept"]);
    assert_eq!(ask_at(&mut rig, 1_190, "note z"), ["y,z"]);
    rig.watermark(EventTime(1_299)).unwrap();
    assert_eq!(ask_at(&mut rig, 0, "kept a"), ["kept"]);
    rig.watermark(EventTime(1_600)).unwrap();
    assert_eq!(ask_at(&mut rig, 0, "kept a"), ["-"]);
    assert_eq!(stored_entries(&mut rig), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)], "what is over is freed");
}

/// Time, key and value of what came out of `out` since last asked.
fn fired(rig: &mut Rig) -> Vec<(i64, String, String)> {
    let done = std::mem::take(&mut rig.done);
    let events = done.output.into_iter().filter(|(port, _)| *port == 0).map(|(_, event)| event);
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default()).expect("text");
    events.map(|event| (event.time, text(event.key), text(event.value))).collect()
}

fn at(time: i64, key: &str, what: &str) -> (i64, String, String) {
    (time, key.into(), format!("{what} {time}"))
}

fn event_time_timers(guest: &Guest) {
    let mut rig = guest.open();
    let set = [
        ("b", 0, "due 20"),
        ("a", 0, "due 10"),
        ("a", 0, "due 10"),
        ("c", 0, "due 30"),
        ("c", 0, "due 25"),
        ("c", 0, "cancel-due 25"),
    ];
    call(&mut rig, &set).unwrap();
    call(&mut rig, &[("d", 0, "due -5"), ("d", 0, "cancel-due 999")]).unwrap();
    rig.watermark(EventTime(20)).unwrap();
    assert_eq!(fired(&mut rig), [at(-5, "d", "due"), at(10, "a", "due"), at(20, "b", "due")]);
    call(&mut rig, &[("c", 0, "cancel-due 30"), ("e", 0, "due 7")]).unwrap();
    rig.watermark(EventTime(21)).unwrap();
    assert_eq!(fired(&mut rig), [at(7, "e", "due")], "a time that has passed fires at once");
    call(&mut rig, &[("f", 0, "due 9007199254740991")]).unwrap();
    rig.watermark(EventTime::MAX).unwrap();
    assert_eq!(fired(&mut rig), [at(9_007_199_254_740_991, "f", "due")]);
}

fn processing_time_timers(guest: &Guest) {
    let mut rig = guest.open();
    call(
        &mut rig,
        &[
            ("a", 0, "alarm 100"),
            ("b", 0, "alarm 50"),
            ("b", 0, "alarm 60"),
            ("b", 0, "cancel-alarm 60"),
            ("a", 0, "due 1"),
        ],
    )
    .unwrap();
    rig.time(99).unwrap();
    assert_eq!(fired(&mut rig), [at(50, "b", "alarm")]);
    rig.time(100).unwrap();
    assert_eq!(fired(&mut rig), [at(100, "a", "alarm")]);
    rig.watermark(EventTime(1)).unwrap();
    assert_eq!(fired(&mut rig), [at(1, "a", "due")], "the clocks are apart");
}

fn again(guest: &Guest) {
    let mut rig = guest.open();
    ask(&mut rig, &["put again 1", "due 10"]);
    rig.watermark(EventTime(15)).unwrap();
    assert_eq!(fired(&mut rig), [at(10, "k", "due")]);
    rig.watermark(EventTime(20)).unwrap();
    assert_eq!(fired(&mut rig), [at(20, "k", "due")]);
    assert_eq!(ask(&mut rig, &["entries"]), [""]);
}

fn refused(guest: &Guest) {
    let mut rig = guest.open();
    call(
        &mut rig,
        &[
            ("a", 0, "due 10"),
            ("b", 0, "due 10"),
            ("b", 0, "put refuse-timer 1"),
            ("c", 0, "due 10"),
            ("b", 0, "count"),
        ],
    )
    .unwrap();
    rig.watermark(EventTime(10)).unwrap();
    let refused = std::mem::take(&mut rig.done.refused);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!((refused[0].key.as_deref(), refused[0].time), (Some(&b"b"[..]), 10));
    assert!(refused[0].reason.contains("timer refused"), "{refused:?}");
    assert_eq!(fired(&mut rig), [at(10, "a", "due"), at(10, "c", "due")]);
    assert_eq!(
        texts(&call(&mut rig, &[("b", 0, "count")]).unwrap(), 0),
        ["2"],
        "what the refused timer counted is undone"
    );
}

fn stored(guest: &Guest) {
    let mut rig = guest.open();
    call(&mut rig, &[("a", 0, "due 10"), ("b", 0, "alarm 20"), ("c", 0, "due 30"), ("c", 0, "cancel-due 30")]).unwrap();
    rig.state();
    let waiting: Vec<_> = rig.waiting().into_iter().map(|t| (t.domain, t.timer, t.key, t.time)).collect();
    assert_eq!(
        waiting,
        [(TimeDomain::EventTime, 0, b"a".to_vec(), 10), (TimeDomain::ProcessingTime, 1, b"b".to_vec(), 20)]
    );
}

fn watermarks(guest: &Guest) {
    let mut rig = guest.open();
    assert_eq!(ask(&mut rig, &["watermark"]), ["none"]);
    rig.watermark(EventTime(-7)).unwrap();
    assert_eq!(ask(&mut rig, &["watermark"]), ["-7"]);
    rig.watermark(EventTime(1_763_000_000_000)).unwrap();
    let told = std::mem::take(&mut rig.done);
    assert_eq!(texts(&told, 1), ["watermark 1763000000000"]);
    let (_, event) = &told.output[0];
    assert_eq!((event.time, event.key.as_deref()), (1_763_000_000_000, None));
    rig.watermark(EventTime::MAX).unwrap();
    let (_, event) = &rig.done.output[0];
    assert_eq!((event.time, event.value.as_deref()), (0, Some(&b"watermark end"[..])));
    assert_eq!(ask(&mut rig, &["watermark"]).pop().as_deref(), Some("end"));
}
