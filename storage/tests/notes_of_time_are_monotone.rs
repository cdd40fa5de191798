//! A writer's mark never goes back: an earlier time or position is ignored and told (checklist row 29). And what a note covers.
//!
//! W-1: upstream's note takes the position of what was acknowledged when it was issued; writes under way land behind it, and a reader
//! that has passed the watermark then meets their earlier times. Here the position is the tail when the note is decided, and parts are
//! decided in the order in which they were handed over: every write before the note is in front of it.

mod support;

use std::collections::BTreeMap;
use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn mark(store: &Store, info: &StreamInfo, writer: &str) -> Option<WriterMark> {
    store.stream_time(info.stream, 0).unwrap().marks.into_iter().find(|mark| mark.writer == writer)
}

#[test]
fn note_10_note_5_stays_10() {
    let (disk, clock) = (FaultDisk::new(6), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    append(&store, &info, 0..20).unwrap();
    assert_eq!(store.note_time(info.stream, "w", EventTime(10)).unwrap(), Noted::Taken);
    let noted = mark(&store, &info, "w").unwrap();
    assert_eq!(store.note_time(info.stream, "w", EventTime(5)).unwrap(), Noted::InvalidTime { mark: EventTime(10) });
    assert_eq!(mark(&store, &info, "w").unwrap(), noted);
    assert_eq!(store.note_time(info.stream, "w", EventTime(10)).unwrap(), Noted::Taken, "equal is accepted");

    let segment = info.segments[0].id;
    let at = |offset| TimeNote::time(info.stream, "p", EventTime(50)).at(BTreeMap::from([(segment, Offset(offset))]));
    assert_eq!(store.note_times(vec![at(4)]).unwrap(), [Noted::Taken]);
    assert_eq!(store.note_times(vec![at(3)]).unwrap(), [Noted::InvalidPosition]);
    assert_eq!(mark(&store, &info, "p").unwrap().position[&segment], Offset(4));
}

#[test]
fn bad_notes_change_nothing_and_say_what_to_do() {
    let (disk, clock) = (FaultDisk::new(6), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let good = || TimeNote::time(info.stream, "good", EventTime(1));
    let at = |segment, offset| good().at(BTreeMap::from([(SegmentId(segment), Offset(offset))]));
    let long = "w".repeat(256);
    let cases: Vec<(TimeNote, &str)> = vec![
        (TimeNote::time(info.stream, "w", EventTime::MIN), "outside +-(2^53 - 1)"),
        (TimeNote::time(info.stream, "w", EventTime(1 << 53)), "outside +-(2^53 - 1)"),
        (TimeNote::time(info.stream, "", EventTime(1)), "1 to 255 bytes"),
        (TimeNote::time(info.stream, long, EventTime(1)), "1 to 255 bytes"),
        (TimeNote::time(info.stream, "pipeline/p", EventTime(1)), "take another"),
        (at(0, 1), "stream t/s: offset 1 of segment 0 is past its tail 0"),
        (at(7, 0), "no segment 7"),
        (good().at(BTreeMap::new()), "leave it out"),
        (TimeNote::time(StreamRef { id: StreamId(99), ..info.stream }, "w", EventTime(1)), "look it up"),
    ];
    for (note, told) in cases {
        let error = store.note_times(vec![good(), note.clone()]).unwrap_err();
        assert!(error.to_string().contains(told), "{note:?}: {error}");
        assert_eq!(mark(&store, &info, "good"), None, "{note:?}");
    }
}

#[test]
fn a_note_covers_every_write_that_was_handed_over_before_it() {
    let (disk, clock) = (FaultDisk::new(6), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 3 }).unwrap();
    // Nobody waits for an answer: the note comes in while the writes are under way.
    for n in 0..100u64 {
        for append in appends(&info, n * 10..n * 10 + 10) {
            store.submit(Part::Append(append), Box::new(|answer| assert!(answer.is_ok())));
        }
        let note = TimeNote::time(info.stream, "w", EventTime(n as i64 * 10 + 9));
        store.submit(Part::Time(vec![note]), Box::new(|answer| assert!(answer.is_ok())));
    }
    store.note_time(info.stream, "w", EventTime(1_000)).unwrap();
    let watermarks = store.stream_time(info.stream, 200).unwrap().watermarks;
    assert_eq!(watermarks.len(), 101);
    for watermark in watermarks {
        for (segment, offset) in watermark.cut.positions() {
            let all = read_segment(&store, &info, segment).unwrap();
            let (before, after) = all.split_at(offset.0 as usize);
            assert!(after.iter().all(|v| *v as i64 > watermark.lower.0), "{watermark:?}");
            assert!(before.iter().all(|v| *v as i64 <= watermark.lower.0), "and no more than these: {watermark:?}");
        }
    }
}
