//! `check` goes through everything, names each fault where it is, and finds none in a store that is whole, even while chunks
//! move and are truncated under it.

mod support;

use std::path::Path;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::schema::HOT_FILE;
use tidemill_storage::*;

type Table = redb::TableDefinition<'static, &'static [u8], &'static [u8]>;

fn options() -> StoreOptions {
    StoreOptions { state_fold_blobs: 0, hot_bytes_max: u64::MAX, ..StoreOptions::default() }
}

/// A store with hot and sealed chunks, state and checkpoints.
fn fill(store: &Store) -> (StreamInfo, StreamInfo) {
    let input = store.create_stream(&name("t/in"), StreamConfig { segments: 2 }).unwrap();
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    append(store, &input, 0..40).unwrap();
    store.seal(0).unwrap();
    append(store, &input, 40..80).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    for n in 1..=3 {
        store.commit(Part::Epoch(epoch(&start, "p", &out, n))).unwrap();
    }
    truncate(store, &out, out.segments[0].id, 4).unwrap();
    (input, out)
}

/// Changes a value behind the store's back; None removes it.
fn change(dir: &Path, table: &'static str, nth: usize, f: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let table = Table::new(table);
    let database = redb::Database::open(dir.join(HOT_FILE)).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut table = txn.open_table(table).unwrap();
        let (key, value) = {
            let item = redb::ReadableTable::iter(&table).unwrap().nth(nth).unwrap().unwrap();
            (item.0.value().to_vec(), item.1.value().to_vec())
        };
        match f(value) {
            Some(value) => drop(table.insert(&key[..], &value[..]).unwrap()),
            None => drop(table.remove(&key[..]).unwrap()),
        }
    }
    txn.commit().unwrap();
}

fn flip(mut value: Vec<u8>) -> Option<Vec<u8>> {
    let at = value.len() - 1;
    value[at] ^= 1;
    Some(value)
}

fn remove(_: Vec<u8>) -> Option<Vec<u8>> {
    None
}

#[test]
fn a_whole_store_has_no_fault_and_everything_was_looked_at() {
    let store = Store::open_with(FaultDisk::new(0), options()).unwrap();
    fill(&store);
    let report = store.check().unwrap();
    assert_eq!(report.faults, []);
    assert_eq!((report.streams, report.pipelines, report.sealed_files, report.state_blobs), (2, 1, 1, 3));
    assert_eq!(report.events, 80 + 6, "the chunk that was truncated in part is read, too");
    assert!(report.chunk_bytes > 0 && report.sealed_bytes > 0 && report.state_bytes > 0);

    let description = store.describe().unwrap();
    let streams: Vec<_> = description.streams.iter().map(|s| (s.name.as_str(), s.events, s.segments)).collect();
    assert_eq!(streams, [("t/in", 80, 2), ("t/out", 5, 1)]);
    let input = &description.streams[0];
    assert_eq!((input.chunks, input.sealed_chunks), (4, 2));
    assert!(input.bytes.hot > 0 && input.bytes.sealed > 0);
    assert_eq!(description.hot_chunk_bytes, description.streams.iter().map(|s| s.bytes.hot).sum::<u64>());
    let file = &description.sealed_files[0];
    assert_eq!((file.number, file.live_chunks, file.live_bytes), (1, 2, input.bytes.sealed));
    let state = &description.state[0];
    assert_eq!((state.pipeline.as_str(), state.operator.as_str(), state.blobs), ("p", "op", 3));
    assert!(state.bytes.hot > 0 && description.hot_file_bytes > 0);
    assert_eq!(description.mover.last_error, None);
}

#[test]
fn each_kind_of_damage_is_named() {
    // Table, which entry, what is done to it, and what the report must say.
    type Damage = fn(Vec<u8>) -> Option<Vec<u8>>;
    let cases: [(&'static str, usize, Damage, &[&str]); 13] = [
        ("hot_chunks", 0, flip, &["stream t/in, segment 0, offset 8", "checksum"]),
        ("hot_chunks", 0, remove, &["stream t/in, segment 0, offset 8", "not there"]),
        ("chunk_index", 0, flip, &["stream t/in, segment 0, offset 0", "checksum"]),
        ("chunk_index", 1, remove, &["stream t/in, segment 0, offset 8", "no chunk holds"]),
        ("segments", 0, flip, &["stream t/in, segment 0", "checksum"]),
        ("segments", 0, remove, &["stream t/in, segment 0", "missing"]),
        ("streams", 0, flip, &["stream t/in", "checksum"]),
        ("sealed_files", 0, flip, &["the row of sealed file 1", "checksum"]),
        ("sealed_files", 0, remove, &["stream t/in, segment 1, offset 0", "sealed file 1, which has no row"]),
        ("hot_blobs", 1, flip, &["pipeline p, operator op, state blob 2", "checksum"]),
        ("manifests", 0, flip, &["pipeline p, the manifest of pipeline p, operator op", "checksum"]),
        ("checkpoints", 2, remove, &["pipeline p", "last epoch 3 is missing"]),
        ("markers", 0, flip, &["marker egress/t/out/0", "checksum"]),
    ];
    for (table, nth, damage, told) in cases {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), options()).unwrap();
        fill(&store);
        store.close();
        change(dir.path(), table, nth, damage);
        let store = Store::open(dir.path(), options()).unwrap();
        let report = store.check().unwrap();
        let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
        let named = faults.iter().any(|fault| told.iter().all(|part| fault.contains(part)));
        assert!(named, "{table}: no fault with {told:?} in:\n{}", faults.join("\n"));
        // The other stream is looked at whatever was found before it.
        assert!(report.events >= 6, "{table}: {report:?}");
        assert_eq!(read_all(&store, &name("t/out")).unwrap(), output_after(3)[4..], "{table}");
    }
}

#[test]
fn a_file_that_nothing_names_is_told_and_the_mover_removes_it() {
    let disk = FaultDisk::new(0);
    let store = Store::open_with(disk.clone(), options()).unwrap();
    fill(&store);
    disk.plant_sealed("000000000099-00000000.chunks", b"left by somebody");
    let faults = store.check().unwrap().faults;
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].file.as_deref(), Some("sealed/000000000099-00000000.chunks"));
    store.close();
    let store = Store::open_with(disk.clone(), options()).unwrap();
    assert_whole(&store, "after opening");
    assert_eq!(disk.sealed_names().len(), 1);
}

#[test]
fn a_working_store_has_no_fault() {
    let disk = FaultDisk::new(0);
    let moving = StoreOptions { hot_bytes_max: 2_000, sealed_file_bytes: 1_500, ..StoreOptions::default() };
    let store = Store::open_with(disk, moving).unwrap();
    let (input, _) = fill(&store);
    let writer = {
        let (store, input) = (store.clone(), input.clone());
        std::thread::spawn(move || {
            for n in 8..200 {
                append(&store, &input, n * 10..(n + 1) * 10).unwrap();
                if n % 3 == 0 {
                    for segment in &store.stream(&input.name).unwrap().unwrap().segments {
                        truncate(&store, &input, segment.id, segment.tail.0 * 2 / 3).unwrap();
                    }
                }
            }
        })
    };
    let mut checks = 0;
    while !writer.is_finished() {
        assert_whole(&store, "beside a writer");
        checks += 1;
    }
    writer.join().unwrap();
    assert!(checks > 0);
    assert_whole(&store, "at the end");
    assert!(store.mover_status().done.files > 10);
}

#[test]
fn damage_in_the_hot_file_moves_along_and_holds_up_nothing() {
    type Damage = fn(Vec<u8>) -> Option<Vec<u8>>;
    let cases: [(&'static str, Damage); 4] =
        [("hot_chunks", flip), ("hot_chunks", remove), ("chunk_index", flip), ("chunk_index", remove)];
    for (table, damage) in cases {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), options()).unwrap();
        let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
        for n in 0..6 {
            append(&store, &info, n * 10..(n + 1) * 10).unwrap();
        }
        store.close();
        change(dir.path(), table, 2, damage);
        // Of 1 byte each: whatever is counted as hot holds up the writers.
        let tight = StoreOptions { hot_bytes_max: 1, ..options() };
        let store = Store::open(dir.path(), tight).unwrap();
        store.seal(0).unwrap();
        for n in 6..20 {
            append(&store, &info, n * 10..(n + 1) * 10).unwrap();
        }
        store.seal(0).unwrap();
        let segment = info.segments[0].id;
        let times = |at| store.read(position(&info, segment, at), 1 << 20).map(|read| read.batch.timestamps);
        assert_eq!(times(0).unwrap(), (0..20).collect::<Vec<_>>(), "{table}");
        let error = times(25).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "{table}: {error}");
        assert!(error.to_string().contains("offset 20") || table == "chunk_index", "{table}: {error}");
        assert_eq!(times(30).unwrap(), (30..200).collect::<Vec<_>>(), "{table}: joined behind the damage");
        assert_eq!(times(195).unwrap(), (195..200).collect::<Vec<_>>(), "{table}");
        let faults: Vec<String> = store.check().unwrap().faults.iter().map(ToString::to_string).collect();
        assert!(faults.iter().any(|f| f.contains("offset 20")), "{table}: {faults:?}");
    }
}
