//! An operator's place in a chain: one subtask with its instance, keyed state, timers and watermark. Chains call it;
//! it calls the operator and turns what a call did into outputs, dead letters and the epoch's handover.
//!
//! A call is a transaction: on `Ok` its writes, timers and output are kept; on an error everything but its log lines is
//! dropped, before anyone else sees it.

use crate::dataflow::control::{Handover, RunControl, SharedCounters};
use crate::dataflow::dead_letter::DeadLetters;
use crate::dataflow::element::{EventBatch, Origin};
use crate::dataflow::task::{FailureKind, TaskFailure};
use crate::dataflow::timer_service::TimerService;
use crate::operator::{
    Context, Descriptor, Failure, LogLevel, MetricOp, Operator, Rejection, Subtask, TimeDomain, TimerBatch,
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
}

/// One operator subtask.
pub struct OperatorNode {
    uid: Arc<str>,
    subtask: Subtask,
    operator: Box<dyn Operator>,
    context: Context,
    timers: TimerService,
    watermark: EventTime,
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
        let mut node = OperatorNode {
            uid,
            subtask,
            operator,
            context,
            timers,
            watermark,
            wants_watermarks: descriptor.wants.watermarks,
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

    /// The operator's watermark.
    pub fn current_watermark(&self) -> EventTime {
        self.watermark
    }

    /// One `process` call.
    pub fn batch(
        &mut self,
        input: u32,
        channel: u32,
        batch: &EventBatch,
        env: &mut CallEnv<'_>,
    ) -> Result<Called, TaskFailure> {
        let called = self.call(&Call::Events { input, batch }, env)?;
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
        self.watermark = self.watermark.max(watermark);
        if let Some(called) = self.fire(TimeDomain::EventTime, self.watermark.0, env)? {
            return Ok(called);
        }
        self.counters.watermark.fetch_max(self.watermark.0, Ordering::Relaxed);
        if !self.wants_watermarks {
            return Ok(Called::Done(Vec::new()));
        }
        let called = self.call(&Call::Watermark, env)?;
        if matches!(called, Called::Done(_)) {
            let (watermark, clock) = (self.watermark.0, env.now_ms);
            self.schedule.calls.push(ScheduledCall::Watermark { watermark, clock });
        }
        Ok(called)
    }

    /// Processing-time timers that are due: one batch a call.
    pub fn tick(&mut self, env: &mut CallEnv<'_>) -> Result<Called, TaskFailure> {
        let fired = self.fire(TimeDomain::ProcessingTime, env.now_ms, env)?;
        if fired.is_some() {
            env.control.mark_dirty();
        }
        Ok(fired.unwrap_or_else(|| Called::Done(Vec::new())))
    }

    /// When the next processing-time timer is due, ms.
    pub fn next_tick(&self) -> Option<i64> {
        self.timers.next_processing_time()
    }

    /// End of input has passed.
    pub fn close(&mut self, env: &mut CallEnv<'_>) -> Result<Called, TaskFailure> {
        self.call(&Call::Close, env)
    }

    /// Gives what this epoch did.
    pub fn hand_over(&mut self, handover: &mut Handover) -> Result<(), TaskFailure> {
        if let Some(sealed) = self.context.state.seal_epoch(handover.epoch) {
            handover.state.push((self.uid.clone(), sealed));
        }
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
        let result = match call {
            Call::Events { input, batch } => self.operator.process(*input, watermark, &batch.events, context),
            Call::Timers(fired) if fired.timer >= ttl::TIMERS => expire(fired, context),
            Call::Timers(fired) => self.operator.on_timers(fired, watermark, context),
            Call::Watermark => self.operator.on_watermark(watermark, context).map(|()| Vec::new()),
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
                    Ok(()) => self.keep(call, &rejections, env).map(Called::Done),
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
        let (kind, what) = match failure {
            Failure::Retry(after) if self.retries < RETRIES_MAX => {
                self.retries += 1;
                return Ok(Called::Retry(now_ms + i64::from(after.unwrap_or(RETRY_DEFAULT_MS))));
            }
            Failure::Retry(_) => (FailureKind::Guest, format!("asked for a retry {} times in a row", RETRIES_MAX + 1)),
            Failure::Fatal(message) => (FailureKind::Fatal, format!("fatal: {message}")),
            Failure::Trap { message, backtrace } if backtrace.is_empty() => (FailureKind::Guest, message),
            Failure::Trap { message, backtrace } => (FailureKind::Guest, format!("{message}\n{backtrace}")),
            Failure::Bug(message) => (FailureKind::Bug, message),
        };
        let (uid, index, of) = (&self.uid, self.subtask.index, self.subtask.parallelism);
        let place = describe_call(call);
        Err(TaskFailure::new(kind, format!("operator {uid} (subtask {index} of {of}) failed in {place}: {what}")))
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
        Call::Watermark | Call::Close => context.state.begin_call(watermark, now_ms, std::iter::empty()),
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
        Call::Close => "close".into(),
    }
}
