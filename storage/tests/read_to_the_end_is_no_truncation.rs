//! A reader that has read a segment to its last event is told of no truncation when the segment is sealed and retention frees it before
//! the reader looks again. Found by the soak: the segment went with its last chunk, and a reader that stood at its end, having missed
//! nothing, was told that what came next was gone. Now an empty segment stays until the head of the stream lies in its successors.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

#[test]
fn what_was_read_and_acknowledged_to_the_end_of_a_sealed_segment_is_not_told_as_gone() {
    let store = Store::open_with(FaultDisk::new(1), StoreOptions::default()).unwrap();
    let stream = name("t/s");
    store.create_stream(&stream, StreamConfig { segments: 1 }).unwrap();
    let retention = Some(RetentionPolicy::ByConsumption);
    store.set_stream_policy(&stream, StreamPolicy { retention, ..StreamPolicy::default() }).unwrap();
    let write = |from: i64| {
        let mut writer = store.writer(&stream, WriterOptions::default()).unwrap();
        for n in from..from + 10 {
            writer.write(EventTime(n), Some(format!("k{n}").as_bytes()), Some(b"v"), &[]).unwrap();
        }
        writer.flush().unwrap();
    };
    write(0);
    let mut reader = store.reader(&stream, ReadFrom::Head, None).unwrap();
    assert!(matches!(reader.read(1 << 20).unwrap(), StreamRead::Events { first: Offset(0), .. }));
    store.acknowledge("reader", &reader.cut()).unwrap();
    let info = store.stream(&stream).unwrap().unwrap();
    store.scale_stream(&stream, &Scaling::split(&info, info.segments[0].id, 2).unwrap()).unwrap();
    write(10);
    store.maintain().unwrap();
    let info = store.stream(&stream).unwrap().unwrap();
    assert_eq!((info.past[0].segment.head, info.past[0].segment.chunks), (Offset(10), 0), "freed, and still there");

    let mut times = Vec::new();
    loop {
        match reader.read(1 << 20).unwrap() {
            StreamRead::Events { batch, .. } => times.extend(batch.timestamps),
            StreamRead::CaughtUp => break,
            other => panic!("{other:?}"),
        }
    }
    times.sort_unstable();
    assert_eq!(times, (10..20).collect::<Vec<i64>>());
    // With the head in the successors the segment goes.
    store.acknowledge("reader", &reader.cut()).unwrap();
    store.maintain().unwrap();
    assert!(store.stream(&stream).unwrap().unwrap().past.is_empty());
    assert_whole(&store, "after retention");
}

#[test]
fn a_sealed_segment_of_more_chunks_than_one_commit_frees_goes_all_the_same() {
    let store = Store::open_with(FaultDisk::new(2), StoreOptions::default()).unwrap();
    let stream = name("t/s");
    let info = store.create_stream(&stream, StreamConfig { segments: 1 }).unwrap();
    for _ in 0..5 {
        let mut parts = Vec::new();
        for n in 0..1_000 {
            let mut batch = Batch::default();
            batch.push(EventTime(n), Some(b"k"), Some(b"v"));
            parts.extend(Appender::new(&info).append(&batch).unwrap().into_iter().map(Part::Append));
        }
        for part in parts {
            store.submit(part, Box::new(|done| drop(done.unwrap())));
        }
    }
    let scaling = Scaling::split(&info, info.segments[0].id, 2).unwrap();
    let scaled = store.scale_stream(&stream, &scaling).unwrap();
    assert_eq!(scaled.past[0].segment.chunks, 5_000);
    let after = store.truncate_stream(&stream, &scaled.tail_cut()).unwrap();
    assert!(after.past.is_empty(), "{:?}", after.past);
    assert_whole(&store, "after the truncation");
}
