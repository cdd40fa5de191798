//! One operator without a pipeline: its component in the sandbox, over state in memory, driven step by step. `run.rs` makes
//! the steps of a test case; host/tests/conformance, which compiles this same file, makes its own.
//!
//! A call is a transaction here as in the dataflow: what it did is kept when it returns, dropped when it fails. On request
//! a call is made, dropped as by a crash, and made again by a new instance.

use tidemill::config::pipeline::Limits;
use tidemill::dataflow::timer_service::TimerService;
use tidemill::operator::{
    Context, Failure, LogLevel, MetricOp, Operator, Rejection, SharedFactory, Subtask, TimeDomain, TimerBatch,
};
use tidemill::state::{KeyedState, ttl};
use tidemill_storage::state::Memory;
use tidemill_storage::{Batch, Epoch, EventTime};

/// Key groups.
const MAX_PARALLELISM: u32 = 128;
/// Timers in one call at most, as in the dataflow.
const TIMERS_PER_CALL_MAX: usize = 4_096;
/// What instances run under.
pub(crate) const LIMITS: Limits = Limits { memory_bytes: 256 << 20, call_deadline_ms: 10_000, output_bytes: 64 << 20 };

/// Which calls are broken off and made again by a new instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    Never,
    /// The call with this number, counted from 0.
    At(usize),
    Always,
}

/// An event that was emitted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Emitted {
    pub(crate) time: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// An event or timer that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) time: i64,
    pub(crate) reason: String,
}

/// An entry of state. The sub-key of a value is empty, that of a list its place as 8 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) state: u32,
    pub(crate) key: Vec<u8>,
    pub(crate) sub_key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// A timer that waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Waiting {
    pub(crate) domain: TimeDomain,
    pub(crate) timer: u32,
    pub(crate) key: Vec<u8>,
    pub(crate) time: i64,
}

/// What calls did; all but the log lines of those that succeeded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Done {
    /// By port, in order.
    pub(crate) output: Vec<(u32, Emitted)>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) metrics: Vec<MetricOp>,
    pub(crate) log: Vec<(LogLevel, String)>,
}

/// An operator's only subtask.
pub(crate) struct Rig {
    factory: SharedFactory,
    operator: Box<dyn Operator>,
    context: Context,
    timers: TimerService,
    watermark: EventTime,
    crash: Crash,
    calls: usize,
    /// Since it was last taken.
    pub(crate) done: Done,
}

enum Call<'a> {
    Events(u32, &'a Batch),
    Timers(&'a TimerBatch),
    Watermark,
    Close,
}

impl Rig {
    /// With an opened instance and empty state.
    pub(crate) fn open(factory: SharedFactory, crash: Crash) -> Result<Rig, Failure> {
        let groups = tidemill_storage::hash::key_group_range(0, 1, MAX_PARALLELISM);
        let kinds = factory.descriptor().states.iter().map(|state| state.kind).collect();
        let memory = Memory::new(groups.clone(), MAX_PARALLELISM);
        let mut context = Context {
            state: KeyedState::new(memory, kinds, MAX_PARALLELISM, groups).with_states(&factory.descriptor().states),
            subtask: Some(Subtask { index: 0, parallelism: 1, max_parallelism: MAX_PARALLELISM }),
            ..Context::default()
        };
        let operator = factory.create(&mut context)?;
        let timers = TimerService::default();
        let watermark = EventTime::MIN;
        let mut rig = Rig { factory, operator, context, timers, watermark, crash, calls: 0, done: Done::default() };
        rig.take_log();
        Ok(rig)
    }

    /// These inputs are broadcast, so that their events may write broadcast state. For a rig that has done nothing yet.
    pub(crate) fn broadcast(&mut self, inputs: Vec<bool>) {
        let memory = Memory::new(KeyedState::broadcast_key_groups(MAX_PARALLELISM), MAX_PARALLELISM);
        self.context.state = std::mem::take(&mut self.context.state).with_broadcast(memory, inputs);
    }

    /// The calls made, each counted once however often it was made again.
    pub(crate) fn calls(&self) -> usize {
        self.calls
    }

    /// One `process` call.
    pub(crate) fn events(&mut self, input: u32, batch: &Batch) -> Result<(), Failure> {
        self.call(&Call::Events(input, batch))
    }

    /// One `process` call whose effects are kept in state and else only counted: events that came out.
    pub(crate) fn events_counted(&mut self, input: u32, batch: &Batch) -> Result<usize, Failure> {
        let result = self.make(&Call::Events(input, batch));
        self.context.log.clear();
        self.context.metrics.clear();
        if let Err(failure) = result.and_then(|_| self.commit()) {
            self.timers.roll_back_call(&mut self.context);
            return Err(failure);
        }
        Ok(self.context.output.drain(..).map(|(_, batch)| batch.len()).sum())
    }

    /// The watermark moves: the timers that it makes due, then `on-watermark` where it is wanted.
    pub(crate) fn watermark(&mut self, watermark: EventTime) -> Result<(), Failure> {
        self.watermark = self.watermark.max(watermark);
        self.fire(TimeDomain::EventTime, self.watermark.0)?;
        match self.factory.descriptor().wants.watermarks {
            true => self.call(&Call::Watermark),
            false => Ok(()),
        }
    }

    /// The clock moves: the timers that it makes due.
    pub(crate) fn time(&mut self, now_ms: i64) -> Result<(), Failure> {
        self.context.now_ms = now_ms;
        self.fire(TimeDomain::ProcessingTime, now_ms)
    }

    /// The input has ended.
    pub(crate) fn close(&mut self) -> Result<(), Failure> {
        self.call(&Call::Close)
    }

    /// A new instance over the same state, as the host may make one between any two calls.
    pub(crate) fn replace(&mut self) -> Result<(), Failure> {
        self.operator = self.factory.create(&mut self.context)?;
        self.take_log();
        Ok(())
    }

    /// Everything stored, sorted, what is over and not freed yet with it. Ends the epoch: what was written becomes committed.
    pub(crate) fn state(&mut self) -> Vec<Entry> {
        self.context.state.seal_epoch(Epoch(1));
        self.context.state.epoch_committed(Epoch(1));
        let states = self.factory.descriptor().states.len() as u32;
        let committed = &self.context.state;
        let entries = (0..states).flat_map(|state| {
            committed.committed_of(state).map(move |(key, sub_key, value)| Entry {
                state,
                key: key.to_vec(),
                sub_key: sub_key.to_vec(),
                value: value.to_vec(),
            })
        });
        let mut entries: Vec<Entry> = entries.collect();
        entries.sort();
        entries
    }

    /// The timers that wait, sorted. After [`Rig::state`]: they are read from what is committed.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let timers = self.context.state.timers().filter_map(Result::ok); // in memory, so never damaged
        let own = timers.filter(|timer| timer.timer < ttl::TIMERS);
        let mut waiting: Vec<Waiting> = own
            .map(|timer| Waiting {
                domain: timer.domain,
                timer: timer.timer,
                key: timer.key.to_vec(),
                time: timer.time,
            })
            .collect();
        waiting.sort();
        waiting
    }

    fn fire(&mut self, domain: TimeDomain, up_to: i64) -> Result<(), Failure> {
        while let Some(fired) = self.timers.due(domain, up_to, TIMERS_PER_CALL_MAX) {
            self.call(&Call::Timers(&fired))?;
        }
        Ok(())
    }

    fn call(&mut self, call: &Call<'_>) -> Result<(), Failure> {
        let crashes = self.crash == Crash::Always || self.crash == Crash::At(self.calls);
        self.calls += 1;
        if crashes {
            let _ = self.make(call); // what it gave is lost with it
            self.context.roll_back();
            self.context.log.clear();
            self.replace()?;
        }
        let result = self.make(call);
        self.take_log();
        match result.and_then(|rejections| self.commit().map(|()| rejections)) {
            Ok(rejections) => {
                self.keep(call, &rejections);
                Ok(())
            }
            Err(failure) => {
                self.timers.roll_back_call(&mut self.context);
                if matches!(failure, Failure::Trap { .. }) {
                    self.replace()?; // a trapped instance answers no call
                }
                Err(failure)
            }
        }
    }

    fn make(&mut self, call: &Call<'_>) -> Result<Vec<Rejection>, Failure> {
        let (operator, context, watermark) = (&mut self.operator, &mut self.context, self.watermark);
        begin(call, watermark, context);
        context.state.begin_input(match call {
            Call::Events(input, _) => Some(*input),
            _ => None,
        });
        match call {
            Call::Events(input, batch) => operator.process(*input, watermark, batch, context),
            // What has outlived its time is freed; the operator is not asked.
            Call::Timers(fired) if fired.timer >= ttl::TIMERS => {
                let freed = context.state.expire(fired.timer, &fired.keys, &fired.times);
                freed.map(|()| Vec::new()).map_err(|e| Failure::Bug(e.to_string()))
            }
            Call::Timers(fired) => operator.on_timers(fired, watermark, context),
            Call::Watermark => operator.on_watermark(watermark, context).map(|()| Vec::new()),
            Call::Close => operator.close(context).map(|()| Vec::new()),
        }
    }

    /// Keeps what a call did to state and timers.
    fn commit(&mut self) -> Result<(), Failure> {
        self.context.timers.extend(self.context.state.take_expiry_timers());
        let committed = self.timers.commit_call(&mut self.context);
        committed.map_err(|e| Failure::Trap { message: e.to_string(), backtrace: String::new() })
    }

    fn keep(&mut self, call: &Call<'_>, rejections: &[Rejection]) {
        for (port, batch) in self.context.output.drain(..) {
            self.done.output.extend(emitted(&batch).into_iter().map(|event| (port, event)));
        }
        self.done.metrics.append(&mut self.context.metrics);
        for rejection in rejections {
            let (index, reason) = (rejection.index as usize, rejection.reason.clone());
            let (key, time) = match call {
                Call::Events(_, batch) => (batch.keys.get(index).map(<[u8]>::to_vec), batch.timestamps[index]),
                Call::Timers(fired) => (Some(fired.keys.get(index).to_vec()), fired.times[index]),
                Call::Watermark | Call::Close => continue,
            };
            self.done.refused.push(Refused { key, time, reason });
        }
    }

    fn take_log(&mut self) {
        self.done.log.append(&mut self.context.log);
    }
}

/// Tells keyed state what stamps the writes of a call, where states have a time to live.
fn begin(call: &Call<'_>, watermark: EventTime, context: &mut Context) {
    let now_ms = context.now_ms;
    match call {
        Call::Events(_, events) => {
            let keys = events.keys.iter().map(Option::unwrap_or_default);
            context.state.begin_call(watermark, now_ms, keys.zip(events.timestamps.iter().copied()));
        }
        Call::Timers(fired) => {
            context.state.begin_call(watermark, now_ms, fired.keys.iter().zip(fired.times.iter().copied()));
        }
        Call::Watermark | Call::Close => context.state.begin_call(watermark, now_ms, std::iter::empty()),
    }
}

/// The events of a batch that the host has checked.
fn emitted(batch: &Batch) -> Vec<Emitted> {
    let mut entries = tidemill_storage::headers::Entries::new(&batch.headers);
    let event = |i: usize| {
        let headers = match batch.headers.is_empty() {
            true => Vec::new(),
            false => entries.next_event().unwrap_or_default(), // checked as it came in
        };
        Emitted {
            time: batch.timestamps[i],
            key: batch.keys.get(i).map(<[u8]>::to_vec),
            value: batch.values.get(i).map(<[u8]>::to_vec),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
        }
    };
    (0..batch.len()).map(event).collect()
}
