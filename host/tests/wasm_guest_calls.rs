//! What a guest does in a call that succeeds, or fails in an orderly way, is what the host finds in the context.

mod wasm_support;

use tidemill::operator::{Failure, LogLevel, MetricOp, OperatorFactory, Rejection, TimeDomain, TimerBatch, TimerOp};
use tidemill_storage::{Batch, Column, EventTime, headers};
use wasm_support::{LIMITS, Rig, context, factory};

const MISBEHAVE: &str = "guest-misbehave";

#[test]
fn the_descriptor_is_read_from_the_component() {
    let rig = Rig::new(MISBEHAVE);
    let descriptor = rig.factory.descriptor();
    assert_eq!((descriptor.name.as_str(), descriptor.outputs[0].name.as_str()), ("misbehave", "out"));
    assert_eq!(descriptor.states[0].name, "counts");
}

#[test]
fn an_event_comes_back_with_key_time_and_headers() {
    let mut rig = Rig::new(MISBEHAVE);
    let mut sent = Batch::default();
    sent.push(EventTime(-7), Some(b"first"), Some(b"echo"));
    headers::push_event(&mut sent, EventTime(42), Some(b""), Some(b"echo"), &[("trace", b"1"), ("trace", b"\xff")]);
    rig.process_batch(&sent).unwrap();

    let emitted: Vec<&Batch> = rig.context.output.iter().map(|(_, batch)| batch).collect();
    assert_eq!(emitted.len(), 2);
    assert_eq!((emitted[0].timestamps[0], emitted[0].keys.get(0)), (-7, Some(&b"first"[..])));
    assert_eq!((emitted[1].timestamps[0], emitted[1].keys.get(0)), (42, Some(&b""[..])));
    let mut entries = headers::Entries::new(&emitted[1].headers);
    assert_eq!(entries.next_event().unwrap(), vec![("trace", &b"1"[..]), ("trace", &b"\xff"[..])]);
}

#[test]
fn a_whole_batch_passes_through_unchanged() {
    let mut rig = Rig::new("pass-through");
    let mut sent = Batch::default();
    for i in 0..3_000_i64 {
        let value = vec![i as u8; (i % 200) as usize];
        sent.push(EventTime(i), (i % 3 > 0).then_some(&value[..value.len() / 2]), (i % 5 > 0).then_some(&value));
    }
    rig.process_batch(&sent).unwrap();
    let [(0, got)] = &rig.context.output[..] else { panic!("one batch on port 0") };
    assert_eq!(got, &sent);
}

#[test]
fn an_empty_batch_is_a_call_without_effects() {
    let mut rig = Rig::new("pass-through");
    assert_eq!(rig.process(&[]).unwrap(), vec![]);
    assert!(rig.context.output.is_empty());
}

#[test]
fn state_lasts_from_call_to_call_and_beyond_the_instance() {
    let mut rig = Rig::new(MISBEHAVE);
    rig.process(&[("a", "count"), ("b", "count"), ("a", "count")]).unwrap();
    let counts = |rig: &mut Rig| rig.committed().into_iter().map(|(_, key, n)| key + &n).collect::<Vec<_>>().join(" ");
    assert_eq!(counts(&mut rig), "a1 b1 a2");
    rig.operator = rig.factory.create(&mut rig.context).unwrap();
    rig.process(&[("a", "count")]).unwrap();
    assert_eq!(counts(&mut rig), "a3");
    assert_eq!(rig.context.metrics, vec![MetricOp::Add(0, 1); 4]);
}

#[test]
fn rejections_come_back_beside_the_effects_of_the_other_events() {
    let mut rig = Rig::new(MISBEHAVE);
    let rejected = rig.process(&[("a", "echo"), ("a", "reject"), ("a", "echo"), ("a", "reject")]).unwrap();
    let at = |index| Rejection { index, reason: "as the event asks".into() };
    assert_eq!(rejected, [at(1), at(3)]);
    assert_eq!(rig.committed().len(), 2);
}

#[test]
fn a_failed_call_can_be_rolled_back_and_the_instance_goes_on() {
    let mut rig = Rig::new(MISBEHAVE);
    rig.process(&[("a", "count")]).unwrap();
    rig.committed();

    assert_eq!(rig.process(&[("a", "retry")]), Err(Failure::Retry(Some(5))));
    rig.context.roll_back();
    assert_eq!(rig.process(&[("a", "fatal")]), Err(Failure::Fatal("the event asks for the end".into())));
    rig.context.roll_back();

    rig.process(&[("a", "count")]).unwrap();
    assert_eq!(rig.committed(), [(0, "a".into(), "2".into())]);
}

#[test]
fn timers_are_registered_and_fired_timers_reach_the_guest() {
    let mut rig = Rig::new(MISBEHAVE);
    rig.process(&[("a", "nothing"), ("b", "timer")]).unwrap();
    let registered = TimerOp { register: true, domain: TimeDomain::EventTime, timer: 0, key: b"b".to_vec(), time: 1 };
    assert_eq!(rig.context.timers, [registered]);

    let mut keys = Column::default();
    keys.push(b"b");
    keys.push(b"c");
    let fired = TimerBatch { domain: TimeDomain::EventTime, timer: 0, keys, times: vec![1, 9] };
    rig.operator.on_timers(&fired, EventTime(9), &mut rig.context).unwrap();
    assert_eq!(rig.context.output[1].1.timestamps, [9]);
    assert_eq!(rig.committed(), [(0, "b".into(), "fired".into()), (0, "c".into(), "fired".into())]);
}

#[test]
fn log_lines_keep_their_level_and_survive_a_roll_back() {
    let mut rig = Rig::new(MISBEHAVE);
    rig.process(&[("a", "log")]).unwrap();
    rig.operator.close(&mut rig.context).unwrap();
    rig.context.roll_back();
    let log = rig.log();
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    assert_eq!(log.iter().map(|(level, _)| *level).collect::<Vec<_>>(), [Trace, Debug, Info, Warn, Error, Info]);
    assert_eq!((log[0].1.as_str(), log[5].1.as_str()), ("a line", "closed"));
}

#[test]
fn open_may_refuse_its_configuration() {
    let config = serde_json::json!({ "mode": "fail-open" });
    let factory = factory(MISBEHAVE, &config, &LIMITS);
    let mut context = context(&factory, tidemill::operator::Subtask { index: 0, parallelism: 1, max_parallelism: 1 });
    let failure = factory.create(&mut context).err();
    assert_eq!(failure, Some(Failure::Fatal("open fails, as the configuration asks".into())));
}
