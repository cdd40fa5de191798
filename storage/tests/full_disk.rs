//! A disk that fills up: appends and epochs wait before the reserve is touched, what frees room passes; when the disk is
//! really full (somebody else took the reserve) the store latches and reopens. Nothing is lost, nothing there twice.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::hash::hash_key;
use tidemill_storage::*;

const MIB: u64 = 1 << 20;

/// An append of so many events, numbered from `first`, of 1,200 bytes that do not compress.
fn big(info: &StreamInfo, first: u64, events: u64) -> Part {
    let mut batch = Batch::default();
    for i in first..first + events {
        let noise: Vec<u8> = (0..150u64).flat_map(|j| hash_key(&(i << 16 | j).to_le_bytes()).to_le_bytes()).collect();
        batch.push(EventTime(i as i64), None, Some(&noise));
    }
    let mut appends = Appender::new(info).append(&batch).unwrap();
    assert_eq!(appends.len(), 1);
    Part::Append(appends.remove(0))
}

fn times(store: &Store, info: &StreamInfo, from: u64) -> Vec<i64> {
    let mut at = position(info, info.segments[0].id, from);
    let mut out = Vec::new();
    loop {
        let read = store.read(at, 1 << 20).unwrap();
        if read.batch.is_empty() {
            return out;
        }
        out.extend(read.batch.timestamps);
        at.offset = read.next;
    }
}

fn numbers(range: std::ops::Range<u64>) -> Vec<i64> {
    range.map(|n| n as i64).collect()
}

/// Appends parts of `events` events, one after the other, and tells of each that is durable.
fn writer(
    store: &Store,
    info: &StreamInfo,
    parts: u64,
    events: u64,
) -> (std::thread::JoinHandle<()>, mpsc::Receiver<u64>) {
    let (told, tell) = mpsc::channel();
    let (store, info) = (store.clone(), info.clone());
    let thread = std::thread::spawn(move || {
        for n in 0..parts {
            store.commit(big(&info, n * events, events)).unwrap();
            told.send(n).unwrap();
        }
    });
    (thread, tell)
}

fn wait_until_somebody_waits(store: &Store) {
    while store.disk().waiting_parts == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn work_waits_before_the_reserve_is_used_and_goes_on_when_there_is_room() {
    for (seed, events) in [(1, 5), (2, 50), (3, 200)] {
        let disk = FaultDisk::new(seed);
        let options = StoreOptions { reserve_bytes: MIB, state_fold_blobs: 0, ..StoreOptions::default() };
        let store = Store::open_with(disk.clone(), options).unwrap();
        let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
        let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
        let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
        store.commit(Part::Epoch(epoch(&start, "p", &out, 1))).unwrap();
        disk.space_left(Some(3 * MIB));
        let parts = 5 * MIB / (events * 1_200);
        let (writer, acknowledged) = writer(&store, &info, parts, events);
        wait_until_somebody_waits(&store);
        assert!(disk.least_space() >= MIB, "{} bytes were left", disk.least_space());
        let there = acknowledged.try_iter().count() as u64;
        assert!(there > 0 && there < parts, "{there} of {parts} parts went in");

        // An epoch waits, too, in its turn; who must not wait asks.
        let part = Part::Epoch(epoch(&start, "p", &out, 2));
        let mut room = store.line_up(&part).unwrap();
        assert!(!room.is_granted());
        let described = store.describe().unwrap().disk;
        assert_eq!((described.reserve_bytes, described.waiting_parts), (MIB, 2));
        assert!(described.free_bytes.unwrap() >= MIB);
        // Reading and what frees room go on.
        assert_eq!(times(&store, &info, 0), numbers(0..there * events));
        truncate(&store, &info, info.segments[0].id, events).unwrap();
        assert!(store.line_up(&Part::Marker(marker())).is_none());

        disk.space_left(Some(100 * MIB));
        let (told, tell) = mpsc::channel();
        while !room.is_granted() {
            std::thread::yield_now();
        }
        store.submit_in(Some(room), part, Box::new(move |outcome| told.send(outcome).unwrap()));
        tell.recv().unwrap().unwrap();
        writer.join().unwrap();
        assert_eq!(times(&store, &info, events), numbers(events..parts * events));
        assert_eq!(read_all(&store, &name("t/out")).unwrap(), output_after(2));
        assert_eq!(store.disk().waiting_parts, 0);
        assert_whole(&store, "when it went on");
    }
}

fn marker() -> MarkerSwap {
    MarkerSwap { name: "m".into(), expected: None, value: "v".into(), truncate: vec![] }
}

#[test]
fn moving_and_truncating_under_a_tight_disk_leave_what_commits_need_and_writers_go_on_with_what_they_free() {
    let disk = FaultDisk::new(7);
    let options = StoreOptions {
        reserve_bytes: 2 * MIB,
        hot_bytes_max: MIB / 2,
        sealed_file_bytes: MIB / 4,
        ..StoreOptions::default()
    };
    let store = Store::open_with(disk.clone(), options).unwrap();
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    let segment = info.segments[0].id;
    disk.space_left(Some(12 * MIB));
    let parts = 600;
    let (writer, acknowledged) = writer(&store, &info, parts, 50);
    // A consumer reads and frees; now and then it is slow, so that the disk gets full.
    let (mut done, mut pauses) = (0, 0);
    while done < parts * 50 {
        if done / 5_000 > pauses && store.disk().waiting_parts == 0 && !writer.is_finished() {
            std::thread::yield_now();
            continue;
        }
        pauses = done / 5_000;
        let read = store.read(position(&info, segment, done), 1 << 17).unwrap();
        assert!(read.batch.timestamps.iter().copied().eq(numbers(done..done + read.batch.len() as u64)));
        done = read.next.0;
        truncate(&store, &info, segment, done).unwrap();
    }
    writer.join().unwrap();
    assert_eq!(acknowledged.try_iter().count() as u64, parts);
    assert!(pauses > 3, "the disk was never full");
    assert!(disk.least_space() > 0 && store.failure().is_none(), "{} bytes were left", disk.least_space());
    assert!(store.mover_status().done.unlinked > 10, "{:?}", store.mover_status());
    assert_whole(&store, "at the end");
}

/// Appends and epochs until the disk is full at a point that `space` says; then reopens, first while it is full, later with
/// room again; goes on, and looks at everything. True = the disk got full.
fn fill(seed: u64, space: u64, crash: bool) -> bool {
    let what = format!("seed {seed}, {space} bytes, crash {crash}");
    let disk = FaultDisk::new(seed);
    let options = StoreOptions {
        hot_bytes_max: 100_000,
        sealed_file_bytes: 50_000,
        state_fold_blobs: 4,
        ..StoreOptions::default()
    };
    let mut store = Store::open_with(disk.clone(), options.clone()).unwrap();
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    disk.space_left(Some(space));
    // Where nothing can move any more, writers wait: somebody makes room.
    let over = Arc::new(AtomicU64::new(0));
    let room = {
        let (disk, store, over) = (disk.clone(), store.clone(), over.clone());
        std::thread::spawn(move || {
            while over.load(Ordering::SeqCst) == 0 {
                if store.mover_status().waiting_parts > 0 {
                    disk.space_left(None);
                }
                std::thread::yield_now();
            }
        })
    };
    let (mut events, mut epochs) = (0, 0);
    let failed = (1..=20).any(|n| {
        let appended = store.commit(big(&info, events, 10));
        events += if appended.is_ok() { 10 } else { 0 };
        let committed = store.commit(Part::Epoch(epoch(&start, "p", &out, n)));
        epochs = if committed.is_ok() { n } else { epochs };
        let failed: Vec<Error> = [appended.err(), committed.err()].into_iter().flatten().collect();
        assert!(failed.iter().all(|e| matches!(e.kind(), Kind::Full | Kind::Unavailable)), "{what}: {failed:?}");
        !failed.is_empty()
    });
    over.store(1, Ordering::SeqCst);
    room.join().unwrap();
    if failed {
        assert_eq!(store.failure().map(|e| e.kind()), Some(Kind::Full), "{what}");
        // As often as it likes while the disk is full: it reopens or says so.
        for _ in 0..3 {
            let reopened = store.reopen_if_failed().and_then(|_| store.marker("m"));
            let swap = |expected| store.commit(Part::Marker(MarkerSwap { expected, ..marker() }));
            if let Err(e) = reopened.and_then(swap) {
                assert_eq!(e.kind(), Kind::Full, "{what}: {e}");
            }
        }
        if crash {
            disk.crash();
            drop(store);
            disk.reboot();
            disk.space_left(None);
            store = Store::open_with(disk.clone(), options).unwrap();
        }
    }
    disk.space_left(None);
    store.reopen_if_failed().unwrap();
    let tail = store.stream(&info.name).unwrap().unwrap().segments[0].tail.0;
    assert!(tail == events || tail == events + 10, "{what}: {tail} events, {events} acknowledged");
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    let last = start.checkpoint.as_ref().map_or(0, |record| record.epoch.0);
    assert!(last == epochs || last == epochs + 1, "{what}: epoch {last}, {epochs} acknowledged");
    for n in last + 1..=22 {
        store.commit(Part::Epoch(epoch(&start, "p", &out, n))).unwrap();
    }
    store.commit(big(&info, tail, 10)).unwrap();
    assert_eq!(times(&store, &info, 0), numbers(0..tail + 10), "{what}");
    assert_eq!(read_all(&store, &name("t/out")).unwrap(), output_after(22), "{what}");
    assert_eq!(load(&store, "p", "op").unwrap(), state_after(22), "{what}");
    assert_whole(&store, &what);
    failed
}

#[test]
fn a_disk_that_fills_at_any_point_loses_nothing_and_doubles_nothing() {
    let filled: usize = (0..60).map(|n| usize::from(fill(n, n * 8_192, n % 3 == 2))).sum();
    assert!(filled > 20, "the disk was full in {filled} runs only");
}

#[test]
fn all_writers_hear_that_the_disk_is_full_and_one_reopening_serves_them_all() {
    let disk = FaultDisk::new(5);
    let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
    let infos: Vec<StreamInfo> =
        (0..3).map(|n| store.create_stream(&name(&format!("t/in{n}")), StreamConfig::default()).unwrap()).collect();
    disk.space_left(Some(2 * MIB));
    let reopened = Arc::new(AtomicU64::new(0));
    let room = {
        let (disk, store) = (disk.clone(), store.clone());
        std::thread::spawn(move || {
            while store.failure().is_none() {
                std::thread::yield_now();
            }
            disk.space_left(None);
        })
    };
    let writers = infos.iter().map(|info| {
        let (store, info, reopened) = (store.clone(), info.clone(), reopened.clone());
        std::thread::spawn(move || {
            let (mut next, mut full) = (0, 0);
            while next < 2_000 {
                match store.commit(big(&info, next, 50)) {
                    Ok(_) => next += 50,
                    Err(e) => {
                        assert_eq!(e.kind(), Kind::Full, "{e}");
                        full += 1;
                        reopened.fetch_add(u64::from(matches!(store.reopen_if_failed(), Ok(true))), Ordering::SeqCst);
                        next = match store.stream(&info.name) {
                            Ok(info) => info.unwrap().segments[0].tail.0,
                            Err(_) => next,
                        };
                    }
                }
            }
            full
        })
    });
    let writers: Vec<_> = writers.collect();
    let full: Vec<u64> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    room.join().unwrap();
    assert!(full.iter().sum::<u64>() > 0 && reopened.load(Ordering::SeqCst) > 0, "{full:?}");
    for info in &infos {
        assert_eq!(times(&store, info, 0), numbers(0..2_000), "{}", info.name);
    }
}
