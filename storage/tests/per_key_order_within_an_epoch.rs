//! Rows 2 and 3: 4 segments, 100 keys with 100 numbers each: every key's numbers come in order and out of one segment; key-less events
//! are spread over all segments.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use support::*;
use tidemill_storage::*;

#[test]
fn a_key_stays_in_one_segment_and_keyless_events_are_spread() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let stream = name("t/s");
    store.create_stream(&stream, StreamConfig { segments: 4 }).unwrap();
    let mut writer = store.writer(&stream, WriterOptions::default()).unwrap();
    for n in 0..100 {
        for key in 0..100 {
            write(&mut writer, &format!("k{key}"), [n]);
        }
    }
    writer.flush().unwrap();
    let events = read_stream(&store, &stream);
    let mut segments: BTreeMap<String, BTreeSet<SegmentId>> = BTreeMap::new();
    for event in &events {
        segments.entry(event.key.clone().unwrap()).or_default().insert(event.segment);
    }
    assert!(segments.values().all(|of_key| of_key.len() == 1));
    let by_key = by_key(&events);
    assert_eq!(by_key.len(), 100);
    assert!(by_key.values().all(|numbers| numbers.iter().copied().eq(0..100)));

    let keyless = name("t/keyless");
    store.create_stream(&keyless, StreamConfig { segments: 4 }).unwrap();
    let mut writer = store.writer(&keyless, WriterOptions::default()).unwrap();
    for n in 0..10_000 {
        writer.write(EventTime(n), None, Some(b"v"), &[]).unwrap();
    }
    writer.flush().unwrap();
    let info = store.stream(&keyless).unwrap().unwrap();
    assert!(info.segments.iter().all(|s| s.tail.0 > 2_000), "{:?}", info.segments);
    assert_eq!(info.segments.iter().map(|s| s.tail.0).sum::<u64>(), 10_000);
}
