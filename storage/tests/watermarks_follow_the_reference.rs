//! The reference vectors of semantics.md 1.6, verbatim, through the whole store: WatermarkWorkflowTest.testWatermarkingWorkflow and
//! testWriterTimeout, and the ones of the integration test WatermarkingTest (checklist rows 30, 32 and 33).
//!
//! Upstream looks at the marks every 10 s, here a watermark is emitted as soon as it can be. So the notes that upstream's test
//! makes between two looks go together in one part.

mod support;

use std::collections::BTreeMap;
use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn at(positions: &[(SegmentId, u64)]) -> BTreeMap<SegmentId, Offset> {
    positions.iter().map(|(segment, offset)| (*segment, Offset(*offset))).collect()
}

fn note(info: &StreamInfo, writer: &str, time: i64, positions: &[(SegmentId, u64)]) -> TimeNote {
    TimeNote::time(info.stream, writer, EventTime(time)).at(at(positions))
}

fn tell(store: &Store, notes: Vec<TimeNote>) {
    let noted = store.note_times(notes).unwrap();
    assert!(noted.iter().all(|noted| *noted == Noted::Taken), "{noted:?}");
}

/// So many events in each active segment.
fn fill(store: &Store, info: &StreamInfo, events: u64) {
    for segment in &store.stream(&info.name).unwrap().unwrap().segments {
        let chunks = vec![encode_chunk(&batch(0..events)).unwrap()];
        store.commit(Part::Append(Append { stream: info.stream, segment: segment.id, chunks })).unwrap();
    }
}

/// (lower, cut) of the newest watermark, and how many there are.
fn newest(store: &Store, info: &StreamInfo) -> (i64, Vec<(SegmentId, u64)>, u64) {
    let time = store.stream_time(info.stream, 1).unwrap();
    let watermark = time.watermarks.last().unwrap();
    let cut = watermark.cut.positions().into_iter().map(|(segment, offset)| (segment, offset.0)).collect();
    assert_eq!(store.stream(&info.name).unwrap().unwrap().watermark, Some(watermark.lower));
    (watermark.lower.0, cut, time.watermarks_kept)
}

#[test]
fn test_watermarking_workflow() {
    let (disk, clock) = (FaultDisk::new(5), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 3 }).unwrap();
    let ids: Vec<SegmentId> = info.segments.iter().map(|s| s.id).collect();
    let [s0, s1, s2] = ids[..] else { panic!("{ids:?}") };
    fill(&store, &info, 500);

    // 1
    tell(
        &store,
        vec![
            note(&info, "w1", 100, &[(s0, 100), (s1, 200)]),
            note(&info, "w2", 101, &[(s1, 100), (s2, 200)]),
            note(&info, "w3", 102, &[(s2, 100), (s0, 200)]),
        ],
    );
    assert_eq!(newest(&store, &info), (100, vec![(s0, 200), (s1, 200), (s2, 200)], 1));
    // No new mark, no new watermark.
    store.sweep().unwrap();
    assert_eq!(newest(&store, &info).2, 1);

    // 2
    tell(
        &store,
        vec![
            note(&info, "w1", 200, &[(s1, 300)]),
            note(&info, "w2", 201, &[(s1, 100), (s2, 300)]),
            note(&info, "w3", 202, &[(s2, 300)]),
        ],
    );
    assert_eq!(newest(&store, &info), (200, vec![(s0, 200), (s1, 300), (s2, 300)], 2));

    // 3
    let scaled = store.scale_stream(&info.name, &Scaling::to(&info, 2).unwrap()).unwrap();
    let ids: Vec<SegmentId> = scaled.segments.iter().map(|s| s.id).collect();
    let [s3, s4] = ids[..] else { panic!("{ids:?}") };
    fill(&store, &info, 500);
    tell(
        &store,
        vec![
            note(&info, "w1", 302, &[(s0, 300), (s1, 400)]),
            note(&info, "w2", 301, &[(s1, 100), (s2, 400)]),
            note(&info, "w3", 300, &[(s3, 100)]),
        ],
    );
    assert_eq!(newest(&store, &info), (300, vec![(s3, 100), (s4, 0)], 3));

    // 4: w3 is silent and alive.
    tell(
        &store,
        vec![note(&info, "w1", 400, &[(s0, 300), (s1, 400)]), note(&info, "w2", 401, &[(s1, 100), (s2, 400)])],
    );
    store.sweep().unwrap();
    assert_eq!(newest(&store, &info).2, 3, "none");

    // 5
    store.close_time_writer(info.stream, "w3").unwrap();
    assert_eq!(newest(&store, &info), (400, vec![(s3, 100), (s4, 0)], 4));
    let writers: Vec<String> =
        store.stream_time(info.stream, 0).unwrap().marks.into_iter().map(|mark| mark.writer).collect();
    assert_eq!(writers, ["w1", "w2"], "w3 is removed");

    // 6
    tell(
        &store,
        vec![
            note(&info, "w1", 500, &[(s0, 300), (s1, 400)]),
            note(&info, "w2", 501, &[(s1, 100), (s2, 400)]),
            note(&info, "w3", 502, &[(s4, 500)]),
        ],
    );
    assert_eq!(newest(&store, &info), (500, vec![(s3, 100), (s4, 500)], 5));
    assert_whole(&store, "after the workflow");
}

#[test]
fn test_writer_timeout() {
    let (disk, clock) = (FaultDisk::new(5), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 3 }).unwrap();
    let ids: Vec<SegmentId> = info.segments.iter().map(|s| s.id).collect();
    let [s0, s1, s2] = ids[..] else { panic!("{ids:?}") };
    store.configure_time(info.stream, TimeConfig { idle_timeout_ms: Some(3_000) }).unwrap();
    fill(&store, &info, 300);
    tell(
        &store,
        vec![
            note(&info, "w1", 102, &[(s0, 100)]),
            note(&info, "w2", 101, &[(s1, 100)]),
            note(&info, "w3", 100, &[(s2, 100)]),
        ],
    );
    assert_eq!(newest(&store, &info), (100, vec![(s0, 100), (s1, 100), (s2, 100)], 1));
    tell(&store, vec![note(&info, "w1", 200, &[(s0, 200)]), note(&info, "w2", 200, &[(s1, 200)])]);
    clock.turn(2_999);
    store.sweep().unwrap();
    assert_eq!(newest(&store, &info).2, 1, "not before 3 s");
    clock.turn(1);
    assert_eq!(store.sweep().unwrap(), SweepReport { writers_gone: 1, watermarks: 1, ..SweepReport::default() });
    assert_eq!(
        newest(&store, &info),
        (200, vec![(s0, 200), (s1, 200), (s2, 100)], 2),
        "w3's segment at its old offset"
    );
    clock.turn(3_000);
    assert_eq!(store.sweep().unwrap(), SweepReport { writers_gone: 2, ..SweepReport::default() });
    assert_eq!(store.stream_time(info.stream, 0).unwrap().marks, [], "all have timed out");
    tell(&store, vec![note(&info, "w3", 300, &[(s2, 300)])]);
    assert_eq!(newest(&store, &info), (300, vec![(s0, 200), (s1, 200), (s2, 300)], 3));
}

#[test]
fn progressing_watermark_with_writer_timeouts() {
    let (disk, clock) = (FaultDisk::new(5), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    store.configure_time(info.stream, TimeConfig { idle_timeout_ms: Some(100) }).unwrap();
    let notes = [("w1", 50), ("w2", 80), ("w3", 150)];
    tell(&store, notes.iter().map(|(w, t)| TimeNote::time(info.stream, *w, EventTime(*t))).collect());
    for _ in 0..10 {
        clock.turn(100);
        store.sweep().unwrap();
    }
    let watermarks = || store.stream_time(info.stream, 10).unwrap().watermarks;
    let bounds: Vec<(i64, i64)> = watermarks().iter().map(|w| (w.lower.0, w.upper.0)).collect();
    assert_eq!(bounds, [(50, 150), (80, 150), (150, 150)]);
    assert!(watermarks().windows(2).all(|pair| pair[0].cut == pair[1].cut), "identical cuts");
    // A writer returns with a time that has passed.
    assert_eq!(store.note_time(info.stream, "w1", EventTime(90)).unwrap(), Noted::Taken);
    for _ in 0..3 {
        clock.turn(100);
        store.sweep().unwrap();
    }
    assert_eq!(watermarks().len(), 3);
    assert_whole(&store, "after time-outs");
}
