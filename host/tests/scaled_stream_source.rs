//! A pipeline's stream source follows scalings: before it starts, while it runs, across crashes and `kill -9`. Every event comes once, the
//! events of a key in the order in which they were written, windows close as they should.

#[path = "support/native.rs"]
mod native;
mod tidemill;

use self::tidemill::DataDir;
use self::tidemill::running::{Running, live};
use ::tidemill::config::pipeline::{SourceKind, StreamSource};
use native::{Event, assert_exactly_once, events, feed, input_stream, is_over, pipeline, run, start};
use std::collections::BTreeMap;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::stream::Scaling;
use tidemill_storage::{Store, StoreOptions};

fn scale(store: &Store, count: u32) {
    let info = store.stream(&input_stream()).unwrap().unwrap();
    store.scale_stream(&info.name, &Scaling::to(&info, count).unwrap()).unwrap();
}

/// In pieces, each to another set of segments: splits, merges, and both.
fn feed_scaled(store: &Store, events: &[Event]) {
    for (piece, count) in events.chunks(events.len().div_ceil(5)).zip([2, 5, 3, 1, 4]) {
        feed(store, piece);
        scale(store, count);
    }
}

#[test]
fn a_stream_that_was_scaled_before_gives_every_result_once_at_any_parallelism() {
    let events = events(3_000);
    for parallelism in [1, 2, 4] {
        let store = Store::open_with(FaultDisk::new(1), StoreOptions::default()).unwrap();
        feed_scaled(&store, &events);
        assert!(run(&store, parallelism).unwrap().finished);
        assert_exactly_once(&store, &events, &format!("parallelism {parallelism}"));
    }
}

#[test]
fn a_stream_that_is_scaled_while_it_is_read_loses_and_doubles_nothing() {
    let events = events(6_000);
    let store = Store::open_with(FaultDisk::new(2), StoreOptions::default()).unwrap();
    feed(&store, &events[..500]);
    let mut live = pipeline(4);
    live.sources[0].kind = SourceKind::Stream(StreamSource { stream: input_stream(), bounded: false });
    let job = start(&store, live).unwrap();
    for (n, piece) in events[500..].chunks(250).enumerate() {
        feed(&store, piece);
        scale(&store, [3, 1, 6, 2, 5][n % 5]);
    }
    store.seal_stream(&input_stream()).unwrap();
    assert!(job.wait().unwrap().finished, "a sealed stream ends");
    assert_exactly_once(&store, &events, "scaled under the pipeline");
}

#[test]
fn a_crash_at_any_sync_of_a_run_over_a_scaled_stream_loses_and_doubles_nothing() {
    let events = events(1_500);
    let mut crashes = 0;
    for n in [2, 5, 9, 14] {
        let disk = FaultDisk::new(n * 31);
        let open = || Store::open_with(disk.clone(), StoreOptions::default());
        let mut store = open().unwrap();
        feed_scaled(&store, &events);
        for attempt in 0.. {
            assert!(attempt < 100, "no progress");
            if attempt < 5 {
                disk.crash_at_sync(disk.syncs() + 4 + n);
            }
            // A crashed disk does not come back by itself: few attempts are enough.
            let mut pipeline = pipeline([1, 3, 2, 4][attempt % 4]);
            pipeline.restart.attempts = 5;
            let done = start(&store, pipeline).and_then(|job| job.wait()).is_ok_and(|summary| summary.finished);
            if is_over(&disk, done) {
                break;
            }
            crashes += 1;
            drop(store);
            disk.reboot();
            store = open().unwrap();
        }
        assert_exactly_once(&store, &events, &format!("crash at sync {n}"));
    }
    assert!(crashes >= 8, "{crashes}");
}

/// The real program, three source tasks, `kill -9` in the middle of it.
#[test]
fn per_key_order_and_exactly_once_hold_across_scalings_and_kills() {
    const KEYS: u64 = 17;
    let data = DataDir::new();
    let file = live(&data, "follow");
    let file = file.to_str().unwrap();
    let mut written = 0;
    let append = |written: &mut u64, count: u64| {
        let lines: String = (*written..*written + count)
            .map(|n| serde_json::json!({ "key": format!("k{}", n % KEYS), "value": n }).to_string() + "\n")
            .collect();
        *written += count;
        data.run_with(&["stream", "append", "follow/in", "--json-lines"], lines.as_bytes()).ok();
    };
    let scale = |to: u32| drop(data.run(&["stream", "scale", "follow/in", "--segments", &to.to_string()]).ok());
    scale(3);
    append(&mut written, 200);
    scale(2);
    append(&mut written, 200);
    scale(4);
    for round in 0..4 {
        let mut running = Running::start(&data, &[file], &["--parallelism", "3"]);
        for (n, to) in [[3, 1], [5, 2], [1, 6], [4, 3]][round].into_iter().enumerate() {
            append(&mut written, 250);
            scale(to);
            if n == 0 {
                // Some of it is through, some is on its way.
                let least = written - 400;
                running.wait_until(|| {
                    let streams = data.run(&["stream", "list", "--json"]).json();
                    let out = streams.as_array().unwrap().iter().find(|stream| stream["name"] == "follow/out");
                    out.and_then(|out| out["events"].as_u64()) >= Some(least)
                });
            }
        }
        append(&mut written, 100);
        if round == 3 {
            running.wait_for_events("follow/out", written);
        }
        running.kill();
    }
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in data.run(&["stream", "cat", "follow/out", "--json"]).json_lines() {
        let key = event["key"].as_str().unwrap().to_string();
        numbers.entry(key).or_default().push(event["value"].as_u64().unwrap());
    }
    for key in 0..KEYS {
        let expected: Vec<u64> = (0..written).filter(|n| n % KEYS == key).collect();
        assert_eq!(numbers.get(&format!("k{key}")), Some(&expected), "key {key}");
    }
}
