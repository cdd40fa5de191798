//! A file of state that is lost, cut off or flipped by a bit: the check names pipeline, operator, run and file, a read that needs
//! the damage says so, and every other operator and stream goes on. And the background keeps state flushed and merged by
//! itself, with epochs waiting when it lags behind.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn options() -> StoreOptions {
    StoreOptions {
        state_fold_blobs: 0,
        state_flush_bytes: u64::MAX,
        state_merge_runs: 0,
        state_memory_bytes: 1 << 10,
        sealed_file_bytes: 1 << 20,
        hot_bytes_max: u64::MAX,
        ..StoreOptions::default()
    }
}

fn commit(store: &Store, start: &PipelineStart, n: u64, state: Vec<StateDelta>) -> Result<()> {
    let record = CheckpointRecord {
        epoch: Epoch(n),
        incarnation: start.incarnation,
        max_parallelism: MAX_PARALLELISM,
        ..CheckpointRecord::default()
    };
    let part = EpochCommit {
        pipeline: "p".into(),
        incarnation: start.incarnation,
        epoch: Epoch(n),
        record,
        state,
        outputs: Vec::new(),
        stream_watermarks: Vec::new(),
        schedules: Vec::new(),
    };
    store.commit(Part::Epoch(Box::new(part))).map(drop)
}

fn keys(n: u64) -> Vec<(String, String)> {
    (0..300).map(|i| (format!("key-{i:04}"), format!("{n}-{i:050}"))).collect()
}

fn of(operator: &str, n: u64) -> StateDelta {
    StateDelta { operator: operator.into(), blob: delta(&keys(n)) }
}

/// Two operators with a run each; the first operator's file comes first.
fn two_operators(seed: u64) -> (FaultDisk, Store) {
    let disk = FaultDisk::new(seed);
    let store = Store::open_with(disk.clone(), options()).unwrap();
    let info = store.ensure_stream(&name("t/in"), StreamConfig::default()).unwrap();
    append(&store, &info, 0..50).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    commit(&store, &start, 1, vec![of("hurt", 1), of("well", 1)]).unwrap();
    store.flush_state("p", "hurt").unwrap();
    store.flush_state("p", "well").unwrap();
    assert_eq!(disk.sealed_names().len(), 2);
    (disk, store)
}

fn assert_named(store: &Store, file: &str, what: &str) {
    let report = store.check().unwrap();
    assert!(!report.is_whole(), "{what}: nothing was found");
    for fault in &report.faults {
        let text = fault.to_string();
        assert!(text.contains(file) && !text.contains("well"), "{what}: {text}");
    }
    let of_run = report.faults.iter().any(|fault| {
        fault.pipeline.as_deref() == Some("p") && fault.what.contains("operator hurt") && fault.what.contains("run ")
    });
    let of_file = report.faults.iter().any(|fault| fault.file.is_some());
    assert!(of_run || of_file, "{what}: {:?}", report.faults);
    assert_eq!(load(store, "p", "well").unwrap(), keys(1).into_iter().collect(), "{what}");
    let info = store.stream(&name("t/in")).unwrap().unwrap();
    assert_eq!(read_segment(store, &info, info.segments[0].id).unwrap().len(), 50, "{what}");
}

#[test]
fn every_damaged_byte_of_a_run_is_found_and_named() {
    let (disk, store) = two_operators(1);
    let file = disk.sealed_names()[0].clone();
    let mut len = 0;
    disk.damage_sealed(&file, |bytes| len = bytes.len());
    assert!(len > 2_000, "{len}");
    // Every region of the file: header, blocks, filter, index, trailer.
    let places = (0..20).chain((20..len).step_by(97)).chain(len - 60..len);
    for at in places {
        disk.damage_sealed(&file, |bytes| bytes[at] ^= 1 << (at % 8));
        assert_named(&store, &file, &format!("byte {at} of {len}"));
        match load(&store, "p", "hurt") {
            // The damage lies where this read needs nothing, the filter or the header; or its parts were read before.
            Ok(state) => assert_eq!(state, keys(1).into_iter().collect(), "byte {at}"),
            Err(e) => {
                assert_eq!(e.kind(), Kind::Corrupt, "byte {at}: {e}");
                let text = e.to_string();
                assert!(text.contains("operator hurt") && text.contains(&file), "byte {at}: {text}");
            }
        }
        disk.damage_sealed(&file, |bytes| bytes[at] ^= 1 << (at % 8));
    }
    assert_whole(&store, "mended");
}

#[test]
fn a_run_that_is_cut_off_or_lost_is_named_and_harms_nothing_else() {
    for cut in [0, 10, 500, 100_000] {
        let (disk, store) = two_operators(2);
        let file = disk.sealed_names()[0].clone();
        match cut {
            100_000 => disk.lose_sealed(&file),
            _ => disk.damage_sealed(&file, |bytes| bytes.truncate(cut)),
        }
        assert_named(&store, &file, &format!("cut at {cut}"));
        let e = load(&store, "p", "hurt").unwrap_err();
        assert_eq!(e.kind(), Kind::Corrupt, "{e}");
        assert!(e.to_string().contains(&file), "{e}");
        // Opening is not harmed either, nor deleting what is hurt.
        store.close();
        let store = Store::open_with(disk.clone(), options()).unwrap();
        assert_named(&store, &file, &format!("cut at {cut}, reopened"));
        store.delete_pipeline("p").unwrap();
        store.seal(u64::MAX).unwrap();
        assert_eq!(disk.sealed_names(), Vec::<String>::new());
        assert_whole(&store, "deleted");
    }
}

#[test]
fn the_background_flushes_and_merges_and_no_epoch_runs_away_from_it() {
    let disk = FaultDisk::new(3);
    let options = StoreOptions {
        state_fold_blobs: 4,
        state_flush_bytes: 8 << 10,
        state_merge_runs: 3,
        sealed_file_bytes: 4 << 10,
        ..options()
    };
    let store = Store::open_with(disk.clone(), options).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    let epochs = 150;
    // Four flushes and what one epoch brings; puts fail for a while: then epochs wait, and go on by themselves.
    let bound = 4 * (8 << 10) + delta(&keys(1)).len() as u64;
    for n in 1..=epochs {
        if n == 40 {
            disk.fail_puts(5);
        }
        commit(&store, &start, n, vec![of("op", n)]).unwrap();
        let manifest = store.state_manifest("p", "op").unwrap();
        assert!(manifest.blob_bytes() <= bound, "epoch {n}: {} bytes are not flushed", manifest.blob_bytes());
        assert!(manifest.runs.len() <= 25, "epoch {n}: {} runs", manifest.runs.len());
    }
    assert!(store.state_manifest("p", "op").unwrap().runs.iter().any(|run| run.entries > 0));
    assert_eq!(load(&store, "p", "op").unwrap(), keys(epochs).into_iter().collect());
    store.close();
    let store = Store::open_with(disk, StoreOptions { state_fold_blobs: 0, ..self::options() }).unwrap();
    assert_whole(&store, "after the background's work");
    assert_eq!(load(&store, "p", "op").unwrap(), keys(epochs).into_iter().collect());
}
