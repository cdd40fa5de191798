//! Chunks move from the hot file to sealed files and back into no reader's sight: offsets, events and errors are the same
//! wherever a chunk lies, small chunks are joined on the way, and whole files go with their last chunk.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn options() -> StoreOptions {
    // Moves only when a test says so.
    StoreOptions { hot_bytes_max: u64::MAX, sealed_file_bytes: 4 << 10, ..StoreOptions::default() }
}

fn open(disk: &FaultDisk) -> Store {
    Store::open_with(disk.clone(), options()).unwrap()
}

fn truncate(store: &Store, marker: &str, info: &StreamInfo, segment: SegmentId, offset: u64) {
    let name = format!("egress/{marker}");
    let part = MarkerSwap {
        expected: store.marker(&name).unwrap(),
        name,
        value: offset.to_string().into(),
        truncate: vec![position(info, segment, offset)],
    };
    store.commit(Part::Marker(part)).unwrap();
}

#[test]
fn every_event_is_read_from_its_offset_wherever_its_chunk_lies() {
    let disk = FaultDisk::new(0);
    let store = open(&disk);
    let info = store.create_stream(&name("t/in"), StreamConfig { segments: 3 }).unwrap();
    for n in 0..60 {
        append(&store, &info, n * 20..(n + 1) * 20).unwrap();
    }
    let info = store.stream(&info.name).unwrap().unwrap();
    let read = |store: &Store| -> Vec<Vec<u64>> {
        info.segments.iter().map(|s| read_segment(store, &info, s.id).unwrap()).collect()
    };
    let before = read(&store);
    let hot: u64 = info.segments.iter().map(|s| s.bytes).sum();

    for keep in [hot, hot / 2, hot / 4, 0] {
        store.seal(keep).unwrap();
        assert_eq!(read(&store), before, "{keep} bytes hot");
        for (segment, values) in info.segments.iter().zip(&before) {
            for offset in (0..values.len()).step_by(7) {
                let read = store.read(position(&info, segment.id, offset as u64), 0).unwrap();
                let text = std::str::from_utf8(read.batch.values.get(0).unwrap()).unwrap();
                assert_eq!((read.first.0, text.parse::<u64>().unwrap()), (offset as u64, values[offset]));
            }
        }
        append(&store, &info, []).unwrap();
    }
    let sealed = store.stream(&info.name).unwrap().unwrap();
    for (was, is) in info.segments.iter().zip(&sealed.segments) {
        assert_eq!((was.head, was.tail), (is.head, is.tail));
        assert!(is.chunks < was.chunks / 4, "{} chunks became {}", was.chunks, is.chunks);
    }
    assert!(!disk.sealed_names().is_empty());
    assert_eq!(store.seal(0).unwrap(), SealReport::default(), "nothing is left to move");

    store.close();
    let store = open(&disk);
    assert_eq!(read(&store), before);
    append(&store, &info, 5_000..5_100).unwrap();
    store.seal(0).unwrap();
    let mut all: Vec<u64> = (0..1_200).chain(5_000..5_100).collect();
    all.sort_unstable();
    assert_eq!(read_all(&store, &info.name).unwrap(), all);
}

#[test]
fn a_read_goes_on_from_sealed_chunks_to_hot_ones() {
    let store = open(&FaultDisk::new(0));
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    append(&store, &info, 0..30).unwrap();
    store.seal(0).unwrap();
    append(&store, &info, 30..50).unwrap();
    append(&store, &info, 50..60).unwrap();
    let read = store.read(position(&info, info.segments[0].id, 25), 1 << 20).unwrap();
    assert_eq!((read.first, read.next, read.tail, read.batch.len()), (Offset(25), Offset(60), Offset(60), 35));
    assert_eq!(read.batch.timestamps, (25..60).collect::<Vec<_>>());
}

#[test]
fn a_file_is_unlinked_when_its_last_chunk_is_truncated_and_not_before() {
    let disk = FaultDisk::new(0);
    let store = open(&disk);
    let info = store.create_stream(&name("t/in"), StreamConfig { segments: 2 }).unwrap();
    append(&store, &info, 0..40).unwrap();
    store.seal(0).unwrap();
    let info = store.stream(&info.name).unwrap().unwrap();
    assert_eq!(disk.sealed_names().len(), 1, "one file holds chunks of both segments");
    let (first, second) = (info.segments[0], info.segments[1]);

    truncate(&store, "a", &info, first.id, first.tail.0);
    store.seal(u64::MAX).unwrap();
    assert_eq!(disk.sealed_names().len(), 1, "the other segment's chunk lives");
    truncate(&store, "b", &info, second.id, second.tail.0 - 1);
    store.seal(u64::MAX).unwrap();
    assert_eq!(disk.sealed_names().len(), 1, "an event of it can still be read");
    assert_eq!(read_all(&store, &info.name).unwrap().len(), 1);
    truncate(&store, "b", &info, second.id, second.tail.0);
    store.seal(u64::MAX).unwrap();
    assert_eq!(disk.sealed_names(), Vec::<String>::new());
    assert_eq!(store.mover_status().done.unlinked, 1);
    assert_eq!(store.mover_status().last_error, None);
}

#[test]
fn what_was_half_moved_and_what_nothing_names_is_removed_at_open() {
    let disk = FaultDisk::new(0);
    let store = open(&disk);
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    append(&store, &info, 0..40).unwrap();
    store.seal(0).unwrap();
    let ours = disk.sealed_names();
    store.close();
    disk.plant_sealed("000000000099-00000000.chunks", b"half a file");
    disk.plant_sealed("notes.txt", b"somebody's");
    let store = open(&disk);
    let mut expected = ours.clone();
    expected.push("notes.txt".into());
    expected.sort();
    assert_eq!(disk.sealed_names(), expected);
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..40).collect::<Vec<_>>());
}

#[test]
fn a_move_that_fails_loses_nothing_and_is_tried_again() {
    let disk = FaultDisk::new(0);
    let store = open(&disk);
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    append(&store, &info, 0..40).unwrap();
    disk.fail_puts(1);
    let error = store.seal(0).unwrap_err();
    assert!(error.to_string().contains("sealed/"), "{error}");
    assert!(store.mover_status().last_error.is_some());
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..40).collect::<Vec<_>>());
    disk.space_left(Some(0));
    assert_eq!(store.seal(0).unwrap_err().kind(), Kind::Full);
    disk.space_left(None);
    assert_eq!(store.seal(0).unwrap().files, 1);
    assert_eq!(store.mover_status().last_error, None);
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..40).collect::<Vec<_>>());

    disk.fail_sealed_reads(true);
    let error = store.read(position(&info, info.segments[0].id, 0), 1).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    disk.fail_sealed_reads(false);
    append(&store, &info, 40..50).unwrap();
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..50).collect::<Vec<_>>());
    assert!(!store.reopen_if_failed().unwrap(), "a tier that fails a read does not latch the store");
}

#[test]
fn a_directory_of_this_machine_holds_sealed_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options()).unwrap();
    let info = store.create_stream(&name("t/in"), StreamConfig { segments: 2 }).unwrap();
    for n in 0..50 {
        append(&store, &info, n * 40..(n + 1) * 40).unwrap();
    }
    let report = store.seal(0).unwrap();
    assert!(report.files > 1 && report.new_chunks < report.old_chunks, "{report:?}");
    store.close();
    let folder = dir.path().join(sealed::SEALED_FOLDER);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count() as u64, report.files);
    std::fs::write(folder.join("000000000077-00000000.chunks"), b"left by a crash").unwrap();
    std::fs::write(folder.join("000000000078-00000000.chunks#1"), b"half written").unwrap();

    let store = Store::open(dir.path(), options()).unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count() as u64, report.files);
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..2_000).collect::<Vec<_>>());
    for segment in &store.stream(&info.name).unwrap().unwrap().segments {
        truncate(&store, &segment.id.to_string(), &info, segment.id, segment.tail.0);
    }
    store.seal(u64::MAX).unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}
