//! Rows 5 and 6: what a writer sends again is not there twice; gaps, overlaps and other contents under old numbers are refused; the
//! newest handle of a writer fences older ones; numbers outlive the process, but not a silence longer than their time to live.
//!
//! X-18 (pravega issue 1324): a writer that had lost its connection and made a new one could still append through the old one, so that its
//! events came twice or in disorder. Here every part carries the handle, and only the newest one adds anything.

mod support;

use std::sync::atomic::Ordering;
use support::*;
use tidemill_storage::*;

fn part(info: &StreamInfo, handle: u64, first: u64, last: u64, digest: u64) -> Part {
    let numbered = Numbered { writer: "w".into(), handle, first, last, digest, at_ms: 5 };
    let appends = appends(info, first..=last);
    Part::Write(Box::new(Write { stream: info.stream, numbered: Some(numbered), appends, expected_tails: Vec::new() }))
}

fn open() -> (tempfile::TempDir, Store, StreamInfo) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    (dir, store, info)
}

#[test]
fn a_repeated_part_adds_nothing_and_a_wrong_one_is_refused() {
    let (_dir, store, info) = open();
    let state = store.open_writer(&info.name, "w").unwrap();
    assert_eq!((state.handle, state.last_number), (1, 0));
    store.commit(part(&info, 1, 1, 4, 44)).unwrap();
    assert_eq!(store.commit(part(&info, 1, 5, 7, 77)).unwrap().last_number, 7);
    // The answer to 5..=7 was lost: it is sent again.
    assert_eq!(store.commit(part(&info, 1, 5, 7, 77)).unwrap().last_number, 7);
    assert_eq!(store.commit(part(&info, 1, 1, 4, 44)).unwrap().last_number, 7);
    assert_eq!(read_all(&store, &info.name).unwrap(), [1, 2, 3, 4, 5, 6, 7]);

    for (first, last, digest, why) in [
        (9, 9, 1, "leaves a gap, the next one is 8"),
        (7, 8, 1, "overlap"),
        (5, 7, 78, "another content"),
        (0, 0, 1, "no event numbers"),
        (8, 7, 1, "no event numbers"),
    ] {
        let error = store.commit(part(&info, 1, first, last.max(1), digest)).unwrap_err();
        if last > 0 {
            assert_eq!(error.kind(), Kind::Invalid, "{error}");
            assert!(error.to_string().contains(why) && error.to_string().contains("stream t/s, writer w"), "{error}");
        }
    }
    assert_eq!(read_all(&store, &info.name).unwrap(), [1, 2, 3, 4, 5, 6, 7], "nothing changed");
    assert_eq!(store.commit(part(&info, 1, 8, 8, 88)).unwrap().last_number, 8);
}

#[test]
fn the_newest_handle_fences_older_ones() {
    let (_dir, store, info) = open();
    let options = || WriterOptions { id: Some("w".into()), ..WriterOptions::default() };
    let mut old = store.writer(&info.name, options()).unwrap();
    write(&mut old, "k", 0..3);
    old.flush().unwrap();
    let mut new = store.writer(&info.name, options()).unwrap();
    assert_eq!(new.durable(), 3);
    write(&mut new, "k", 3..5);
    new.flush().unwrap();
    write(&mut old, "k", 90..95);
    let error = old.flush().unwrap_err();
    assert_eq!(error.kind(), Kind::Fenced);
    assert!(error.to_string().contains("stream t/s, writer w"), "{error}");
    assert_eq!(old.flush().unwrap_err().kind(), Kind::Fenced, "it stays so");
    assert_eq!(by_key(&read_stream(&store, &info.name))["k"], [0, 1, 2, 3, 4]);
}

#[test]
fn a_writer_that_starts_again_passes_over_what_is_there_and_notices_another_input() {
    let (dir, store, info) = open();
    let options = || WriterOptions {
        id: Some("import".into()),
        from_the_start: true,
        batch_events: 7,
        ..WriterOptions::default()
    };
    let mut writer = store.writer(&info.name, options()).unwrap();
    write(&mut writer, "k", 0..40);
    writer.flush().unwrap();
    store.close();

    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let mut writer = store.writer(&info.name, options()).unwrap();
    assert_eq!(writer.durable(), 40);
    write(&mut writer, "k", 0..100);
    writer.flush().unwrap();
    assert_eq!(writer.durable(), 100);
    assert!(by_key(&read_stream(&store, &info.name))["k"].iter().copied().eq(0..100));

    let mut writer = store.writer(&info.name, options()).unwrap();
    write(&mut writer, "k", 0..50);
    write(&mut writer, "other", 50..99);
    let error = writer.write(EventTime(0), Some(b"k"), Some(b"99"), &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("not those that it wrote before"), "{error}");
    assert_eq!(read_stream(&store, &info.name).len(), 100);
}

#[test]
fn a_silent_writer_is_forgotten_after_its_time_to_live() {
    let dir = tempfile::tempdir().unwrap();
    let (now, clock) = turned_clock();
    let options = StoreOptions { clock, writer_ttl_ms: 60_000, ..StoreOptions::default() };
    let store = Store::open(dir.path(), options).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let writer = |id: &str| store.writer(&info.name, WriterOptions { id: Some(id.into()), ..WriterOptions::default() });
    let (mut quiet, mut busy) = (writer("quiet").unwrap(), writer("busy").unwrap());
    write(&mut quiet, "k", 0..2);
    quiet.flush().unwrap();
    now.fetch_add(50_000, Ordering::SeqCst);
    write(&mut busy, "k", 2..4);
    busy.flush().unwrap();
    now.fetch_add(20_000, Ordering::SeqCst);
    assert_eq!(store.maintain().unwrap().forgotten_writers, 1);
    assert_eq!(store.writer_state(&info.name, "quiet").unwrap(), None);
    assert_eq!(store.writer_state(&info.name, "busy").unwrap().unwrap().last_number, 2);
    write(&mut quiet, "k", 4..5);
    let error = quiet.flush().unwrap_err();
    assert!(error.kind() == Kind::Fenced && error.to_string().contains("open it again"), "{error}");
    assert_eq!(writer("quiet").unwrap().durable(), 0);
}
