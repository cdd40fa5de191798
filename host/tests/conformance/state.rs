//! Keyed state of each kind, within a call, from call to call, and beyond the instance.

use crate::Case;
use crate::guest::{Guest, ask, batch, call, pattern, texts};
use crate::rig::Crash;

pub(crate) const CASES: &[Case] = &[
    ("value_state", value_state),
    ("map_state", map_state),
    ("sub_keys_in_order_of_bytes", order_of_bytes),
    ("list_state", list_state),
    ("a_mebibyte_in_state", a_mebibyte),
    ("keys_are_apart", keys_are_apart),
    ("state_outlives_the_instance_and_memory_does_not", outlives_the_instance),
    ("state_is_stored_as_text", stored_as_text),
    ("replay_gives_the_same_bytes", replay),
];

fn value_state(guest: &Guest) {
    let mut rig = guest.open();
    assert_eq!(ask(&mut rig, &["count", "count", "clear", "count"]), ["1", "2", "cleared", "1"]);
    assert_eq!(ask(&mut rig, &["count", "clear"]), ["2", "cleared"]);
    assert_eq!(ask(&mut rig, &["count"]), ["1"]);
}

fn map_state(guest: &Guest) {
    let mut rig = guest.open();
    assert_eq!(
        ask(&mut rig, &["get a", "put b two", "put a one and more", "get a", "entries"]),
        ["-", "one and more", "a=one and more,b=two"]
    );
    assert_eq!(ask(&mut rig, &["put c", "get c", "remove b", "get b", "entries"]), ["", "-", "a=one and more,c="]);
    assert_eq!(ask(&mut rig, &["put b 2", "put d 4", "range b d", "range a a", "range x z"]), ["b=2,c=", "", ""]);
    assert_eq!(ask(&mut rig, &["clear-entries", "entries", "put z 26", "entries"]), ["", "z=26"]);
    assert_eq!(ask(&mut rig, &["entries", "get b"]), ["z=26", "-"]);
    // More than one page of the host's.
    let puts: Vec<String> = (0..5_000).map(|i| format!("put p{i:05} {i}")).collect();
    ask(&mut rig, &puts.iter().map(String::as_str).collect::<Vec<_>>());
    let all = ask(&mut rig, &["entries"]).remove(0);
    assert_eq!(all.split(',').count(), 5_001);
    assert!(all.starts_with("p00000=0,p00001=1,") && all.ends_with(",p04999=4999,z=26"));
}

fn order_of_bytes(guest: &Guest) {
    let mut rig = guest.open();
    let all: Vec<u8> = (0..=255).collect();
    let done = call(&mut rig, &[("k", 0, "bytes")]).unwrap();
    assert_eq!(done.output[0].1.value.as_deref(), Some(&all[..]), "within the call that wrote them");
    ask(&mut rig, &["remove \u{1}", "put \u{1} x"]);
    let again = call(&mut rig, &[("k", 0, "bytes")]).unwrap();
    assert_eq!(again.output[0].1.value.as_deref(), Some(&all[..]), "in a later call");
}

fn list_state(guest: &Guest) {
    let mut rig = guest.open();
    assert_eq!(ask(&mut rig, &["items", "push one", "push", "push two words", "items"]), ["", "one,,two words"]);
    assert_eq!(ask(&mut rig, &["push 4", "items"]), ["one,,two words,4"]);
    assert_eq!(ask(&mut rig, &["clear-items", "items", "push new", "items"]), ["", "new"]);
    assert_eq!(ask(&mut rig, &["items"]), ["new"]);
}

fn a_mebibyte(guest: &Guest) {
    let mut rig = guest.open();
    for length in [0, 1, 1 << 20] {
        let done = call(&mut rig, &[("k", 0, &format!("blob {length}"))]).unwrap();
        assert!(done.output[0].1.value.as_deref() == Some(&pattern(length)[..]), "{length} bytes");
        let entries = rig.state();
        let stored = entries.iter().find(|entry| entry.sub_key == b"blob").expect("stored");
        assert!(stored.value == pattern(length), "{length} bytes");
    }
}

fn keys_are_apart(guest: &Guest) {
    let mut rig = guest.open();
    let done = call(
        &mut rig,
        &[
            ("a", 0, "count"),
            ("b", 0, "count"),
            ("a", 0, "count"),
            ("", 0, "count"),
            ("a", 0, "put s v"),
            ("b", 0, "entries"),
        ],
    );
    assert_eq!(texts(&done.unwrap(), 0), ["1", "1", "2", "1", ""]);
    let events: Vec<(String, i64, String)> =
        (0..2_000).map(|i| (format!("key {}", i % 500), 0, "count".into())).collect();
    let events: Vec<_> = events.iter().map(|(key, time, command)| (key.as_str(), *time, command.as_str())).collect();
    let counts = texts(&call(&mut rig, &events).unwrap(), 0);
    assert!(counts.iter().enumerate().all(|(i, n)| *n == (i / 500 + 1).to_string()));
}

fn outlives_the_instance(guest: &Guest) {
    let mut rig = guest.open();
    assert_eq!(ask(&mut rig, &["count", "put a 1", "push x", "memory", "memory"]), ["1", "1", "2"]);
    rig.replace().unwrap();
    assert_eq!(ask(&mut rig, &["count", "entries", "items", "memory"]), ["2", "a=1", "x", "1"]);
}

/// Another language's operator could go on with it.
fn stored_as_text(guest: &Guest) {
    let mut rig = guest.open();
    ask(&mut rig, &["count", "count", "put a one", "push x"]);
    let entries: Vec<_> = rig.state().into_iter().map(|e| (e.state, e.key, e.sub_key, e.value)).collect();
    assert_eq!(entries.len(), 3, "{entries:?}");
    assert_eq!(entries[0], (0, b"k".to_vec(), Vec::new(), b"2".to_vec()));
    assert_eq!(entries[1], (1, b"k".to_vec(), b"a".to_vec(), b"one".to_vec()));
    assert_eq!((entries[2].0, &entries[2].3), (2, &b"x".to_vec()));
}

/// A day in an operator's life, broken off at every call in turn: the same output, state and timers.
fn replay(guest: &Guest) {
    let run = |crash: Crash| {
        let mut rig = guest.open_to_crash(crash);
        let mut output = Vec::new();
        for round in 0..3_i64 {
            let commands = [
                ("a", round, "count"),
                ("b", round, "put x 1"),
                ("a", round, "push y"),
                ("b", round, "put again 1"),
                ("b", round, "due 1"),
                ("a", round, "alarm 5"),
                ("a", round, "reject no"),
                ("c", round, "bytes"),
                ("a", round, "items"),
                ("b", round, "entries"),
                ("a", round, "many 100"),
                ("a", round, "metrics"),
            ];
            rig.events(0, &batch(&commands)).unwrap();
            rig.watermark(tidemill_storage::EventTime(round * 10)).unwrap();
            rig.time(round * 10).unwrap();
            output.push(std::mem::take(&mut rig.done));
        }
        // How often an instance was opened differs, of course.
        output.iter_mut().for_each(|done| done.log.retain(|(_, line)| line != "opened"));
        (output, rig.state(), rig.waiting(), rig.calls())
    };
    let straight = run(Crash::Never);
    assert!(straight.3 >= 9, "{} calls", straight.3);
    for call in 0..straight.3 {
        assert!(run(Crash::At(call)) == straight, "broken off at call {call}");
    }
    assert!(run(Crash::Always) == straight, "broken off at every call");
}
