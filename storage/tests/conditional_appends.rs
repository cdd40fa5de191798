//! An append that expects a tail: exactly one of two that expect the same one wins.
//!
//! X-19 (pravega issues 2139 and 6331): conditional appends on the pipelined path were acknowledged wrongly after a reconnect; here each is a part of its own, and a lost
//! answer is found out about by the writer's numbers.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

#[test]
fn one_of_two_wins_and_the_other_hears_where_the_tail_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    let mut a = store.writer(&info.name, WriterOptions { id: Some("a".into()), ..WriterOptions::default() }).unwrap();
    let mut b = store.writer(&info.name, WriterOptions::default()).unwrap();
    let tail = a.tail_of(b"k").unwrap();
    assert_eq!(b.tail_of(b"k").unwrap(), tail);
    let event = |v: &'static [u8]| [(EventTime(1), Some(v))];
    assert_eq!(a.write_if_tail(b"k", &event(b"1"), tail).unwrap(), Offset(0));
    let error = b.write_if_tail(b"k", &event(b"2"), tail).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().contains("stream t/s") && error.to_string().contains("the tail is 1, not 0"), "{error}");
    let error = a.write_if_tail(b"k", &event(b"3"), tail).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    write(&mut a, "k", [4]);
    a.flush().unwrap();
    let again = b.tail_of(b"k").unwrap();
    assert_eq!(b.write_if_tail(b"k", &event(b"5"), again).unwrap(), Offset(2));
    assert_eq!(by_key(&read_stream(&store, &info.name))["k"], [1, 4, 5]);

    let scaled = store.scale_stream(&info.name, &Scaling::to(&info, 5).unwrap()).unwrap();
    let error = b.write_if_tail(b"k", &event(b"6"), Position { offset: Offset(3), ..again }).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "the segment is another one: {error}");
    assert_eq!(scaled.epoch, 1);
    let now = b.tail_of(b"k").unwrap();
    assert_eq!(b.write_if_tail(b"k", &event(b"7"), now).unwrap(), Offset(0));
}

#[test]
fn a_lost_answer_is_found_out_about() {
    let disk = FaultDisk::new(3);
    let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let mut writer =
        store.writer(&info.name, WriterOptions { id: Some("a".into()), ..WriterOptions::default() }).unwrap();
    let tail = writer.tail_of(b"k").unwrap();
    disk.crash_at_sync(disk.syncs() + 2);
    let error = writer.write_if_tail(b"k", &[(EventTime(1), Some(b"1"))], tail).unwrap_err();
    assert!(matches!(error.kind(), Kind::Unavailable | Kind::Full), "{error}");
    disk.reboot();
    assert!(store.reopen_if_failed().unwrap());
    // Sent again with its number: there once, whether or not it had been there already.
    writer.flush().unwrap();
    assert_eq!(by_key(&read_stream(&store, &info.name))["k"], [1]);
    assert_eq!(writer.durable(), 1);
}
