//! Watermarks of whole jobs: through restarts, at other numbers of subtasks, and at the end. Stories of the reference:
//!
//! W-14 (FLINK-39586): a source whose partitions were all taken away after progress stayed "active" and held time up for ever. It
//! cannot come to that here: the partitions of a subtask are fixed for a run, each subtask has one, and a segment that is scaled
//! away goes on as its successors within the partition. What may be asked, a source with nothing to read any more, is the
//! end of that source, which holds nobody up (`a_source_that_ended_before_the_restart_holds_nobody_up`).
//!
//! W-18 (FLINK-5601, FLINK-24501, FLINK-36663): the watermark was not in the checkpoint; after a restart late events were taken and
//! windows gave their results twice (`what_is_late_is_late_after_a_crash_too`).
//!
//! W-19 (FLINK-40517): when channels were joined in a recovery, the watermark of one of them was passed on for all, and events of
//! the others were dropped as late. A checkpoint has the least of an operator's subtasks, here and in `exactly_once.rs`, where an
//! operator fails if an event of the model is late after a rescaling.
//!
//! W-20 (FLINK-23708, FLINK-23698): a task that had finished before the restart did not say the end of time again, and what
//! was downstream waited for ever.
//!
//! W-21 (flink-connectors#17, open since 2017): a source subtask without a segment held the watermark up. A source has no more
//! subtasks than partitions (`more_subtasks_than_segments_hold_nobody_up`).
//!
//! W-23 (paimon PR 8372): the watermark of a commit was the greatest of the parallel writers'; it has to be the least
//! (`the_watermark_of_a_stream_is_that_of_the_slowest_subtask_of_its_sink`).
//!
//! W-24: at the end of bounded input the end of time comes once, behind the last event and in the last checkpoint. (A timer at the end
//! of time cannot fire for ever: none can be registered there, `timer_service.rs`.)

#[path = "support/calls.rs"]
mod calls;
#[path = "support/native.rs"]
mod native;

use calls::{Item, feed, start, wait_until};
use native::read_all;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::hash::hash_key;
use tidemill_storage::{EventTime, Store, StoreOptions, StreamName};

type Event = (i64, String, String);

fn open(disk: &FaultDisk) -> tidemill_storage::Result<Store> {
    Store::open_with(disk.clone(), StoreOptions::default())
}

fn event(time: i64, key: &str) -> Event {
    (time, key.into(), format!("{{\"at\":{time}}}"))
}

/// Ten-second windows over a disordered stream; what is late leaves by the side.
const WINDOWS: &str = r#"[pipeline]
name = "windows"
checkpoint_interval = "20ms"
restart = { attempts = 20, backoff = "1ms", backoff_max = "1ms" }
[sources.in]
stream = "test/in"
bounded = true
watermark = { out_of_orderness = "2s", emit = "every-event" }
[operators.count]
input = "in"
window = { tumbling = "10s", late_output = true, output = { from = "window.start", n = "count", firing = "window.firing" } }
[sinks.out]
input = "count.results"
stream = "test/out"
[sinks.late]
input = "count.late"
stream = "test/late"
"#;

#[test]
fn what_is_late_is_late_after_a_crash_too() {
    // Every event is up to nine seconds behind the newest one: many are late, and which ones is a function of their order.
    let events: Vec<Event> =
        (0..1_500i64).map(|i| event(i * 100 - (i * 7_919) % 9_000, &format!("k{}", i % 7))).collect();
    let given = |store: &Store| {
        let sorted = |name: &str| {
            let mut all = read_all(store, name);
            all.sort();
            all
        };
        (sorted("test/out"), sorted("test/late"))
    };
    let straight = open(&FaultDisk::new(1)).unwrap();
    feed(&straight, "test/in", 1, &events);
    assert!(start(&straight, WINDOWS).unwrap().0.wait().unwrap().finished);
    let expected = given(&straight);
    assert!(expected.0.len() > 50 && expected.1.len() > 100, "{} and {}", expected.0.len(), expected.1.len());
    assert!(expected.0.iter().all(|(_, _, value)| value.contains("\"firing\":0")), "no window gave a second result");
    let mut crashes = 0;
    for n in 1..=12u64 {
        let disk = FaultDisk::new(n);
        let store = open(&disk).unwrap();
        feed(&store, "test/in", 1, &events);
        let mut store = Some(store);
        for attempt in 1.. {
            assert!(attempt < 50, "no progress");
            if attempt <= 3 {
                disk.crash_at_sync(disk.syncs() + 3 + n % 5);
            }
            let finished = store.take().and_then(|store| {
                let summary = start(&store, WINDOWS).and_then(|(handle, _)| handle.wait());
                summary.is_ok_and(|summary| summary.finished && !disk.crashed()).then_some(store)
            });
            if let Some(store) = finished {
                assert!(given(&store) == expected, "crash at sync {n}: other windows, or others late");
                break;
            }
            crashes += 1;
            disk.reboot();
            store = open(&disk).ok();
        }
    }
    assert!(crashes >= 12, "{crashes}");
}

/// Two sources into one recorder.
const UNION: &str = r#"[pipeline]
name = "union"
checkpoint_interval = "20ms"
[sources.short]
stream = "test/short"
bounded = true
watermark = { out_of_orderness = "0s" }
[sources.long]
stream = "test/long"
watermark = { out_of_orderness = "0s" }
[operators.behind]
component = "recorder.wasm"
input = ["short", "long"]
"#;

/// With a sink, which every pipeline has, and more subtasks.
fn with_sink(toml: &str, input: &str, parallelism: u32) -> String {
    let toml = toml.replace("checkpoint_interval", &format!("parallelism = {parallelism}\ncheckpoint_interval"));
    format!("{toml}[sinks.out]\ninput = \"{input}\"\nstream = \"test/out\"\n")
}

#[test]
fn a_source_that_ended_before_the_restart_holds_nobody_up() {
    for parallelism in [1, 3] {
        let toml = with_sink(UNION, "long", parallelism);
        let store = open(&FaultDisk::new(2)).unwrap();
        feed(&store, "test/short", 1, &[event(5, "a")]);
        feed(&store, "test/long", 1, &[event(100, "b")]);
        let (handle, records) = start(&store, &toml).unwrap();
        wait_until(&handle, || records[0].lock().unwrap().contains(&Item::Watermark(99)));
        let ended = || {
            let newest = store.checkpoints("union").unwrap();
            newest
                .first()
                .is_some_and(|newest| newest.record.sources["short"].values().all(|partition| partition.ended))
        };
        wait_until(&handle, ended);
        handle.stop();
        assert!(!handle.wait().unwrap().finished);
        let (handle, records) = start(&store, &toml).unwrap();
        feed(&store, "test/long", 1, &[event(1_000, "b")]);
        wait_until(&handle, || records[0].lock().unwrap().contains(&Item::Watermark(999)));
        handle.stop();
        handle.wait().unwrap();
    }
}

#[test]
fn more_subtasks_than_segments_hold_nobody_up() {
    let toml = with_sink(UNION, "long", 5);
    let store = open(&FaultDisk::new(3)).unwrap();
    feed(&store, "test/short", 1, &[]);
    feed(&store, "test/long", 2, &(0..50).map(|i| event(100 + i, &format!("k{i}"))).collect::<Vec<_>>());
    let (handle, records) = start(&store, &toml).unwrap();
    let segments_watermark = |items: &[Item]| items.iter().any(|item| matches!(item, Item::Watermark(w) if *w > 100));
    wait_until(&handle, || segments_watermark(&records[0].lock().unwrap()));
    let sources = handle.status().nodes.into_iter().filter(|node| node.kind == "source");
    assert_eq!(sources.map(|node| node.parallelism).collect::<Vec<_>>(), [1, 2], "no subtask without a segment");
    handle.stop();
    handle.wait().unwrap();
}

#[test]
fn the_watermark_of_a_stream_is_that_of_the_slowest_subtask_of_its_sink() {
    let store = open(&FaultDisk::new(4)).unwrap();
    // One key for each half of the key space: each has a segment, a source subtask and a sink subtask.
    let (low, high): (Vec<String>, Vec<String>) =
        (0..20).map(|i| format!("k{i}")).partition(|key| hash_key(key.as_bytes()) < u64::MAX / 2);
    let events = [event(1_000, &low[0]), event(2_000, &low[0]), event(11, &high[0])];
    feed(&store, "test/in", 2, &events);
    let toml = r#"[pipeline]
name = "copy"
parallelism = 2
checkpoint_interval = "20ms"
[sources.in]
stream = "test/in"
watermark = { out_of_orderness = "0s" }
[sinks.out]
input = "in"
stream = "test/out"
"#;
    let (handle, _) = start(&store, toml).unwrap();
    wait_until(&handle, || read_all(&store, "test/out").len() == 3);
    let watermark = || store.stream(&StreamName::new("test/out").unwrap()).unwrap().unwrap().watermark;
    wait_until(&handle, || watermark().is_some());
    assert_eq!(watermark(), Some(EventTime(10)), "not 1999");
    feed(&store, "test/in", 2, &[event(5_000, &high[0])]);
    wait_until(&handle, || watermark() == Some(EventTime(1_999)));
    handle.stop();
    handle.wait().unwrap();
}

#[test]
fn the_end_of_time_comes_once_behind_the_last_event_and_is_in_the_last_checkpoint() {
    for parallelism in [1, 2] {
        let store = open(&FaultDisk::new(5)).unwrap();
        feed(&store, "test/short", 1, &[event(5, "a"), event(7, "b")]);
        feed(&store, "test/long", 2, &[event(100, "b"), event(90, "c")]);
        let toml = with_sink(UNION, "long", parallelism).replace("\"test/long\"", "\"test/long\"\nbounded = true");
        let toml = toml.replace("[operators.behind]", "[operators.behind]\nparallelism = 1");
        let (handle, records) = start(&store, &toml).unwrap();
        assert!(handle.wait().unwrap().finished);
        let items = records[0].lock().unwrap().clone();
        let ends = items.iter().filter(|item| **item == Item::Watermark(i64::MAX)).count();
        assert_eq!((ends, items.last()), (1, Some(&Item::Watermark(i64::MAX))), "{items:?}");
        assert_eq!(items.iter().filter(|item| matches!(item, Item::Event(..))).count(), 4);
        let last = store.checkpoints("union").unwrap().remove(0).record;
        assert!(last.finished);
        assert_eq!(last.watermarks["behind"], EventTime::MAX);
    }
}
