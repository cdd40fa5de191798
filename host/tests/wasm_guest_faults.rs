//! A guest that misbehaves is stopped with a message that names cause and mend; the host and other instances go on.

mod wasm_support;

use tidemill::config::pipeline::Limits;
use tidemill::operator::{Failure, LogLevel, OperatorFactory, Subtask};
use wasm_support::{LIMITS, MAX_PARALLELISM, Rig, context, factory};

const MISBEHAVE: &str = "guest-misbehave";
const ALONE: Subtask = Subtask { index: 0, parallelism: 1, max_parallelism: MAX_PARALLELISM };

/// A trap of this event, whose message must hold every word.
fn faulty(event: &str, words: &[&str]) {
    let mut rig = Rig::new(MISBEHAVE);
    let (message, _) = rig.trap(&[("key", "echo"), ("key", event)]);
    for word in words {
        assert!(message.contains(word), "{event}: no {word:?} in {message:?}");
    }
    assert!(rig.context.output.is_empty(), "{event}: rolled back");
    // The next instance is as good as new.
    rig.operator = rig.factory.create(&mut rig.context).unwrap();
    rig.process(&[("key", "echo")]).unwrap();
    assert_eq!(rig.committed().len(), 1, "{event}");
}

#[test]
fn a_panic_is_a_trap_with_its_message_and_the_guests_own_frames() {
    let mut rig = Rig::new(MISBEHAVE);
    let (message, backtrace) = rig.trap(&[("a", "echo"), ("a", "panic")]);
    assert!(message.starts_with("process panicked: "), "{message}");
    let first = backtrace.lines().next().unwrap_or_default();
    assert!(first.starts_with("   0: guest_misbehave::behaviour::apply"), "{backtrace}");
    assert!(backtrace.contains("tidemill:operator/operator@0.1.0#process"), "{backtrace}");
    let log = rig.log();
    assert!(log.iter().any(|(level, line)| *level == LogLevel::Error && line.contains("about to panic")), "{log:?}");
}

#[test]
fn a_panic_in_open_is_a_trap_too() {
    let config = serde_json::json!("panic-open");
    let factory = factory(MISBEHAVE, &config, &LIMITS);
    let mut context = context(&factory, ALONE);
    let Some(Failure::Trap { message, backtrace }) = factory.create(&mut context).err() else { panic!("a trap") };
    assert!(message.starts_with("open "), "{message}");
    assert!(backtrace.contains("open"), "{backtrace}");
}

#[test]
fn an_endless_loop_ends_at_the_deadline() {
    let limits = Limits { call_deadline_ms: 50, ..LIMITS };
    let mut rig = Rig::with(MISBEHAVE, limits, ALONE);
    let (message, backtrace) = rig.trap(&[("a", "loop")]);
    assert!(message.contains("process exceeded its deadline of 50 ms"), "{message}");
    assert!(message.contains("limits.call_deadline"), "{message}");
    assert!(backtrace.contains("guest_misbehave"), "{backtrace}");
}

#[test]
fn memory_beyond_the_limit_is_refused() {
    faulty("allocate", &["process ran out of memory", "limits.memory is 16 MiB"]);
}

#[test]
fn a_memory_limit_below_what_the_component_starts_with_is_said() {
    let limits = Limits { memory_bytes: 64 << 10, ..LIMITS };
    let factory = factory(MISBEHAVE, &serde_json::json!({}), &limits);
    let mut context = context(&factory, ALONE);
    let Some(Failure::Trap { message, .. }) = factory.create(&mut context).err() else { panic!("a trap") };
    assert!(message.contains("limits.memory is 64 KiB"), "{message}");
}

#[test]
fn output_beyond_the_quota_is_refused() {
    faulty("huge-output", &["output.emit", "limits.output = 16 MiB"]);
}

#[test]
fn one_host_call_may_not_flood_the_host() {
    let limits = Limits { output_bytes: 1 << 10, ..LIMITS };
    let mut rig = Rig::with(MISBEHAVE, limits, ALONE);
    let (message, _) = rig.trap(&[("a", "huge-output")]);
    assert!(message.contains("limits.output"), "{message}");
}

#[test]
fn bad_columns_are_named_by_port_and_fault() {
    faulty("bad-ends", &["output.emit: port 0 (out)", "values", "ends must never decrease"]);
    faulty("bad-lengths", &["port 0 (out)", "columns of one batch have one length"]);
    faulty("bad-time", &["port 0 (out)", "9223372036854775807", "outside +-(2^53 - 1)"]);
    faulty("bad-headers", &["port 0 (out)", "headers"]);
}

#[test]
fn indexes_that_the_descriptor_does_not_declare_are_refused() {
    faulty("unknown-port", &["output.emit: there is no output port 99", "declares 1"]);
    faulty("unknown-state", &["state.get", "state 99 is not declared"]);
    faulty("bad-timer", &["timers.register: there is no timer 99"]);
    faulty("wrong-kind", &["state.scan", "value state"]);
}

#[test]
fn keys_of_another_subtask_are_refused() {
    let subtask = Subtask { index: 1, parallelism: 4, max_parallelism: MAX_PARALLELISM };
    let mut rig = Rig::with(MISBEHAVE, LIMITS, subtask);
    let (message, _) = rig.trap(&[("any", "foreign-key")]);
    assert!(message.contains("state.put") && message.contains("key group"), "{message}");
    assert!(message.contains("32..64"), "{message}");
}

#[test]
fn a_timer_of_another_subtasks_key_is_refused() {
    let outcomes: Vec<bool> = (0..2)
        .map(|index| {
            let mut rig = Rig::with(MISBEHAVE, LIMITS, Subtask { index, parallelism: 2, max_parallelism: 2 });
            rig.process(&[("some key", "timer")]).is_ok()
        })
        .collect();
    assert_eq!(outcomes.iter().filter(|owned| **owned).count(), 1, "one subtask owns the key: {outcomes:?}");
}

#[test]
fn rejections_out_of_range_or_repeated_are_the_guests_fault() {
    faulty("reject-beyond", &["process: it rejected index 1000000 of a call with 2"]);
    faulty("reject-twice", &["process: it rejected index 1 twice"]);
}

#[test]
fn a_dead_instance_answers_no_call() {
    let mut rig = Rig::new(MISBEHAVE);
    rig.trap(&[("a", "panic")]);
    let Err(Failure::Bug(message)) = rig.process(&[("a", "echo")]) else { panic!("a bug of the caller") };
    assert!(message.contains("dead"), "{message}");
    assert!(rig.context.subtask.is_some(), "the context is with the caller");
}

#[test]
fn state_written_before_a_trap_is_gone_after_the_roll_back() {
    let mut rig = Rig::new(MISBEHAVE);
    rig.process(&[("a", "count")]).unwrap();
    rig.committed();
    rig.trap(&[("a", "count"), ("a", "count"), ("a", "panic")]);
    rig.operator = rig.factory.create(&mut rig.context).unwrap();
    rig.process(&[("a", "count")]).unwrap();
    assert_eq!(rig.committed(), [(0, "a".into(), "2".into())]);
}
