//! Joins of two inputs in windows against a model that keeps every event and tries every pair: windows of every kind, random
//! orders, lateness, commits and crashes; inner, left, right and full.

#[path = "support/windows.rs"]
mod windows;

use proptest::prelude::*;
use std::collections::BTreeMap;
use tidemill::config::builtin::*;
use windows::{Event, Out, Rig, aligned, spec};

fn join(windows: Windows, lateness_ms: u64, keep: (bool, bool)) -> WindowJoinSpec {
    let field = |side, name: &str| PairColumn::Field(side, name.to_string());
    WindowJoinSpec {
        window: WindowSpec { lateness_ms, output: Vec::new(), ..spec(windows) },
        conditions: vec![PairCondition {
            field: (Side::Right, "/v".into()),
            at_least: Some((Side::Left, "/v".into())),
            at_most: None,
        }],
        keep_left: keep.0,
        keep_right: keep.1,
        output: vec![
            ("l".into(), field(Side::Left, "/id")),
            ("r".into(), field(Side::Right, "/id")),
            ("s".into(), PairColumn::Window(WindowColumn::Start)),
            ("e".into(), PairColumn::Window(WindowColumn::End)),
            ("k".into(), PairColumn::Window(WindowColumn::Key)),
        ],
    }
}

/// An event of a side: its number and value.
type Kept = (u32, usize, i64);

#[derive(Clone, Debug)]
struct Open {
    start: i64,
    end: i64,
    events: Vec<Kept>,
    fired: bool,
    news: bool,
}

/// Windows as their definition says: each keeps its events.
#[derive(Clone)]
struct Model {
    spec: WindowJoinSpec,
    watermark: i64,
    windows: BTreeMap<String, Vec<Open>>,
    out: Vec<Out>,
}

impl Model {
    fn over(&self, end: i64) -> bool {
        (end - 1).saturating_add(self.spec.window.lateness_ms as i64) <= self.watermark
    }

    fn event(&mut self, side: u32, time: i64, key: &str, event: Kept, value: &str) {
        let mut into: Vec<(i64, i64)> = match self.spec.window.windows {
            Windows::Aligned { size_ms, slide_ms, offset_ms } => (time - size_ms + 1..=time)
                .filter(|start| (start - offset_ms).rem_euclid(slide_ms) == 0)
                .map(|start| (start, start + size_ms))
                .collect(),
            Windows::Session(Gap::Fixed(gap)) => {
                let touches = |w: &&Open| w.start <= time + gap && time <= w.end;
                let touched: Vec<&Open> = self.windows.get(key).into_iter().flatten().filter(touches).collect();
                let start = touched.iter().map(|w| w.start).fold(time, i64::min);
                vec![(start, touched.iter().map(|w| w.end).fold(time + gap, i64::max))]
            }
            _ => unreachable!("the model knows no others"),
        };
        let any = !into.is_empty();
        into.retain(|(_, end)| !self.over(*end));
        if any && into.is_empty() {
            self.out.push((1 + side, time, key.into(), value.into()));
        }
        let list = self.windows.entry(key.into()).or_default();
        for (start, end) in into {
            let inside: Vec<Open> = list.extract_if(.., |w| start <= w.start && w.end <= end).collect();
            let mut events: Vec<Kept> = inside.iter().flat_map(|w| w.events.clone()).collect();
            events.push(event);
            // A session that grew has its end before it again.
            let fired = inside.iter().any(|w| w.fired) && end - 1 <= self.watermark;
            list.push(Open { start, end, events, fired, news: true });
        }
    }

    /// What windows give of which the watermark has passed the end, and which have something new or gave nothing yet.
    fn give(&mut self) {
        let (watermark, lateness) = (self.watermark, self.spec.window.lateness_ms as i64);
        for (key, list) in &mut self.windows {
            for window in list.iter_mut().filter(|w| w.end - 1 <= watermark && (w.news || !w.fired)) {
                (window.fired, window.news) = (true, false);
                let of = |side: u32| window.events.iter().filter(move |event| event.0 == side);
                let mut pairs: Vec<(Option<usize>, Option<usize>)> = Vec::new();
                for (_, left, lv) in of(0) {
                    let met: Vec<usize> = of(1).filter(|(_, _, rv)| rv >= lv).map(|(_, right, _)| *right).collect();
                    pairs.extend(met.iter().map(|right| (Some(*left), Some(*right))));
                    pairs.extend((met.is_empty() && self.spec.keep_left).then_some((Some(*left), None)));
                }
                let alone = of(1).filter(|(_, _, rv)| !of(0).any(|(_, _, lv)| rv >= lv));
                pairs.extend(alone.filter(|_| self.spec.keep_right).map(|(_, right, _)| (None, Some(*right))));
                let shown = |id: Option<usize>| id.map_or("null".into(), |id| id.to_string());
                for (left, right) in pairs {
                    let (l, r, s, e) = (shown(left), shown(right), window.start, window.end);
                    let value = format!("{{\"l\":{l},\"r\":{r},\"s\":{s},\"e\":{e},\"k\":\"{key}\"}}");
                    self.out.push((0, window.end - 1, key.clone(), value));
                }
            }
            list.retain(|w| (w.end - 1).saturating_add(lateness) > watermark);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Events(u32, Vec<(i64, u8, i64)>),
    Advance(i64),
    Commit,
    /// What was not committed is lost.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let event = (-40i64..90, 0u8..3, 0i64..4);
    prop_oneof![
        5 => (0u32..2, prop::collection::vec(event, 1..8)).prop_map(|(side, events)| Step::Events(side, events)),
        2 => (-40i64..100).prop_map(Step::Advance),
        1 => Just(Step::Commit),
        1 => Just(Step::Crash),
    ]
}

fn any_windows() -> impl Strategy<Value = Windows> {
    prop_oneof![
        (1i64..20, -15i64..15).prop_map(|(size, offset)| aligned(size, size, offset % size)),
        (1i64..25, 1i64..25, -15i64..15).prop_map(|(size, slide, offset)| aligned(size, slide, offset % slide)),
        (1i64..15).prop_map(|gap| Windows::Session(Gap::Fixed(gap))),
    ]
}

fn sorted(mut out: Vec<Out>) -> Vec<Out> {
    out.sort();
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn every_step_gives_the_pairs_that_the_definition_says(
        windows in any_windows(), lateness in prop_oneof![3 => Just(0u64), 2 => 1u64..30, 1 => Just(u64::MAX >> 1)],
        keep: (bool, bool), steps in prop::collection::vec(step(), 1..25), timers_per_call in 1usize..6,
    ) {
        let spec = join(windows, lateness, keep);
        let mut rig = Rig::new(&Builtin::WindowJoin(spec.clone()));
        rig.timers_per_call = timers_per_call;
        let mut model = Model { spec, watermark: i64::MIN, windows: BTreeMap::new(), out: Vec::new() };
        let mut committed = model.clone();
        let mut id = 0;
        for step in steps.into_iter().chain([Step::Advance(i64::MAX)]) {
            match &step {
                Step::Events(side, events) => {
                    let mut batch: Vec<Event> = Vec::new();
                    for (time, key, v) in events {
                        id += 1;
                        let (key, value) = (format!("k{key}"), format!("{{\"id\":{id},\"v\":{v}}}"));
                        model.event(*side, *time, &key, (*side, id, *v), &value);
                        batch.push((*time, key, value));
                    }
                    rig.batch(*side, &batch);
                }
                Step::Advance(to) => {
                    model.watermark = model.watermark.max(*to);
                    rig.advance(model.watermark);
                }
                Step::Commit => {
                    rig.commit();
                    committed = model.clone();
                }
                Step::Crash => {
                    rig.crash();
                    model = committed.clone();
                }
            }
            model.give();
            prop_assert_eq!(sorted(rig.take()), sorted(std::mem::take(&mut model.out)), "{:?}", step);
        }
        prop_assert!(rig.rejected.is_empty());
        prop_assert_eq!(rig.entries_left(), 0, "state or timers were left behind");
    }
}

fn row(time: i64, key: &str, id: u32) -> Event {
    (time, key.into(), format!("{{\"id\":{id},\"v\":0}}"))
}

#[test]
fn results_of_a_window_do_not_depend_on_the_order_of_events() {
    let run = |order: &[(u32, u32)]| {
        let mut rig = Rig::new(&Builtin::WindowJoin(join(aligned(10, 10, 0), 0, (true, true))));
        order.iter().for_each(|(side, id)| rig.batch(*side, &[row(i64::from(*id), "k", *id)]));
        rig.advance(20);
        rig.take()
    };
    let results = run(&[(0, 1), (0, 2), (1, 3), (1, 4)]);
    assert_eq!(results.len(), 4);
    assert_eq!(run(&[(1, 4), (0, 2), (1, 3), (0, 1)]), results);
}

#[test]
fn late_events_leave_by_the_port_of_their_side_or_are_counted() {
    let spec = join(aligned(10, 10, 0), 0, (false, false));
    let mut rig = Rig::new(&Builtin::WindowJoin(spec.clone()));
    rig.advance(9);
    rig.batch(0, &[row(1, "k", 1)]);
    rig.batch(1, &[row(2, "k", 2)]);
    let ports: Vec<(u32, i64)> = rig.take().into_iter().map(|out| (out.0, out.1)).collect();
    assert_eq!(ports, [(1, 1), (2, 2)]);
    let window = WindowSpec { late_output: false, ..spec.window.clone() };
    let mut rig = Rig::new(&Builtin::WindowJoin(WindowJoinSpec { window, ..spec }));
    rig.advance(9);
    rig.batch(1, &[row(2, "k", 2)]);
    assert_eq!((rig.take().len(), rig.counted), (0, 1));
}

#[test]
fn what_a_window_keeps_is_bounded_and_what_is_no_row_is_refused() {
    let mut rig = Rig::new(&Builtin::WindowJoin(join(aligned(10, 10, 0), 0, (true, true))));
    let large = |id: usize| (1, "k".to_string(), format!("{{\"id\":\"{id}{}\",\"v\":0}}", "x".repeat(400 << 10)));
    rig.batch(0, &[large(1), large(2), large(3), (1, "k".to_string(), "no JSON".into()), row(1, "other", 4)]);
    let reasons: Vec<(u32, &str)> = rig.rejected.iter().map(|r| (r.index, r.reason.as_str())).collect();
    assert!(matches!(reasons[..], [(2, _), (3, _)]), "{reasons:?}");
    assert!(reasons[0].1.contains("would keep more than 1024 KiB of rows"), "{reasons:?}");
    assert!(reasons[1].1.contains("not JSON"), "{reasons:?}");
    rig.advance(20);
    assert_eq!(rig.take().len(), 3, "what fits has its result");
}

#[test]
fn a_window_with_too_many_pairs_stops_and_says_which() {
    let mut rig = Rig::new(&Builtin::WindowJoin(join(aligned(10, 10, 0), 0, (false, false))));
    for side in 0..2 {
        rig.batch(side, &(0..1_500).map(|id| row(1, "busy", id)).collect::<Vec<_>>());
    }
    let failure = rig.advance_fails(20);
    assert!(failure.contains("the window [0, 10) of key \\\"busy\\\" has more than 64 MiB of pairs"), "{failure}");
}
