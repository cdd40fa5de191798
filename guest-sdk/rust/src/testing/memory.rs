//! The host in memory: ordered maps for state and timers, a copy of them to roll a call back to. It holds the operator
//! to the contract as the real host does: what would trap there panics here, which fails the test.

use super::lifetimes::Lifetimes;
use super::record::{Record, of_columns};
use crate::column::{BatchRef, Columns, ColumnsRef, OptionalColumns, OptionalColumnsRef, push_i64, push_u32, read_i64};
use crate::descriptor::{Descriptor, State, StateKind, StateScope};
use crate::host::{Host, Page, ScanRange, Subtask, TimeDomain};
use crate::runner::Fired;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// How often the operator called the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// `state.get`.
    pub get: usize,
    /// `state.put`.
    pub put: usize,
    /// `state.append`.
    pub append: usize,
    /// `state.clear`.
    pub clear: usize,
    /// `state.scan`.
    pub scan: usize,
    /// `output.emit`.
    pub emit: usize,
    /// `timers.register` and `timers.cancel`.
    pub timers: usize,
}

/// Entries in a page of a scan: few, so that tests cross pages.
const PAGE: usize = 3;

/// A value, and what says when it is over.
#[derive(Clone)]
struct Stored {
    stamp: i64,
    value: Vec<u8>,
}

/// Values by sub-key.
type Entries = BTreeMap<Vec<u8>, Stored>;
type TimerKey = (TimeDomain, i64, u32, Vec<u8>);

#[derive(Clone, Default)]
struct Contents {
    state: BTreeMap<(u32, Vec<u8>), Entries>,
    timers: BTreeSet<TimerKey>,
    output: Vec<(u32, Record)>,
    metrics: BTreeMap<u32, f64>,
    appended: u64,
}

#[derive(Default)]
struct Inner {
    now: Contents,
    before: Contents,
    states: Option<Vec<State>>,
    /// Inputs whose edge is `broadcast`.
    broadcast: BTreeSet<u32>,
    /// Of the call, if it is one with events.
    input: Option<u32>,
    calls: Calls,
    lifetimes: Lifetimes,
}

/// A host in memory.
#[derive(Default)]
pub(super) struct MemoryHost(RefCell<Inner>);

impl MemoryHost {
    pub(super) fn declare(&self, descriptor: &Descriptor) {
        let inner = &mut *self.0.borrow_mut();
        inner.states = Some(descriptor.states.clone());
        inner.lifetimes.declare(&descriptor.states);
    }

    pub(super) fn broadcast(&self, input: u32) {
        self.0.borrow_mut().broadcast.insert(input);
    }

    /// A call begins about these events or timers; with events of an input or without.
    pub(super) fn begin(&self, input: Option<u32>, watermark: i64, about: &[Record]) {
        let inner = &mut *self.0.borrow_mut();
        inner.input = input;
        let keys = about.iter().map(|record| (record.key.as_deref().unwrap_or_default(), record.time));
        inner.lifetimes.begin(watermark, keys);
        inner.free();
        inner.before = inner.now.clone();
    }

    pub(super) fn roll_back(&self) {
        let inner = &mut *self.0.borrow_mut();
        inner.now = inner.before.clone();
    }

    pub(super) fn set_clock(&self, now_ms: i64) {
        let inner = &mut *self.0.borrow_mut();
        inner.lifetimes.clock_ms = now_ms;
        inner.free();
    }

    pub(super) fn set_watermark(&self, watermark: i64) {
        let inner = &mut *self.0.borrow_mut();
        inner.lifetimes.begin(watermark, std::iter::empty());
        inner.free();
    }

    pub(super) fn calls(&self) -> Calls {
        self.0.borrow().calls
    }

    pub(super) fn metric(&self, metric: u32) -> f64 {
        self.0.borrow().now.metrics.get(&metric).copied().unwrap_or_default()
    }

    pub(super) fn timers(&self) -> Vec<TimerKey> {
        self.0.borrow().now.timers.iter().cloned().collect()
    }

    pub(super) fn entries(&self, state: u32) -> usize {
        let inner = self.0.borrow();
        inner.now.state.iter().filter(|((s, _), _)| *s == state).map(|(_, entries)| entries.len()).sum()
    }

    pub(super) fn take_output(&self, port: u32) -> Vec<Record> {
        let inner = &mut *self.0.borrow_mut();
        let (taken, left) = std::mem::take(&mut inner.now.output).into_iter().partition(|(p, _)| *p == port);
        inner.now.output = left;
        let taken: Vec<(u32, Record)> = taken;
        taken.into_iter().map(|(_, record)| record).collect()
    }

    /// Takes a batch of due timers: earliest first, one clock, one timer, at most one per key.
    pub(super) fn take_due(&self, watermark: i64) -> Option<Fired> {
        let inner = &mut *self.0.borrow_mut();
        let clock_ms = inner.lifetimes.clock_ms;
        let due = |(domain, time, ..): &&TimerKey| match domain {
            TimeDomain::EventTime => *time <= watermark,
            TimeDomain::ProcessingTime => *time <= clock_ms,
        };
        let (domain, _, timer, _) = inner.now.timers.iter().find(due)?.clone();
        let mut fired = Fired { domain, timer, keys: Columns::default(), times: Vec::new() };
        let mut taken: Vec<TimerKey> = Vec::new();
        for one in inner.now.timers.iter().filter(due) {
            if (one.0, one.2) != (domain, timer) || taken.iter().any(|earlier| earlier.3 == one.3) {
                break;
            }
            fired.keys.push(&one.3);
            push_i64(&mut fired.times, one.1);
            taken.push(one.clone());
        }
        for one in &taken {
            inner.now.timers.remove(one);
        }
        Some(fired)
    }

    /// Puts timers back whose call failed.
    pub(super) fn give_back(&self, fired: &Fired) {
        self.each_timer(fired.domain, fired.timer, fired.keys.view(), &fired.times, |timers, timer| {
            timers.insert(timer);
        });
    }

    fn each_timer(
        &self,
        domain: TimeDomain,
        timer: u32,
        keys: ColumnsRef<'_>,
        times: &[u8],
        mut act: impl FnMut(&mut BTreeSet<TimerKey>, TimerKey),
    ) {
        assert_eq!(keys.len() * 8, times.len(), "trap: a timer call needs one time per key");
        let inner = &mut *self.0.borrow_mut();
        for i in 0..keys.len() {
            act(&mut inner.now.timers, (domain, read_i64(times, i), timer, keys.get(i).to_vec()));
        }
    }
}

impl Inner {
    /// Frees what is over.
    fn free(&mut self) {
        let lifetimes = &self.lifetimes;
        for ((state, _), entries) in &mut self.now.state {
            entries.retain(|_, stored| !lifetimes.is_over(*state, stored.stamp));
        }
    }

    /// The value of an entry, which lasts longer where reading does that.
    fn read(&mut self, state: u32, key: &[u8], sub: &[u8]) -> Option<Vec<u8>> {
        let (stamp, refreshes) = (self.lifetimes.stamp(state, key), self.lifetimes.refreshes(state));
        let stored = self.now.state.get_mut(&(state, key.to_vec()))?.get_mut(sub)?;
        if refreshes {
            stored.stamp = stamp;
        }
        Some(stored.value.clone())
    }

    fn write(&mut self, state: u32, key: &[u8], sub: Vec<u8>, value: Option<&[u8]>) {
        let stamp = self.lifetimes.stamp(state, key);
        let entries = self.now.state.entry((state, key.to_vec())).or_default();
        match value {
            Some(value) => entries.insert(sub, Stored { stamp, value: value.to_vec() }),
            None => entries.remove(&sub),
        };
    }

    fn check(&self, state: u32, wanted: &[StateKind], call: &str) -> StateKind {
        let states = self.states.as_deref().unwrap_or_default();
        let kind = states.get(state as usize).map(|state| state.kind);
        assert!(
            kind.is_some_and(|kind| wanted.contains(&kind)),
            "trap: state.{call} on state {state}, which is {kind:?}; it needs one of {wanted:?}"
        );
        let scope = states[state as usize].scope;
        assert!(
            scope != StateScope::Broadcast
                || ["get", "scan"].contains(&call)
                || self.input.is_some_and(|input| self.broadcast.contains(&input)),
            "trap: state.{call} on state {state}: it is broadcast, so only a call with events of a broadcast input may write \
             it; say which inputs are with `Harness::broadcast`"
        );
        states[state as usize].kind
    }
}

const ALL: [StateKind; 3] = [StateKind::Value, StateKind::Map, StateKind::List];

fn kinds_of(subkeys: Option<ColumnsRef<'_>>) -> &'static [StateKind] {
    if subkeys.is_some() { &[StateKind::Map] } else { &[StateKind::Value] }
}

impl Host for MemoryHost {
    fn get(&self, state: u32, keys: ColumnsRef<'_>, subkeys: Option<ColumnsRef<'_>>) -> OptionalColumns {
        let inner = &mut *self.0.borrow_mut();
        inner.check(state, kinds_of(subkeys), "get");
        inner.calls.get += 1;
        let mut out = OptionalColumns::default();
        for i in 0..keys.len() {
            let sub = subkeys.map_or(&[][..], |subkeys| subkeys.get(i));
            out.push(inner.read(state, keys.get(i), sub).as_deref());
        }
        out
    }

    fn put(&self, state: u32, keys: ColumnsRef<'_>, subkeys: Option<ColumnsRef<'_>>, values: OptionalColumnsRef<'_>) {
        let inner = &mut *self.0.borrow_mut();
        inner.check(state, kinds_of(subkeys), "put");
        inner.calls.put += 1;
        assert_eq!(keys.len(), values.len(), "trap: state.put needs one value per key");
        for i in 0..keys.len() {
            let sub = subkeys.map_or(&[][..], |subkeys| subkeys.get(i)).to_vec();
            inner.write(state, keys.get(i), sub, values.get(i));
        }
    }

    fn append(&self, state: u32, keys: ColumnsRef<'_>, values: ColumnsRef<'_>) {
        let inner = &mut *self.0.borrow_mut();
        inner.check(state, &[StateKind::List], "append");
        inner.calls.append += 1;
        for i in 0..keys.len() {
            inner.now.appended += 1;
            let sub = inner.now.appended.to_be_bytes().to_vec();
            inner.write(state, keys.get(i), sub, Some(values.get(i)));
        }
    }

    fn clear(&self, state: u32, keys: ColumnsRef<'_>) {
        let inner = &mut *self.0.borrow_mut();
        inner.check(state, &ALL, "clear");
        inner.calls.clear += 1;
        for i in 0..keys.len() {
            inner.now.state.remove(&(state, keys.get(i).to_vec()));
        }
    }

    fn scan(&self, state: u32, ranges: &[ScanRange], limit: u32, cursor: Option<&[u8]>) -> Page {
        let inner = &mut *self.0.borrow_mut();
        let listed = inner.check(state, &[StateKind::Map, StateKind::List], "scan") == StateKind::List;
        inner.calls.scan += 1;
        let mut all = Vec::new();
        for (r, range) in ranges.iter().enumerate() {
            let Some(entries) = inner.now.state.get(&(state, range.key.clone())) else { continue };
            let after_start = |sub: &[u8]| range.start.as_deref().is_none_or(|start| start <= sub);
            let before_end = |sub: &[u8]| range.end.as_deref().is_none_or(|end| sub < end);
            let within = entries.keys().filter(|sub| after_start(sub) && before_end(sub));
            all.extend(within.map(|sub| (r as u32, range.key.clone(), sub.clone())));
        }
        let done = cursor.and_then(|c| c.try_into().ok()).map_or(0, u64::from_le_bytes) as usize;
        let take = if limit == 0 { PAGE } else { PAGE.min(limit as usize) };
        let mut page = Page::default();
        for (r, key, sub) in all.iter().skip(done).take(take) {
            push_u32(&mut page.range_of, *r);
            page.subkeys.push(if listed { &[] } else { sub });
            page.values.push(&inner.read(state, key, sub).unwrap_or_default());
        }
        if done + take < all.len() {
            page.cursor = Some(((done + take) as u64).to_le_bytes().to_vec());
        }
        page
    }

    fn register(&self, domain: TimeDomain, timer: u32, keys: ColumnsRef<'_>, times: &[u8]) {
        self.0.borrow_mut().calls.timers += 1;
        self.each_timer(domain, timer, keys, times, |timers, timer| {
            timers.insert(timer);
        });
    }

    fn cancel(&self, domain: TimeDomain, timer: u32, keys: ColumnsRef<'_>, times: &[u8]) {
        self.0.borrow_mut().calls.timers += 1;
        self.each_timer(domain, timer, keys, times, |timers, timer| {
            timers.remove(&timer);
        });
    }

    fn emit(&self, port: u32, events: BatchRef<'_>) {
        let inner = &mut *self.0.borrow_mut();
        inner.calls.emit += 1;
        assert!(
            events.keys.len() == events.len() && events.values.len() == events.len(),
            "trap: the columns of an emitted batch differ in length"
        );
        inner.now.output.extend(of_columns(events).into_iter().map(|record| (port, record)));
    }

    fn add(&self, metric: u32, amount: u64) {
        *self.0.borrow_mut().now.metrics.entry(metric).or_default() += amount as f64;
    }

    fn set(&self, metric: u32, value: f64) {
        self.0.borrow_mut().now.metrics.insert(metric, value);
    }

    fn observe(&self, metric: u32, values: &[f64]) {
        *self.0.borrow_mut().now.metrics.entry(metric).or_default() += values.iter().sum::<f64>();
    }

    fn subtask(&self) -> Subtask {
        Subtask { index: 0, parallelism: 1, max_parallelism: 128 }
    }

    fn now_ms(&self) -> i64 {
        self.0.borrow().lifetimes.clock_ms
    }
}
