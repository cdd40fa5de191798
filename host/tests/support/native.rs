//! A pipeline with a native operator over any store: events of a stream in, running counts and windowed sums out, and a
//! plain model of what must come out. Tests of recovery drive it through crashes.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tidemill::clock::Clock;
use tidemill::config::pipeline::*;
use tidemill::config::settings::Settings;
use tidemill::job::lifecycle::start_with;
use tidemill::job::{JobError, RunHandle, RunOptions, RunSummary};
use tidemill::operator::descriptor::*;
use tidemill::operator::*;
use tidemill::state::{ColumnView, OptionalColumnView};
use tidemill_storage::commit::Part;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::stream::{Appender, StreamConfig};
use tidemill_storage::{Batch, EventTime, OptionalColumn, Position, Store, StreamName};

pub(crate) const WINDOW_MS: i64 = 1_000;
const TOTALS: u32 = 0;
const WINDOWS: u32 = 1;

/// Counts events per key (value state, emitted with every event) and per key and window (map state, emitted by an
/// event-time timer at the window's end). Refuses events whose value is `bad`, after having touched nothing.
struct Counting;

pub(crate) struct CountingFactory(Descriptor);

impl CountingFactory {
    pub(crate) fn new() -> CountingFactory {
        let port = |name: &str| Port { name: name.into() };
        CountingFactory(Descriptor {
            descriptor: DESCRIPTOR_VERSION,
            name: "counting".into(),
            version: String::new(),
            inputs: vec![port("events")],
            outputs: vec![port("counts"), port("windows")],
            states: vec![
                StateDescriptor { name: "totals".into(), kind: StateKind::Value, ttl: None, scope: StateScope::Key },
                StateDescriptor { name: "windows".into(), kind: StateKind::Map, ttl: None, scope: StateScope::Key },
            ],
            timers: vec![TimerDescriptor { name: "window-end".into() }],
            metrics: Vec::new(),
            wants: Wants::default(),
            config: None,
        })
    }
}

impl OperatorFactory for CountingFactory {
    fn descriptor(&self) -> &Descriptor {
        &self.0
    }

    fn create(&self, _context: &mut Context) -> Result<Box<dyn Operator>, Failure> {
        Ok(Box::new(Counting))
    }
}

fn bug(e: impl std::fmt::Display) -> Failure {
    Failure::Bug(e.to_string())
}

fn one(key: &[u8]) -> (Vec<u8>, [u32; 1]) {
    (key.to_vec(), [key.len() as u32])
}

fn get(context: &mut Context, state: u32, key: &[u8], sub: Option<&[u8]>) -> Result<u64, Failure> {
    let (data, ends) = one(key);
    let keys = ColumnView { data: &data, ends: &ends };
    let sub = sub.map(one);
    let subkeys = sub.as_ref().map(|(data, ends)| ColumnView { data, ends });
    let mut out = OptionalColumn::default();
    context.state.get(state, keys, subkeys, &mut out).map_err(bug)?;
    Ok(out.get(0).map_or(0, |v| u64::from_le_bytes(v.try_into().unwrap())))
}

fn put(context: &mut Context, state: u32, key: &[u8], sub: Option<&[u8]>, value: Option<u64>) -> Result<(), Failure> {
    let (data, ends) = one(key);
    let keys = ColumnView { data: &data, ends: &ends };
    let sub = sub.map(one);
    let subkeys = sub.as_ref().map(|(data, ends)| ColumnView { data, ends });
    let bytes = value.map(u64::to_le_bytes);
    let (vdata, present): (&[u8], &[u8]) = match &bytes {
        Some(b) => (b, &[1]),
        None => (&[], &[0]),
    };
    let vends = [vdata.len() as u32];
    let values = OptionalColumnView { data: vdata, ends: &vends, present };
    context.state.put(state, keys, subkeys, values).map_err(bug)
}

impl Operator for Counting {
    fn process(
        &mut self,
        _input: u32,
        watermark: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let (mut out, mut rejections) = (Batch::default(), Vec::new());
        for i in 0..events.len() {
            let key = events.keys.get(i).unwrap_or_default();
            if events.values.get(i) == Some(b"bad") {
                rejections.push(Rejection { index: i as u32, reason: "bad value".into() });
                continue;
            }
            let time = events.timestamps[i];
            let total = get(context, TOTALS, key, None)? + 1;
            put(context, TOTALS, key, None, Some(total))?;
            let start = time.div_euclid(WINDOW_MS) * WINDOW_MS;
            assert!(EventTime(start + WINDOW_MS - 1) > watermark, "no event of the model is late");
            let sub = (start as u64 ^ (1 << 63)).to_be_bytes();
            let count = get(context, WINDOWS, key, Some(&sub))? + 1;
            put(context, WINDOWS, key, Some(&sub), Some(count))?;
            let end = start + WINDOW_MS - 1;
            let timer = TimerOp { register: true, domain: TimeDomain::EventTime, timer: 0, key: key.into(), time: end };
            context.timers.push(timer);
            out.push(EventTime(time), Some(key), Some(total.to_string().as_bytes()));
        }
        context.output.push((0, out));
        Ok(rejections)
    }

    fn on_timers(
        &mut self,
        fired: &TimerBatch,
        _watermark: EventTime,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let mut out = Batch::default();
        for i in 0..fired.keys.len() {
            let (key, end) = (fired.keys.get(i), fired.times[i]);
            let start = end + 1 - WINDOW_MS;
            let sub = (start as u64 ^ (1 << 63)).to_be_bytes();
            let count = get(context, WINDOWS, key, Some(&sub))?;
            put(context, WINDOWS, key, Some(&sub), None)?;
            out.push(EventTime(end), Some(key), Some(format!("{start}:{count}").as_bytes()));
        }
        context.output.push((1, out));
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _watermark: EventTime, _context: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _context: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}

/// One input event: (time, key, value).
pub(crate) type Event = (i64, String, &'static str);

/// A disordered stream of `count` events; every 50th is bad.
pub(crate) fn events(count: usize) -> Vec<Event> {
    let event = |i: usize| {
        let time = (i as i64) * 10 - ((i as i64 * 7919) % 1_500);
        (time, format!("k{}", (i * 31) % 13), if i % 50 == 49 { "bad" } else { "good" })
    };
    (0..count).map(event).collect()
}

pub(crate) fn input_stream() -> StreamName {
    StreamName::new("test/in").unwrap()
}

pub(crate) fn feed(store: &Store, events: &[Event]) {
    let info = store.ensure_stream(&input_stream(), StreamConfig { segments: 4 }).unwrap();
    for part in events.chunks(100) {
        let mut batch = Batch::default();
        for (time, key, value) in part {
            batch.push(EventTime(*time), Some(key.as_bytes()), Some(value.as_bytes()));
        }
        for append in Appender::new(&info).append(&batch).unwrap() {
            store.commit(Part::Append(append)).unwrap();
        }
    }
}

pub(crate) fn pipeline(parallelism: u32) -> Pipeline {
    let from = |node: &str, port: Option<&str>| PortRef { node: node.into(), port: port.map(Into::into) };
    let sink = |name: &str, port: &str| SinkSpec {
        name: name.into(),
        inputs: vec![from("count", Some(port))],
        kind: SinkKind::Stream { stream: StreamName::new(format!("test/{name}")).unwrap(), segments: 2 },
    };
    Pipeline {
        name: "counting".into(),
        file: PathBuf::from("counting.toml"),
        checkpoint_interval_ms: 50,
        min_commit_interval_ms: 0,
        parallelism,
        max_parallelism: 16,
        restart: Restart { attempts: 1_000, backoff_ms: 0, backoff_max_ms: 0 },
        dead_letters: StreamName::new("counting/dead-letters").unwrap(),
        sources: vec![SourceSpec {
            name: "in".into(),
            kind: SourceKind::Stream(StreamSource { stream: input_stream(), bounded: true }),
            watermark: WatermarkSpec {
                kind: WatermarkKind::OutOfOrderness { bound_ms: 5_000 },
                idle_after_ms: None,
                emit: Emit::PerBatch,
                align: None,
            },
        }],
        operators: vec![OperatorSpec {
            name: "count".into(),
            kind: OperatorKind::Component(PathBuf::new()),
            inputs: vec![InputSpec { from: vec![from("in", None)], edge: Edge::Keyed }],
            config: serde_json::Value::Null,
            parallelism: None,
            limits: Limits { memory_bytes: 0, call_deadline_ms: 0, output_bytes: 0 },
        }],
        sinks: vec![sink("counts", "counts"), sink("windows", "windows")],
    }
}

/// Runs the pipeline over a store, in small batches, to its end or failure.
pub(crate) fn run(store: &Store, parallelism: u32) -> Result<RunSummary, JobError> {
    start(store, pipeline(parallelism))?.wait()
}

/// Starts a pipeline whose only operator is the counting one.
pub(crate) fn start(store: &Store, pipeline: Pipeline) -> Result<RunHandle, JobError> {
    let mut settings = Settings::default();
    settings.dataflow.batch_events = 37;
    // Little may be uncommitted, so there are many epochs however fast the disk is.
    settings.dataflow.uncommitted_bytes_max = 16 << 10;
    let options = RunOptions { data_dir: PathBuf::new(), workers: 2, settings };
    let factories: Vec<SharedFactory> = vec![Arc::new(CountingFactory::new())];
    start_with(pipeline, factories, store.clone(), options, Clock::system())
}

/// Whether a run is over and its disk has not crashed. From then on it is not to: the store works on by itself.
pub(crate) fn is_over(disk: &FaultDisk, finished: bool) -> bool {
    if finished {
        disk.crash_at_sync(u64::MAX);
    }
    finished && !disk.crashed()
}

/// Everything in a stream, in segment order: (time, key, value).
pub(crate) fn read_all(store: &Store, name: &str) -> Vec<(i64, String, String)> {
    let info = store.stream(&StreamName::new(name).unwrap()).unwrap().unwrap();
    let mut all = Vec::new();
    for segment in &info.segments {
        let mut position = Position {
            stream: info.stream.id,
            generation: info.stream.generation,
            segment: segment.id,
            offset: segment.head,
        };
        while position.offset < segment.tail {
            let read = store.read(position, 1 << 20).unwrap();
            for i in 0..read.batch.len() {
                let text = |v: Option<&[u8]>| String::from_utf8(v.unwrap_or_default().to_vec()).unwrap();
                let (key, value) = (text(read.batch.keys.get(i)), text(read.batch.values.get(i)));
                all.push((read.batch.timestamps[i], key, value));
            }
            position.offset = read.next;
        }
    }
    all
}

/// Panics unless the output streams hold exactly what the model says: per key the counts 1, 2, 3... in order, every
/// window once, every bad event once among the dead letters.
pub(crate) fn assert_exactly_once(store: &Store, events: &[Event], what: &str) {
    let good: Vec<&Event> = events.iter().filter(|e| e.2 == "good").collect();
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    let mut windows: BTreeMap<(String, i64), u64> = BTreeMap::new();
    for (time, key, _) in &good {
        *totals.entry(key).or_default() += 1;
        *windows.entry((key.clone(), time.div_euclid(WINDOW_MS) * WINDOW_MS)).or_default() += 1;
    }
    let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (_, key, value) in read_all(store, "test/counts") {
        seen.entry(key).or_default().push(value.parse().unwrap());
    }
    for (key, total) in &totals {
        let expected: Vec<u64> = (1..=*total).collect();
        assert_eq!(seen.get(*key), Some(&expected), "{what}: counts of {key}");
    }
    assert_eq!(seen.len(), totals.len(), "{what}: keys");
    let mut fired: Vec<(String, String)> =
        read_all(store, "test/windows").into_iter().map(|(_, key, value)| (key, value)).collect();
    fired.sort();
    let mut expected: Vec<(String, String)> =
        windows.into_iter().map(|((key, start), count)| (key, format!("{start}:{count}"))).collect();
    expected.sort();
    assert_eq!(fired, expected, "{what}: windows");
    let mut dead: Vec<(i64, String)> =
        read_all(store, "counting/dead-letters").into_iter().map(|(time, key, _)| (time, key)).collect();
    dead.sort();
    let mut expected: Vec<(i64, String)> =
        events.iter().filter(|e| e.2 == "bad").map(|(time, key, _)| (*time, key.clone())).collect();
    expected.sort();
    assert_eq!(dead, expected, "{what}: dead letters");
}
