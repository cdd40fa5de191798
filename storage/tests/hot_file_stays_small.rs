//! However much is written and however fast, the hot file stays small: chunks move out, freed pages are used again, and
//! writers wait rather than let it grow.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::hash::hash_key;
use tidemill_storage::*;

const MIB: u64 = 1 << 20;
/// Twice the setting, for each of: chunks that are there, pages freed by the commits under way, redb's rounding up.
const HOT_FILE_MAX: u64 = 8 * MIB;

fn options() -> StoreOptions {
    StoreOptions { hot_bytes_max: MIB, sealed_file_bytes: MIB / 2, ..StoreOptions::default() }
}

/// An append of about 60 KiB that does not compress; its events are numbered from n x 50.
fn big(info: &StreamInfo, n: u64) -> Part {
    let mut batch = Batch::default();
    for i in n * 50..(n + 1) * 50 {
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

#[test]
fn sixty_four_times_the_setting_go_through_a_hot_file_of_eight() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options()).unwrap();
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    let file = dir.path().join(schema::HOT_FILE);
    let size = || std::fs::metadata(&file).unwrap().len();
    let mut largest = 0;
    let total = 64 * MIB / (60 << 10);
    let failed = Arc::new(AtomicU64::new(0));
    for n in 0..total {
        // Nobody waits for an outcome: only back-pressure holds the writer.
        let failed = failed.clone();
        let on_done = move |outcome: Result<Accepted>| drop(outcome.map_err(|_| failed.fetch_add(1, Ordering::SeqCst)));
        store.submit(big(&info, n), Box::new(on_done));
        largest = largest.max(size());
    }
    append(&store, &info, []).unwrap();
    let barrier = big(&info, total);
    store.commit(barrier).unwrap();
    assert_eq!(failed.load(Ordering::SeqCst), 0);
    largest = largest.max(size());
    assert!(largest <= HOT_FILE_MAX, "the hot file had {largest} bytes");
    let description = store.describe().unwrap();
    assert_eq!(description.hot_file_bytes, size());
    assert!(description.hot_chunk_bytes <= 2 * MIB, "{description:?}");
    assert!(description.sealed_files.len() > 50);
    assert!(description.streams[0].bytes.sealed > 60 * MIB);
    assert_eq!(times(&store, &info, 0), (0..(total as i64 + 1) * 50).collect::<Vec<_>>());

    // What is truncated makes room, in the hot file and beside it.
    let tail = store.stream(&info.name).unwrap().unwrap().segments[0].tail.0;
    truncate(&store, &info, info.segments[0].id, tail).unwrap();
    store.seal(u64::MAX).unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join(sealed::SEALED_FOLDER)).unwrap().count(), 0);
    for n in total + 1..total + 300 {
        store.commit(big(&info, n)).unwrap();
    }
    assert!(size() <= HOT_FILE_MAX, "the hot file has {} bytes", size());
    assert_eq!(times(&store, &info, tail).len() as u64, 299 * 50);
    assert_whole(&store, "after the run");
}

#[test]
fn writers_wait_while_nothing_can_move_and_go_on_when_it_can() {
    let disk = FaultDisk::new(0);
    let store = Store::open_with(disk.clone(), options()).unwrap();
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    disk.fail_puts(u64::MAX);
    let (told, tell) = (mpsc::channel::<u64>(), 200u64);
    let (sender, receiver) = told;
    let writer = {
        let (store, info) = (store.clone(), info.clone());
        std::thread::spawn(move || {
            for n in 0..tell {
                store.commit(big(&info, n)).unwrap();
                sender.send(n).unwrap();
            }
        })
    };
    while store.mover_status().waiting_parts == 0 {
        std::thread::yield_now();
    }
    let accepted = receiver.try_iter().count() as u64;
    assert!(accepted * (60 << 10) <= 2 * MIB && accepted < tell, "{accepted} appends went in");
    assert!(store.describe().unwrap().hot_chunk_bytes <= 2 * MIB);
    // Reading, and truncating, go on.
    assert_eq!(times(&store, &info, 0).len() as u64, accepted * 50);
    truncate(&store, &info, info.segments[0].id, 50).unwrap();

    disk.fail_puts(0);
    writer.join().unwrap();
    assert_eq!(times(&store, &info, 50), (50..tell as i64 * 50).collect::<Vec<_>>());
    assert!(disk.bytes().len() as u64 <= HOT_FILE_MAX);
}

#[test]
fn a_latched_store_tells_those_who_wait_for_room() {
    let disk = FaultDisk::new(0);
    let store = Store::open_with(disk.clone(), options()).unwrap();
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    disk.fail_puts(u64::MAX);
    let writer = {
        let (store, info) = (store.clone(), info.clone());
        std::thread::spawn(move || (0..200).find_map(|n| store.commit(big(&info, n)).err()))
    };
    while store.mover_status().waiting_parts == 0 {
        std::thread::yield_now();
    }
    disk.fail_sync(disk.syncs() + 1);
    store
        .commit(Part::Marker(MarkerSwap { name: "m".into(), expected: None, value: "v".into(), truncate: vec![] }))
        .unwrap_err();
    let error = writer.join().unwrap().unwrap();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    disk.fail_puts(0);
    assert!(store.reopen_if_failed().unwrap());
    let next = store.stream(&info.name).unwrap().unwrap().segments[0].tail.0 / 50;
    for n in next..next + 100 {
        store.commit(big(&info, n)).unwrap();
    }
    assert_eq!(times(&store, &info, 0), (0..(next as i64 + 100) * 50).collect::<Vec<_>>());
}

#[test]
fn readers_beside_the_mover_miss_nothing_and_only_truncation_stops_them() {
    let disk = FaultDisk::new(0);
    let tight = StoreOptions { hot_bytes_max: 20_000, sealed_file_bytes: 10_000, ..StoreOptions::default() };
    let store = Store::open_with(disk.clone(), tight).unwrap();
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    let segment = info.segments[0].id;
    const EVENTS: u64 = 30_000;
    let reader = |from_head: bool| {
        let (store, info) = (store.clone(), info.clone());
        std::thread::spawn(move || {
            let mut at = position(&info, segment, 0);
            let mut read = 0;
            while at.offset.0 < EVENTS {
                match store.read(at, 10_000) {
                    Ok(chunk) => {
                        let first = chunk.first.0 as i64;
                        assert!(chunk.batch.timestamps.iter().copied().eq(first..chunk.next.0 as i64));
                        read += chunk.batch.len() as u64;
                        at.offset = chunk.next;
                        if from_head && chunk.tail.0 < EVENTS {
                            // Back to where truncation is at work, as long as there is any.
                            at.offset = store.stream(&info.name).unwrap().unwrap().segments[0].head;
                        }
                    }
                    Err(e) => {
                        assert_eq!(e.kind(), Kind::Truncated, "{e}");
                        at.offset = store.stream(&info.name).unwrap().unwrap().segments[0].head;
                    }
                }
            }
            read
        })
    };
    let readers = [reader(false), reader(true)];
    for n in 0..EVENTS / 100 {
        append(&store, &info, n * 100..(n + 1) * 100).unwrap();
        if n % 5 == 4 {
            truncate(&store, &info, segment, (n * 100).saturating_sub(1_500)).unwrap();
        }
    }
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
    let done = store.mover_status().done;
    assert!(done.files > 10 && done.unlinked > 10, "{done:?}");
    assert_whole(&store, "at the end");
}
