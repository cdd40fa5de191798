//! Running instances of either world, and operators over those of world `processor`: a factory per operator of a pipeline,
//! an instance per subtask. The dataflow calls it through `operator::Operator`; it calls the guest. `aggregate.rs` does the
//! same for world `aggregator`.
//!
//! Invariants:
//! 1. The call's `Context` is in the store only while the guest runs; it is back with the caller on every path.
//! 2. An instance whose guest died answers every later call with `Failure::Bug`.

use super::bindings::aggregator::{Aggregator, AggregatorPre};
use super::bindings::{Guest, Processor, ProcessorPre, wit};
use super::component::LoadedComponent;
use super::convert;
use super::engine::WasmEngine;
use super::error::ComponentError;
use super::host_functions::{HostState, Phase};
use super::limits::{self, CallBudget, MemoryLimiter, START_DEADLINE_MS};
use super::trap::{self, Circumstances};
use crate::config::pipeline::Limits;
use crate::operator::{Context, Descriptor, Failure, LogLevel, Operator, OperatorFactory, Rejection, TimerBatch};
use std::sync::Arc;
use tidemill_storage::{Batch, EventTime};
use wasmtime::Store;

/// Makes instances of one operator of a pipeline.
pub struct WasmFactory {
    engine: WasmEngine,
    component: LoadedComponent,
    config: String,
    limits: Limits,
}

impl WasmFactory {
    /// For an operator of a pipeline: its component, configuration and limits. `operator` is its name in the file.
    pub fn new(
        engine: &WasmEngine,
        component: LoadedComponent,
        config: &serde_json::Value,
        limits: &Limits,
        operator: &str,
    ) -> Result<WasmFactory, ComponentError> {
        limits::check(operator, limits)?;
        component.processor()?;
        let config = config_text(config);
        Ok(WasmFactory { engine: engine.clone(), component, config, limits: limits.clone() })
    }
}

impl OperatorFactory for WasmFactory {
    fn descriptor(&self) -> &Descriptor {
        self.component.descriptor()
    }

    fn create(&self, context: &mut Context) -> Result<Box<dyn Operator>, Failure> {
        let descriptor = self.component.shared_descriptor();
        let pre = self.component.processor().map_err(|e| Failure::Bug(e.to_string()))?;
        let instance = Instance::open(&self.engine, pre, descriptor, &self.limits, &self.config, context)?;
        Ok(Box::new(WasmOperator { instance }))
    }
}

/// `open` gets `{}` where the pipeline file has no table.
pub(super) fn config_text(config: &serde_json::Value) -> String {
    if config.is_null() { "{}".to_owned() } else { config.to_string() }
}

/// One opened instance.
struct WasmOperator {
    instance: Instance<Processor>,
}

impl WasmOperator {
    /// A call that may reject some of its `count` events or timers.
    fn call_with_rejections(
        &mut self,
        name: &str,
        count: usize,
        context: &mut Context,
        call: impl FnOnce(&Guest, &mut Store<HostState>) -> Called<Vec<wit::types::Rejection>>,
    ) -> Result<Vec<Rejection>, Failure> {
        let rejected = self.instance.run(name, context, |world, store| call(guest(world), store))?;
        if rejected.is_empty() {
            return Ok(Vec::new());
        }
        convert::rejections(rejected, count).map_err(|why| self.instance.condemn(format!("{name}: {why}")))
    }
}

impl Operator for WasmOperator {
    fn process(
        &mut self,
        input: u32,
        watermark: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        self.call_with_rejections("process", events.len(), context, |guest, store| {
            guest.call_process(store, input, watermark.0, convert::batch_param(events))
        })
    }

    fn on_timers(
        &mut self,
        fired: &TimerBatch,
        watermark: EventTime,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        self.call_with_rejections("on-timers", fired.times.len(), context, |guest, store| {
            guest.call_on_timers(store, convert::timers_param(fired), watermark.0)
        })
    }

    fn on_watermark(&mut self, watermark: EventTime, context: &mut Context) -> Result<(), Failure> {
        self.instance.run("on-watermark", context, |world, store| guest(world).call_on_watermark(store, watermark.0))
    }

    fn close(&mut self, context: &mut Context) -> Result<(), Failure> {
        self.instance.run("close", context, |world, store| guest(world).call_close(store))
    }
}

fn guest(world: &Processor) -> &Guest {
    world.tidemill_operator_operator()
}

/// What the two worlds have in common.
pub(super) trait World: Sized {
    /// Compiled and linked, ready to instantiate.
    type Pre;

    fn instantiate(pre: &Self::Pre, store: &mut Store<HostState>) -> wasmtime::Result<Self>;
    fn describe(&self, store: &mut Store<HostState>) -> wasmtime::Result<String>;
    fn open(&self, store: &mut Store<HostState>, config: &str) -> Called<()>;
}

impl World for Processor {
    type Pre = ProcessorPre<HostState>;

    fn instantiate(pre: &Self::Pre, store: &mut Store<HostState>) -> wasmtime::Result<Processor> {
        pre.instantiate(store)
    }

    fn describe(&self, store: &mut Store<HostState>) -> wasmtime::Result<String> {
        guest(self).call_describe(store)
    }

    fn open(&self, store: &mut Store<HostState>, config: &str) -> Called<()> {
        guest(self).call_open(store, config)
    }
}

impl World for Aggregator {
    type Pre = AggregatorPre<HostState>;

    fn instantiate(pre: &Self::Pre, store: &mut Store<HostState>) -> wasmtime::Result<Aggregator> {
        pre.instantiate(store)
    }

    fn describe(&self, store: &mut Store<HostState>) -> wasmtime::Result<String> {
        self.tidemill_operator_aggregate().call_describe(store)
    }

    fn open(&self, store: &mut Store<HostState>, config: &str) -> Called<()> {
        self.tidemill_operator_aggregate().call_open(store, config)
    }
}

/// What a guest call returns: a trap, or the guest's own answer.
pub(super) type Called<R> = wasmtime::Result<Result<R, wit::types::Failure>>;

/// A store with a live guest in it.
pub(super) struct Instance<W> {
    store: Store<HostState>,
    guest: W,
    limits: Limits,
    /// Why it answers no more.
    dead: Option<String>,
}

impl<W: World> Instance<W> {
    /// Instantiates and opens.
    pub(super) fn open(
        engine: &WasmEngine,
        pre: &W::Pre,
        descriptor: Arc<Descriptor>,
        limits: &Limits,
        config: &str,
        context: &mut Context,
    ) -> Result<Instance<W>, Failure> {
        let mut instance = Instance::<W>::start(engine, pre, descriptor, limits, context)?;
        let deadline_ms = limits.call_deadline_ms.max(START_DEADLINE_MS);
        instance.call("open", Phase::Open, deadline_ms, context, |guest, store| guest.open(store, config))?;
        Ok(instance)
    }

    /// Instantiates; the guest's own initialisation runs here. `context` takes its log lines.
    pub(super) fn start(
        engine: &WasmEngine,
        pre: &W::Pre,
        descriptor: Arc<Descriptor>,
        limits: &Limits,
        context: &mut Context,
    ) -> Result<Instance<W>, Failure> {
        let memory = MemoryLimiter::new(limits.memory_bytes);
        let host = HostState::new(descriptor, memory, CallBudget::new(limits.output_bytes));
        let mut store = Store::new(engine.wasmtime(), host);
        store.limiter(|host| &mut host.memory);
        store.set_hostcall_fuel(limits::hostcall_bytes(limits));
        let deadline_ms = limits.call_deadline_ms.max(START_DEADLINE_MS);
        let started = enter(&mut store, "start-up", Phase::Describe, deadline_ms, limits, context, |store| {
            W::instantiate(pre, store)
        });
        Ok(Instance { guest: started?, store, limits: limits.clone(), dead: None })
    }

    /// An ordinary call, under the operator's deadline.
    pub(super) fn run<R>(
        &mut self,
        name: &str,
        context: &mut Context,
        call: impl FnOnce(&W, &mut Store<HostState>) -> Called<R>,
    ) -> Result<R, Failure> {
        self.call(name, Phase::Run, self.limits.call_deadline_ms, context, call)
    }

    /// A call of the guest, as one transaction over the context.
    pub(super) fn call<R>(
        &mut self,
        name: &str,
        phase: Phase,
        deadline_ms: u64,
        context: &mut Context,
        call: impl FnOnce(&W, &mut Store<HostState>) -> Called<R>,
    ) -> Result<R, Failure> {
        if let Some(why) = &self.dead {
            return Err(Failure::Bug(format!(
                "Tidemill called {name} of an operator instance that is dead ({why}); a fresh one is due after a trap"
            )));
        }
        let Instance { store, guest, limits, .. } = self;
        match enter(store, name, phase, deadline_ms, limits, context, |store| call(guest, store)) {
            Ok(answer) => answer.map_err(convert::failure),
            Err(failure) => {
                if let Failure::Trap { message, .. } = &failure {
                    self.dead = Some(message.clone());
                }
                Err(failure)
            }
        }
    }

    /// The guest answered with something that the contract rules out: it is treated as dead.
    pub(super) fn condemn(&mut self, message: String) -> Failure {
        self.dead = Some(message.clone());
        Failure::Trap { message, backtrace: String::new() }
    }

    /// Whether it answers no more.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.is_some()
    }

    /// Counts what a call handed back against the quota; the error is the refusal.
    pub(super) fn take_output(&mut self, bytes: usize) -> Result<(), String> {
        self.store.data_mut().budget.take_output(bytes)
    }
}

/// Lends the context to the store, arms the limits, lets the guest run, and takes the context back.
fn enter<R>(
    store: &mut Store<HostState>,
    name: &str,
    phase: Phase,
    deadline_ms: u64,
    limits: &Limits,
    context: &mut Context,
    call: impl FnOnce(&mut Store<HostState>) -> wasmtime::Result<R>,
) -> Result<R, Failure> {
    let log_before = context.log.len();
    let host = store.data_mut();
    std::mem::swap(&mut host.context, context);
    host.phase = phase;
    host.memory.refused = None;
    host.budget.refill();
    store.set_epoch_deadline(limits::deadline_ticks(deadline_ms));
    let result = call(store).map_err(|error| {
        let at = Circumstances { call: name, deadline_ms, memory_bytes: limits.memory_bytes, log_before };
        trap::failure(&error, store.data(), &at)
    });
    let host = store.data_mut();
    if let Some(line) = host.budget.dropped_lines() {
        host.context.log.push((LogLevel::Warn, line));
    }
    std::mem::swap(&mut host.context, context);
    result
}
