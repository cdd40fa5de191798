//! The descriptor, and events of every shape through one call.

use crate::Case;
use crate::guest::{Guest, ask, batch, call, pattern, texts};
use serde_json::json;
use tidemill::operator::{Failure, LogLevel, MetricOp};
use tidemill_storage::{Batch, EventTime, headers};

pub(crate) const CASES: &[Case] = &[
    ("descriptor", descriptor),
    ("no_events", no_events),
    ("absent_empty_and_long_keys_and_values", absent_empty_and_long),
    ("keys_of_all_bytes", keys_of_all_bytes),
    ("65536_events_in_one_call", many_events_in),
    ("65536_events_out_of_one_call", many_events_out),
    ("headers", headers_come_and_go),
    ("ports_and_inputs", ports_and_inputs),
    ("context_and_configuration", context_and_configuration),
    ("metrics", metrics),
    ("log", log),
    ("open_and_close", open_and_close),
];

fn descriptor(guest: &Guest) {
    let mut descriptor = guest.descriptor();
    let names = |list: &serde_json::Value| -> Vec<String> {
        let entries = list.as_array().expect("a list").iter();
        entries.map(|entry| entry["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(descriptor["name"], "conformance");
    assert_eq!(names(&descriptor["inputs"]), ["events", "other"]);
    assert_eq!(names(&descriptor["outputs"]), ["out", "side"]);
    assert_eq!(names(&descriptor["timers"]), ["due", "alarm"]);
    let kinds = |list: &mut serde_json::Value| list.take();
    assert_eq!(
        kinds(&mut descriptor["states"]),
        json!([
            {"name": "count", "kind": "value"},
            {"name": "entries", "kind": "map"},
            {"name": "items", "kind": "list"},
            {"name": "brief", "kind": "value", "ttl": {"ms": 100, "clock": "processing-time", "refresh": "write"}},
            {"name": "fresh", "kind": "map", "ttl": {"ms": 100, "clock": "event-time", "refresh": "read-and-write"}},
            {"name": "recent", "kind": "list", "ttl": {"ms": 100, "clock": "event-time", "refresh": "write"}},
        ])
    );
    assert_eq!(
        kinds(&mut descriptor["metrics"]),
        json!([{"name": "seen", "kind": "counter"}, {"name": "last", "kind": "gauge"}, {"name": "sizes", "kind": "histogram"}])
    );
    assert_eq!(descriptor["wants"]["watermarks"], true);
}

fn no_events(guest: &Guest) {
    let mut rig = guest.open();
    let done = call(&mut rig, &[]).unwrap();
    assert!(done.output.is_empty() && done.refused.is_empty() && done.metrics.is_empty(), "{done:?}");
}

/// Everything comes back as it went.
fn echoes(guest: &Guest, sent: &Batch) {
    let mut rig = guest.open();
    rig.events(0, sent).unwrap();
    assert_eq!(rig.done.output.len(), sent.len());
    for (i, (port, event)) in rig.done.output.iter().enumerate() {
        assert_eq!((*port, event.time), (0, sent.timestamps[i]), "event {i}");
        assert!(event.key.as_deref() == sent.keys.get(i), "the key of event {i}");
        assert!(event.value.as_deref() == sent.values.get(i), "the value of event {i}");
    }
}

fn absent_empty_and_long(guest: &Guest) {
    const MIB: usize = 1 << 20;
    let limit = (1_i64 << 53) - 1;
    let mut sent = Batch::default();
    let long = [b"echo ", &vec![b'x'; MIB - 5][..]].concat();
    sent.push(EventTime(-limit), None, Some(b"echo"));
    sent.push(EventTime(limit), Some(b""), Some(b"echo"));
    sent.push(EventTime(0), Some(b"k"), None);
    sent.push(EventTime(-1), None, None);
    sent.push(EventTime(1), Some(&pattern(MIB)), Some(&long));
    sent.push(EventTime(2), Some(b"k"), Some("echo \u{1f30a} äöü".as_bytes()));
    echoes(guest, &sent);

    let mut rig = guest.open();
    let done =
        call(&mut rig, &[("k", 7, "size 0"), ("k", 7, "size 1048576"), ("k", 7, "tombstone"), ("k", 7, "keyless v")]);
    let out: Vec<_> = done.unwrap().output.into_iter().map(|(_, event)| event).collect();
    assert_eq!(out.len(), 4);
    assert_eq!(out[0].value.as_deref(), Some(&b""[..]), "an empty value is not an absent one");
    assert!(out[1].value.as_deref() == Some(&pattern(MIB)[..]));
    assert_eq!((out[2].key.as_deref(), out[2].value.as_deref()), (Some(&b"k"[..]), None));
    assert_eq!((out[3].key.as_deref(), out[3].value.as_deref()), (None, Some(&b"v"[..])));
}

fn keys_of_all_bytes(guest: &Guest) {
    let mut sent = Batch::default();
    for byte in 0..=255 {
        sent.push(EventTime(i64::from(byte)), Some(&[byte, 0, 255, byte]), Some(b"echo"));
    }
    echoes(guest, &sent);
    // State of keys that are no text, each its own.
    let mut rig = guest.open();
    let mut counts = Batch::default();
    for byte in (0..=255).chain(0..=255) {
        counts.push(EventTime(0), Some(&[byte]), Some(b"count"));
    }
    rig.events(0, &counts).unwrap();
    let numbers = texts(&rig.done, 0);
    assert!(numbers[..256].iter().all(|n| n == "1") && numbers[256..].iter().all(|n| n == "2"), "{numbers:?}");
}

fn many_events_in(guest: &Guest) {
    let mut sent = Batch::default();
    for i in 0..65_536_i64 {
        sent.push(EventTime(i), Some(format!("key-{}", i % 97).as_bytes()), Some(b"echo"));
    }
    echoes(guest, &sent);
}

fn many_events_out(guest: &Guest) {
    let mut rig = guest.open();
    let out = ask(&mut rig, &["many 65536"]);
    assert_eq!(out.len(), 65_536);
    assert!(out.iter().enumerate().all(|(i, text)| *text == i.to_string()));
}

fn headers_come_and_go(guest: &Guest) {
    let mut rig = guest.open();
    let mut sent = Batch::default();
    let long = vec![0xee; 70_000];
    headers::push_event(&mut sent, EventTime(1), Some(b"k"), Some(b"echo"), &[("a", b"1"), ("a", b"\xff"), ("", b"")]);
    headers::push_event(&mut sent, EventTime(2), Some(b"k"), Some(b"echo"), &[]);
    headers::push_event(&mut sent, EventTime(3), Some(b"k"), Some(b"headers"), &[("ä", b"1"), ("b", &long)]);
    rig.events(0, &sent).unwrap();
    let of = |i: usize| rig.done.output[i].1.headers.clone();
    let header = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    assert_eq!(of(0), [header("a", b"1"), header("a", b"\xff"), header("", b"")]);
    assert_eq!(of(1), []);
    assert_eq!(of(2), [header("b", &long), header("ä", b"1"), header("x", &[0x00, 0xff])]);

    // No event of a batch has any: the column is empty.
    assert_eq!(
        call(&mut guest.open(), &[("k", 3, "headers")]).unwrap().output[0].1.headers,
        [header("x", &[0x00, 0xff])]
    );
}

fn ports_and_inputs(guest: &Guest) {
    let mut rig = guest.open();
    let done = call(&mut rig, &[("k", 5, "side a b"), ("k", 6, "input")]).unwrap();
    let (port, event) = &done.output.iter().find(|(port, _)| *port == 1).expect("one on `side`");
    assert_eq!((*port, event.time, event.key.as_deref()), (1, 6, Some(&b"side"[..])));
    assert_eq!((texts(&done, 1), texts(&done, 0)), (vec!["a b".to_owned()], vec!["events".to_owned()]));
    rig.events(1, &batch(&[("k", 7, "input")])).unwrap();
    assert_eq!(texts(&rig.done, 0), ["other"]);
}

fn context_and_configuration(guest: &Guest) {
    let mut rig = guest.open();
    rig.time(1_000).unwrap();
    assert_eq!(ask(&mut rig, &["context", "greeting"]), ["0/1/128 1000", "none"]);
    rig.time(1_763_000_000_123).unwrap();
    assert_eq!(ask(&mut rig, &["context"]), ["0/1/128 1763000000123"]);
    let mut rig = guest.open_with(json!({ "greeting": "Grüße \"x\" \u{1f30a}" })).expect("it opens");
    assert_eq!(ask(&mut rig, &["greeting"]), ["Grüße \"x\" \u{1f30a}"]);
}

fn metrics(guest: &Guest) {
    let mut rig = guest.open();
    let done = call(&mut rig, &[("k", 0, "metrics"), ("k", 0, "metrics")]).unwrap();
    let (mut added, mut set, mut observed) = (0, None, Vec::new());
    for op in &done.metrics {
        match op {
            MetricOp::Add(0, amount) => added += amount,
            MetricOp::Set(1, value) => set = Some(*value),
            MetricOp::Observe(2, values) => observed.extend(values),
            other => panic!("not as declared: {other:?}"),
        }
    }
    assert_eq!((added, set, observed), (6, Some(2.5), vec![1.0, 2.0, 1.0, 2.0]));
}

fn log(guest: &Guest) {
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    let mut rig = guest.open();
    rig.done.log.clear();
    let lines = call(&mut rig, &[("k", 0, "log")]).unwrap().log;
    assert_eq!(lines, [Trace, Debug, Info, Warn, Error].map(|level| (level, "a line".to_owned())));
}

fn open_and_close(guest: &Guest) {
    let mut rig = guest.open();
    rig.close().unwrap();
    let line = |text: &str| (LogLevel::Info, text.to_owned());
    assert_eq!(rig.done.log, [line("opened"), line("closed")]);
    match guest.open_with(json!({ "refuse": "not today" })).err() {
        Some(Failure::Fatal(reason)) => assert!(reason.contains("not today"), "{reason}"),
        other => panic!("not refused: {other:?}"),
    }
}
