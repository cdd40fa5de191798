//! The disk crashes, or fails once, at every sync, put, rename and unlink of a workload that flushes and merges state, deletes
//! a pipeline and reopens. What is reopened holds the state of the last epoch whole; no file is left that nothing names, none is missing.

mod support;

use std::collections::BTreeMap;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

const SEEDS: u64 = 4;
const EPOCHS: u64 = 9;

fn options() -> StoreOptions {
    StoreOptions {
        state_fold_blobs: 0,
        state_flush_bytes: u64::MAX,
        state_merge_runs: 0,
        state_memory_bytes: 4 << 10,
        sealed_file_bytes: 500,
        hot_bytes_max: u64::MAX,
        ..StoreOptions::default()
    }
}

/// What epoch n leaves: `last`, and twenty keys of its own that epoch n + 3 overwrites.
fn written(n: u64) -> Vec<(String, String)> {
    let own = (0..20).map(|i| (format!("key-{}-{i}", n % 3), format!("{n:0>40}")));
    own.chain([("last".to_string(), n.to_string())]).collect()
}

fn state_after(n: u64) -> BTreeMap<String, String> {
    (1..=n).flat_map(written).collect()
}

fn commit(store: &Store, start: &PipelineStart, pipeline: &str, n: u64) -> Result<()> {
    let record = CheckpointRecord {
        epoch: Epoch(n),
        incarnation: start.incarnation,
        max_parallelism: MAX_PARALLELISM,
        ..CheckpointRecord::default()
    };
    let part = Part::Epoch(Box::new(EpochCommit {
        pipeline: pipeline.into(),
        incarnation: start.incarnation,
        epoch: Epoch(n),
        record,
        state: vec![StateDelta { operator: "op".into(), blob: delta(&written(n)) }],
        outputs: Vec::new(),
        stream_watermarks: Vec::new(),
        schedules: Vec::new(),
    }));
    store.commit(part).map(drop)
}

/// `acknowledged`: the last epoch of `p` whose commit returned.
fn run_script(disk: &FaultDisk, acknowledged: &mut u64, deleted: &mut bool) -> Result<()> {
    let mut store = Store::open_with(disk.clone(), options())?;
    let gone = store.start_pipeline("gone", MAX_PARALLELISM)?;
    commit(&store, &gone, "gone", 1)?;
    store.flush_state("gone", "op")?;
    let start = store.start_pipeline("p", MAX_PARALLELISM)?;
    for n in 1..=EPOCHS {
        commit(&store, &start, "p", n)?;
        *acknowledged = n;
        if n % 2 == 0 {
            store.flush_state("p", "op")?;
        }
        if n % 3 == 0 {
            store.merge_state("p", "op", 2)?;
            store.seal(u64::MAX)?;
        }
        if n == 5 {
            store.delete_pipeline("gone")?;
            *deleted = true;
            store.seal(u64::MAX)?;
        }
    }
    store.close();
    store = Store::open_with(disk.clone(), options())?;
    store.merge_state("p", "op", 2)?;
    store.seal(u64::MAX)?;
    store.close();
    Ok(())
}

fn check(disk: &FaultDisk, acknowledged: u64, deleted: bool, what: &str) {
    let store = Store::open_with(disk.clone(), options()).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_whole(&store, what);
    let mut rows: Vec<_> =
        store.describe().unwrap().sealed_files.iter().map(|f| f.path.replace("sealed/", "")).collect();
    rows.sort();
    assert_eq!(disk.sealed_names(), rows, "{what}: files and rows");
    let pipelines = store.list_pipelines().unwrap();
    assert!(!deleted || !pipelines.contains(&"gone".to_string()), "{what}");
    if pipelines.contains(&"gone".to_string()) && !store.checkpoints("gone").unwrap().is_empty() {
        assert_eq!(load(&store, "gone", "op").unwrap(), state_after(1), "{what}");
    }
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    let last = start.checkpoint.as_ref().map_or(0, |record| record.epoch.0);
    assert!(last == acknowledged || last == acknowledged + 1, "{what}: epoch {last}, acknowledged {acknowledged}");
    assert_eq!(load(&store, "p", "op").unwrap(), state_after(last), "{what}");

    // Life goes on.
    commit(&store, &start, "p", last + 1).unwrap();
    store.flush_state("p", "op").unwrap();
    while store.merge_state("p", "op", 2).unwrap() {}
    assert_eq!(load(&store, "p", "op").unwrap(), state_after(last + 1), "{what}");
    assert_whole(&store, what);
}

#[test]
fn whatever_is_lost_in_a_flush_or_merge_no_state_is() {
    let calm = FaultDisk::new(0);
    let (mut acknowledged, mut deleted) = (0, false);
    run_script(&calm, &mut acknowledged, &mut deleted).unwrap();
    let steps = calm.syncs();
    assert!(calm.puts() > 12, "{} files were made", calm.puts());
    check(&calm, acknowledged, deleted, "no crash");
    let (mut with_files, mut crashes) = (0, 0);
    for seed in 0..SEEDS {
        for n in 1..=steps {
            let disk = FaultDisk::new(seed);
            disk.crash_at_sync(n);
            let (mut acknowledged, mut deleted) = (0, false);
            let _ = run_script(&disk, &mut acknowledged, &mut deleted);
            assert!(disk.crashed(), "seed {seed}, step {n}");
            crashes += 1;
            with_files += u64::from(!disk.sealed_names().is_empty());
            disk.reboot();
            check(&disk, acknowledged, deleted, &format!("seed {seed}, crash at step {n}"));
        }
    }
    assert!(with_files * 2 > crashes, "{with_files} of {crashes} crashes had files to lose");
}

#[test]
fn an_io_error_at_every_step_is_got_over_without_a_restart() {
    let calm = FaultDisk::new(0);
    run_script(&calm, &mut 0, &mut false).unwrap();
    for n in 1..=calm.syncs() {
        let disk = FaultDisk::new(n);
        let store = Store::open_with(disk.clone(), options()).unwrap();
        let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
        disk.fail_sync(disk.syncs() + n);
        let mut last = 0;
        for _ in 0..8 {
            let done = commit(&store, &start, "p", last + 1)
                .and_then(|()| store.flush_state("p", "op"))
                .and_then(|_| store.merge_state("p", "op", 2))
                .and_then(|_| store.seal(u64::MAX));
            if done.is_err() {
                store.reopen_if_failed().unwrap();
            }
            last = store.checkpoints("p").unwrap().first().map_or(0, |c| c.record.epoch.0);
        }
        store.seal(u64::MAX).unwrap();
        assert_eq!(load(&store, "p", "op").unwrap(), state_after(last), "error at step {n}");
        assert_whole(&store, &format!("error at step {n}"));
    }
}

#[test]
fn a_deleted_pipeline_leaves_nothing_and_its_old_runs_stay_fenced() {
    let disk = FaultDisk::new(3);
    let store = Store::open_with(disk.clone(), options()).unwrap();
    let old = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    for n in 1..=4 {
        commit(&store, &old, "p", n).unwrap();
        store.flush_state("p", "op").unwrap();
    }
    commit(&store, &old, "p", 5).unwrap();
    assert!(!disk.sealed_names().is_empty());
    store.delete_pipeline("p").unwrap();
    assert_eq!(store.delete_pipeline("p").unwrap_err().kind(), Kind::NotFound);
    assert_eq!(store.delete_pipeline("never").unwrap_err().kind(), Kind::NotFound);
    assert!(store.list_pipelines().unwrap().is_empty() && store.checkpoints("p").unwrap().is_empty());
    assert!(store.load_state("p", "op", 0..1).is_err());
    assert_eq!(store.state_manifest("p", "op").unwrap(), Manifest::default());
    store.seal(u64::MAX).unwrap();
    assert_eq!(disk.sealed_names(), Vec::<String>::new());
    assert_whole(&store, "deleted");

    // Another max parallelism is fine now, and the run from before is refused.
    let new = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    assert!(new.checkpoint.is_none() && new.incarnation > old.incarnation);
    assert_eq!(commit(&store, &old, "p", 1).unwrap_err().kind(), Kind::Fenced);
    assert!(load(&store, "p", "op").unwrap().is_empty());
    commit(&store, &new, "p", 1).unwrap();
    assert_eq!(load(&store, "p", "op").unwrap(), state_after(1));
}
