//! The time window of a position, per stream (checklist row 34; the vector of testUpdates runs in `stream/time/window.rs`). Three stories of
//! upstream:
//!
//! W-6: a stream of several segments, of which some were never written to: upstream says "-1" of those, and the lower bound stays unknown for
//! ever. Here they stand at offset 0.
//! W-7: windows move only when the group's state is refreshed, some seconds later. Here every position has its own.
//! W-8: a reader dies, the group's position goes back, and so does the window; what a consumer was told must not.

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn window(lower: Option<i64>, upper: Option<i64>) -> TimeWindow {
    TimeWindow { lower: lower.map(EventTime), upper: upper.map(EventTime) }
}

/// The position at one offset of a one-segment stream.
fn at(info: &StreamInfo, offset: u64) -> StreamCut {
    let tile = CutTile { low: 0, high: u64::MAX, segment: info.segments[0].id, offset: Offset(offset) };
    StreamCut::new(info.stream, vec![tile]).unwrap()
}

#[test]
fn each_position_of_each_stream_has_its_own() {
    let (disk, clock) = (FaultDisk::new(15), HandClock::at(0));
    let store = clock.open(&disk);
    let [left, right] = ["t/left", "t/right"].map(|n| store.create_stream(&name(n), StreamConfig::default()).unwrap());
    assert_eq!(store.time_window(&at(&left, 0)).unwrap(), window(None, None));
    for (info, base) in [(&left, 0), (&right, 1_000)] {
        for n in 1..=3 {
            append(&store, info, 0..10).unwrap();
            store.note_time(info.stream, "w", EventTime(base + n * 100)).unwrap();
        }
    }
    for (info, base) in [(&left, 0), (&right, 1_000)] {
        let expected = [
            (0, None, Some(100)),
            (9, None, Some(100)),
            (10, Some(100), Some(200)),
            (19, Some(100), Some(200)),
            (20, Some(200), Some(300)),
            (29, Some(200), Some(300)),
            (30, Some(300), None),
        ];
        for (offset, lower, upper) in expected {
            let expected = window(lower.map(|t: i64| t + base), upper.map(|t: i64| t + base));
            assert_eq!(store.time_window(&at(info, offset)).unwrap(), expected, "{offset}");
        }
    }
    // The same after a restart: nothing of it lies in anybody's memory.
    store.close();
    let store = clock.open(&disk);
    assert_eq!(store.time_window(&at(&left, 25)).unwrap(), window(Some(200), Some(300)));
    let other = StreamRef { generation: Generation(9), ..left.stream };
    let stale = StreamCut::new(other, at(&left, 0).tiles().to_vec()).unwrap();
    assert_eq!(store.time_window(&stale).unwrap_err().kind(), Kind::Truncated);
}

#[test]
fn three_segments_and_one_key() {
    let (disk, clock) = (FaultDisk::new(15), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 3 }).unwrap();
    let mut batch = Batch::default();
    (0..10).for_each(|n| batch.push(EventTime(n), Some(b"the only one"), Some(b"v")));
    for append in Appender::new(&info).append(&batch).unwrap() {
        store.commit(Part::Append(append)).unwrap();
    }
    store.note_time(info.stream, "w", EventTime(100)).unwrap();
    let cut = store.stream_time(info.stream, 1).unwrap().watermarks.pop().unwrap().cut;
    assert_eq!(cut.positions().values().map(|o| o.0).sum::<u64>(), 10);
    assert_eq!(store.time_window(&info.head_cut()).unwrap(), window(None, Some(100)));
    let tail = store.stream(&info.name).unwrap().unwrap().tail_cut();
    assert_eq!(store.time_window(&tail).unwrap(), window(Some(100), None));
}

#[test]
fn a_window_goes_on_across_a_split_and_what_was_told_stays() {
    let (disk, clock) = (FaultDisk::new(15), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    append(&store, &info, 0..10).unwrap();
    store.note_time(info.stream, "w", EventTime(100)).unwrap();
    let two = store.scale_stream(&info.name, &Scaling::to(&info, 2).unwrap()).unwrap();
    append(&store, &two, 10..30).unwrap();
    store.note_time(info.stream, "w", EventTime(200)).unwrap();
    let tail = store.stream(&info.name).unwrap().unwrap().tail_cut();
    let mut reader = WindowClamp::default();
    let steps = [
        (at(&info, 5), window(None, Some(100))),
        (at(&info, 10), window(Some(100), Some(200))),
        (two.tail_cut(), window(Some(100), Some(200))),
        (tail, window(Some(200), None)),
    ];
    for (position, expected) in &steps {
        assert_eq!(store.time_window(position).unwrap(), *expected);
        assert_eq!(reader.advance(*expected), *expected);
    }
    // Another reader died: the group stands where it was kept.
    let back = store.time_window(&at(&info, 10)).unwrap();
    assert_eq!(back, window(Some(100), Some(200)));
    assert_eq!(reader.advance(back), window(Some(200), Some(200)));
}
