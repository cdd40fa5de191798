//! The regression behind the tests: a commit is acknowledged, the process dies before anybody heard, and recovery commits again. Upstream
//! the second commit may find the transaction gone and drop its data, or publish it twice. Here a transaction is found again by its id,
//! the second commit is answered like the first, and the events are there once (checklist row 18).

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn reopen(disk: &FaultDisk, clock: &HandClock, store: Store) -> Store {
    disk.crash();
    store.close();
    disk.reboot();
    clock.open(disk)
}

#[test]
fn prepared_crashed_committed_twice_there_once() {
    let (disk, clock) = (FaultDisk::new(3), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 3 }).unwrap();
    let mut transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    transaction.write(&batch(0..50)).unwrap();
    transaction.prepare().unwrap();
    let id = transaction.id();

    let store = reopen(&disk, &clock, store);
    assert_eq!(store.transaction_info(id).unwrap().unwrap().state, TransactionState::Prepared);
    let first = store.commit_transaction(id, None).unwrap();
    let store = reopen(&disk, &clock, store);
    let again = store.commit_transaction(id, None).unwrap();
    assert_eq!((again.state, &again), (TransactionState::Committed, &first));
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..50).collect::<Vec<_>>());
    assert_eq!(store.abort_transaction(id).unwrap_err().kind(), Kind::Invalid, "what is committed stays so");
    assert_whole(&store, "after two commits");
}

#[test]
fn an_open_one_goes_on_where_it_was_flushed() {
    let (disk, clock) = (FaultDisk::new(3), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 3 }).unwrap();
    let mut transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    transaction.write(&batch(0..30)).unwrap();
    transaction.flush().unwrap();
    transaction.write(&batch(30..60)).unwrap();
    let id = transaction.id();

    let store = reopen(&disk, &clock, store);
    let mut transaction = store.transaction(id).unwrap();
    assert_eq!(
        (transaction.info().state, transaction.info().events),
        (TransactionState::Open, 30),
        "the rest was never flushed"
    );
    transaction.write(&batch(30..40)).unwrap();
    transaction.commit(None).unwrap();
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..40).collect::<Vec<_>>());
    for info in &store.stream(&info.name).unwrap().unwrap().segments {
        let times = store.read(position(&store.stream(&name("t/s")).unwrap().unwrap(), info.id, 0), 1 << 20).unwrap();
        assert!(times.batch.timestamps.is_sorted(), "in the order of writing");
    }
}

#[test]
fn a_write_whose_outcome_was_not_heard_is_there_once() {
    let (disk, clock) = (FaultDisk::new(3), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    // Whichever of a commit's syncs fails: before it the write is lost, after it it is there.
    for (round, sync) in (0..8u64).flat_map(|round| (1..=2).map(move |sync| (round, sync))) {
        let mut transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
        let values: Vec<u64> = (0..10).map(|n| round * 100 + sync * 1_000 + n).collect();
        transaction.write(&batch(values[..5].iter().copied())).unwrap();
        disk.fail_sync(disk.syncs() + sync);
        assert!(transaction.flush().is_err());
        assert!(store.reopen_if_failed().unwrap());
        transaction.write(&batch(values[5..].iter().copied())).unwrap();
        if round % 2 == 0 {
            transaction.flush().unwrap();
        }
        disk.fail_sync(disk.syncs() + sync);
        assert!(transaction.commit(None).is_err());
        assert!(store.reopen_if_failed().unwrap());
        let committed = transaction.commit(None).unwrap();
        assert_eq!(committed.events, 10);
        let all = read_segment(&store, &info, info.segments[0].id).unwrap();
        assert!(all.ends_with(&values), "{all:?}");
        assert_eq!(all.iter().filter(|v| **v == values[0]).count(), 1);
    }
    assert_whole(&store, "at the end");
}
