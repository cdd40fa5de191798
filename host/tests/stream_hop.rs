//! Chained pipelines: what one commits the other reads, and time comes along. The second pipeline follows the first one's
//! output stream live; its windows close because the first one's watermark was noted with its commits.
//!
//! W-22 of the reference (FlinkPravegaWriter.invoke): the sink passed time on with an event only, so that an epoch without output
//! stood still in the next job. Every epoch notes the watermark
//! (`the_watermark_of_a_committed_stream_closes_the_windows_of_its_reader`: the end of time comes behind the last event).

#[path = "support/native.rs"]
mod native;

use native::{WINDOW_MS, events, feed, pipeline, read_all, run, start};
use std::collections::BTreeMap;
use tidemill::config::pipeline::{Pipeline, SinkKind, SourceKind, StreamSource, WatermarkKind};
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::{Store, StoreOptions, StreamName};

/// Counts what `test/windows` holds, window by window, and never ends by itself.
fn downstream() -> Pipeline {
    let mut downstream = pipeline(2);
    downstream.name = "downstream".into();
    downstream.dead_letters = StreamName::new("downstream/dead-letters").unwrap();
    downstream.sources[0].kind =
        SourceKind::Stream(StreamSource { stream: StreamName::new("test/windows").unwrap(), bounded: false });
    downstream.sources[0].watermark.kind = WatermarkKind::FromStream;
    for sink in &mut downstream.sinks {
        let stream = StreamName::new(format!("downstream/{}", sink.name)).unwrap();
        sink.kind = SinkKind::Stream { stream, segments: 1 };
    }
    downstream
}

#[test]
fn the_watermark_of_a_committed_stream_closes_the_windows_of_its_reader() {
    let store = Store::open_with(FaultDisk::new(5), StoreOptions::default()).unwrap();
    feed(&store, &events(2_000));
    // The reader is there first, so it sees epoch after epoch arrive.
    store
        .ensure_stream(&StreamName::new("test/windows").unwrap(), tidemill_storage::StreamConfig { segments: 2 })
        .unwrap();
    let reader = start(&store, downstream()).unwrap();
    assert!(run(&store, 3).unwrap().finished);
    let mut expected: BTreeMap<(String, i64), u64> = BTreeMap::new();
    for (time, key, _) in read_all(&store, "test/windows") {
        *expected.entry((key, time.div_euclid(WINDOW_MS) * WINDOW_MS)).or_default() += 1;
    }
    // A stop may pass timers that are due, so all results are waited for: a window that stays open would never give one.
    while read_all(&store, "downstream/windows").len() < expected.len() {
        assert!(!reader.is_done(), "{:?}", reader.wait());
        std::thread::yield_now();
    }
    reader.stop();
    assert!(!reader.wait().unwrap().finished);

    let mut fired: Vec<_> = read_all(&store, "downstream/windows").into_iter().map(|(_, k, v)| (k, v)).collect();
    fired.sort();
    let mut expected: Vec<_> =
        expected.into_iter().map(|((key, start), count)| (key, format!("{start}:{count}"))).collect();
    expected.sort();
    assert!(expected.len() > 100);
    assert_eq!(fired, expected);
    assert!(read_all(&store, "downstream/dead-letters").is_empty(), "nothing was late");
}
