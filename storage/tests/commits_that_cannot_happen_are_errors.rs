//! A commit that does not happen is never answered as one that did.
//!
//! a commit fails after the decision to commit; asked again it must have the same outcome, and nothing that came later may be seen before
//! it. X-5: a commit that can never succeed is tried again and again, or logged and forgotten. Here it is an error that names what
//! happened, and a prepared transaction keeps its stream from being sealed under it.

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn prepared(store: &Store, info: &StreamInfo) -> TransactionId {
    let mut transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    transaction.write(&batch(0..10)).unwrap();
    transaction.prepare().unwrap();
    transaction.id()
}

#[test]
fn a_failed_disk_keeps_it_prepared_or_has_committed_it() {
    for sync in 1..=2 {
        let (disk, clock) = (FaultDisk::new(12), HandClock::at(0));
        let store = clock.open(&disk);
        let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
        let id = prepared(&store, &info);
        disk.fail_sync(disk.syncs() + sync);
        let error = store.commit_transaction(id, None).unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(append(&store, &info, [10]).is_err(), "nothing new meanwhile");
        assert!(store.reopen_if_failed().unwrap());
        assert_eq!(store.commit_transaction(id, None).unwrap().state, TransactionState::Committed);
        append(&store, &info, [10]).unwrap();
        assert_eq!(read_segment(&store, &info, info.segments[0].id).unwrap(), (0..=10).collect::<Vec<_>>());
    }
}

#[test]
fn on_a_deleted_stream_it_says_so() {
    let (disk, clock) = (FaultDisk::new(12), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let id = prepared(&store, &info);
    let mut open = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    open.write(&batch(0..5)).unwrap();
    open.flush().unwrap();
    store.delete_stream(&info.name).unwrap();
    for error in [store.commit_transaction(id, None).unwrap_err(), open.commit(None).unwrap_err()] {
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.to_string().contains("stream t/s was deleted"), "{error}");
    }
    store.sweep().unwrap();
    for id in [id, open.id()] {
        let info = store.transaction_info(id).unwrap().unwrap();
        assert_eq!((info.state, info.why), (TransactionState::Aborted, Some(AbortReason::Stream)));
        let error = store.commit_transaction(id, None).unwrap_err();
        assert!(error.to_string().contains("its stream was sealed or deleted"), "{error}");
    }
    assert_eq!(store.describe().unwrap().transactions.staged_bytes, 0);
    // A stream of the same name is another one.
    let again = store.create_stream(&info.name, StreamConfig::default()).unwrap();
    assert!(store.commit_transaction(id, None).is_err());
    assert_eq!(read_all(&store, &again.name).unwrap(), [0u64; 0]);
    assert_whole(&store, "after a deletion");
}

#[test]
fn a_stream_is_not_sealed_under_a_prepared_one() {
    let (disk, clock) = (FaultDisk::new(12), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let id = prepared(&store, &info);
    let error = store.seal_stream(&info.name).unwrap_err();
    assert!(error.to_string().contains(&format!("transaction {id} is prepared")), "{error}");
    let mut open = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    store.commit_transaction(id, None).unwrap();
    store.seal_stream(&info.name).unwrap();
    let error = open.commit(None).unwrap_err();
    assert!(error.to_string().contains("its stream was sealed or deleted"), "{error}");
    assert!(store.begin_transaction(info.stream, TransactionOptions::default()).is_err());
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..10).collect::<Vec<_>>());
}

#[test]
fn what_never_began_is_unknown_and_writes_beyond_the_limit_are_refused() {
    let (disk, clock) = (FaultDisk::new(12), HandClock::at(0));
    let limits = TransactionLimits { staged_bytes_max: 2_000, ..TransactionLimits::default() };
    let store = Store::open_with(disk, StoreOptions { transactions: limits, ..clock.options() }).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let unknown = TransactionId(77);
    assert_eq!(store.transaction_info(unknown).unwrap(), None);
    for error in [
        store.commit_transaction(unknown, None).unwrap_err(),
        store.abort_transaction(unknown).unwrap_err(),
        store.ping_transaction(unknown, None).unwrap_err(),
        store.transaction(unknown).unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.to_string().contains("transaction 77 is unknown"), "{error}");
    }
    let noise = |n: u64| -> Batch {
        let mut batch = Batch::default();
        let value: Vec<u8> =
            (0..150).flat_map(|i| hash::hash_key(&(n * 1_000 + i).to_le_bytes()).to_le_bytes()).collect();
        batch.push(EventTime(n as i64), None, Some(&value));
        batch
    };
    let begin = || store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    let (mut first, mut second) = (begin(), begin());
    first.write(&noise(1)).unwrap();
    first.flush().unwrap();
    second.write(&noise(2)).unwrap();
    let error = second.flush().unwrap_err();
    assert!(error.to_string().contains("they may hold 2000; commit or abort some first"), "{error}");
    first.commit(None).unwrap();
    second.flush().unwrap();
    second.commit(None).unwrap();
    assert_eq!(store.stream(&info.name).unwrap().unwrap().segments[0].tail, Offset(2));
}
