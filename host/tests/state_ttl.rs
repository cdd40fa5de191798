//! Time to live of keyed state, on both clocks and with both kinds of refresh, against a model, under commits, crashes and
//! calls that are rolled back: what is over is never read, is freed, and a replay decides the same. Then through a whole run.

#[path = "support/native.rs"]
#[allow(unused_imports)]
mod native;

use bytes::Bytes;
use native::{pipeline, read_all};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tidemill::clock::Clock;
use tidemill::config::settings::Settings;
use tidemill::dataflow::timer_service::TimerService;
use tidemill::job::RunOptions;
use tidemill::job::lifecycle::start_with;
use tidemill::operator::descriptor::*;
use tidemill::operator::*;
use tidemill::state::{KeyedState, ScanRange, ttl};
use tidemill_storage::hash::key_group_range;
use tidemill_storage::state::Memory;
use tidemill_storage::stream::StreamConfig;
use tidemill_storage::{Batch, Column, Epoch, EventTime, OptionalColumn, Store};

const MAX_PARALLELISM: u32 = 4;
const TTL_MS: i64 = 20;

fn states(clock: TtlClock, refresh: TtlRefresh) -> Vec<StateDescriptor> {
    let ttl = Some(Ttl { ms: TTL_MS, clock, refresh });
    [StateKind::Value, StateKind::Map, StateKind::List]
        .into_iter()
        .map(|kind| StateDescriptor { name: format!("{kind:?}"), kind, ttl, scope: StateScope::Key })
        .collect()
}

/// Keyed state and timers as the operator's task drives them.
struct Rig {
    states: Vec<StateDescriptor>,
    context: Context,
    timers: TimerService,
    deltas: Vec<Bytes>,
    epoch: Epoch,
    watermark: i64,
    now_ms: i64,
    committed: (i64, i64),
}

impl Rig {
    fn new(states: Vec<StateDescriptor>) -> Rig {
        let (context, timers) = (Context::default(), TimerService::default());
        let (watermark, now_ms) = (0, 0);
        let mut rig = Rig {
            states,
            context,
            timers,
            deltas: Vec::new(),
            epoch: Epoch(1),
            watermark,
            now_ms,
            committed: (watermark, now_ms),
        };
        rig.crash();
        rig
    }

    fn crash(&mut self) {
        let groups = key_group_range(0, 1, MAX_PARALLELISM);
        let mut memory = Memory::new(groups.clone(), MAX_PARALLELISM);
        self.deltas.iter().for_each(|delta| memory.apply_delta(delta, Epoch(0)).unwrap());
        let kinds = self.states.iter().map(|state| state.kind).collect();
        let state = KeyedState::new(memory, kinds, MAX_PARALLELISM, groups).with_states(&self.states);
        self.context = Context { state, ..Context::default() };
        self.timers = TimerService::load(&self.context.state).unwrap();
        (self.watermark, self.now_ms) = self.committed;
    }

    fn commit(&mut self) {
        self.deltas.extend(self.context.state.seal_epoch(self.epoch).map(|sealed| sealed.encode()));
        self.context.state.epoch_committed(self.epoch);
        self.epoch = self.epoch.next();
        self.committed = (self.watermark, self.now_ms);
    }

    fn begin(&mut self, events: &[(&str, i64)]) {
        let events = events.iter().map(|(key, time)| (key.as_bytes(), *time));
        self.context.state.begin_call(EventTime(self.watermark), self.now_ms, events);
    }

    fn end(&mut self, keep: bool) {
        if !keep {
            self.timers.roll_back_call(&mut self.context);
            return;
        }
        let timers = self.context.state.take_expiry_timers();
        self.context.timers.extend(timers);
        self.timers.commit_call(&mut self.context).unwrap();
    }

    fn advance(&mut self, by: i64) {
        (self.watermark, self.now_ms) = (self.watermark + by, self.now_ms + by);
        for (domain, up_to) in [(TimeDomain::EventTime, self.watermark), (TimeDomain::ProcessingTime, self.now_ms)] {
            while let Some(fired) = self.timers.due(domain, up_to, 3) {
                assert!(fired.timer >= ttl::TIMERS);
                self.begin(&[]);
                self.context.state.expire(fired.timer, &fired.keys, &fired.times).unwrap();
                self.end(true);
            }
        }
    }

    /// Puts, or appends.
    fn write(&mut self, state: u32, key: &str, sub: u8, value: &str) {
        let (keys, subs, mut values) = (column(key.as_bytes()), column(&[sub]), OptionalColumn::default());
        values.push(Some(value.as_bytes()));
        let state_of = &mut self.context.state;
        match state {
            0 => state_of.put(0, (&keys).into(), None, (&values).into()).unwrap(),
            1 => state_of.put(1, (&keys).into(), Some((&subs).into()), (&values).into()).unwrap(),
            _ => state_of.append(2, (&keys).into(), (&column(value.as_bytes())).into()).unwrap(),
        }
    }

    /// Everything that a key has in a state.
    fn read(&mut self, state: u32, key: &str) -> Vec<(u8, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        if state == 0 {
            let mut out = OptionalColumn::default();
            self.context.state.get(0, (&column(key.as_bytes())).into(), None, &mut out).unwrap();
            return out.get(0).map(|value| (0, text(value))).into_iter().collect();
        }
        let range = ScanRange { key: key.as_bytes(), start: None, end: None };
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            // Pages of two, so that pages end at what is over, too.
            let page = self.context.state.scan(state, &[range], 2, cursor.as_deref()).unwrap();
            for i in 0..page.range_of.len() {
                let sub = page.subkeys.get(i).first().copied().unwrap_or_default();
                all.push((sub, text(page.values.get(i))));
            }
            cursor = page.cursor;
            if cursor.is_none() {
                return all;
            }
        }
    }

    fn entries_left(&mut self) -> usize {
        self.commit();
        self.context.state.committed().len()
    }
}

fn column(bytes: &[u8]) -> Column {
    let mut column = Column::default();
    column.push(bytes);
    column
}

/// An entry and its stamp.
type Stamped = (u8, String, i64);

#[derive(Clone, Default)]
struct Model {
    now: i64,
    entries: BTreeMap<(u32, String), Vec<Stamped>>,
}

#[derive(Clone, Debug)]
enum Step {
    /// An event of a key, this much ahead of the watermark, that writes.
    Write {
        state: u32,
        key: String,
        sub: u8,
        value: String,
        ahead: i64,
        keep: bool,
    },
    Read {
        state: u32,
        key: String,
    },
    Advance(i64),
    Commit,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || (0u8..3).prop_map(|key| format!("k{key}"));
    prop_oneof![
        5 => (0u32..3, key(), 0u8..3, "[a-c]", -15i64..15, prop::bool::weighted(0.8))
            .prop_map(|(state, key, sub, value, ahead, keep)| Step::Write { state, key, sub, value, ahead, keep }),
        5 => (0u32..3, key()).prop_map(|(state, key)| Step::Read { state, key }),
        4 => (1i64..25).prop_map(Step::Advance),
        1 => Just(Step::Commit),
        1 => Just(Step::Crash),
    ]
}

impl Model {
    fn alive(&self, stamp: i64) -> bool {
        stamp + TTL_MS > self.now
    }

    fn write(&mut self, state: u32, key: &str, sub: u8, value: &str, stamp: i64) {
        let entries = self.entries.entry((state, key.to_string())).or_default();
        let sub = if state == 1 { sub } else { 0 };
        if state != 2 {
            entries.retain(|entry| entry.0 != sub);
        }
        entries.push((sub, value.to_string(), stamp));
        if state == 1 {
            entries.sort();
        }
    }

    fn read(&mut self, state: u32, key: &str, refresh: Option<i64>) -> Vec<(u8, String)> {
        let alive: Vec<bool> =
            self.entries.get(&(state, key.to_string())).into_iter().flatten().map(|e| self.alive(e.2)).collect();
        let Some(entries) = self.entries.get_mut(&(state, key.to_string())) else { return Vec::new() };
        let mut out = Vec::new();
        for (entry, alive) in entries.iter_mut().zip(alive) {
            if alive {
                out.push((entry.0, entry.1.clone()));
                entry.2 = refresh.unwrap_or(entry.2);
            }
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn what_is_over_is_not_read_and_is_freed(
        steps in prop::collection::vec(step(), 1..60), event_time: bool, on_read: bool,
    ) {
        let clock = if event_time { TtlClock::EventTime } else { TtlClock::ProcessingTime };
        let refresh = if on_read { TtlRefresh::ReadAndWrite } else { TtlRefresh::Write };
        let mut rig = Rig::new(states(clock, refresh));
        let mut model = Model::default();
        let mut committed = model.clone();
        for step in &steps {
            match step {
                Step::Write { state, key, sub, value, ahead, keep } => {
                    rig.begin(&[(key, rig.watermark + ahead), ("another", rig.watermark + 1_000)]);
                    rig.write(*state, key, *sub, value);
                    rig.end(*keep);
                    if *keep {
                        let stamp = if event_time { model.now + (*ahead).max(0) } else { model.now };
                        model.write(*state, key, *sub, value, stamp);
                    }
                }
                Step::Read { state, key } => {
                    rig.begin(&[(key, rig.watermark)]);
                    let got = rig.read(*state, key);
                    rig.end(true);
                    prop_assert_eq!(got, model.read(*state, key, on_read.then_some(model.now)), "{:?}", step);
                }
                Step::Advance(by) => {
                    rig.advance(*by);
                    model.now += by;
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
        }
        // Nobody reads any more, and still nothing stays: neither entries nor timers.
        rig.advance(TTL_MS * 2 + 20);
        prop_assert_eq!(rig.entries_left(), 0);
    }
}

#[test]
fn a_value_of_ten_seconds_is_there_after_nine_and_gone_after_eleven() {
    let ttl = Some(Ttl { ms: 10_000, clock: TtlClock::ProcessingTime, refresh: TtlRefresh::Write });
    let mut rig =
        Rig::new(vec![StateDescriptor { name: "v".into(), kind: StateKind::Value, ttl, scope: StateScope::Key }]);
    rig.begin(&[]);
    rig.write(0, "k", 0, "x");
    rig.end(true);
    rig.now_ms = 9_000;
    rig.begin(&[]);
    assert_eq!(rig.read(0, "k").len(), 1);
    rig.commit();
    // It is over while nothing runs, and is not read before its timer has fired.
    rig.committed.1 = 11_000;
    rig.crash();
    rig.begin(&[]);
    assert_eq!(rig.read(0, "k"), []);
    rig.end(true);
    rig.advance(1_000);
    assert_eq!(rig.entries_left(), 0);
}

#[test]
fn a_key_that_is_written_all_the_time_has_few_timers() {
    let mut rig = Rig::new(states(TtlClock::ProcessingTime, TtlRefresh::Write));
    for _ in 0..500 {
        rig.begin(&[]);
        rig.write(0, "k", 0, "x");
        rig.end(true);
        rig.advance(1);
        assert!(rig.timers.pending(TimeDomain::ProcessingTime) <= 12, "at most some per time to live");
    }
    rig.begin(&[]);
    assert_eq!(rig.read(0, "k").len(), 1);
}

#[test]
fn a_time_to_live_that_is_turned_on_or_off_never_misreads_what_is_there() {
    let plain = vec![StateDescriptor { name: "v".into(), kind: StateKind::Value, ttl: None, scope: StateScope::Key }];
    let mut rig = Rig::new(plain.clone());
    rig.begin(&[]);
    rig.write(0, "k", 0, "x");
    rig.end(true);
    rig.commit();
    let ttl = Some(Ttl { ms: 100, clock: TtlClock::ProcessingTime, refresh: TtlRefresh::Write });
    rig.states = vec![StateDescriptor { ttl, ..plain[0].clone() }];
    rig.crash();
    rig.begin(&[]);
    assert_eq!(rig.read(0, "k"), [], "it starts empty");
    rig.write(0, "k", 0, "y");
    rig.end(true);
    rig.commit();
    rig.states = plain;
    rig.crash();
    rig.begin(&[]);
    assert_eq!(rig.read(0, "k"), [(0, "x".to_string())]);
    // What was written with a time to live goes with its timer all the same.
    rig.advance(200);
    assert_eq!(rig.entries_left(), 1);
}

/// Counts events per key in state that lasts a second of event time.
struct Counting;

struct CountingFactory(Descriptor);

impl OperatorFactory for CountingFactory {
    fn descriptor(&self) -> &Descriptor {
        &self.0
    }

    fn create(&self, _: &mut Context) -> Result<Box<dyn Operator>, Failure> {
        Ok(Box::new(Counting))
    }
}

impl Operator for Counting {
    fn process(
        &mut self,
        _: u32,
        _: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let mut out = Batch::default();
        for i in 0..events.len() {
            let (keys, mut found) = (column(events.keys.get(i).unwrap()), OptionalColumn::default());
            context.state.get(0, (&keys).into(), None, &mut found).unwrap();
            let n = found.get(0).map_or(0, |bytes| bytes[0]) + 1;
            let mut values = OptionalColumn::default();
            values.push(Some(&[n]));
            context.state.put(0, (&keys).into(), None, (&values).into()).unwrap();
            out.push(EventTime(events.timestamps[i]), events.keys.get(i), Some(n.to_string().as_bytes()));
        }
        context.output.push((0, out));
        Ok(Vec::new())
    }

    fn on_timers(&mut self, _: &TimerBatch, _: EventTime, _: &mut Context) -> Result<Vec<Rejection>, Failure> {
        Err(Failure::Fatal("the operator has no timers".into()))
    }

    fn on_watermark(&mut self, _: EventTime, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}

#[test]
fn a_run_forgets_in_event_time_and_its_operator_never_sees_the_timers() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), tidemill_storage::StoreOptions::default()).unwrap();
    store.ensure_stream(&native::input_stream(), StreamConfig { segments: 1 }).unwrap();
    let mut pipeline = pipeline(1);
    pipeline.sinks.truncate(1);
    let port = |name: &str| Port { name: name.into() };
    let ttl = Some(Ttl { ms: 1_000, clock: TtlClock::EventTime, refresh: TtlRefresh::Write });
    let descriptor = Descriptor {
        descriptor: DESCRIPTOR_VERSION,
        name: "counting".into(),
        version: String::new(),
        inputs: vec![port("events")],
        outputs: vec![port("counts")],
        states: vec![StateDescriptor { name: "n".into(), kind: StateKind::Value, ttl, scope: StateScope::Key }],
        timers: Vec::new(),
        metrics: Vec::new(),
        wants: Wants::default(),
        config: None,
    };
    let mut settings = Settings::default();
    settings.dataflow.batch_events = 1;
    // The source's watermark is five seconds behind: the key's silence has to be longer than that and its second.
    let events = [(0, "a"), (500, "a"), (6_600, "b"), (6_700, "a"), (7_500, "b")];
    native::feed(&store, &events.map(|(time, key)| (time, key.to_string(), "x")));
    let options = RunOptions { data_dir: PathBuf::new(), workers: 1, settings };
    let factories: Vec<SharedFactory> = vec![Arc::new(CountingFactory(descriptor))];
    start_with(pipeline, factories, store.clone(), options, Clock::system()).unwrap().wait().unwrap();
    let counts: Vec<(String, String)> = read_all(&store, "test/counts").into_iter().map(|(_, k, v)| (k, v)).collect();
    let of = |key: &str| counts.iter().filter(|c| c.0 == key).map(|c| c.1.clone()).collect::<Vec<_>>();
    assert_eq!(of("a"), ["1", "2", "1"], "forgotten once the watermark had passed 1,500");
    assert_eq!(of("b"), ["1", "2"]);
}
