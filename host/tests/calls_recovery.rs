//! Calls through crashes, stops and rescalings: an event whose answer had not come is in the checkpoint, is asked for again by
//! the next run, once, and its result is there once. In process over a disk that crashes, and with the program and `kill -9`.
//!
//! X-30 of the reference (FLINK-24846): elsewhere a stop without a drain dropped results that came while the job ended, or gave
//! them again. Here the epoch of the stop holds either the event or its result
//! (`a_stop_keeps_what_is_under_way_and_the_next_run_asks_again_once`).

#[path = "support/calls.rs"]
mod calls;
#[path = "support/native.rs"]
mod native;
#[path = "support/service.rs"]
mod service;
#[path = "tidemill/mod.rs"]
mod tidemill;

use ::tidemill::job::RunSummary;
use ::tidemill_storage::fault::FaultDisk;
use ::tidemill_storage::{Store, StoreOptions};
use calls::{Item, feed, numbered, start, wait_until};
use native::read_all;
use service::{Reply, Service};
use std::collections::BTreeMap;
use tidemill::DataDir;
use tidemill::running::Running;

fn open(disk: &FaultDisk) -> ::tidemill_storage::Result<Store> {
    Store::open_with(disk.clone(), StoreOptions::default())
}

/// Answers an id by itself.
fn echo(delay_us: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Service {
    Service::start(move |seen, _| {
        let id = seen.what.rsplit('/').next().unwrap().to_string();
        Reply { delay_us: delay_us(id.parse().unwrap()), ..Reply::ok(id) }
    })
}

fn toml(service: &Service, parallelism: u32, order: &str, capacity: u32) -> String {
    format!(
        "[pipeline]
name = \"asking\"
parallelism = {parallelism}
max_parallelism = 16
checkpoint_interval = \"20ms\"
restart = {{ attempts = 20, backoff = \"1ms\", backoff_max = \"1ms\" }}
[sources.in]
stream = \"test/in\"
bounded = true
watermark = {{ out_of_orderness = \"50ms\" }}
[operators.ask]
input = \"in\"
call = {{ url = \"{}\", method = \"GET\", order = \"{order}\", capacity = {capacity} }}
[operators.behind]
component = \"recorder.wasm\"
input = \"ask\"
parallelism = 1
[sinks.out]
input = \"ask\"
stream = \"test/out\"
segments = 4",
        service.url("/x/{/id}")
    )
}

/// Panics unless every event has its result once; `ordered`: and those of a key in the order of its events.
fn assert_once(store: &Store, count: usize, ordered: bool, what: &str) {
    let mut by_key: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (time, key, value) in read_all(store, "test/out") {
        let id: usize = value.parse().unwrap();
        assert_eq!(time, id as i64 * 10, "{what}: the result has its event's time");
        by_key.entry(key).or_default().push(id);
    }
    let mut expected: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (id, (_, key, _)) in numbered(count).into_iter().enumerate() {
        expected.entry(key).or_default().push(id);
    }
    if !ordered {
        by_key.values_mut().for_each(|ids| ids.sort_unstable());
    }
    assert_eq!(by_key, expected, "{what}");
    assert!(read_all(store, "asking/dead-letters").is_empty(), "{what}");
}

#[test]
fn a_crash_at_any_sync_loses_and_doubles_no_result_even_when_resumed_at_another_parallelism() {
    const EVENTS: usize = 400;
    let mut crashes = 0;
    for n in 1..=16u64 {
        let service = echo(move |id| (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).wrapping_add(n) % 700);
        let ordered = n % 2 == 0;
        let order = if ordered { "ordered" } else { "unordered" };
        let disk = FaultDisk::new(n * 31);
        let store = open(&disk).unwrap();
        feed(&store, "test/in", 4, &numbered(EVENTS));
        let mut store = Some(store);
        let mut attempt = 0;
        loop {
            attempt += 1;
            assert!(attempt < 100, "no progress");
            if attempt <= 4 {
                disk.crash_at_sync(disk.syncs() + 2 + n);
            }
            let toml = toml(&service, [3, 2, 1, 4][attempt % 4], order, 5);
            let done = store.take().and_then(|store| {
                let summary = start(&store, &toml).and_then(|(handle, _)| handle.wait());
                assert!(disk.crashed() || summary.is_ok(), "only a crash stops the job: {summary:?}");
                summary.ok().filter(|summary| summary.finished && !disk.crashed()).map(|_| store)
            });
            if let Some(done) = done {
                drop(done);
                disk.crash();
                disk.reboot();
                assert_once(&open(&disk).unwrap(), EVENTS, ordered, &format!("crash at sync {n}, {attempt} attempts"));
                break;
            }
            crashes += 1;
            disk.reboot();
            store = open(&disk).ok();
        }
    }
    assert!(crashes >= 16, "{crashes}");
}

#[test]
fn a_stop_keeps_what_is_under_way_and_the_next_run_asks_again_once() {
    for (order, before, after) in [("ordered", 1, 1), ("unordered", 3, 2), ("ordered", 3, 2), ("ordered", 2, 5)] {
        let what = format!("{order}, {before} -> {after} subtasks");
        const EVENTS: usize = 300;
        let service = echo(|_| 0);
        service.hold();
        let store = open(&FaultDisk::new(9)).unwrap();
        feed(&store, "test/in", 4, &numbered(EVENTS));
        let (handle, _) = start(&store, &toml(&service, before, order, 6)).unwrap();
        wait_until(&handle, || service.at_once() == 6 * before as usize);
        handle.stop();
        let summary: RunSummary = handle.wait().unwrap();
        assert!(!summary.finished, "{what}");
        assert!(read_all(&store, "test/out").is_empty(), "{what}: no result came before the stop");
        let asked = service.seen();
        assert_eq!(asked.len(), 6 * before as usize, "{what}");
        service.release();
        let (handle, records) = start(&store, &toml(&service, after, order, 6)).unwrap();
        assert!(handle.wait().unwrap().finished, "{what}");
        assert_once(&store, EVENTS, order == "ordered", &what);
        let mut watermark = i64::MIN;
        for item in records[0].lock().unwrap().iter() {
            match item {
                Item::Watermark(next) => watermark = *next,
                Item::Event(time, ..) => {
                    assert!(*time > watermark, "{what}: a result at {time} is late at {watermark}")
                }
            }
        }
        assert_eq!(watermark, i64::MAX, "{what}");
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        service.seen().into_iter().for_each(|seen| *times.entry(seen.what).or_default() += 1);
        assert_eq!(times.len(), EVENTS, "{what}");
        for (request, times) in times {
            let again = asked.iter().any(|seen| seen.what == request);
            assert_eq!(times, 1 + usize::from(again), "{what}: {request}");
        }
    }
}

#[test]
fn the_end_of_input_waits_for_every_answer() {
    let service = echo(|_| 0);
    service.hold();
    let store = open(&FaultDisk::new(9)).unwrap();
    feed(&store, "test/in", 2, &numbered(20));
    let (handle, _) = start(&store, &toml(&service, 1, "unordered", 64)).unwrap();
    wait_until(&handle, || service.at_once() == 20);
    // All input is read and committed, and the job is not over.
    wait_until(&handle, || {
        let records = store.checkpoints("asking").unwrap();
        records.first().is_some_and(|newest| newest.record.sources["in"].values().all(|partition| partition.ended))
    });
    assert!(read_all(&store, "test/out").is_empty());
    service.release();
    assert!(handle.wait().unwrap().finished);
    assert_once(&store, 20, false, "at the end");
    let left = store.load_state("asking", "ask", 0..16).unwrap();
    assert_eq!(left.memory().len(), 0, "nothing is left in the state");
}

#[test]
fn a_killed_process_asks_again_for_what_was_under_way() {
    let service = echo(|_| 0);
    service.hold();
    let data = DataDir::new();
    data.run(&["stream", "create", "ask/in"]).ok();
    let file = data.path().with_file_name("ask.toml");
    std::fs::write(
        &file,
        format!(
            "[pipeline]\nname = \"ask\"\nmin_commit_interval = \"5ms\"\n[sources.in]\nstream = \"ask/in\"\n\
             [operators.ask]\ninput = \"in\"\ncall = {{ url = \"{}\", capacity = 8 }}\n\
             [sinks.out]\ninput = \"ask\"\nstream = \"ask/out\"\n",
            service.url("/x/{key}")
        ),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let lines = |ids: std::ops::Range<u32>| -> String {
        ids.map(|id| format!("{{\"key\":\"{id}\",\"value\":{id}}}\n")).collect()
    };
    let mut asking = Running::start(&data, &[file], &[]);
    data.run_with(&["stream", "append", "ask/in", "--json-lines"], lines(0..20).as_bytes()).ok();
    asking.wait_until(|| service.at_once() == 8);
    asking.kill();
    assert_eq!(data.run(&["stream", "cat", "ask/out", "--json"]).json_lines().len(), 0);
    service.release();
    let mut asking = Running::start(&data, &[file], &[]);
    data.run_with(&["stream", "append", "ask/in", "--json-lines"], lines(20..30).as_bytes()).ok();
    asking.wait_for_events("ask/out", 30);
    asking.kill();
    let out = data.run(&["stream", "cat", "ask/out", "--json"]).json_lines();
    let ids: Vec<String> = out.iter().map(|event| event["value"].to_string().replace('"', "")).collect();
    assert_eq!(ids, (0..30).map(|id| id.to_string()).collect::<Vec<_>>(), "each once, in order");
}
