//! Each way to fail, and what is left of the call.

use crate::Case;
use crate::guest::{Guest, ask, call, texts};
use tidemill::operator::{Failure, LogLevel};
use tidemill_storage::{Batch, EventTime};

pub(crate) const CASES: &[Case] = &[
    ("one_event_is_refused", one_refused),
    ("every_event_is_refused", every_refused),
    ("what_is_no_command_is_refused", no_command),
    ("retry", retry),
    ("fatal", fatal),
    ("a_bug", a_bug),
];

fn one_refused(guest: &Guest) {
    let mut rig = guest.open();
    let events =
        [("k", 1, "count"), ("k", 2, "reject not this one"), ("k", 3, "count"), ("k", 4, "entries"), ("k", 5, "items")];
    let done = call(&mut rig, &events).unwrap();
    assert_eq!(done.refused.len(), 1);
    assert_eq!((done.refused[0].time, done.refused[0].key.as_deref()), (2, Some(&b"k"[..])));
    assert_eq!(done.refused[0].reason, "not this one");
    assert_eq!(texts(&done, 0), ["1", "2", "", ""], "its neighbours' effects are kept, its own are undone");
    assert!(done.metrics.is_empty(), "{:?}", done.metrics);
    rig.state();
    assert_eq!(rig.waiting(), [], "its timer is undone");

    // With state, of earlier calls and of this one, to go back to.
    ask(&mut rig, &["put rejected before", "push first"]);
    let done = call(
        &mut rig,
        &[("k", 1, "due 6"), ("k", 1, "push second"), ("k", 1, "reject again"), ("k", 1, "entries"), ("k", 1, "items")],
    );
    assert_eq!(texts(&done.unwrap(), 0), ["rejected=before", "first,second"]);
    rig.state();
    assert_eq!(rig.waiting().len(), 1, "the same timer, which another event registered, is kept");
    assert_eq!(ask(&mut rig, &["count", "entries", "items"]), ["3", "rejected=before", "first,second"]);
}

fn every_refused(guest: &Guest) {
    let mut rig = guest.open();
    let events: Vec<_> = (0..1_000).map(|i| (["a", "b"][i % 2], i as i64, "reject no")).collect();
    let done = call(&mut rig, &events).unwrap();
    assert_eq!(done.refused.iter().map(|refused| refused.time).collect::<Vec<_>>(), (0..1_000).collect::<Vec<_>>());
    assert!(done.output.is_empty() && rig.state().is_empty() && rig.waiting().is_empty());
}

fn no_command(guest: &Guest) {
    let mut rig = guest.open();
    let mut sent = Batch::default();
    sent.push(EventTime(0), Some(b"k"), Some(&[0xff, 0xfe]));
    sent.push(EventTime(1), Some(b"k"), Some(b"dance"));
    sent.push(EventTime(2), Some(b"k"), Some(b""));
    sent.push(EventTime(3), Some(b"k"), Some(b"count"));
    rig.events(0, &sent).unwrap();
    assert_eq!(rig.done.refused.len(), 3, "{:?}", rig.done.refused);
    assert!(rig.done.refused.iter().all(|r| r.reason.contains("unknown command")), "{:?}", rig.done.refused);
    assert_eq!(texts(&rig.done, 0), ["1"]);
}

/// A call that fails after it has done something; then nothing of it is there, and the operator works.
fn failed(guest: &Guest, command: &str) -> (Failure, Vec<(LogLevel, String)>) {
    let mut rig = guest.open();
    assert_eq!(ask(&mut rig, &["count", "put a 1", "memory"]), ["1", "1"]);
    let failure =
        call(&mut rig, &[("k", 1, "put a 2"), ("k", 2, "due 5"), ("k", 3, command), ("k", 4, "count")]).unwrap_err();
    let log = std::mem::take(&mut rig.done.log);
    assert!(rig.done.output.is_empty() && rig.done.refused.is_empty());
    rig.state();
    assert_eq!(rig.waiting(), []);
    let trapped = matches!(failure, Failure::Trap { .. });
    let memory = if trapped { "1" } else { "2" };
    assert_eq!(ask(&mut rig, &["get a", "count", "memory"]), ["1", "2", memory], "after {failure:?}");
    (failure, log)
}

fn retry(guest: &Guest) {
    assert_eq!(failed(guest, "retry 250").0, Failure::Retry(Some(250)));
    assert_eq!(failed(guest, "retry 0").0, Failure::Retry(Some(0)));
    assert_eq!(failed(guest, "retry").0, Failure::Retry(None));
}

fn fatal(guest: &Guest) {
    match failed(guest, "fatal the tide is out").0 {
        Failure::Fatal(reason) => assert!(reason.contains("the tide is out"), "{reason}"),
        other => panic!("not fatal: {other:?}"),
    }
}

fn a_bug(guest: &Guest) {
    let (failure, log) = failed(guest, "raise");
    match (&failure, guest.outlives_bugs) {
        (Failure::Fatal(reason), true) => {
            assert!(reason.contains("raised on purpose"), "{reason}");
            let line = log.iter().find(|(level, line)| *level == LogLevel::Error && line.contains("raised on purpose"));
            // A traceback: more than the message.
            let (_, line) = line.expect("the bug is in the log");
            assert!(line.lines().count() > 1, "{line}");
        }
        (Failure::Trap { backtrace, .. }, false) => assert!(!backtrace.is_empty(), "{failure:?}"),
        _ => panic!("not as this language does it: {failure:?}"),
    }
}
