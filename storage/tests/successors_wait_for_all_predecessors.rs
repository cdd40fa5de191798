//! Row 8: after a merge of A and B into C no event of C is given before both A and B are read to their ends; the same for an n -> m scaling,
//! for a reader that starts at a cut in the middle of it, and where a segment between was truncated away.

mod support;

use std::collections::BTreeSet;
use support::*;
use tidemill_storage::*;

fn open(segments: u32) -> (tempfile::TempDir, Store, StreamInfo) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig { segments }).unwrap();
    (dir, store, info)
}

fn fill(store: &Store, numbers: std::ops::Range<u64>) {
    let mut writer = store.writer(&name("t/s"), WriterOptions::default()).unwrap();
    for n in numbers {
        write(&mut writer, &format!("k{}", n % 16), [n]);
    }
    writer.flush().unwrap();
}

fn scale(store: &Store, count: u32) -> StreamInfo {
    let info = store.stream(&name("t/s")).unwrap().unwrap();
    store.scale_stream(&info.name, &Scaling::to(&info, count).unwrap()).unwrap()
}

/// Each segment's events come after those of all of its predecessors.
fn assert_order(info: &StreamInfo, read: &[Told]) {
    let mut ended: BTreeSet<SegmentId> = BTreeSet::new();
    for (n, event) in read.iter().enumerate() {
        for before in info.predecessors(event.segment) {
            if !ended.contains(&before) {
                let later = read[n..].iter().any(|e| e.segment == before);
                assert!(!later, "segment {} was begun before {before} was at its end", event.segment);
                ended.insert(before);
            }
        }
    }
}

#[test]
fn nothing_of_a_merged_segment_comes_before_the_end_of_all_that_it_was_made_of() {
    let (_dir, store, info) = open(2);
    fill(&store, 0..200);
    let mut reader = store.reader(&info.name, ReadFrom::Head, None).unwrap();
    // The reader is in the middle of one of them.
    let StreamRead::Events { batch, segment, first } = reader.read(1).unwrap() else { panic!("events were written") };
    let mut read = Vec::new();
    tell(&mut read, segment, first, &batch);
    let merged = scale(&store, 1);
    fill(&store, 200..300);
    let after = scale(&store, 3);
    fill(&store, 300..400);
    read.extend(read_on(&mut reader).0);
    assert_eq!(read.len(), 400);
    assert_order(&merged, &read);
    assert_order(&after, &read);
    assert!(by_key(&read).values().all(|numbers| numbers.is_sorted()));
}

#[test]
fn a_reader_goes_on_from_any_cut_of_another_one() {
    let (_dir, store, _) = open(3);
    fill(&store, 0..90);
    scale(&store, 2);
    fill(&store, 90..180);
    let info = scale(&store, 5);
    fill(&store, 180..240);
    let whole = read_stream(&store, &info.name);
    assert_eq!(whole.len(), 240);
    assert_order(&info, &whole);
    let mut reader = store.reader(&info.name, ReadFrom::Head, None).unwrap();
    let mut done = 0;
    loop {
        let cut = reader.cut();
        let rest = read_on(&mut store.reader(&info.name, ReadFrom::Cut(cut.clone()), None).unwrap()).0;
        let mut all: Vec<(SegmentId, Offset)> = rest.iter().map(|e| (e.segment, e.offset)).collect();
        assert_eq!(all.len() as u64, 240 - done, "at {cut}");
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len() as u64, 240 - done, "nothing twice");
        assert_order(&info, &rest);
        // And up to the cut there is the other half, exactly.
        let before = read_on(&mut store.reader(&info.name, ReadFrom::Head, Some(cut)).unwrap());
        assert!(before.2 && before.0.len() as u64 == done);
        match reader.read(1).unwrap() {
            StreamRead::Events { batch, .. } => done += batch.len() as u64,
            StreamRead::CaughtUp => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(done, 240);
}

#[test]
fn a_reader_passes_over_segments_that_are_truncated_away() {
    let (_dir, store, info) = open(1);
    fill(&store, 0..20);
    let mut reader = store.reader(&info.name, ReadFrom::Head, None).unwrap();
    scale(&store, 2);
    fill(&store, 20..40);
    let merged = scale(&store, 1);
    fill(&store, 40..60);
    let after = store.truncate_stream(&info.name, &merged.tail_cut()).unwrap();
    assert!(after.past.is_empty(), "nothing of the old segments is left");
    let (read, truncated, _) = read_on(&mut reader);
    assert_eq!(truncated, 1);
    assert!(by_key(&read).values().flatten().all(|n| *n >= 40), "{read:?}");
    assert_eq!(read.len(), 20);
    assert_whole(&store, "after the truncation");
}
