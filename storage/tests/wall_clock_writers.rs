//! A writer whose time is the wall clock: the store notes it, the writer can note nothing itself (checklist row 36).

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

#[test]
fn the_clock_is_noted_every_interval_as_long_as_somebody_holds_it() {
    let (disk, clock) = (FaultDisk::new(8), HandClock::at(1_000));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let auto = store.auto_time_writer(info.stream, "w", 5_000).unwrap();
    let mark =
        || store.stream_time(info.stream, 0).unwrap().marks.first().map(|mark| (mark.time.0, mark.auto, mark.alive));
    assert_eq!(mark(), Some((1_000, true, true)));
    clock.turn(4_999);
    store.sweep().unwrap();
    assert_eq!(mark(), Some((1_000, true, true)));
    append(&store, &info, 0..3).unwrap();
    clock.turn(1);
    store.sweep().unwrap();
    assert_eq!(mark(), Some((6_000, true, true)));
    let newest = store.stream_time(info.stream, 1).unwrap().watermarks.pop().unwrap();
    assert_eq!((newest.lower, newest.cut), (EventTime(6_000), store.stream(&info.name).unwrap().unwrap().tail_cut()));

    for refused in [
        store.note_time(info.stream, "w", EventTime(7_000)).map(drop),
        store
            .begin_transaction(
                info.stream,
                TransactionOptions { writer: Some("w".into()), ..TransactionOptions::default() },
            )
            .and_then(|mut transaction| transaction.commit(Some(EventTime(7_000))).map(drop)),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("it can note nothing itself"), "{error}");
    }
    drop(auto);
    clock.turn(5_000);
    store.sweep().unwrap();
    assert_eq!(mark(), Some((6_000, true, true)), "nobody holds it");

    let auto = store.auto_time_writer(info.stream, "w", 5_000).unwrap();
    auto.close().unwrap();
    clock.turn(5_000);
    store.sweep().unwrap();
    assert_eq!(mark(), None);
    assert_eq!(store.note_time(info.stream, "w", EventTime(20_000)).unwrap(), Noted::Taken, "after closing it may");
}

#[test]
fn a_stream_that_is_gone_holds_up_no_other_writer() {
    let (disk, clock) = (FaultDisk::new(8), HandClock::at(0));
    let store = clock.open(&disk);
    let gone = store.create_stream(&name("t/gone"), StreamConfig::default()).unwrap();
    let kept = store.create_stream(&name("t/kept"), StreamConfig::default()).unwrap();
    let held = [&gone, &kept].map(|info| store.auto_time_writer(info.stream, "w", 10).unwrap());
    store.delete_stream(&gone.name).unwrap();
    clock.turn(10);
    store.sweep().unwrap();
    assert_eq!(store.stream(&kept.name).unwrap().unwrap().watermark, Some(EventTime(10)));
    assert_whole(&store, "after a deletion");
    drop(held);
}
