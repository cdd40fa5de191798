//! An operator's place in a chain: one subtask with its instance, keyed state, timers and watermark. Chains call it;
//! it calls the operator and turns what a call did into outputs, dead letters and the epoch's handover.
//!
//! A call is a transaction: on `Ok` its writes, timers and output are kept; on an error everything but its log lines is
//! dropped, before anyone else sees it.

use crate::dataflow::control::{Handover, Pressure, RunControl, SharedCounters};
use crate::dataflow::dead_letter::DeadLetters;
use crate::dataflow::element::{EventBatch, Origin};
use crate::dataflow::task::{FailureKind, TaskFailure};
use crate::dataflow::timer_service::TimerService;
use crate::operator::{
    Context, Descriptor, Failure, LogLevel, MetricOp, Operator, Rejection, Subtask, TimeDomain, TimerBatch, Wake,
};
use crate::state::ttl;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tidemill_storage::checkpoint::{Schedule, ScheduledCall};
use tidemill_storage::{Batch, Epoch, EventTime};

/// `retry` answers in a row to the same call before the operator counts as failed.
pub const RETRIES_MAX: u32 = 20;
/// Wait before a retry when the operator names none, ms.
pub const RETRY_DEFAULT_MS: u32 = 100;
/// Timers in one call at most.
pub const TIMERS_PER_CALL_MAX: usize = 4_096;

/// What a call needs from its task.
pub struct CallEnv<'a> {
    /// The run's signals.
    pub control: &'a RunControl,
    /// The task's dead letters.
    pub dead_letters: &'a mut DeadLetters,
    /// Processing time of the call, ms.
    pub now_ms: i64,
}

/// How a call ended.
pub enum Called {
    /// It is done; these batches go out, by port.
    Done(Vec<(u32, EventBatch)>),
    /// It did one piece of its work (a batch of timers); call again. Output as above.
    More(Vec<(u32, EventBatch)>),
    /// The operator asks for the same call again at this clock time, ms.
    Retry(i64),
    /// The signal waits for results that are still to come; [`OperatorNode::next_outside`] gives it later.
    Held,
}

/// What a node that works outside of its calls has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideWork {
    /// Tell downstream this watermark.
    Watermark(EventTime),
    /// Take answers.
    Answers,
    /// Tell downstream that the node is idle.
    Idle,
    /// Close, and tell downstream.
    End,
}

/// What only a node that works outside of its calls has.
struct Held {
    idle: bool,
    end: bool,
    pressure: Arc<Pressure>,
    presses: bool,
}

/// One operator subtask.
pub struct OperatorNode {
    uid: Arc<str>,
    subtask: Subtask,
    operator: Box<dyn Operator>,
    context: Context,
    timers: TimerService,
    watermark: EventTime,
    /// The watermark that is done here: behind it, all its timers have fired and all results of earlier events are out.
    passed: EventTime,
    held: Option<Held>,
    wants_watermarks: bool,
    metric_names: Vec<String>,
    schedule: Schedule,
    epoch_counters: BTreeMap<String, u64>,
    retries: u32,
    counters: SharedCounters,
}

enum Call<'a> {
    Events { input: u32, batch: &'a EventBatch },
    Timers(&'a TimerBatch),
    Watermark,
    Answers,
    Close,
}

impl OperatorNode {
    /// An operator subtask with an opened instance; `context` holds its restored state, `watermark` the restored one.
    pub fn new(
        uid: Arc<str>,
        operator: Box<dyn Operator>,
        descriptor: &Descriptor,
        context: Context,
        subtask: Subtask,
        watermark: EventTime,
        counters: SharedCounters,
    ) -> Result<OperatorNode, TaskFailure> {
        let timers = TimerService::load(&context.state)?;
        let wants_watermarks = descriptor.wants.watermarks;
        // The barrier of the checkpoint passed a flood of timers: the watermark is begun, and done when the rest has fired.
        let begun = !wants_watermarks && timers.next_event_time().is_some_and(|at| at <= watermark.0);
        let mut node = OperatorNode {
            uid,
            subtask,
            operator,
            context,
            timers,
            watermark,
            passed: if begun { EventTime::MIN } else { watermark },
            held: None,
            wants_watermarks,
            metric_names: descriptor.metrics.iter().map(|m| m.name.clone()).collect(),
            schedule: Schedule::default(),
            epoch_counters: BTreeMap::new(),
            retries: 0,
            counters,
        };
        node.context.subtask = Some(subtask);
        node.drain_log();
        Ok(node)
    }

    /// Takes up what was under way outside of calls at the checkpoint; `pressure` is this operator's.
    pub fn resume(&mut self, wake: Wake, pressure: Arc<Pressure>) -> Result<(), TaskFailure> {
        let keys = self.timers.keys_of(TimeDomain::ProcessingTime, 0);
        let resumed = self.operator.resume(wake, &keys, &mut self.context);
        self.drain_log();
        if let Some(error) = self.context.state.take_store_failure() {
            return Err(error.into());
        }
        match resumed {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.held = Some(Held { idle: false, end: false, pressure, presses: false });
                self.passed = self.operator.outside().waiting.map_or(self.watermark, |at| at.min(self.watermark));
                Ok(())
            }
            Err(failure) => {
                let (kind, what) = explain(failure);
                Err(TaskFailure::new(kind, format!("operator {} did not go on from its checkpoint: {what}", self.uid)))
            }
        }
    }

    /// The watermark that has passed it.
    pub fn passed_watermark(&self) -> EventTime {
        self.passed
    }

    /// The watermark that has begun in it, when timers up to it have still to fire.
    pub fn begun_watermark(&self) -> Option<EventTime> {
        (self.held.is_none() && self.passed < self.watermark).then_some(self.watermark)
    }

    /// Whether a barrier may pass what is left of a watermark or of timers that are due: state tells it after a restart. That
    /// `on-watermark` was called, it does not.
    pub fn may_be_passed(&self) -> bool {
        !self.wants_watermarks
    }

    /// Whether it should be given no events but for a barrier's sake.
    pub fn is_full(&self) -> bool {
        self.held.is_some() && self.operator.outside().full
    }

    /// What there is to do for a node that works outside of its calls; everything of one watermark before the next.
    pub fn next_outside(&self) -> Option<OutsideWork> {
        let held = self.held.as_ref()?;
        let outside = self.operator.outside();
        let done = outside.waiting.unwrap_or(self.watermark);
        if done > self.passed {
            return Some(OutsideWork::Watermark(done));
        }
        if outside.ready {
            return Some(OutsideWork::Answers);
        }
        match (outside.waiting, held.end, held.idle) {
            (None, true, _) => Some(OutsideWork::End),
            (None, false, true) => Some(OutsideWork::Idle),
            _ => None,
        }
    }

    /// Does it. The output goes out before the signal that it names.
    pub fn outside(&mut self, work: OutsideWork, env: &mut CallEnv<'_>) -> Result<Called, TaskFailure> {
        match work {
            OutsideWork::Watermark(watermark) => {
                env.control.mark_dirty();
                self.watermark = self.watermark.max(watermark);
                self.passed = watermark;
                self.counters.watermark.fetch_max(watermark.0, Ordering::Relaxed);
                Ok(Called::Done(Vec::new()))
            }
            OutsideWork::Answers => {
                env.control.mark_dirty();
                let called = self.call(&Call::Answers, env);
                let full = self.is_full();
                if let Some(held) = self.held.as_mut().filter(|held| held.presses && !full) {
                    held.presses = false;
                    held.pressure.release();
                }
                called
            }
            OutsideWork::Idle => {
                self.hold_idle(false);
                Ok(Called::Done(Vec::new()))
            }
            OutsideWork::End => {
                let called = self.call(&Call::Close, env)?;
                if let (Some(held), Called::Done(_)) = (self.held.as_mut(), &called) {
                    held.end = false;
                }
                Ok(called)
            }
        }
    }

    /// Upstream is silent, or speaks again: whether downstream may know now. A node with results to come is not silent.
    pub fn silence(&mut self, idle: bool) -> Called {
        let waits = self.waits();
        match (idle, waits) {
            (true, true) => {
                self.hold_idle(true);
                Called::Held
            }
            // Nobody was told of the silence that is over.
            (false, _) if self.held.as_ref().is_some_and(|held| held.idle) => {
                self.hold_idle(false);
                Called::Held
            }
            _ => Called::Done(Vec::new()),
        }
    }

    fn hold_idle(&mut self, idle: bool) {
        if let Some(held) = &mut self.held {
            held.idle = idle;
        }
    }

    /// Whether something has to go out before the next signal.
    fn waits(&self) -> bool {
        self.held.is_some() && (self.operator.outside().waiting.is_some() || self.passed < self.watermark)
    }

    /// One `process` call.
    pub fn batch(
        &mut self,
        input: u32,
        channel: u32,
        batch: &EventBatch,
        env: &mut CallEnv<'_>,
    ) -> Result<Called, TaskFailure> {
        let was_full = self.is_full();
        let called = self.call(&Call::Events { input, batch }, env)?;
        if let Some(held) = self.held.as_mut().filter(|held| was_full && !held.presses) {
            held.presses = true;
            held.pressure.press();
        }
        if matches!(called, Called::Done(_)) {
            let events = batch.events.len();
            self.counters.events_in.fetch_add(events as u64, Ordering::Relaxed);
            self.count("events_in", events as u64);
            let (watermark, clock) = (self.watermark.0, env.now_ms);
            let call = ScheduledCall::Process { input, channel, events: events as u32, watermark, clock };
            self.schedule.calls.push(call);
        }
        Ok(called)
    }

    /// The watermark moved: one batch of due timers a call, then `on-watermark` if wanted, then done.
    pub fn advance(&mut self, watermark: EventTime, env: &mut CallEnv<'_>) -> Result<Called, TaskFailure> {
        // A checkpoint's events may have come under a watermark that upstream has not reached again.
        if watermark < self.passed {
            return Ok(Called::Held);
        }
        self.watermark = self.watermark.max(watermark);
        if let Some(called) = self.fire(TimeDomain::EventTime, self.watermark.0, env)? {
            return Ok(called);
        }
        if self.held.is_some() && self.operator.outside().waiting.is_some() {
            return Ok(Called::Held);
        }
        // After a restart a source may say again what the operator has heard.
        if self.wants_watermarks && self.watermark > self.passed {
            let called = self.call(&Call::Watermark, env)?;
            if !matches!(called, Called::Done(_)) {
                return Ok(called);
            }
            let (watermark, clock) = (self.watermark.0, env.now_ms);
            self.schedule.calls.push(ScheduledCall::Watermark { watermark, clock });
            self.pass(env);
            return Ok(called);
        }
        self.pass(env);
        Ok(Called::Done(Vec::new()))
    }

    fn pass(&mut self, env: &CallEnv<'_>) {
        // A barrier may have come in between, so that nothing else says that there is something to commit.
        if self.passed < self.watermark {
            env.control.mark_dirty();
        }
        self.passed = self.watermark;
        self.counters.watermark.fetch_max(self.watermark.0, Ordering::Relaxed);
    }

    /// Processing-time timers that are due: one batch a call.
    pub fn tick(&mut self, env: &mut CallEnv<'_>) -> Result<Called, TaskFailure> {
        let fired = self.fire(TimeDomain::ProcessingTime, env.now_ms, env)?;
        Ok(fired.unwrap_or_else(|| Called::Done(Vec::new())))
    }

    /// When the next processing-time timer is due, ms; one at the last time there is never is.
    pub fn next_tick(&self) -> Option<i64> {
        self.timers.next_processing_time().filter(|at| *at < EventTime::LIMIT_MS)
    }

    /// End of input has passed.
    pub fn close(&mut self, env: &mut CallEnv<'_>) -> Result<Called, TaskFailure> {
        let waits = self.waits();
        if let Some(held) = self.held.as_mut().filter(|_| waits) {
            held.end = true;
            return Ok(Called::Held);
        }
        self.call(&Call::Close, env)
    }

    /// Gives what this epoch did.
    pub fn hand_over(&mut self, handover: &mut Handover) -> Result<(), TaskFailure> {
        if let Some(sealed) = self.context.state.seal_epoch(handover.epoch) {
            handover.state.push((self.uid.clone(), sealed));
        }
        // The one that has begun: what is at or before it is late, before and after a restart.
        handover.watermarks.push((self.uid.clone(), self.watermark));
        let schedule = std::mem::take(&mut self.schedule);
        handover.schedules.push((self.uid.clone(), self.subtask.index, schedule));
        for (name, amount) in std::mem::take(&mut self.epoch_counters) {
            *handover.counters.entry(name).or_default() += amount;
        }
        Ok(())
    }

    /// This epoch is durable.
    pub fn committed(&mut self, epoch: Epoch) {
        self.context.state.epoch_committed(epoch);
    }

    fn fire(&mut self, domain: TimeDomain, up_to: i64, env: &mut CallEnv<'_>) -> Result<Option<Called>, TaskFailure> {
        let Some(fired) = self.timers.due(domain, up_to, TIMERS_PER_CALL_MAX) else { return Ok(None) };
        env.control.mark_dirty();
        match self.call(&Call::Timers(&fired), env) {
            Ok(Called::Done(output)) => {
                let (watermark, clock) = (self.watermark.0, env.now_ms);
                let timers = fired.times.len() as u32;
                self.schedule.calls.push(ScheduledCall::Timers { timers, watermark, clock });
                Ok(Some(Called::More(output)))
            }
            other => other.map(Some),
        }
    }

    fn call(&mut self, call: &Call<'_>, env: &mut CallEnv<'_>) -> Result<Called, TaskFailure> {
        let (context, watermark) = (&mut self.context, self.watermark);
        context.now_ms = env.now_ms;
        begin_call(call, watermark, context);
        let mut refused = Batch::default();
        let result = match call {
            Call::Events { input, batch } => self.operator.process(*input, watermark, &batch.events, context),
            Call::Timers(fired) if fired.timer >= ttl::TIMERS => expire(fired, context),
            Call::Timers(fired) => self.operator.on_timers(fired, watermark, context),
            Call::Watermark => self.operator.on_watermark(watermark, context).map(|()| Vec::new()),
            Call::Answers => self.operator.on_answers(context).map(|given| {
                refused = given.events;
                given.rejections
            }),
            Call::Close => self.operator.close(context).map(|()| Vec::new()),
        };
        self.drain_log();
        // A read of state that failed is the store's fault, whatever the operator made of it.
        if let Some(error) = self.context.state.take_store_failure() {
            self.timers.roll_back_call(&mut self.context);
            return Err(error.into());
        }
        match result {
            Ok(rejections) => {
                self.retries = 0;
                self.context.timers.extend(self.context.state.take_expiry_timers());
                match self.timers.commit_call(&mut self.context) {
                    Ok(()) => self.keep(call, &rejections, refused, env).map(Called::Done),
                    Err(refused) => {
                        self.timers.roll_back_call(&mut self.context);
                        let failure = Failure::Trap { message: refused.to_string(), backtrace: String::new() };
                        self.give_up_or_retry(failure, call, env.now_ms)
                    }
                }
            }
            Err(failure) => {
                self.timers.roll_back_call(&mut self.context);
                self.give_up_or_retry(failure, call, env.now_ms)
            }
        }
    }

    /// Makes a successful call's effects part of the epoch.
    fn keep(
        &mut self,
        call: &Call<'_>,
        rejections: &[Rejection],
        refused: Batch,
        env: &mut CallEnv<'_>,
    ) -> Result<Vec<(u32, EventBatch)>, TaskFailure> {
        self.keep_metrics();
        // What all subtasks refuse alike is refused once.
        let spoken_for = matches!(call, Call::Events { input, .. } if self.context.state.another_speaks(*input));
        if !rejections.is_empty() && !spoken_for {
            self.counters.rejected.fetch_add(rejections.len() as u64, Ordering::Relaxed);
            self.count("rejected", rejections.len() as u64);
            match call {
                Call::Events { batch, .. } => env.dead_letters.reject_events(&self.uid, batch, rejections)?,
                Call::Timers(fired) => env.dead_letters.reject_timers(&self.uid, fired, rejections)?,
                Call::Answers => {
                    let refused = EventBatch { events: refused, origin: None };
                    env.dead_letters.reject_events(&self.uid, &refused, rejections)?;
                }
                Call::Watermark | Call::Close => {}
            }
        }
        let origin = match call {
            Call::Events { batch, .. } => batch.origin.clone(),
            _ => None,
        };
        Ok(self.take_output(origin.as_ref()))
    }

    fn take_output(&mut self, origin: Option<&Origin>) -> Vec<(u32, EventBatch)> {
        let mut events_out = 0;
        let batch_of = |(port, events): (u32, Batch)| {
            events_out += events.len() as u64;
            (port, EventBatch { events, origin: origin.cloned() })
        };
        let output: Vec<_> = self.context.output.drain(..).map(batch_of).collect();
        if events_out > 0 {
            self.counters.events_out.fetch_add(events_out, Ordering::Relaxed);
            self.count("events_out", events_out);
        }
        output
    }

    fn keep_metrics(&mut self) {
        for op in std::mem::take(&mut self.context.metrics) {
            // Gauges and histograms are not summed over epochs; they reach the metrics endpoint, not the checkpoint.
            if let MetricOp::Add(index, amount) = op
                && let Some(name) = self.metric_names.get(index as usize).cloned()
            {
                self.count(&name, amount);
            }
        }
    }

    fn count(&mut self, metric: &str, amount: u64) {
        let name = format!("{}/{metric}", self.uid);
        *self.epoch_counters.entry(name).or_default() += amount;
    }

    fn drain_log(&mut self) {
        let operator = &*self.uid;
        let subtask = self.subtask.index;
        for (level, line) in self.context.log.drain(..) {
            match level {
                LogLevel::Trace => tracing::trace!(operator, subtask, "{line}"),
                LogLevel::Debug => tracing::debug!(operator, subtask, "{line}"),
                LogLevel::Info => tracing::info!(operator, subtask, "{line}"),
                LogLevel::Warn => tracing::warn!(operator, subtask, "{line}"),
                LogLevel::Error => tracing::error!(operator, subtask, "{line}"),
            }
        }
    }

    fn give_up_or_retry(&mut self, failure: Failure, call: &Call<'_>, now_ms: i64) -> Result<Called, TaskFailure> {
        if let Failure::Retry(after) = failure
            && self.retries < RETRIES_MAX
        {
            self.retries += 1;
            return Ok(Called::Retry(now_ms + i64::from(after.unwrap_or(RETRY_DEFAULT_MS))));
        }
        let (kind, what) = explain(failure);
        let (uid, index, of) = (&self.uid, self.subtask.index, self.subtask.parallelism);
        let place = describe_call(call);
        Err(TaskFailure::new(kind, format!("operator {uid} (subtask {index} of {of}) failed in {place}: {what}")))
    }
}

/// Who should act on a failure, and what to tell.
fn explain(failure: Failure) -> (FailureKind, String) {
    match failure {
        Failure::Retry(_) => (FailureKind::Guest, format!("asked for a retry {} times in a row", RETRIES_MAX + 1)),
        Failure::Fatal(message) => (FailureKind::Fatal, format!("fatal: {message}")),
        Failure::Trap { message, backtrace } if backtrace.is_empty() => (FailureKind::Guest, message),
        Failure::Trap { message, backtrace } => (FailureKind::Guest, format!("{message}\n{backtrace}")),
        Failure::Bug(message) => (FailureKind::Bug, message),
    }
}

/// Tells state what a call is about: what may be written, and what stamps it where states have a time to live.
fn begin_call(call: &Call<'_>, watermark: EventTime, context: &mut Context) {
    let now_ms = context.now_ms;
    context.state.begin_input(match call {
        Call::Events { input, .. } => Some(*input),
        _ => None,
    });
    match call {
        Call::Events { batch: EventBatch { events, .. }, .. } => {
            let keys = events.keys.iter().map(Option::unwrap_or_default);
            context.state.begin_call(watermark, now_ms, keys.zip(events.timestamps.iter().copied()));
        }
        Call::Timers(fired) => {
            context.state.begin_call(watermark, now_ms, fired.keys.iter().zip(fired.times.iter().copied()));
        }
        Call::Watermark | Call::Answers | Call::Close => {
            context.state.begin_call(watermark, now_ms, std::iter::empty());
        }
    }
}

/// Frees what has outlived its time; the operator is not asked.
fn expire(fired: &TimerBatch, context: &mut Context) -> Result<Vec<Rejection>, Failure> {
    let done = context.state.expire(fired.timer, &fired.keys, &fired.times);
    done.map(|()| Vec::new()).map_err(|e| Failure::Bug(format!("state that is over cannot be freed: {e}")))
}

/// Which events a failed call held: enough to find them again.
fn describe_call(call: &Call<'_>) -> String {
    match call {
        Call::Events { input, batch } => {
            let events = &batch.events;
            let from = batch
                .origin
                .as_ref()
                .map_or_else(String::new, |o| format!(", from {} events {}..{}", o.partition, o.first, o.end));
            let first = events.timestamps.first().map_or_else(String::new, |time| {
                let key = events.keys.get(0).map_or("none".into(), |k| String::from_utf8_lossy(k).into_owned());
                format!(", the first at {time} with key {key}")
            });
            format!("process, input {input}, {} events{from}{first}", events.len())
        }
        Call::Timers(fired) => {
            format!("on-timers, {} timers, the first at {:?}", fired.times.len(), fired.times.first())
        }
        Call::Watermark => "on-watermark".into(),
        Call::Answers => "on-answers".into(),
        Call::Close => "close".into(),
    }
}
