//! Row 7 of the checklist: a stream is split and merged again and again while writers write and a reader follows. No event is lost or
//! twice, and the events of each key come in the order of their writing.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use support::*;
use tidemill_storage::*;

const WRITERS: u64 = 3;
const EVENTS: u64 = 1_500;
const KEYS: u64 = 7;

#[test]
fn writers_and_a_reader_go_through_splits_and_merges() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let stream = name("t/s");
    store.create_stream(&stream, StreamConfig { segments: 2 }).unwrap();
    let scaled = AtomicBool::new(false);
    let read = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|w| {
                let (store, stream, scaled) = (&store, &stream, &scaled);
                scope.spawn(move || {
                    let id = (w % 2 == 0).then(|| format!("w{w}"));
                    let options = WriterOptions { id, batch_events: 10, ..WriterOptions::default() };
                    let mut writer = store.writer(stream, options).unwrap();
                    let mut n = 0;
                    while n < EVENTS || !scaled.load(Ordering::SeqCst) {
                        write(&mut writer, &format!("w{w}k{}", n % KEYS), [n]);
                        n += 1;
                    }
                    writer.flush().unwrap();
                    n
                })
            })
            .collect();
        let (inner, name) = (&store, &stream);
        scope.spawn(|| {
            for count in [3, 1, 4, 2, 5, 1, 3] {
                let info = inner.stream(name).unwrap().unwrap();
                inner.scale_stream(name, &Scaling::to(&info, count).unwrap()).unwrap();
            }
            scaled.store(true, Ordering::SeqCst);
        });
        let mut reader = store.reader(&stream, ReadFrom::Head, None).unwrap();
        let mut read = Vec::new();
        while writers.iter().any(|w| !w.is_finished()) {
            read.extend(read_on(&mut reader).0);
        }
        let written: Vec<u64> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        read.extend(read_on(&mut reader).0);
        for (w, count) in written.into_iter().enumerate() {
            for key in 0..KEYS {
                let expected: Vec<u64> = (key..count).step_by(KEYS as usize).collect();
                assert_eq!(by_key(&read)[&format!("w{w}k{key}")], expected, "writer {w}, key {key}");
            }
        }
        read
    });
    let info = store.stream(&stream).unwrap().unwrap();
    assert_eq!((info.epoch, info.segments.len()), (7, 3));
    assert!(info.past.len() > 8);
    assert_eq!(read_stream(&store, &stream).len(), read.len(), "a second reader reads as much");
    assert_whole(&store, "after seven scalings");
}
