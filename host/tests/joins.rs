//! Joins and de-duplication: every pair once, whichever side came first; with an interval, exactly the pairs in it, and
//! nothing kept longer than a partner can come. Against a plain model under random orders, commits and crashes.

#[path = "support/windows.rs"]
mod windows;

use proptest::prelude::*;
use tidemill::config::builtin::*;
use windows::{Event, Rig};

fn join(interval_ms: Option<(i64, i64)>) -> Builtin {
    let place = |side, field: &str| (side, field.to_string());
    Builtin::Join(JoinSpec {
        interval_ms,
        conditions: vec![PairCondition {
            field: place(Side::Right, "/v"),
            at_least: Some(place(Side::Left, "/v")),
            at_most: None,
        }],
        output: vec![("l".into(), Side::Left, "/id".into()), ("r".into(), Side::Right, "/id".into())],
    })
}

#[derive(Clone, Debug)]
enum Step {
    Events(u32, Vec<(i64, u8, i64)>),
    Advance(i64),
    CommitAndCrash,
}

fn step() -> impl Strategy<Value = Step> {
    let event = (-20i64..60, 0u8..3, 0i64..4);
    prop_oneof![
        5 => (0u32..2, prop::collection::vec(event, 1..8)).prop_map(|(side, events)| Step::Events(side, events)),
        2 => (-20i64..70).prop_map(Step::Advance),
        1 => Just(Step::CommitAndCrash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_pair_comes_once(
        steps in prop::collection::vec(step(), 1..20), interval in prop::option::of((-8i64..8, 0i64..8)),
    ) {
        let interval = interval.map(|(lower, length)| (lower, lower + length));
        let mut rig = Rig::new(&join(interval));
        let (mut watermark, mut id, mut late) = (i64::MIN, 0, 0);
        let mut seen: [Vec<(i64, u8, i64, usize)>; 2] = [Vec::new(), Vec::new()];
        let mut expected: Vec<(i64, String, String)> = Vec::new();
        for step in steps {
            match step {
                Step::Events(side, events) => {
                    let mut batch: Vec<Event> = Vec::new();
                    for (time, key, v) in events {
                        id += 1;
                        batch.push((time, format!("k{key}"), format!("{{\"id\":{id},\"v\":{v}}}")));
                        if interval.is_some() && time <= watermark {
                            late += 1;
                            continue;
                        }
                        for (other, other_key, other_v, other_id) in &seen[1 - side as usize] {
                            let ((lt, lv, l), (rt, rv, r)) = match side {
                                0 => ((time, v, id), (*other, *other_v, *other_id)),
                                _ => ((*other, *other_v, *other_id), (time, v, id)),
                            };
                            let near = interval.is_none_or(|(lower, upper)| (lt + lower..=lt + upper).contains(&rt));
                            if key == *other_key && near && rv >= lv {
                                let value = format!("{{\"l\":{l},\"r\":{r}}}");
                                expected.push((lt.max(rt), format!("k{key}"), value));
                            }
                        }
                        seen[side as usize].push((time, key, v, id));
                    }
                    rig.batch(side, &batch);
                }
                Step::Advance(to) => {
                    watermark = watermark.max(to);
                    rig.advance(watermark);
                }
                Step::CommitAndCrash => {
                    rig.commit();
                    rig.crash();
                }
            }
        }
        let mut out: Vec<_> = rig.take().into_iter().map(|(_, time, key, value)| (time, key, value)).collect();
        out.sort();
        expected.sort();
        prop_assert_eq!(out, expected);
        prop_assert_eq!(rig.counted, late);
        rig.advance(i64::MAX);
        if interval.is_some() {
            prop_assert_eq!(rig.entries_left(), 0, "kept longer than a partner can come");
        }
    }

    #[test]
    fn the_first_event_of_a_key_goes_through_until_it_is_forgotten(
        steps in prop::collection::vec(step(), 1..25), ttl in prop::option::of(1i64..30),
    ) {
        let mut rig = Rig::new(&Builtin::Distinct(DistinctSpec { ttl_ms: ttl }));
        let mut first: std::collections::BTreeMap<u8, i64> = Default::default();
        let (mut expected, mut dropped, mut watermark) = (Vec::new(), 0, i64::MIN);
        for step in steps {
            match step {
                Step::Events(_, events) => {
                    let event = |(time, key, v): &(i64, u8, i64)| (*time, format!("k{key}"), v.to_string());
                    for (time, key, v) in &events {
                        let known = first.get(key).is_some_and(|first| ttl.is_none_or(|ttl| *time < first + ttl));
                        if known {
                            dropped += 1;
                        } else {
                            first.insert(*key, *time);
                            expected.push((0, *time, format!("k{key}"), v.to_string()));
                        }
                    }
                    rig.batch(0, &events.iter().map(event).collect::<Vec<_>>());
                }
                Step::Advance(to) => {
                    watermark = watermark.max(to);
                    rig.advance(watermark);
                    first.retain(|_, first| ttl.is_none_or(|ttl| *first + ttl > watermark));
                }
                Step::CommitAndCrash => {
                    rig.commit();
                    rig.crash();
                }
            }
        }
        prop_assert_eq!(rig.take(), expected);
        prop_assert_eq!(rig.counted, dropped);
        rig.advance(i64::MAX);
        if ttl.is_some() {
            prop_assert_eq!(rig.entries_left(), 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn an_event_finds_the_version_of_its_time(
        steps in prop::collection::vec(step(), 1..25), keep_missing: bool,
    ) {
        let output = vec![("e".into(), Side::Left, "/id".into()), ("v".into(), Side::Right, "/id".into())];
        let mut rig = Rig::new(&Builtin::Lookup(LookupSpec { keep_missing, output }));
        let (mut watermark, mut id, mut late) = (i64::MIN, 0, 0);
        let mut waiting: Vec<(i64, u8, usize)> = Vec::new();
        let mut versions: Vec<(i64, u8, usize)> = Vec::new();
        let mut expected = Vec::new();
        for step in steps.into_iter().chain([Step::Advance(i64::MAX)]) {
            match step {
                Step::Events(side, events) => {
                    let mut batch: Vec<Event> = Vec::new();
                    for (time, key, _) in events {
                        id += 1;
                        batch.push((time, format!("k{key}"), format!("{{\"id\":{id}}}")));
                        match side {
                            0 if time <= watermark => late += 1,
                            0 => waiting.push((time, key, id)),
                            _ => versions.push((time, key, id)),
                        }
                    }
                    rig.batch(side, &batch);
                }
                Step::Advance(to) => {
                    watermark = watermark.max(to);
                    rig.advance(watermark);
                    waiting.retain(|(time, key, event)| {
                        if *time > watermark {
                            return true;
                        }
                        // Of equal times the last one to come.
                        let known = versions.iter().filter(|v| v.1 == *key && v.0 <= *time).max_by_key(|v| (v.0, v.2));
                        let version = known.map_or("null".to_string(), |v| v.2.to_string());
                        if keep_missing || known.is_some() {
                            expected.push((0, *time, format!("k{key}"), format!("{{\"e\":{event},\"v\":{version}}}")));
                        }
                        false
                    });
                }
                Step::CommitAndCrash => {
                    rig.commit();
                    rig.crash();
                }
            }
        }
        let mut out = rig.take();
        out.sort();
        expected.sort();
        prop_assert_eq!(out, expected);
        prop_assert_eq!(rig.counted, late);
        let keys = versions.iter().map(|v| v.1).collect::<std::collections::BTreeSet<_>>().len();
        prop_assert!(rig.entries_left() <= keys, "a key keeps more than its last version");
    }
}
