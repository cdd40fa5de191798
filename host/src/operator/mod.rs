//! The trait between the dataflow and operators: what a wasm component and a test operator both are.
//! `dataflow` drives it; `wasm/instance.rs` implements it.
//!
//! A call is a transaction: everything it does goes through [`Context`], which the caller commits or rolls back.

pub mod builtin;
pub mod descriptor;

pub use descriptor::Descriptor;

use crate::state::KeyedState;
use std::sync::Arc;
use tidemill_storage::{Batch, Column, EventTime};

/// Which clock a timer follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeDomain {
    /// Fires when the operator's watermark reaches it.
    EventTime,
    /// Fires when the clock reaches it.
    ProcessingTime,
}

/// Timers due: at most one per key, earliest first.
#[derive(Clone, Debug)]
pub struct TimerBatch {
    /// The clock they follow.
    pub domain: TimeDomain,
    /// Index in the descriptor.
    pub timer: u32,
    /// Their keys.
    pub keys: Column,
    /// Their times, ms.
    pub times: Vec<i64>,
}

/// One event or timer of a call that the operator refuses; its effects were undone by the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Index in the call's batch.
    pub index: u32,
    /// Why.
    pub reason: String,
}

/// A call failed: every effect of it is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Transient: the same call again, after this many ms if given.
    Retry(Option<u32>),
    /// The operator asks to stop the pipeline.
    Fatal(String),
    /// The guest died: trap, deadline, memory, a refused host call. The instance is gone.
    Trap {
        /// What happened, with the cause.
        message: String,
        /// Symbolised guest frames, innermost first; empty when there are none.
        backtrace: String,
    },
    /// Tidemill's own fault.
    Bug(String),
}

/// Which subtask runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subtask {
    /// 0..parallelism.
    pub index: u32,
    /// Subtasks of this operator.
    pub parallelism: u32,
    /// Key groups.
    pub max_parallelism: u32,
}

/// A timer operation of a call, applied when the call is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerOp {
    /// Register or cancel.
    pub register: bool,
    /// The clock.
    pub domain: TimeDomain,
    /// Index in the descriptor.
    pub timer: u32,
    /// The key.
    pub key: Vec<u8>,
    /// The time, ms.
    pub time: i64,
}

/// A metric operation of a call, applied when the call is committed.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricOp {
    /// Counter.
    Add(u32, u64),
    /// Gauge.
    Set(u32, f64),
    /// Histogram.
    Observe(u32, Vec<f64>),
}

/// How grave a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Finest.
    Trace,
    /// For developers.
    Debug,
    /// Normal.
    Info,
    /// Odd.
    Warn,
    /// Broken.
    Error,
}

/// Everything a call reads and does. Owned by the operator's task; handed into the call and back.
#[derive(Default)]
pub struct Context {
    /// Keyed state of this subtask.
    pub state: KeyedState,
    /// Emitted batches, by port.
    pub output: Vec<(u32, Batch)>,
    /// Timer operations.
    pub timers: Vec<TimerOp>,
    /// Metric operations.
    pub metrics: Vec<MetricOp>,
    /// Log lines; these survive a failed call.
    pub log: Vec<(LogLevel, String)>,
    /// Where this runs; `None` only while the context is lent out.
    pub subtask: Option<Subtask>,
    /// Processing time of the call, ms.
    pub now_ms: i64,
}

impl Context {
    /// Drops every effect of the call but its log lines.
    pub fn roll_back(&mut self) {
        self.state.roll_back_call();
        self.output.clear();
        self.timers.clear();
        self.metrics.clear();
    }
}

/// Wakes an operator's task: something has come for it from outside of its calls.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// What an operator has under way outside of its calls. The default, nothing, is that of most operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// Answers are there: [`Operator::on_answers`] has something to do.
    pub ready: bool,
    /// It has no room: it should be given events only for the sake of a barrier behind them.
    pub full: bool,
    /// Results are still to come of events that came under this watermark, and of none that came earlier.
    pub waiting: Option<EventTime>,
}

/// Events that turned out to be refused after the call that took them.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// The events.
    pub events: Batch,
    /// Why, by index.
    pub rejections: Vec<Rejection>,
}

/// One instance of an operator, for one subtask. Not shared between threads, but may move between them.
pub trait Operator: Send {
    /// One call with events of one input. Errors drop every effect of the call.
    fn process(
        &mut self,
        input: u32,
        watermark: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure>;

    /// Timers due.
    fn on_timers(
        &mut self,
        fired: &TimerBatch,
        watermark: EventTime,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure>;

    /// The watermark moved; called only when the descriptor wants it.
    fn on_watermark(&mut self, watermark: EventTime, context: &mut Context) -> Result<(), Failure>;

    /// The pipeline ends or drains.
    fn close(&mut self, context: &mut Context) -> Result<(), Failure>;

    /// Once, before every other call: takes up what was under way at the checkpoint. `keys` = those with a processing-time
    /// timer of index 0. Returns whether the operator works outside of its calls; the methods below are for those.
    fn resume(&mut self, _wake: Wake, _keys: &Column, _context: &mut Context) -> Result<bool, Failure> {
        Ok(false)
    }

    /// What is under way. Cheap: asked at every step.
    fn outside(&self) -> Outside {
        Outside::default()
    }

    /// One call with answers that are there. Its output is of events that came under one watermark, [`Outside::waiting`].
    fn on_answers(&mut self, _context: &mut Context) -> Result<Refused, Failure> {
        Ok(Refused::default())
    }
}

/// Makes instances: one per subtask, a fresh one after a failure.
pub trait OperatorFactory: Send + Sync {
    /// What the operator says of itself.
    fn descriptor(&self) -> &Descriptor;

    /// A new, opened instance. `context` takes the log lines of `open`.
    fn create(&self, context: &mut Context) -> Result<Box<dyn Operator>, Failure>;
}

/// A factory that can be kept and shared.
pub type SharedFactory = Arc<dyn OperatorFactory>;
