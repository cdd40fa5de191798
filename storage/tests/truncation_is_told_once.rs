//! Row 12, and two stories. X-34 (pravega issues 2644, 2441, 2664): a reader that starts at a cut which has been truncated hung; it must hear
//! of the truncation and go on. X-35 (issue 7343): a slow reader in the middle of a chunk was stuck after a truncation. X-36 (issue 2902):
//! a truncation inside an event left a byte of it, and readers failed there; here offsets count events, and whatever is left begins with one.

mod support;

use support::*;
use tidemill_storage::*;

fn open() -> (tempfile::TempDir, Store, StreamInfo) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 1 }).unwrap();
    append(&store, &info, 0..100).unwrap();
    (dir, store, info)
}

fn cut(info: &StreamInfo, offset: u64) -> StreamCut {
    StreamCut::of_positions(info, &[(info.segments[0].id, Offset(offset))].into()).unwrap()
}

#[test]
fn a_reader_before_the_head_hears_it_once_and_goes_on() {
    let (_dir, store, info) = open();
    let info = store.stream(&info.name).unwrap().unwrap();
    let after = store.truncate_stream(&info.name, &cut(&info, 37)).unwrap();
    assert_eq!(after.head_cut(), cut(&info, 37));
    let mut reader = store.reader(&info.name, ReadFrom::Cut(cut(&info, 10)), None).unwrap();
    let first = reader.read(1 << 20).unwrap();
    assert_eq!(first, StreamRead::Truncated { segment: SegmentId(0), from: Offset(10), to: Some(Offset(37)) });
    let (read, truncated, _) = read_on(&mut reader);
    assert_eq!((read.len(), read[0].offset, truncated), (63, Offset(37), 0));
    assert_eq!(read_stream(&store, &info.name)[0].offset, Offset(37), "from the head there is nothing to tell");
    let older = store.truncate_stream(&info.name, &cut(&info, 5)).unwrap();
    assert_eq!(older.head_cut(), cut(&info, 37), "an older cut changes nothing");
}

#[test]
fn a_slow_reader_in_the_middle_of_a_chunk_goes_on_at_the_new_head() {
    let (_dir, store, info) = open();
    let info = store.stream(&info.name).unwrap().unwrap();
    let mut reader = store.reader(&info.name, ReadFrom::Head, Some(cut(&info, 20))).unwrap();
    assert!(read_on(&mut reader).2);
    let mut reader = store.reader(&info.name, ReadFrom::Cut(reader.cut()), None).unwrap();
    store.truncate_stream(&info.name, &cut(&info, 60)).unwrap();
    let (read, truncated, _) = read_on(&mut reader);
    assert_eq!((read.len(), read[0].offset, truncated), (40, Offset(60), 1));
    store.truncate_stream(&info.name, &info.tail_cut()).unwrap();
    assert_eq!(store.stream(&info.name).unwrap().unwrap().segments[0].chunks, 0, "the space came back");
}

#[test]
fn an_event_is_found_again_by_its_pointer_until_it_is_truncated() {
    // Row 26.
    let (_dir, store, info) = open();
    let info = store.stream(&info.name).unwrap().unwrap();
    let pointer = position(&info, info.segments[0].id, 41);
    let event = store.event(pointer).unwrap();
    assert_eq!((event.len(), event.values.get(0)), (1, Some(&b"41"[..])));
    let error = store.event(Position { offset: Offset(100), ..pointer }).unwrap_err();
    assert!(error.kind() == Kind::NotFound && error.to_string().contains("yet"), "{error}");
    store.truncate_stream(&info.name, &cut(&info, 42)).unwrap();
    let error = store.event(pointer).unwrap_err();
    assert!(error.kind() == Kind::NotFound && error.to_string().contains("no such event any more"), "{error}");
    assert_eq!(store.event(Position { offset: Offset(42), ..pointer }).unwrap().values.get(0), Some(&b"42"[..]));
}

#[test]
fn whatever_offset_is_truncated_at_what_is_left_begins_with_a_whole_event() {
    let (_dir, store, info) = open();
    let info = store.stream(&info.name).unwrap().unwrap();
    for offset in 0..=100 {
        let after = store.truncate_stream(&info.name, &cut(&info, offset)).unwrap();
        assert_eq!(after.segments[0].head, Offset(offset));
        assert_eq!(read_all(&store, &info.name).unwrap(), (offset..100).collect::<Vec<_>>(), "truncated at {offset}");
    }
    assert_whole(&store, "truncated event by event");
}
