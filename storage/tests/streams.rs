//! Streams: made once, read by position, truncated from the head, with a watermark that never goes back.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn store() -> Store {
    Store::open_with(FaultDisk::new(0), StoreOptions::default()).unwrap()
}

#[test]
fn a_stream_is_created_once_and_found_again() {
    let store = store();
    let config = StreamConfig { segments: 4 };
    let info = store.create_stream(&name("b/two"), config).unwrap();
    assert_eq!(store.create_stream(&name("b/two"), config).unwrap(), info);
    let error = store.create_stream(&name("b/two"), StreamConfig { segments: 3 }).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    assert_eq!(store.ensure_stream(&name("b/two"), StreamConfig { segments: 3 }).unwrap(), info);
    let other = store.ensure_stream(&name("a/one"), StreamConfig::default()).unwrap();
    assert_ne!(other.stream.id, info.stream.id);
    assert_eq!(store.list_streams().unwrap(), vec![other, info.clone()]);
    assert_eq!(store.stream(&name("c/none")).unwrap(), None);
    assert_eq!(store.create_stream(&name("c/none"), StreamConfig { segments: 0 }).unwrap_err().kind(), Kind::Invalid);

    append(&store, &info, 0..1_000).unwrap();
    let info = store.stream(&name("b/two")).unwrap().unwrap();
    assert_eq!(info.segments.iter().map(|s| s.tail.0).sum::<u64>(), 1_000);
    for segment in &info.segments {
        for value in read_segment(&store, &info, segment.id).unwrap() {
            let key = format!("k{}", value % 5);
            assert_eq!(info.segment_of(hash::hash_key(key.as_bytes())), segment.id);
        }
    }
}

#[test]
fn a_read_starts_at_its_position_and_joins_small_chunks() {
    let store = store();
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    for n in 0..10 {
        append(&store, &info, n * 10..(n + 1) * 10).unwrap();
    }
    let segment = info.segments[0].id;
    let texts = |read: &ReadChunk| -> Vec<String> {
        read.batch.values.iter().map(|v| String::from_utf8(v.unwrap().to_vec()).unwrap()).collect()
    };
    let read = store.read(position(&info, segment, 37), 0).unwrap();
    assert_eq!(texts(&read), ["37", "38", "39"]);
    assert_eq!((read.first, read.next, read.tail), (Offset(37), Offset(40), Offset(100)));
    let read = store.read(position(&info, segment, 37), 1 << 20).unwrap();
    assert_eq!((read.first, read.next, read.batch.len()), (Offset(37), Offset(100), 63));
    read.batch.check("joined").unwrap();
    let read = store.read(position(&info, segment, 100), 1 << 20).unwrap();
    assert!(read.batch.is_empty() && read.next == Offset(100));

    assert_eq!(store.read(position(&info, segment, 101), 1).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(store.read(position(&info, SegmentId(9), 0), 1).unwrap_err().kind(), Kind::NotFound);
    let at = position(&info, segment, 0);
    assert_eq!(store.read(Position { stream: StreamId(9), ..at }, 1).unwrap_err().kind(), Kind::NotFound);
    let error = store.read(Position { generation: Generation(7), ..at }, 1).unwrap_err();
    assert_eq!(error.kind(), Kind::Truncated, "{error}");
}

#[test]
fn truncation_frees_whole_chunks_and_stops_readers_below_the_head() {
    let store = store();
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    for n in 0..10 {
        append(&store, &info, n * 10..(n + 1) * 10).unwrap();
    }
    let segment = info.segments[0].id;
    let swap = |expected: Option<&'static str>, value: &'static str, offset: u64| {
        store.commit(Part::Marker(MarkerSwap {
            name: "egress/p/s".into(),
            expected: expected.map(Into::into),
            value: value.into(),
            truncate: vec![position(&info, segment, offset)],
        }))
    };
    let before = store.stream(&name("t/in")).unwrap().unwrap().segments[0];
    swap(None, "a", 45).unwrap();
    let after = store.stream(&name("t/in")).unwrap().unwrap().segments[0];
    assert_eq!((before.chunks, after.chunks), (10, 6));
    assert_eq!((after.head, after.tail), (Offset(45), Offset(100)));
    assert!(after.bytes < before.bytes && after.raw_bytes < before.raw_bytes);
    let error = store.read(position(&info, segment, 44), 1).unwrap_err();
    assert_eq!(error.kind(), Kind::Truncated, "{error}");
    assert_eq!(read_all(&store, &name("t/in")).unwrap(), (45..100).collect::<Vec<_>>());

    assert_eq!(swap(Some("a"), "b", 101).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(store.marker("egress/p/s").unwrap().unwrap(), "a", "a refused swap changes nothing");
    swap(Some("a"), "b", 20).unwrap();
    assert_eq!(store.stream(&name("t/in")).unwrap().unwrap().segments[0].head, Offset(45), "the head never goes back");
    swap(Some("b"), "c", 100).unwrap();
    let empty = store.stream(&name("t/in")).unwrap().unwrap().segments[0];
    assert_eq!((empty.chunks, empty.bytes, empty.raw_bytes, empty.head), (0, 0, 0, Offset(100)));
    append(&store, &info, [100]).unwrap();
    assert_eq!(read_all(&store, &name("t/in")).unwrap(), [100]);
}

#[test]
fn a_watermark_never_goes_back() {
    let store = store();
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    assert_eq!(out.watermark, None);
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    for (n, told, is) in [(1, 50, 50), (2, 40, 50), (3, 60, 60)] {
        let mut commit = epoch(&start, "p", &out, n);
        commit.stream_watermarks = vec![(out.stream, EventTime(told))];
        store.commit(Part::Epoch(commit)).unwrap();
        assert_eq!(store.stream(&name("t/out")).unwrap().unwrap().watermark, Some(EventTime(is)));
    }
}
