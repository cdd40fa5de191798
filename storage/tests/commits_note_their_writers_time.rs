//! A commit with a time moves its writer's mark, with or without events; one without a time leaves it alone (checklist row 35). Two stories of
//! upstream:
//!
//! W-4: a transactional writer that commits without a time is sent as one at the least time there is. Until the first watermark it always takes
//! part, at that time, and no watermark is ever emitted for anybody. Here such a commit says nothing about time.
//! W-36: two transactions of a writer are committed together with the same time; one of their positions is kept, whichever comes first, so
//! the mark may lie in front of events of that time. Here the mark lies behind both.

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn begin(store: &Store, info: &StreamInfo) -> Transaction {
    let options = TransactionOptions { writer: Some("w".into()), ..TransactionOptions::default() };
    store.begin_transaction(info.stream, options).unwrap()
}

fn mark(store: &Store, info: &StreamInfo) -> Option<(i64, u64)> {
    let marks = store.stream_time(info.stream, 0).unwrap().marks;
    marks.iter().find(|mark| mark.writer == "w").map(|mark| (mark.time.0, mark.position.values().map(|o| o.0).sum()))
}

#[test]
fn with_and_without_events() {
    let (disk, clock) = (FaultDisk::new(9), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    let mut transaction = begin(&store, &info);
    transaction.write(&batch(0..10)).unwrap();
    transaction.commit(Some(EventTime(100))).unwrap();
    assert_eq!((mark(&store, &info), transaction.info().time), (Some((100, 10)), Some(EventTime(100))));
    begin(&store, &info).commit(Some(EventTime(200))).unwrap();
    assert_eq!(mark(&store, &info), Some((200, 10)));
    assert_eq!(store.stream(&info.name).unwrap().unwrap().watermark, Some(EventTime(200)));

    // The greatest time of the writer's transactions counts, whatever the order of their commits; all are committed.
    let mut earlier = begin(&store, &info);
    earlier.write(&batch(10..20)).unwrap();
    assert_eq!(earlier.commit(Some(EventTime(150))).unwrap().state, TransactionState::Committed);
    assert_eq!(mark(&store, &info), Some((200, 10)));
    // Asked again, nothing is noted again.
    begin(&store, &info).commit(Some(EventTime(300))).unwrap();
    transaction.commit(Some(EventTime(999))).unwrap();
    assert_eq!(mark(&store, &info), Some((300, 20)));

    let mut untimed = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    let error = untimed.commit(Some(EventTime(1))).unwrap_err();
    assert!(error.to_string().contains("commit it without"), "{error}");
    untimed.commit(None).unwrap();
    let error = begin(&store, &info).commit(Some(EventTime::MIN)).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}

#[test]
fn commits_without_a_time_hold_nobody_up() {
    let (disk, clock) = (FaultDisk::new(9), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let mut transaction = begin(&store, &info);
    transaction.write(&batch(0..10)).unwrap();
    transaction.commit(None).unwrap();
    assert_eq!(mark(&store, &info), None);
    store.note_time(info.stream, "other", EventTime(5)).unwrap();
    begin(&store, &info).commit(None).unwrap();
    store.note_time(info.stream, "other", EventTime(6)).unwrap();
    assert_eq!(store.stream(&info.name).unwrap().unwrap().watermark, Some(EventTime(6)));
    begin(&store, &info).commit(Some(EventTime(50))).unwrap();
    begin(&store, &info).commit(None).unwrap();
    assert_eq!(mark(&store, &info).unwrap().0, 50, "an untimed commit leaves the mark alone");
}

#[test]
fn two_of_one_writer_with_the_same_time_in_one_group() {
    let (disk, clock) = (FaultDisk::new(9), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let (mut first, mut second) = (begin(&store, &info), begin(&store, &info));
    first.write(&batch(0..5)).unwrap();
    second.write(&batch(5..12)).unwrap();
    first.prepare().unwrap();
    second.prepare().unwrap();
    // The committer is kept busy meanwhile, so that both are in one group.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let busy = TimeNote::closed(info.stream, "nobody");
    store.submit(Part::Time(vec![busy]), Box::new(move |_| wait.recv().unwrap()));
    let (tell, told) = std::sync::mpsc::channel();
    for id in [first.id(), second.id()] {
        let tell = tell.clone();
        store.submit_commit(id, Some(EventTime(100)), Box::new(move |answer| tell.send(answer.unwrap()).unwrap()));
    }
    assert_eq!(store.transaction_info(second.id()).unwrap().unwrap().state, TransactionState::Committing);
    go.send(()).unwrap();
    let states: Vec<_> = (0..2).map(|_| told.recv().unwrap().transaction.unwrap().state).collect();
    assert_eq!(states, [TransactionState::Committed; 2]);
    assert_eq!(mark(&store, &info), Some((100, 12)), "behind both");
    let newest = store.stream_time(info.stream, 1).unwrap().watermarks.pop().unwrap();
    assert_eq!(newest.lower, EventTime(100));
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..12).collect::<Vec<_>>());
}
