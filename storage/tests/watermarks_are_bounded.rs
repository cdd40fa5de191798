//! A stream keeps a bounded number of watermarks: old ones are thinned out, which makes windows of old positions wider and never wrong, and those
//! that every reader has passed go with the truncation.

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn at(info: &StreamInfo, offset: u64) -> StreamCut {
    let tile = CutTile { low: 0, high: u64::MAX, segment: info.segments[0].id, offset: Offset(offset) };
    StreamCut::new(info.stream, vec![tile]).unwrap()
}

#[test]
fn very_many_are_thinned_and_windows_stay_true() {
    let (disk, clock) = (FaultDisk::new(17), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let segment = info.segments[0].id;
    // Event n has time n, and watermark n comes right behind it.
    const COUNT: u64 = 20_000;
    let chunk = encode_chunk(&batch([7])).unwrap();
    for n in 1..=COUNT {
        let append = Append { stream: info.stream, segment, chunks: vec![chunk.clone()] };
        store.submit(Part::Append(append), Box::new(|answer| assert!(answer.is_ok())));
        let note = TimeNote::time(info.stream, "w", EventTime(n as i64));
        store.submit(Part::Time(vec![note]), Box::new(|answer| assert!(answer.is_ok())));
    }
    store.sweep().unwrap();
    let time = store.stream_time(info.stream, 1).unwrap();
    assert!((2_000..=8_192).contains(&time.watermarks_kept), "{}", time.watermarks_kept);
    assert_eq!(time.watermarks[0].lower, EventTime(COUNT as i64));
    for offset in (0..=COUNT).step_by(487).chain([COUNT]) {
        let window = store.time_window(&at(&info, offset)).unwrap();
        let (lower, upper) = (window.lower.map_or(0, |t| t.0), window.upper.map_or(i64::MAX, |t| t.0));
        assert!(lower <= offset as i64 && (offset as i64) < upper, "{offset}: {window:?}");
    }
    let newest = store.time_window(&at(&info, COUNT - 1)).unwrap();
    assert_eq!((newest.lower, newest.upper), (Some(EventTime(COUNT as i64 - 1)), Some(EventTime(COUNT as i64))));
    assert_whole(&store, "after thinning");
}

#[test]
fn those_that_all_have_passed_go_with_the_truncation() {
    let (disk, clock) = (FaultDisk::new(17), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    for n in 1..=20u64 {
        append(&store, &info, n * 10..n * 10 + 10).unwrap();
        store.note_time(info.stream, "w", EventTime(n as i64)).unwrap();
    }
    let before = store.stream_time(info.stream, 100).unwrap().watermarks;
    assert_eq!(before.len(), 20);
    let cut = &before[14].cut;
    for (segment, offset) in cut.positions() {
        truncate(&store, &info, segment, offset.0).unwrap();
    }
    let time = store.stream_time(info.stream, 100).unwrap();
    assert_eq!(time.watermarks, before[14..], "the last one that all have passed is kept: it is their lower bound");
    assert_eq!(time.watermarks_kept, 6);
    let window = store.time_window(&store.stream(&info.name).unwrap().unwrap().head_cut()).unwrap();
    assert_eq!(window, TimeWindow { lower: Some(EventTime(15)), upper: Some(EventTime(16)) });
    assert_whole(&store, "after truncation");
}
