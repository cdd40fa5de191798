//! Leases and lives of transactions, by the store's clock (checklist row 19), and three stories of upstream.
//!
//! a transaction's lease ends between its prepare and the commit, or while the job is down; the commit finds it aborted, logs
//! that and goes on: data lost. Here a prepared transaction has no lease, and a commit that cannot happen is an error.
//! pings fail or are slow, and a live client's transaction is aborted. Here writing counts as a ping, nothing is swept early, and time
//! in which the store was closed does not count.

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

const LEASE_MS: i64 = 10_000;

fn begin(store: &Store, info: &StreamInfo) -> Transaction {
    let options = TransactionOptions { lease_ms: LEASE_MS as u64, writer: None };
    let mut transaction = store.begin_transaction(info.stream, options).unwrap();
    transaction.write(&batch([1])).unwrap();
    transaction.flush().unwrap();
    transaction
}

#[test]
fn an_open_one_is_aborted_when_its_lease_is_over_and_not_before() {
    let (disk, clock) = (FaultDisk::new(4), HandClock::at(1_000));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let mut pinged = begin(&store, &info);
    let mut written = begin(&store, &info);
    let mut silent = begin(&store, &info);
    assert_eq!(silent.info().expires_at_ms, Some(1_000 + LEASE_MS));
    clock.turn(LEASE_MS - 1);
    assert_eq!(store.sweep().unwrap(), SweepReport::default());
    assert_eq!(pinged.ping().unwrap().expires_at_ms, Some(clock.now() + LEASE_MS));
    written.write(&batch([2])).unwrap();
    written.flush().unwrap();
    clock.turn(1);
    // Not swept yet, and over all the same.
    assert_eq!(store.transaction_info(silent.id()).unwrap().unwrap().state, TransactionState::Aborting);
    let error = silent.commit(None).unwrap_err();
    assert!(error.to_string().contains("nobody wrote to it or pinged it for 10000 ms"), "{error}");
    assert_eq!(store.transaction_info(silent.id()).unwrap().unwrap().state, TransactionState::Aborted);
    assert_eq!(store.sweep().unwrap(), SweepReport::default(), "the refused commit has aborted it");
    pinged.commit(None).unwrap();
    clock.turn(LEASE_MS - 1);
    assert_eq!(store.sweep().unwrap().transactions_aborted, 1);
    assert_eq!(store.transaction_info(written.id()).unwrap().unwrap().why, Some(AbortReason::Lease));
    for result in [written.ping().map(drop), written.write(&batch([3])).and_then(|()| written.flush())] {
        assert_eq!(result.unwrap_err().kind(), Kind::Invalid);
    }
    assert_eq!(read_all(&store, &info.name).unwrap(), [1]);
    assert_whole(&store, "after leases");
}

#[test]
fn a_prepared_one_waits_for_ever_and_commits_after_any_downtime() {
    let (disk, clock) = (FaultDisk::new(4), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let mut transaction = begin(&store, &info);
    transaction.prepare().unwrap();
    assert_eq!(transaction.info().expires_at_ms, None);
    clock.turn(1_000 * 86_400_000);
    assert_eq!(store.sweep().unwrap(), SweepReport::default());
    store.close();
    clock.turn(1_000 * 86_400_000);
    let store = clock.open(&disk);
    store.sweep().unwrap();
    let error = store.transaction(transaction.id()).unwrap().write(&batch([2])).unwrap_err();
    assert!(error.to_string().contains("takes no more events"), "{error}");
    assert_eq!(store.commit_transaction(transaction.id(), None).unwrap().state, TransactionState::Committed);
    assert_eq!(read_all(&store, &info.name).unwrap(), [1]);
}

#[test]
fn time_in_which_the_store_was_closed_does_not_count() {
    let (disk, clock) = (FaultDisk::new(4), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let id = begin(&store, &info).id();
    store.close();
    clock.turn(60 * LEASE_MS);
    let store = clock.open(&disk);
    store.sweep().unwrap();
    clock.turn(LEASE_MS - 1);
    store.sweep().unwrap();
    let mut transaction = store.transaction(id).unwrap();
    transaction.ping().unwrap();
    clock.turn(LEASE_MS - 1);
    transaction.commit(None).unwrap();
    assert_eq!(read_all(&store, &info.name).unwrap(), [1]);
}

#[test]
fn a_clock_that_is_set_back_renews_nothing() {
    let (disk, clock) = (FaultDisk::new(4), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let mut transaction = begin(&store, &info);
    clock.turn(LEASE_MS);
    assert!(transaction.ping().is_err());
    clock.set(0);
    assert!(transaction.commit(None).is_err());
    assert_eq!(store.transaction_info(transaction.id()).unwrap().unwrap().state, TransactionState::Aborted);
}

#[test]
fn no_ping_prolongs_a_life_beyond_its_end() {
    let (disk, clock) = (FaultDisk::new(4), HandClock::at(0));
    let limits = TransactionLimits { life_leases_max: 3, ..TransactionLimits::default() };
    let options = StoreOptions { transactions: limits, ..clock.options() };
    let store = Store::open_with(disk, options).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let mut transaction = begin(&store, &info);
    for _ in 0..5 {
        clock.turn(LEASE_MS / 2);
        assert!(transaction.ping().unwrap().expires_at_ms.unwrap() <= 3 * LEASE_MS);
    }
    clock.turn(LEASE_MS / 2);
    let error = transaction.ping().unwrap_err();
    assert!(error.to_string().contains("as long as a transaction may"), "{error}");
    assert_eq!(store.transaction_info(transaction.id()).unwrap().unwrap().why, Some(AbortReason::Life));
}

#[test]
fn a_lease_out_of_the_limits_is_refused() {
    let (disk, clock) = (FaultDisk::new(4), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    for lease_ms in [0, 9_999, 600_001] {
        let options = TransactionOptions { lease_ms, writer: None };
        let error = store.begin_transaction(info.stream, options).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("it must be 10000 to 600000 ms"), "{error}");
    }
    let transaction = begin(&store, &info);
    assert!(store.ping_transaction(transaction.id(), Some(1)).is_err());
    assert_eq!(store.ping_transaction(transaction.id(), Some(600_000)).unwrap().lease_ms, 600_000);
    assert_eq!(store.list_transactions(None, true).unwrap().len(), 1);
}
