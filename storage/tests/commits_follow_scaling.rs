//! A transaction that began before a stream was scaled is committed after it: its events are seen once, in the segments that are active then,
//! and the events of a key stay in order with those around them (checklist row 20).
//!
//! upstream commits such a transaction through two more epochs (a rolling transaction), and its own test of the order of transactions
//! across scaling under load, EndToEndTransactionOrderTest, is switched off. This is what it asks for.

mod support;

use std::collections::BTreeMap;
use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

/// Events of key k<number mod 5>, by segment in the order of their epochs.
fn per_key(store: &Store, info: &StreamInfo) -> BTreeMap<u64, Vec<u64>> {
    let info = store.stream(&info.name).unwrap().unwrap();
    let mut out: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut segments: Vec<SegmentId> = info.all_segments().map(|s| s.id).collect();
    segments.sort_unstable();
    for segment in segments {
        for value in read_segment(store, &info, segment).unwrap() {
            out.entry(value % 5).or_default().push(value);
        }
    }
    out
}

#[test]
fn begun_split_written_merged_committed() {
    let (disk, clock) = (FaultDisk::new(11), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    append(&store, &info, 0..50).unwrap();
    let mut transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    transaction.write(&batch(1_000..1_050)).unwrap();
    transaction.flush().unwrap();
    let four = store.scale_stream(&info.name, &Scaling::to(&info, 4).unwrap()).unwrap();
    append(&store, &four, 50..100).unwrap();
    // The handle still knows the old segments.
    transaction.write(&batch(1_050..1_100)).unwrap();
    transaction.flush().unwrap();
    // Come back to, it knows the new ones.
    let mut transaction = store.transaction(transaction.id()).unwrap();
    transaction.write(&batch(1_100..1_150)).unwrap();
    transaction.flush().unwrap();
    let one = store.scale_stream(&info.name, &Scaling::to(&four, 1).unwrap()).unwrap();
    append(&store, &one, 100..150).unwrap();
    let epoch = store.stream(&info.name).unwrap().unwrap().epoch;
    transaction.write(&batch(1_150..1_200)).unwrap();
    let committed = transaction.commit(None).unwrap().clone();
    append(&store, &one, 150..200).unwrap();

    assert_eq!(store.stream(&info.name).unwrap().unwrap().epoch, epoch, "no epoch is made for it");
    let placed = Placed { segment: one.segments[0].id, first: Offset(50), events: 200 };
    assert_eq!(committed.placed, [placed], "side by side, behind what was committed before");
    for (key, values) in per_key(&store, &info) {
        let of_key = |range: std::ops::Range<u64>| range.filter(move |v| v % 5 == key);
        let expected: Vec<u64> = of_key(0..150).chain(of_key(1_000..1_200)).chain(of_key(150..200)).collect();
        assert_eq!(values, expected, "key {key}");
    }
    assert_whole(&store, "after scaling");
}

#[test]
fn events_without_key_keep_together_across_scaling() {
    let (disk, clock) = (FaultDisk::new(11), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    let mut transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    let keyless = |range: std::ops::Range<u64>| {
        let mut batch = Batch::default();
        range.for_each(|n| batch.push(EventTime(0), None, Some(n.to_string().as_bytes())));
        batch
    };
    transaction.write(&keyless(0..20)).unwrap();
    transaction.flush().unwrap();
    store.scale_stream(&info.name, &Scaling::to(&info, 8).unwrap()).unwrap();
    let mut transaction = store.transaction(transaction.id()).unwrap();
    transaction.write(&keyless(20..40)).unwrap();
    let placed = transaction.commit(None).unwrap().placed.clone();
    assert_eq!(placed.len(), 1);
    assert_eq!(read_segment(&store, &info, placed[0].segment).unwrap(), (0..40).collect::<Vec<_>>());
}

#[test]
fn many_writers_random_scaling_commits_in_turn() {
    let (disk, clock) = (FaultDisk::new(11), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 3 }).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    const WRITERS: u64 = 4;
    const COMMITS: u64 = 12;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut count = 1;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let now = store.stream(&info.name).unwrap().unwrap();
                store.scale_stream(&info.name, &Scaling::to(&now, count % 5 + 1).unwrap()).unwrap();
                count += 1;
            }
        });
        // Writer w writes to key k<w>: what it commits must be there in the order of its commits.
        let writers: Vec<_> = (0..WRITERS)
            .map(|w| {
                let (store, info) = (&store, &info);
                scope.spawn(move || {
                    for n in 0..COMMITS {
                        let mut transaction =
                            store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
                        for part in 0..3 {
                            let values = (0..4).map(|i| ((n * 3 + part) * 4 + i) * 5 + w);
                            transaction.write(&batch(values)).unwrap();
                            transaction.flush().unwrap();
                        }
                        transaction.commit(None).unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    let found = per_key(&store, &info);
    for w in 0..WRITERS {
        let expected: Vec<u64> = (0..COMMITS * 12).map(|n| n * 5 + w).collect();
        assert_eq!(found[&w], expected, "writer {w}");
    }
    assert!(store.stream(&info.name).unwrap().unwrap().epoch > 3);
    assert_whole(&store, "after the race");
}
