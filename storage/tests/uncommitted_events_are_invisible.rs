//! What a transaction wrote and flushed, and did not commit, is seen by nobody: no reader, no count of the stream, no mover. What is
//! aborted leaves nothing, and its space comes back (checklist row 17).

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

#[test]
fn written_flushed_aborted_nothing_is_left_and_a_commit_is_an_error() {
    let (disk, clock) = (FaultDisk::new(2), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    append(&store, &info, 0..20).unwrap();
    let before = (store.stream(&info.name).unwrap(), store.describe().unwrap().streams);
    let mut transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    transaction.write(&batch(100..200)).unwrap();
    transaction.flush().unwrap();
    let seen = || (store.stream(&info.name).unwrap(), store.describe().unwrap().streams);
    assert_eq!(seen(), before, "tails, counts and bytes are as they were");
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..20).collect::<Vec<_>>());
    let described = store.describe().unwrap().transactions;
    assert_eq!((described.live, described.staged_bytes), (1, transaction.info().bytes));
    assert!(described.staged_bytes > 0);
    // The mover has moved everything that is hot, and nothing else.
    store.seal(0).unwrap();
    assert_eq!(store.describe().unwrap().hot_chunk_bytes, 0);
    assert_eq!(store.describe().unwrap().transactions, described);
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..20).collect::<Vec<_>>());
    assert_whole(&store, "with staged chunks");

    assert_eq!(transaction.abort().unwrap().state, TransactionState::Aborted);
    assert_eq!(transaction.abort().unwrap().why, Some(AbortReason::Asked), "again is as good");
    let error = transaction.commit(None).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("it was aborted; begin another one"), "{error}");
    assert!(transaction.write(&batch([1])).is_err());
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..20).collect::<Vec<_>>());
    assert_eq!(store.describe().unwrap().transactions.staged_bytes, 0);
    assert_whole(&store, "after the abort");
}

#[test]
fn the_space_of_what_was_aborted_is_used_again() {
    let (disk, clock) = (FaultDisk::new(2), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let mut grown = Vec::new();
    for round in 0..30u64 {
        let mut transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
        for part in 0..4u64 {
            let mut events = Batch::default();
            for n in 0..200u64 {
                let noise: Vec<u8> = (0..20)
                    .flat_map(|i| hash::hash_key(&[round, part, n, i].map(u64::to_le_bytes).concat()).to_le_bytes())
                    .collect();
                events.push(EventTime(0), None, Some(&noise));
            }
            transaction.write(&events).unwrap();
            transaction.flush().unwrap();
        }
        transaction.abort().unwrap();
        grown.push(store.describe().unwrap().hot_file_bytes);
    }
    assert_eq!(grown[10], grown[29], "{grown:?}");
}

#[test]
fn very_many_small_chunks_are_freed_bit_by_bit() {
    let (disk, clock) = (FaultDisk::new(2), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    let id = transaction.id();
    let chunk = encode_chunk(&batch([7])).unwrap();
    for part in 0..5u64 {
        let chunks = vec![chunk.clone(); 1_000];
        let appends = vec![Append { stream: info.stream, segment: info.segments[0].id, chunks }];
        let staging = Staging { after: part * 1_000, appends };
        store.commit(Part::Transaction(TransactionPart::Write { id, staging, prepare: false })).unwrap();
    }
    assert_eq!(store.abort_transaction(id).unwrap().state, TransactionState::Aborting, "more than one commit takes");
    assert_eq!(store.commit_transaction(id, None).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(store.abort_transaction(id).unwrap().state, TransactionState::Aborting);
    assert_whole(&store, "half freed");
    store.sweep().unwrap();
    assert_eq!(store.transaction_info(id).unwrap().unwrap().state, TransactionState::Aborted);
    assert_whole(&store, "freed");
}
