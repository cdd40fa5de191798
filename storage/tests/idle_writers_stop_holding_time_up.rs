//! A writer that says nothing holds the stream's time up for the idle time-out, then no more; back again it takes part anew (checklist rows
//! 32 and 33). And three stories of upstream.
//!
//! W-2: a writer joins with a time that has passed. Its marks never lower the watermark; it holds progress up for the time-out at most.
//! W-3: upstream's time-out is 0 unless set: whoever misses one look is dropped, and its events are late. Here it is 30 s.
//! W-5: all writers fall silent and no watermark comes any more, so windows downstream never close. Closing the writers, or letting one go by
//! the wall clock, moves time on.

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn note(store: &Store, info: &StreamInfo, writer: &str, time: i64) {
    assert_eq!(store.note_time(info.stream, writer, EventTime(time)).unwrap(), Noted::Taken);
}

fn watermark(store: &Store, info: &StreamInfo) -> Option<i64> {
    store.stream(&info.name).unwrap().unwrap().watermark.map(|w| w.0)
}

fn stream(store: &Store) -> StreamInfo {
    store.create_stream(&name("t/s"), StreamConfig::default()).unwrap()
}

/// Both at 100.
fn two_writers(store: &Store, info: &StreamInfo) {
    let notes = ["a", "b"].map(|writer| TimeNote::time(info.stream, writer, EventTime(100)));
    store.note_times(notes.into()).unwrap();
    assert_eq!(watermark(store, info), Some(100));
}

#[test]
fn thirty_seconds_unless_set() {
    let (disk, clock) = (FaultDisk::new(7), HandClock::at(0));
    let store = clock.open(&disk);
    let info = stream(&store);
    assert_eq!(store.stream_time(info.stream, 0).unwrap().config.idle_timeout_ms, Some(30_000));
    two_writers(&store, &info);
    clock.turn(1_000);
    note(&store, &info, "a", 200);
    clock.turn(28_999);
    store.sweep().unwrap();
    assert_eq!(watermark(&store, &info), Some(100), "b holds it");
    clock.turn(1);
    store.sweep().unwrap();
    assert_eq!(watermark(&store, &info), Some(200));
    // b is back, behind: it holds the next one up, and lowers none.
    note(&store, &info, "b", 150);
    note(&store, &info, "a", 300);
    assert_eq!(watermark(&store, &info), Some(200));
    note(&store, &info, "b", 250);
    assert_eq!(watermark(&store, &info), Some(250));
    // A note is enough to see that the time is over, without a sweep.
    clock.turn(30_000);
    note(&store, &info, "a", 400);
    assert_eq!(watermark(&store, &info), Some(400));
    assert_whole(&store, "after silence");
}

#[test]
fn a_writer_that_joins_with_a_time_that_has_passed_holds_up_for_the_time_out_at_most() {
    let (disk, clock) = (FaultDisk::new(7), HandClock::at(0));
    let store = clock.open(&disk);
    let info = stream(&store);
    note(&store, &info, "a", 1_000);
    note(&store, &info, "late", 10);
    note(&store, &info, "a", 2_000);
    for step in 0..10 {
        assert_eq!(watermark(&store, &info), Some(1_000));
        clock.turn(3_000);
        // Saying the same or a little more, and still behind, is no sign of life.
        note(&store, &info, "late", 10 + step);
        store.sweep().unwrap();
    }
    assert_eq!(watermark(&store, &info), Some(2_000));
}

#[test]
fn never_means_until_closed() {
    let (disk, clock) = (FaultDisk::new(7), HandClock::at(0));
    let store = clock.open(&disk);
    let info = stream(&store);
    store.configure_time(info.stream, TimeConfig { idle_timeout_ms: None }).unwrap();
    two_writers(&store, &info);
    note(&store, &info, "a", 200);
    clock.turn(i64::MAX / 2);
    store.sweep().unwrap();
    assert_eq!(watermark(&store, &info), Some(100));
    store.close_time_writer(info.stream, "b").unwrap();
    assert_eq!(watermark(&store, &info), Some(200));
    store.close_time_writer(info.stream, "nobody").unwrap();
}

#[test]
fn at_once_when_set_to_0() {
    let (disk, clock) = (FaultDisk::new(7), HandClock::at(0));
    let store = clock.open(&disk);
    let info = stream(&store);
    store.configure_time(info.stream, TimeConfig { idle_timeout_ms: Some(0) }).unwrap();
    two_writers(&store, &info);
    note(&store, &info, "a", 200);
    assert_eq!(watermark(&store, &info), Some(200));
}

#[test]
fn closing_the_last_writers_moves_time_on_to_what_they_said() {
    let (disk, clock) = (FaultDisk::new(7), HandClock::at(0));
    let store = clock.open(&disk);
    let info = stream(&store);
    two_writers(&store, &info);
    note(&store, &info, "a", 300);
    let notes = ["a", "b"].map(|writer| TimeNote::closed(info.stream, writer));
    store.note_times(notes.into()).unwrap();
    assert_eq!(watermark(&store, &info), Some(300), "what a closed one said counts until it is reached");
    note(&store, &info, "c", 400);
    assert_eq!(watermark(&store, &info), Some(400));
    // The end of all input is a time like others, and the last one.
    note(&store, &info, "c", i64::MAX);
    assert_eq!(watermark(&store, &info), Some(i64::MAX));
    assert_eq!(store.note_time(info.stream, "d", EventTime(9_000)).unwrap(), Noted::Taken);
    clock.turn(1_000_000);
    store.sweep().unwrap();
    assert_eq!(watermark(&store, &info), Some(i64::MAX));
}

#[test]
fn silence_while_the_store_is_closed_does_not_count() {
    let (disk, clock) = (FaultDisk::new(7), HandClock::at(0));
    let store = clock.open(&disk);
    let info = stream(&store);
    two_writers(&store, &info);
    store.close();
    clock.turn(3_600_000);
    let store = clock.open(&disk);
    // The one that is back first must not push the other one out.
    note(&store, &info, "a", 200);
    clock.turn(29_999);
    store.sweep().unwrap();
    assert_eq!(watermark(&store, &info), Some(100));
    note(&store, &info, "b", 150);
    assert_eq!(watermark(&store, &info), Some(150));
}

#[test]
fn one_that_goes_by_the_wall_clock_moves_time_on() {
    let (disk, clock) = (FaultDisk::new(7), HandClock::at(50_000));
    let store = clock.open(&disk);
    let info = stream(&store);
    let _auto = store.auto_time_writer(info.stream, "clock", 5_000).unwrap();
    two_writers_silent_at(&store, &info, 60_000);
    clock.turn(31_000);
    store.sweep().unwrap();
    assert_eq!(watermark(&store, &info), Some(60_000));
    clock.turn(30_000);
    store.sweep().unwrap();
    assert_eq!(watermark(&store, &info), Some(111_000), "a and b are idle, the clock goes on");
}

fn two_writers_silent_at(store: &Store, info: &StreamInfo, time: i64) {
    let notes = ["a", "b"].map(|writer| TimeNote::time(info.stream, writer, EventTime(time)));
    store.note_times(notes.into()).unwrap();
}
