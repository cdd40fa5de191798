//! A window operator driven as the dataflow does, over real keyed state and timers, with commits and crashes; and a plain
//! model of windows to hold against it. Tests of windows use both.

#![allow(dead_code, reason = "each test program uses its own part")]

use bytes::Bytes;
use std::collections::BTreeMap;
use tidemill::config::builtin::*;
use tidemill::dataflow::timer_service::TimerService;
use tidemill::operator::builtin;
use tidemill::operator::{Context, MetricOp, Operator, Rejection, SharedFactory, Subtask, TimeDomain};
use tidemill::state::KeyedState;
use tidemill_storage::hash::key_group_range;
use tidemill_storage::state::Memory;
use tidemill_storage::{Batch, Epoch, EventTime};

const MAX_PARALLELISM: u32 = 4;

/// (time, key, value).
pub(crate) type Event = (i64, String, String);
/// (port, time, key, value).
pub(crate) type Out = (u32, i64, String, String);

/// One subtask of an operator.
pub(crate) struct Rig {
    factory: SharedFactory,
    operator: Box<dyn Operator>,
    context: Context,
    timers: TimerService,
    watermark: i64,
    deltas: Vec<Bytes>,
    epoch: Epoch,
    /// The watermark of the last commit.
    committed: i64,
    pub(crate) now_ms: i64,
    pub(crate) out: Vec<Out>,
    /// The first metric.
    pub(crate) counted: u64,
    /// The second metric: a guest's first, under a window operator.
    pub(crate) guest_metric: u64,
    pub(crate) rejected: Vec<Rejection>,
    /// Timers in one call at most.
    pub(crate) timers_per_call: usize,
}

impl Rig {
    pub(crate) fn new(operator: &Builtin) -> Rig {
        Rig::over(builtin::factory(operator))
    }

    pub(crate) fn over(factory: SharedFactory) -> Rig {
        let mut rig = Rig {
            operator: factory.create(&mut Context::default()).unwrap(),
            factory,
            context: Context::default(),
            timers: TimerService::default(),
            watermark: i64::MIN,
            deltas: Vec::new(),
            epoch: Epoch(1),
            committed: i64::MIN,
            now_ms: 0,
            out: Vec::new(),
            counted: 0,
            guest_metric: 0,
            rejected: Vec::new(),
            timers_per_call: 3,
        };
        rig.crash();
        rig
    }

    fn end_call(&mut self, rejected: Vec<Rejection>) {
        self.rejected.extend(rejected);
        self.timers.commit_call(&mut self.context).unwrap();
        for (port, batch) in self.context.output.drain(..) {
            batch.check("output").unwrap();
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
            for i in 0..batch.len() {
                self.out.push((port, batch.timestamps[i], text(batch.keys.get(i)), text(batch.values.get(i))));
            }
        }
        for metric in self.context.metrics.drain(..) {
            match metric {
                MetricOp::Add(0, amount) => self.counted += amount,
                MetricOp::Add(1, amount) => self.guest_metric += amount,
                _ => {}
            }
        }
    }

    pub(crate) fn batch(&mut self, input: u32, events: &[Event]) {
        let mut batch = Batch::default();
        for (time, key, value) in events {
            batch.push(EventTime(*time), Some(key.as_bytes()), Some(value.as_bytes()));
        }
        self.context.now_ms = self.now_ms;
        let done = self.operator.process(input, EventTime(self.watermark), &batch, &mut self.context);
        self.end_call(done.unwrap());
    }

    fn drain(&mut self, domain: TimeDomain, up_to: i64) {
        while let Some(fired) = self.timers.due(domain, up_to, self.timers_per_call) {
            self.context.now_ms = self.now_ms;
            let done = self.operator.on_timers(&fired, EventTime(self.watermark), &mut self.context);
            self.end_call(done.unwrap());
        }
    }

    pub(crate) fn advance(&mut self, watermark: i64) {
        self.watermark = self.watermark.max(watermark);
        self.drain(TimeDomain::EventTime, self.watermark);
    }

    pub(crate) fn tick(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.drain(TimeDomain::ProcessingTime, now_ms);
    }

    pub(crate) fn commit(&mut self) {
        self.deltas.extend(self.context.state.seal_epoch(self.epoch).map(|sealed| sealed.encode()));
        self.context.state.epoch_committed(self.epoch);
        self.epoch = self.epoch.next();
        self.committed = self.watermark;
    }

    /// Goes back to the last commit, with another instance. What came out since is the caller's to forget.
    pub(crate) fn crash(&mut self) {
        let key_groups = key_group_range(0, 1, MAX_PARALLELISM);
        let mut memory = Memory::new(key_groups.clone(), MAX_PARALLELISM);
        self.deltas.iter().for_each(|delta| memory.apply_delta(delta, tidemill_storage::Epoch(0)).unwrap());
        let kinds = self.factory.descriptor().states.iter().map(|s| s.kind).collect();
        let state = KeyedState::new(memory, kinds, MAX_PARALLELISM, key_groups);
        let subtask = Some(Subtask { index: 0, parallelism: 1, max_parallelism: MAX_PARALLELISM });
        self.context = Context { state, subtask, ..Context::default() };
        self.timers = TimerService::load(&self.context.state).unwrap();
        self.operator = self.factory.create(&mut self.context).unwrap();
        self.watermark = self.committed;
    }

    /// Nothing is lost but the instance.
    pub(crate) fn crash_after_commit(&mut self) {
        self.commit();
        self.crash();
    }

    /// The same state under an operator with other settings.
    pub(crate) fn replaced_by(self, operator: &Builtin) -> Rig {
        self.replaced_by_factory(builtin::factory(operator))
    }

    pub(crate) fn replaced_by_factory(mut self, factory: SharedFactory) -> Rig {
        self.commit();
        self.factory = factory;
        self.crash();
        self
    }

    pub(crate) fn close(&mut self) {
        self.operator.close(&mut self.context).unwrap();
        self.end_call(Vec::new());
    }

    /// A watermark under which a call must fail; gives the failure as text.
    pub(crate) fn advance_fails(&mut self, watermark: i64) -> String {
        self.watermark = self.watermark.max(watermark);
        while let Some(fired) = self.timers.due(TimeDomain::EventTime, self.watermark, self.timers_per_call) {
            match self.operator.on_timers(&fired, EventTime(self.watermark), &mut self.context) {
                Ok(rejected) => self.end_call(rejected),
                Err(failure) => {
                    self.timers.roll_back_call(&mut self.context);
                    return format!("{failure:?}");
                }
            }
        }
        panic!("no call failed");
    }

    /// A call that must fail; gives the failure as text.
    pub(crate) fn batch_fails(&mut self, events: &[Event]) -> String {
        let mut batch = Batch::default();
        for (time, key, value) in events {
            batch.push(EventTime(*time), Some(key.as_bytes()), Some(value.as_bytes()));
        }
        let done = self.operator.process(0, EventTime(self.watermark), &batch, &mut self.context);
        self.timers.roll_back_call(&mut self.context);
        format!("{:?}", done.unwrap_err())
    }

    /// Entries left in committed state, timers included.
    pub(crate) fn entries_left(&mut self) -> usize {
        self.commit();
        self.context.state.committed().len()
    }

    pub(crate) fn take(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.out)
    }
}

/// Windows that give the results which the model computes.
pub(crate) fn spec(windows: Windows) -> WindowSpec {
    let aggregate = |function, field: Option<&str>| {
        WindowColumn::Aggregate(Aggregate { function, field: field.map(str::to_string), conditions: Vec::new() })
    };
    let output = [
        ("s", WindowColumn::Start),
        ("e", WindowColumn::End),
        ("f", WindowColumn::Firing),
        ("n", aggregate(Function::Count, None)),
        ("sum", aggregate(Function::Sum, Some("/v"))),
        ("min", aggregate(Function::Min, Some("/v"))),
        ("max", aggregate(Function::Max, Some("/v"))),
        ("first", aggregate(Function::First, Some("/v"))),
        ("last", aggregate(Function::Last, Some("/v"))),
    ];
    WindowSpec {
        windows,
        clock: Clock::Event,
        trigger: Trigger::END,
        lateness_ms: 0,
        discard: false,
        late_output: true,
        conditions: Vec::new(),
        output: output.into_iter().map(|(name, column)| (name.to_string(), column)).collect(),
        rows: None,
        having: None,
    }
}

pub(crate) fn aligned(size_ms: i64, slide_ms: i64, offset_ms: i64) -> Windows {
    Windows::Aligned { size_ms, slide_ms, offset_ms }
}

pub(crate) fn event(time: i64, key: &str, value: i64) -> Event {
    (time, key.to_string(), format!("{{\"v\":{value}}}"))
}

#[derive(Clone, Debug)]
struct ModelWindow {
    start: i64,
    end: i64,
    events: Vec<(i64, i64)>,
    pending: u32,
    firings: u32,
    newest: i64,
    ended: bool,
}

/// Windows as their definition says, event-time only: every window keeps its events.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    spec: WindowSpec,
    watermark: i64,
    windows: BTreeMap<String, Vec<ModelWindow>>,
    pub(crate) out: Vec<Out>,
}

impl Model {
    pub(crate) fn new(spec: &WindowSpec) -> Model {
        Model { spec: spec.clone(), watermark: i64::MIN, windows: BTreeMap::new(), out: Vec::new() }
    }

    fn over(&self, end: i64) -> bool {
        end != i64::MAX && (end - 1).saturating_add(self.spec.lateness_ms as i64) <= self.watermark
    }

    fn fire(&mut self, key: &str, at: usize) {
        let discard = self.spec.discard;
        let window = &mut self.windows.get_mut(key).unwrap()[at];
        if window.events.is_empty() {
            return;
        }
        let values = || window.events.iter().map(|(_, v)| *v);
        let bound = |time: i64, none: i64| if time == none { "null".to_string() } else { time.to_string() };
        let least = window.events.iter().map(|e| e.0).min().unwrap();
        let greatest = window.events.iter().map(|e| e.0).max().unwrap();
        let value = format!(
            "{{\"s\":{},\"e\":{},\"f\":{},\"n\":{},\"sum\":{},\"min\":{},\"max\":{},\"first\":{},\"last\":{}}}",
            bound(window.start, i64::MIN),
            bound(window.end, i64::MAX),
            window.firings,
            window.events.len(),
            values().sum::<i64>(),
            values().min().unwrap(),
            values().max().unwrap(),
            window.events.iter().find(|e| e.0 == least).unwrap().1,
            window.events.iter().rfind(|e| e.0 == greatest).unwrap().1,
        );
        let time = if window.end == i64::MAX { window.newest } else { window.end - 1 };
        self.out.push((0, time, key.to_string(), value));
        window.firings += 1;
        window.pending = 0;
        if discard {
            window.events.clear();
            if window.end == i64::MAX {
                window.firings = 0;
            }
        }
    }

    pub(crate) fn batch(&mut self, events: &[Event]) {
        for (time, key, value) in events {
            let v: i64 = value.trim_start_matches("{\"v\":").trim_end_matches('}').parse().unwrap();
            let candidates: Vec<(i64, i64)> = match &self.spec.windows {
                Windows::Aligned { size_ms, slide_ms, offset_ms } => (time - size_ms + 1..=*time)
                    .filter(|start| (start - offset_ms).rem_euclid(*slide_ms) == 0)
                    .map(|start| (start, start + size_ms))
                    .collect(),
                Windows::Session(Gap::Fixed(gap)) => {
                    let list = self.windows.entry(key.clone()).or_default();
                    let end = time + gap;
                    let touched: Vec<ModelWindow> =
                        list.iter().filter(|w| w.start <= end && *time <= w.end).cloned().collect();
                    let merged_end = touched.iter().map(|w| w.end).fold(end, i64::max);
                    let start = touched.iter().map(|w| w.start).fold(*time, i64::min);
                    if !self.over(merged_end) {
                        let list = self.windows.get_mut(key).unwrap();
                        list.retain(|w| !touched.iter().any(|t| t.start == w.start));
                        let mut touched = touched;
                        touched.sort_by_key(|w| w.start);
                        list.push(ModelWindow {
                            start,
                            end: merged_end,
                            events: touched.iter().flat_map(|w| w.events.clone()).collect(),
                            pending: touched.iter().map(|w| w.pending).sum(),
                            firings: touched.iter().map(|w| w.firings).max().unwrap_or(0),
                            newest: touched.iter().map(|w| w.newest).fold(i64::MIN, i64::max),
                            ended: false,
                        });
                    }
                    vec![(start, merged_end)]
                }
                Windows::Global => vec![(i64::MIN, i64::MAX)],
                Windows::Session(Gap::Field(_)) => unreachable!("the model knows fixed gaps"),
            };
            let open: Vec<(i64, i64)> = candidates.iter().copied().filter(|(_, end)| !self.over(*end)).collect();
            if open.is_empty() && !candidates.is_empty() {
                self.out.push((1, *time, key.clone(), value.clone()));
            }
            for (start, end) in open {
                let list = self.windows.entry(key.clone()).or_default();
                let at = list.iter().position(|w| w.start == start).unwrap_or_else(|| {
                    let (pending, firings, newest) = (0, 0, i64::MIN);
                    list.push(ModelWindow { start, end, events: Vec::new(), pending, firings, newest, ended: false });
                    list.len() - 1
                });
                let window = &mut list[at];
                window.events.push((*time, v));
                window.pending += 1;
                window.newest = window.newest.max(*time);
                if self.spec.trigger.count.is_some_and(|count| list[at].pending >= count) {
                    self.fire(key, at);
                }
            }
        }
        for key in self.windows.keys().cloned().collect::<Vec<_>>() {
            for at in 0..self.windows[&key].len() {
                let window = &self.windows[&key][at];
                let passed = window.end != i64::MAX && window.end - 1 <= self.watermark;
                if passed && self.spec.trigger.at_end && window.pending > 0 {
                    self.fire(&key, at);
                }
                self.windows.get_mut(&key).unwrap()[at].ended = passed && self.spec.trigger.at_end;
            }
        }
        self.forget();
    }

    /// Time passes every millisecond that matters.
    pub(crate) fn advance(&mut self, watermark: i64) {
        if watermark <= self.watermark {
            return;
        }
        let mut times: Vec<i64> = Vec::new();
        for window in self.windows.values().flatten() {
            let end = window.end.saturating_sub(1).min(EventTime::LIMIT_MS);
            times.push(end);
            times.push(end.saturating_add(self.spec.lateness_ms as i64));
            if let Some((every, _)) = self.spec.trigger.every {
                times.extend((window.start..=end).filter(|t| t.rem_euclid(every) == 0));
            }
        }
        times.retain(|time| *time > self.watermark && *time <= watermark);
        times.sort_unstable();
        times.dedup();
        for time in times {
            self.watermark = time;
            for key in self.windows.keys().cloned().collect::<Vec<_>>() {
                for at in 0..self.windows[&key].len() {
                    let window = &self.windows[&key][at];
                    let last = window.end.saturating_sub(1).min(EventTime::LIMIT_MS);
                    let ends = !window.ended && self.spec.trigger.at_end && last <= time;
                    let early = window.pending > 0
                        && time > window.start
                        && time <= last
                        && self.spec.trigger.every.is_some_and(|(every, _)| time.rem_euclid(every) == 0);
                    if ends || early {
                        self.fire(&key, at);
                    }
                    self.windows.get_mut(&key).unwrap()[at].ended |= ends;
                }
            }
            self.forget();
        }
        self.watermark = watermark;
        self.forget();
    }

    fn forget(&mut self) {
        let (watermark, spec) = (self.watermark, self.spec.clone());
        for list in self.windows.values_mut() {
            list.retain(|window| {
                let last = window.end.saturating_sub(1).min(EventTime::LIMIT_MS);
                let empty = window.events.is_empty() && window.end == i64::MAX;
                !empty && (last.saturating_add(spec.lateness_ms as i64).min(EventTime::LIMIT_MS)) > watermark
            });
        }
    }
}
