//! Plain appends and a transaction's writes take turns; a reader sees the plain events at once, and the transaction's all together
//! where the commit was: behind what was appended before it, in front of what came after (checklist row 16).

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

#[test]
fn six_plain_and_six_of_a_transaction_in_turn_then_one_more() {
    let (disk, clock) = (FaultDisk::new(1), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let segment = info.segments[0].id;
    let mut transaction = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    assert_eq!(transaction.info().state, TransactionState::Open);
    for n in 0..6 {
        append(&store, &info, [n]).unwrap();
        transaction.write(&batch([100 + n])).unwrap();
        transaction.flush().unwrap();
        assert_eq!(read_segment(&store, &info, segment).unwrap(), (0..=n).collect::<Vec<_>>());
    }
    assert_eq!((transaction.info().events, transaction.info().chunks), (6, 6));
    // Never flushed: it goes in with the commit.
    transaction.write(&batch([106])).unwrap();
    let committed = transaction.commit(None).unwrap().clone();
    assert_eq!((committed.state, committed.events), (TransactionState::Committed, 7));
    assert_eq!(committed.placed, [Placed { segment, first: Offset(6), events: 7 }]);
    append(&store, &info, [6]).unwrap();

    let expected: Vec<u64> = (0..6).chain(100..107).chain([6]).collect();
    assert_eq!(read_segment(&store, &info, segment).unwrap(), expected);
    store.seal(0).unwrap();
    assert_eq!(read_segment(&store, &info, segment).unwrap(), expected, "from sealed files");
    assert_whole(&store, "after a commit");
}

#[test]
fn an_event_of_each_segment_and_events_without_key_side_by_side() {
    let (disk, clock) = (FaultDisk::new(1), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 4 }).unwrap();
    let mut both: Vec<Transaction> =
        (0..2).map(|_| store.begin_transaction(info.stream, TransactionOptions::default()).unwrap()).collect();
    for n in 0..40u64 {
        for (t, transaction) in both.iter_mut().enumerate() {
            let mut events = batch([n]);
            events.push(EventTime(n as i64), None, Some((1_000 * (t as u64 + 1) + n).to_string().as_bytes()));
            transaction.write(&events).unwrap();
            transaction.flush().unwrap();
        }
        append(&store, &info, [500 + n]).unwrap();
    }
    for transaction in &mut both {
        transaction.commit(None).unwrap();
    }
    for (t, transaction) in both.iter().enumerate() {
        let keyless: Vec<u64> = (0..40).map(|n| 1_000 * (t as u64 + 1) + n).collect();
        let mut holders = 0;
        for placed in &transaction.info().placed {
            let all = read_segment(&store, &info, placed.segment).unwrap();
            let own = &all[placed.first.0 as usize..][..placed.events as usize];
            assert!(own.iter().all(|v| *v < 500 || *v / 1_000 == t as u64 + 1), "nobody else's among them: {own:?}");
            let found: Vec<u64> = own.iter().copied().filter(|v| *v >= 1_000).collect();
            holders += usize::from(!found.is_empty());
            assert!(found.is_empty() || found == keyless, "all of them, in order");
        }
        assert_eq!(holders, 1);
    }
    assert_whole(&store, "after two commits");
}
