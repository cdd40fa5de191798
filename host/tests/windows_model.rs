//! Windows of every kind against a model that keeps every event, under random arrival orders, lateness, commits and
//! crashes; with built-in aggregates and with the same as a component.

#[path = "wasm_support/mod.rs"]
mod wasm_support;
#[path = "support/windows.rs"]
mod windows;

use proptest::prelude::*;
use std::sync::Arc;
use tidemill::config::builtin::*;
use tidemill::operator::SharedFactory;
use tidemill::operator::builtin::{self, window::factory_over};
use tidemill::wasm::WasmAggregates;
use windows::{Event, Model, Out, Rig, aligned, event, spec};

#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<Event>),
    Advance(i64),
    Commit,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let event = (-40i64..120, 0u8..3, -5i64..6).prop_map(|(time, key, value)| event(time, &format!("k{key}"), value));
    prop_oneof![
        4 => prop::collection::vec(event, 1..12).prop_map(Step::Batch),
        3 => (-30i64..130).prop_map(Step::Advance),
        1 => Just(Step::Commit),
        1 => Just(Step::Crash),
    ]
}

fn windows_of_any_kind() -> impl Strategy<Value = Windows> {
    prop_oneof![
        (1i64..20, -15i64..15).prop_map(|(size, offset)| aligned(size, size, offset % size)),
        (1i64..25, 1i64..25, -15i64..15).prop_map(|(size, slide, offset)| aligned(size, slide, offset % slide)),
        (1i64..15).prop_map(|gap| Windows::Session(Gap::Fixed(gap))),
        Just(Windows::Global),
    ]
}

fn any_spec() -> impl Strategy<Value = WindowSpec> {
    let lateness = prop_oneof![3 => Just(0u64), 2 => 1u64..30, 1 => Just(u64::MAX)];
    let count = prop::option::weighted(0.3, 1u32..5);
    let every = prop::option::weighted(0.3, 1i64..20);
    (windows_of_any_kind(), lateness, any::<bool>(), count, every, any::<bool>()).prop_map(
        |(windows, lateness_ms, discard, count, every, at_end)| {
            let global = windows == Windows::Global;
            let every = every.filter(|_| !global).map(|every| (every, Clock::Event));
            let at_end = at_end || (count.is_none() && every.is_none());
            // Nothing outlives a global window.
            let lateness_ms = if global { 0 } else { lateness_ms.min(i64::MAX as u64) };
            WindowSpec { lateness_ms, discard, trigger: Trigger { at_end, count, every }, ..spec(windows) }
        },
    )
}

fn sorted(mut out: Vec<Out>) -> Vec<Out> {
    out.sort();
    out
}

/// Runs the steps, replaying after crashes what came since the last commit; gives the outputs of each step.
fn run(factory: SharedFactory, steps: &[Step], timers_per_call: usize) -> (Vec<Vec<Out>>, Rig) {
    let mut rig = Rig::over(factory);
    rig.timers_per_call = timers_per_call;
    let mut outputs: Vec<Vec<Out>> = Vec::new();
    let mut since_commit = 0;
    let act = |rig: &mut Rig, step: &Step| {
        match step {
            Step::Batch(events) => rig.batch(0, events),
            Step::Advance(watermark) => rig.advance(*watermark),
            Step::Commit | Step::Crash => {}
        }
        rig.take()
    };
    for (i, step) in steps.iter().enumerate() {
        match step {
            Step::Commit => {
                rig.commit();
                since_commit = i;
                outputs.push(Vec::new());
            }
            Step::Crash => {
                rig.crash();
                for (again, step) in steps.iter().enumerate().take(i).skip(since_commit) {
                    let out = act(&mut rig, step);
                    assert_eq!(out, outputs[again], "a replayed step gives the same in the same order");
                }
                outputs.push(Vec::new());
            }
            step => outputs.push(act(&mut rig, step)),
        }
    }
    (outputs, rig)
}

/// Runs the steps beside the model.
fn compare(
    factory: SharedFactory,
    spec: &WindowSpec,
    steps: Vec<Step>,
    timers_per_call: usize,
) -> Result<(), TestCaseError> {
    let mut model = Model::new(spec);
    let steps: Vec<Step> = steps.into_iter().chain([Step::Advance(i64::MAX)]).collect();
    let (outputs, mut rig) = run(factory, &steps, timers_per_call);
    for (step, out) in steps.iter().zip(outputs) {
        match step {
            Step::Batch(events) => model.batch(events),
            Step::Advance(watermark) => model.advance(*watermark),
            Step::Commit | Step::Crash => {}
        }
        prop_assert_eq!(sorted(out), sorted(std::mem::take(&mut model.out)), "{:?}", step);
    }
    // A global window that gives nothing at its end is never over; everything else is gone with the end of input.
    if spec.trigger.at_end || spec.windows != Windows::Global {
        prop_assert_eq!(rig.entries_left(), 0, "state or timers were left behind");
    }
    Ok(())
}

/// The same windows over a component that computes what the built-in columns do.
fn over_component(spec: &WindowSpec) -> SharedFactory {
    let engine = wasm_support::engine();
    let component = wasm_support::shared("guest-fold");
    let limits = &wasm_support::LIMITS;
    let aggregates = WasmAggregates::new(&engine, component, &serde_json::json!({}), limits, "fold").unwrap();
    factory_over(&WindowSpec { output: Vec::new(), ..spec.clone() }, Arc::new(aggregates)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn every_step_gives_what_the_definition_says(
        spec in any_spec(), steps in prop::collection::vec(step(), 1..25), timers_per_call in 1usize..6,
    ) {
        let factory = builtin::factory(&Builtin::Window(spec.clone()));
        compare(factory, &spec, steps, timers_per_call)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_step_of_a_component_gives_what_the_definition_says(
        spec in any_spec(), steps in prop::collection::vec(step(), 1..25), timers_per_call in 1usize..6,
    ) {
        compare(over_component(&spec), &spec, steps, timers_per_call)?;
    }
}
