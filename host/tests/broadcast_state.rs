//! Broadcast state and a subtask's own list of a real component, through whole runs: every subtask sees what the rules
//! wrote, a rule counts once however the run is broken off and resumed, and the lists' union never changes.

#[path = "support/native.rs"]
mod native;
mod wasm_support;

use native::{is_over, pipeline, read_all};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tidemill::clock::Clock;
use tidemill::config::pipeline::{Edge, InputSpec, Pipeline, PortRef, SinkKind, SinkSpec, SourceKind, StreamSource};
use tidemill::config::settings::Settings;
use tidemill::job::lifecycle::start_with;
use tidemill::job::{JobError, RunHandle, RunOptions};
use tidemill::operator::SharedFactory;
use tidemill_storage::commit::Part;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::stream::{Appender, StreamConfig};
use tidemill_storage::{Batch, EventTime, Store, StoreOptions, StreamName};

/// What goes into the two streams.
struct Input {
    rules: Vec<String>,
    events: Vec<String>,
}

/// Rules that add up, one in 25 poison, and events that are kept, one in 4 asking what the subtask sees.
fn input(rules: usize, events: usize) -> Input {
    let rule = |i: usize| match i % 25 {
        24 => format!("poison k{}", i % 7),
        12 => format!("mode m{i}"),
        _ => format!("add k{} {}", i % 7, i % 11),
    };
    let event = |i: usize| if i % 4 == 3 { "show".to_string() } else { format!("keep e{i:05}") };
    Input { rules: (0..rules).map(rule).collect(), events: (0..events).map(event).collect() }
}

impl Input {
    /// What every subtask sees after all rules.
    fn seen(&self) -> String {
        let (mut mode, mut totals) = (String::new(), BTreeMap::<&str, i64>::new());
        for rule in &self.rules {
            match rule.split(' ').collect::<Vec<_>>()[..] {
                ["add", key, n] => *totals.entry(key).or_default() += n.parse::<i64>().unwrap(),
                ["mode", new] => mode = new.to_string(),
                _ => {}
            }
        }
        totals.iter().fold(mode, |seen, (key, total)| format!("{seen} {key}={total}"))
    }

    fn kept(&self) -> Vec<&str> {
        self.events.iter().filter_map(|event| event.strip_prefix("keep ")).collect()
    }
}

fn stream(name: &str) -> StreamName {
    StreamName::new(format!("test/{name}")).unwrap()
}

/// One segment of rules, so that all subtasks have them in one order; four of events.
fn feed(store: &Store, name: &str, values: &[String]) {
    let segments = if name == "rules" { 1 } else { 4 };
    let info = store.ensure_stream(&stream(name), StreamConfig { segments }).unwrap();
    for part in values.chunks(50) {
        let mut batch = Batch::default();
        for (i, value) in part.iter().enumerate() {
            batch.push(EventTime(i as i64), Some(value.as_bytes()), Some(value.as_bytes()));
        }
        for append in Appender::new(&info).append(&batch).unwrap() {
            store.commit(Part::Append(append)).unwrap();
        }
    }
}

fn feed_all(store: &Store, input: &Input) {
    feed(store, "rules", &input.rules);
    feed(store, "events", &input.events);
}

fn seal(store: &Store) {
    for name in ["rules", "events"] {
        store.seal_stream(&stream(name)).unwrap();
    }
}

fn scopes(parallelism: u32, bounded: bool) -> Pipeline {
    let from = |node: &str| PortRef { node: node.into(), port: None };
    let mut pipeline = pipeline(parallelism);
    pipeline.checkpoint_interval_ms = 2;
    pipeline.sources = ["events", "rules"]
        .map(|name| {
            let mut source = pipeline.sources[0].clone();
            source.name = name.into();
            source.kind = SourceKind::Stream(StreamSource { stream: stream(name), bounded });
            source
        })
        .to_vec();
    pipeline.operators[0].name = "scopes".into();
    pipeline.operators[0].inputs = vec![
        InputSpec { from: vec![from("events")], edge: Edge::Rebalance },
        InputSpec { from: vec![from("rules")], edge: Edge::Broadcast },
    ];
    let kind = SinkKind::Stream { stream: stream("out"), segments: 1 };
    pipeline.sinks = vec![SinkSpec { name: "out".into(), inputs: vec![from("scopes")], kind }];
    pipeline
}

/// Small reads and queues of one batch: rules wait at gates when barriers come. Little may be uncommitted, so there are many
/// epochs however fast the disk is.
fn start(store: &Store, pipeline: Pipeline) -> Result<RunHandle, JobError> {
    let mut settings = Settings::default();
    settings.dataflow.batch_events = 7;
    settings.dataflow.queue_batches = 1;
    settings.dataflow.uncommitted_bytes_max = 4 << 10;
    let options = RunOptions { data_dir: PathBuf::new(), workers: 2, settings };
    let factory = wasm_support::factory("guest-scopes", &serde_json::json!({}), &wasm_support::LIMITS);
    let factories: Vec<SharedFactory> = vec![Arc::new(factory)];
    start_with(pipeline, factories, store.clone(), options, Clock::system())
}

fn memory_store(seed: u64) -> Store {
    Store::open_with(FaultDisk::new(seed), StoreOptions::default()).unwrap()
}

/// Panics unless every subtask that ended saw what all rules together wrote, the lists together held every element once,
/// what was shown before was a state in between, and each poison rule is a dead letter once.
fn assert_outcome(store: &Store, input: &Input, what: &str) {
    let out = read_all(store, "test/out");
    let by = |key: &str| out.iter().filter(|event| event.1 == key).map(|event| event.2.clone()).collect::<Vec<_>>();
    let seen = by("seen");
    assert!(!seen.is_empty(), "{what}");
    seen.iter().for_each(|seen| assert_eq!(*seen, input.seen(), "{what}: seen at the end"));
    let lists = by("list").join(" ");
    let mut lists: Vec<&str> = lists.split_whitespace().collect();
    lists.sort_unstable();
    assert_eq!(lists, input.kept(), "{what}: the union of the lists");
    let shown = input.events.iter().filter(|event| *event == "show").count();
    assert_eq!(by("show").len(), shown, "{what}: shown");
    let mut dead: Vec<String> = read_all(store, "counting/dead-letters").into_iter().map(|event| event.2).collect();
    let mut poison: Vec<String> = input.rules.iter().filter(|rule| rule.starts_with("poison")).cloned().collect();
    dead.sort();
    poison.sort();
    assert_eq!(dead, poison, "{what}: dead letters");
}

#[test]
fn every_subtask_sees_the_rules_and_a_poison_rule_is_refused_once() {
    let input = input(1_000, 1_000);
    for parallelism in [1, 3] {
        let store = memory_store(1);
        feed_all(&store, &input);
        let job = start(&store, scopes(parallelism, true)).unwrap();
        assert!(job.wait().unwrap().finished);
        let what = format!("parallelism {parallelism}");
        assert_outcome(&store, &input, &what);
        let ended = read_all(&store, "test/out").iter().filter(|event| event.1 == "seen").count();
        assert_eq!(ended, parallelism as usize, "{what}: each subtask tells what it sees");
    }
}

#[test]
fn a_checkpoint_while_broadcast_elements_are_queued_applies_none_twice() {
    let input = input(3_000, 600);
    let mut restarts = 0;
    for n in 1..=6 {
        let disk = FaultDisk::new(n);
        let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
        feed_all(&store, &input);
        disk.fail_sync(disk.syncs() + 6 + n * 3);
        let summary = start(&store, scopes(3, true)).unwrap().wait().unwrap();
        restarts += summary.restarts;
        assert!(summary.finished && summary.epochs >= 4, "barriers while rules wait in queues: {}", summary.epochs);
        assert_outcome(&store, &input, &format!("sync {n} failed"));
    }
    assert!(restarts >= 3, "the failed syncs hit running epochs: {restarts}");
}

#[test]
fn a_crash_at_any_sync_loses_and_doubles_no_rule_and_no_element_at_whatever_parallelism_it_goes_on() {
    let input = input(800, 800);
    let mut crashes = 0;
    for n in 1..=10u64 {
        let disk = FaultDisk::new(n * 53);
        let mut store = Store::open_with(disk.clone(), StoreOptions::default()).ok();
        feed_all(store.as_ref().unwrap(), &input);
        for attempt in 0.. {
            assert!(attempt < 100, "no progress");
            if attempt < 4 {
                disk.crash_at_sync(disk.syncs() + 3 + n);
            }
            if let Some(running) = &store {
                let mut pipeline = scopes([1, 3, 2, 4][attempt % 4], true);
                pipeline.restart.attempts = 5;
                let done = start(running, pipeline).and_then(RunHandle::wait).is_ok_and(|summary| summary.finished);
                if is_over(&disk, done) {
                    break;
                }
            }
            crashes += 1;
            drop(store.take());
            disk.reboot();
            store = Store::open_with(disk.clone(), StoreOptions::default()).ok();
        }
        assert_outcome(store.as_ref().unwrap(), &input, &format!("crash at sync {n}"));
    }
    assert!(crashes >= 20, "{crashes}");
}

fn wait_until_taken(job: &RunHandle, events: u64) {
    let taken = || job.status().nodes.iter().find(|node| node.name == "scopes").map_or(0, |node| node.events_in);
    while taken() < events {
        assert!(!job.is_done(), "{} of {events} events are taken", taken());
        std::thread::yield_now();
    }
}

/// Runs until everything that was fed is taken, and stops at a checkpoint.
fn run_and_stop(store: &Store, parallelism: u32, rules: usize, events: usize) {
    let job = start(store, scopes(parallelism, false)).unwrap();
    let expected = (events + rules * parallelism as usize) as u64;
    wait_until_taken(&job, expected);
    job.stop();
    assert!(!job.wait().unwrap().finished);
}

#[test]
fn a_pipeline_goes_on_from_its_checkpoint_at_another_parallelism_with_all_elements_and_rules() {
    let input = input(400, 400);
    for (before, after) in [(3, 2), (2, 3), (1, 4)] {
        let store = memory_store(7);
        feed(&store, "rules", &input.rules[..200]);
        feed(&store, "events", &input.events[..300]);
        run_and_stop(&store, before, 200, 300);
        feed(&store, "rules", &input.rules[200..]);
        feed(&store, "events", &input.events[300..]);
        seal(&store);
        assert!(start(&store, scopes(after, false)).unwrap().wait().unwrap().finished);
        assert_outcome(&store, &input, &format!("{before} to {after}"));
    }
}

#[test]
fn lists_and_rules_beyond_memory_come_back_from_sealed_files() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        || StoreOptions { state_flush_bytes: 4 << 10, state_memory_bytes: 64 << 10, ..StoreOptions::default() };
    let input = input(2_000, 8_000);
    let few_groups = |parallelism| Pipeline { max_parallelism: 2, ..scopes(parallelism, false) };
    let store = Store::open(folder.path(), options()).unwrap();
    feed(&store, "rules", &input.rules);
    feed(&store, "events", &input.events);
    let job = start(&store, few_groups(1)).unwrap();
    wait_until_taken(&job, 10_000);
    job.stop();
    job.wait().unwrap();
    drop(store);
    let sealed = std::fs::read_dir(folder.path().join("sealed")).unwrap().count();
    assert!(sealed > 0, "nothing was flushed");
    let store = Store::open(folder.path(), options()).unwrap();
    seal(&store);
    assert!(start(&store, few_groups(2)).unwrap().wait().unwrap().finished);
    assert_outcome(&store, &input, "from sealed files");
}

#[test]
fn a_write_by_an_event_of_another_input_ends_the_run_and_is_explained() {
    let store = memory_store(3);
    feed_all(&store, &Input { rules: vec!["add k 1".into()], events: vec!["write k".into()] });
    let mut pipeline = scopes(2, true);
    pipeline.restart.attempts = 0;
    let failure = start(&store, pipeline).unwrap().wait().unwrap_err().to_string();
    for part in ["scopes", "process, input 0", "state.put", "put on state 0: it is broadcast", "edge = \"broadcast\""] {
        assert!(failure.contains(part), "{part:?} is not in: {failure}");
    }
    assert!(read_all(&store, "test/out").iter().all(|event| event.1 != "seen"));
}

#[test]
fn a_pipeline_whose_rules_do_not_reach_every_subtask_is_refused() {
    let store = memory_store(4);
    feed_all(&store, &Input { rules: vec!["add k 1".into()], events: vec!["show".into()] });
    let mut pipeline = scopes(2, true);
    pipeline.operators[0].inputs[1].edge = Edge::Keyed;
    let refused = start(&store, pipeline).err().expect("no input is broadcast").to_string();
    let expected = "operator scopes: its state totals is broadcast";
    assert!(refused.contains(expected) && refused.contains("write edge = \"broadcast\""), "{refused}");
}
