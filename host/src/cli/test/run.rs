//! Runs a case: its steps become calls on a rig. Straight, or broken off and made again at one call after another.

use super::case::{Case, Event, Step, Time};
use super::rig::{Crash, Done, Emitted, Entry, LIMITS, Rig, Waiting};
use crate::cli::project::World;
use anyhow::{Context, Result, bail};
use std::sync::Arc;
use tidemill::operator::builtin::window;
use tidemill::operator::{Descriptor, Failure, SharedFactory};
use tidemill::wasm::{LoadedComponent, WasmAggregates, WasmEngine, WasmFactory};
use tidemill_storage::{Batch, EventTime, headers};

/// The most calls of a case that are broken off one at a time; with more of them, as many are picked evenly.
const CRASHES_MAX: usize = 64;

/// The operator under test.
pub(super) struct Subject {
    pub(super) engine: WasmEngine,
    pub(super) component: LoadedComponent,
    pub(super) world: World,
}

/// What a case did.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) done: Done,
    pub(super) state: Vec<Entry>,
    pub(super) waiting: Vec<Waiting>,
    /// Of which step, counted from 1 (0 = opening), and how.
    pub(super) failure: Option<(usize, Failure)>,
    /// Of the operator that ran: of an aggregate, that of the window operator over it.
    pub(super) descriptor: Descriptor,
    calls: usize,
}

impl Subject {
    /// Runs a case without interruption.
    pub(super) fn run(&self, case: &Case) -> Result<Outcome> {
        self.run_with(case, Crash::Never)
    }

    /// Runs a case once for every call that it makes, broken off and made again there, and once broken off at every call.
    /// Gives the first outcome that differs from the straight one, with the place.
    pub(super) fn crash(&self, case: &Case, straight: &Outcome) -> Result<(usize, Option<(String, Outcome)>)> {
        let step = straight.calls.div_ceil(CRASHES_MAX).max(1);
        let places = (0..straight.calls).step_by(step).map(Crash::At).chain([Crash::Always]);
        let mut runs = 0;
        for crash in places {
            runs += 1;
            let outcome = self.run_with(case, crash)?;
            if !same(&outcome, straight) {
                let place = match crash {
                    Crash::At(call) => format!("broken off at call {} of {} and made again", call + 1, straight.calls),
                    _ => "every call broken off and made again".into(),
                };
                return Ok((runs, Some((place, outcome))));
            }
        }
        Ok((runs, None))
    }

    fn run_with(&self, case: &Case, crash: Crash) -> Result<Outcome> {
        let factory = self.factory(case).with_context(|| format!("case {:?}", case.name))?;
        let descriptor = factory.descriptor().clone();
        let mut rig = match Rig::open(factory, crash) {
            Ok(rig) => rig,
            Err(failure) => {
                let (done, state, waiting) = (Done::default(), Vec::new(), Vec::new());
                return Ok(Outcome { done, state, waiting, failure: Some((0, failure)), descriptor, calls: 0 });
            }
        };
        if !case.broadcast.is_empty() {
            let mut inputs = vec![false; descriptor.inputs.len()];
            for name in &case.broadcast {
                let input =
                    input(Some(name), &descriptor).with_context(|| format!("case {:?}, broadcast", case.name))?;
                inputs[input as usize] = true;
            }
            rig.broadcast(inputs);
        }
        let mut failure = None;
        for (i, step) in case.step.iter().enumerate() {
            if let Err(why) =
                step_of(&mut rig, step, &descriptor).with_context(|| format!("case {:?}, step {}", case.name, i + 1))?
            {
                failure = Some((i + 1, why));
                break;
            }
        }
        let (state, waiting) = (rig.state(), rig.waiting());
        Ok(Outcome { done: std::mem::take(&mut rig.done), state, waiting, failure, descriptor, calls: rig.calls() })
    }

    /// The operator that a case is about: the component itself, or the window operator of the case over it.
    fn factory(&self, case: &Case) -> Result<SharedFactory> {
        let config = serde_json::to_value(&case.config).context("config is no JSON")?;
        let (engine, component, name) = (&self.engine, self.component.clone(), &self.component.descriptor().name);
        match (self.world, &case.window) {
            (World::Processor, None) => Ok(Arc::new(WasmFactory::new(engine, component, &config, &LIMITS, name)?)),
            (World::Processor, Some(_)) => bail!("window is for components of world aggregator: remove it"),
            (World::Aggregator, None) => {
                bail!("an aggregate needs windows: write window = {{ tumbling = \"10s\" }}, as in a pipeline file")
            }
            (World::Aggregator, Some(windows)) => {
                if !case.expect.state.is_empty() || case.expect.timers.is_some() {
                    bail!("state and timers of windows are the host's: expect output, port results (and late)");
                }
                let aggregates = WasmAggregates::new(engine, component, &config, &LIMITS, name)?;
                window::factory_over(windows, Arc::new(aggregates)).map_err(anyhow::Error::msg)
            }
        }
    }
}

fn step_of(rig: &mut Rig, step: &Step, descriptor: &Descriptor) -> Result<Result<(), Failure>> {
    if let Some(events) = &step.events {
        let input = input(step.input.as_deref(), descriptor)?;
        return Ok(rig.events(input, &batch(events)?));
    }
    Ok(match (&step.watermark, step.time) {
        (Some(Time::Ms(ms)), _) => rig.watermark(EventTime(*ms)),
        (Some(Time::Word(_)), _) => rig.watermark(EventTime::MAX),
        (None, Some(ms)) => rig.time(ms),
        (None, None) if step.replace => rig.replace(),
        (None, None) => rig.close(),
    })
}

fn input(name: Option<&str>, descriptor: &Descriptor) -> Result<u32> {
    let inputs = &descriptor.inputs;
    let Some(name) = name else { return Ok(0) };
    match inputs.iter().position(|input| input.name == name) {
        Some(index) => Ok(index as u32),
        None => {
            let names: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
            bail!("the operator has no input {name:?}: it has {}", names.join(", "))
        }
    }
}

/// Whether two runs did the same; how often an instance was opened, and so what it logged then, may differ.
fn same(a: &Outcome, b: &Outcome) -> bool {
    let done = |outcome: &Outcome| {
        let Done { output, refused, metrics, .. } = &outcome.done;
        (output.clone(), refused.clone(), metrics.clone())
    };
    done(a) == done(b) && a.state == b.state && a.waiting == b.waiting && a.failure == b.failure
}

fn batch(events: &[Event]) -> Result<Batch> {
    let mut batch = Batch::default();
    for event in events {
        let bytes = |bytes: &Option<super::case::Bytes>| bytes.as_ref().map(super::case::Bytes::bytes).transpose();
        let (key, value, time) = (bytes(&event.key)?, bytes(&event.value)?, EventTime(event.time.unwrap_or(0)));
        match event.headers.as_deref() {
            None | Some([]) if batch.headers.is_empty() => batch.push(time, key.as_deref(), value.as_deref()),
            headers => {
                let headers = headers.unwrap_or_default().iter().map(|(name, value)| Ok((name, value.bytes()?)));
                let headers: Vec<_> = headers.collect::<Result<_>>()?;
                let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
                headers::push_event(&mut batch, time, key.as_deref(), value.as_deref(), &headers);
            }
        }
    }
    Ok(batch)
}

/// What came out of a port.
pub(super) fn of_port(outcome: &Outcome, port: u32) -> Vec<&Emitted> {
    outcome.done.output.iter().filter(|(of, _)| *of == port).map(|(_, event)| event).collect()
}
