//! A join in windows through whole runs: every pair of a window once at any parallelism, and after a crash at any sync, resumed
//! at another one.

#[path = "support/native.rs"]
mod native;

use native::{Event, events, is_over, pipeline, read_all};
use std::path::PathBuf;
use tidemill::clock::Clock;
use tidemill::config::builtin::*;
use tidemill::config::pipeline::{Edge, InputSpec, Pipeline, PortRef, SinkKind, SinkSpec, SourceKind, StreamSource};
use tidemill::config::settings::Settings;
use tidemill::job::lifecycle::start_with;
use tidemill::job::{JobError, RunOptions, RunSummary};
use tidemill::operator::builtin::factory;
use tidemill_storage::commit::Part;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::stream::{Appender, StreamConfig};
use tidemill_storage::{Batch, EventTime, Store, StoreOptions, StreamName};

const WINDOW_MS: i64 = 1_000;

fn spec() -> Builtin {
    let field = |side| PairColumn::Field(side, "/id".to_string());
    let size_ms = WINDOW_MS;
    Builtin::WindowJoin(WindowJoinSpec {
        window: WindowSpec {
            windows: Windows::Aligned { size_ms, slide_ms: size_ms, offset_ms: 0 },
            clock: tidemill::config::builtin::Clock::Event,
            trigger: Trigger::END,
            lateness_ms: 0,
            discard: false,
            late_output: false,
            conditions: Vec::new(),
            output: Vec::new(),
            rows: None,
            having: None,
        },
        conditions: Vec::new(),
        keep_left: true,
        keep_right: false,
        output: vec![("l".into(), field(Side::Left)), ("r".into(), field(Side::Right))],
    })
}

fn stream(name: &str) -> StreamName {
    StreamName::new(format!("test/{name}")).unwrap()
}

/// The events of a side: every event is left, every third right, too.
fn side(all: &[Event], right: bool) -> Vec<(usize, &Event)> {
    all.iter().enumerate().filter(|(i, _)| !right || i % 3 == 0).collect()
}

fn feed(store: &Store, all: &[Event]) {
    for (name, right) in [("left", false), ("right", true)] {
        let info = store.ensure_stream(&stream(name), StreamConfig { segments: 3 }).unwrap();
        for part in side(all, right).chunks(100) {
            let mut batch = Batch::default();
            for (id, (time, key, _)) in part {
                let value = format!("{{\"id\":{id}}}");
                batch.push(EventTime(*time), Some(key.as_bytes()), Some(value.as_bytes()));
            }
            for append in Appender::new(&info).append(&batch).unwrap() {
                store.commit(Part::Append(append)).unwrap();
            }
        }
    }
}

fn join(parallelism: u32) -> Pipeline {
    let from = |node: &str| PortRef { node: node.into(), port: None };
    let mut pipeline = pipeline(parallelism);
    pipeline.restart.attempts = 5;
    pipeline.sources = ["left", "right"]
        .map(|name| {
            let mut source = pipeline.sources[0].clone();
            source.name = name.into();
            source.kind = SourceKind::Stream(StreamSource { stream: stream(name), bounded: true });
            source
        })
        .to_vec();
    let inputs = ["left", "right"].map(|name| InputSpec { from: vec![from(name)], edge: Edge::Keyed });
    pipeline.operators[0].inputs = inputs.to_vec();
    let kind = SinkKind::Stream { stream: stream("out"), segments: 2 };
    pipeline.sinks = vec![SinkSpec { name: "out".into(), inputs: vec![from("count")], kind }];
    pipeline
}

fn run(store: &Store, parallelism: u32) -> Result<RunSummary, JobError> {
    let mut settings = Settings::default();
    settings.dataflow.batch_events = 37;
    settings.dataflow.uncommitted_bytes_max = 16 << 10;
    let options = RunOptions { data_dir: PathBuf::new(), workers: 2, settings };
    start_with(join(parallelism), vec![factory(&spec())], store.clone(), options, Clock::system())?.wait()
}

fn assert_pairs(store: &Store, all: &[Event], what: &str) {
    let window = |time: i64| time.div_euclid(WINDOW_MS);
    let mut expected = Vec::new();
    for (left, (time, key, _)) in side(all, false) {
        let near = |other: &&Event| other.1 == *key && window(other.0) == window(*time);
        let rights: Vec<usize> =
            side(all, true).into_iter().filter(|(_, other)| near(other)).map(|(id, _)| id).collect();
        let mut result = |right: String| {
            let last = (window(*time) + 1) * WINDOW_MS - 1;
            expected.push((last, key.clone(), format!("{{\"l\":{left},\"r\":{right}}}")));
        };
        rights.iter().for_each(|right| result(right.to_string()));
        if rights.is_empty() {
            result("null".into());
        }
    }
    let mut out = read_all(store, "test/out");
    out.sort();
    expected.sort();
    assert!(expected.iter().any(|(.., value)| value.contains("null")), "some have no partner");
    assert_eq!(out, expected, "{what}");
}

#[test]
fn every_pair_of_a_window_comes_once_at_any_parallelism() {
    let events = events(1_500);
    for parallelism in [1, 3] {
        let store = Store::open_with(FaultDisk::new(1), StoreOptions::default()).unwrap();
        feed(&store, &events);
        assert!(run(&store, parallelism).unwrap().finished);
        assert_pairs(&store, &events, &format!("parallelism {parallelism}"));
    }
}

#[test]
fn a_crash_at_any_sync_loses_and_doubles_no_pair() {
    let events = events(1_000);
    let mut crashes = 0;
    for n in 1..=8u64 {
        let disk = FaultDisk::new(n * 41);
        let mut store = Store::open_with(disk.clone(), StoreOptions::default()).ok();
        feed(store.as_ref().unwrap(), &events);
        for attempt in 0.. {
            assert!(attempt < 100, "no progress");
            if attempt < 4 {
                disk.crash_at_sync(disk.syncs() + 3 + n);
            }
            let parallelism = [1, 3, 2, 4][attempt % 4];
            let done =
                store.as_ref().is_some_and(|store| run(store, parallelism).is_ok_and(|summary| summary.finished));
            if is_over(&disk, done) {
                break;
            }
            crashes += 1;
            drop(store.take());
            disk.reboot();
            store = Store::open_with(disk.clone(), StoreOptions::default()).ok();
        }
        assert_pairs(store.as_ref().unwrap(), &events, &format!("crash at sync {n}"));
    }
    assert!(crashes >= 12, "{crashes}");
}
