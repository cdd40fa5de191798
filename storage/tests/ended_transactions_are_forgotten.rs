//! How a transaction ended is known for a while, of a bounded number; then it is unknown, and its id is never given again.

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

#[test]
fn after_their_time_and_beyond_their_number() {
    let (disk, clock) = (FaultDisk::new(14), HandClock::at(0));
    let limits = TransactionLimits { kept_ms: 1_000_000, kept_max: 5, ..TransactionLimits::default() };
    let options = || StoreOptions { transactions: limits, ..clock.options() };
    let store = Store::open_with(disk.clone(), options()).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let end = |store: &Store, n: u64| {
        let mut transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
        if n.is_multiple_of(2) { transaction.commit(None).map(drop) } else { transaction.abort().map(drop) }.unwrap();
        transaction.id()
    };
    let ids: Vec<TransactionId> = (0..8).map(|n| end(&store, n)).collect();
    let known: Vec<TransactionId> =
        store.list_transactions(Some(info.stream), true).unwrap().iter().map(|t| t.id).collect();
    assert_eq!(known, ids[3..], "five of them");
    assert_eq!(store.list_transactions(None, false).unwrap(), []);
    assert_eq!(store.transaction_info(ids[0]).unwrap(), None);
    assert_eq!(store.commit_transaction(ids[0], None).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(store.commit_transaction(ids[4], None).unwrap().state, TransactionState::Committed);

    clock.turn(1_000_000);
    assert_eq!(store.sweep().unwrap().transactions_forgotten, 4, "all but the last one");
    store.close();
    let store = Store::open_with(disk, options()).unwrap();
    let next = end(&store, 0);
    assert!(ids.iter().all(|id| *id < next));
    assert_whole(&store, "after forgetting");
}
