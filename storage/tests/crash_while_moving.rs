//! The disk crashes at every sync, put, rename and unlink of a workload that moves chunks, truncates and reopens. What is
//! reopened holds every acknowledged event once, at its offset; no file is left that nothing names, none is missing.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

const SEEDS: u64 = 5;
const ROUNDS: u64 = 7;

/// What the workload was told, and what it had asked for when the disk crashed.
#[derive(Debug, Default)]
struct Told {
    appended: Vec<u64>,
    appending: Vec<u64>,
    head: u64,
    truncating: Option<u64>,
}

fn options() -> StoreOptions {
    // No background work: the n-th sync is the same one in every run.
    StoreOptions {
        state_fold_blobs: 0,
        hot_bytes_max: u64::MAX,
        sealed_file_bytes: 300,
        // A file is switched over to in several commits.
        switch_chunks: 2,
        ..StoreOptions::default()
    }
}

fn run_script(disk: &FaultDisk, told: &mut Told) -> Result<()> {
    let mut store = Store::open_with(disk.clone(), options())?;
    let info = store.ensure_stream(&name("t/in"), StreamConfig::default())?;
    let other = store.ensure_stream(&name("t/other"), StreamConfig { segments: 2 })?;
    let segment = info.segments[0].id;
    for n in 0..ROUNDS {
        for part in 0..3 {
            let from = n * 30 + part * 10;
            told.appending = (from..from + 10).collect();
            append(&store, &info, told.appending.clone())?;
            told.appended.append(&mut told.appending);
        }
        append(&store, &other, n * 4..n * 4 + 4)?;
        store.seal([0, 200, 100][n as usize % 3])?;
        if n % 2 == 1 {
            // Up to the middle of a chunk, or of the newest one.
            let to = if n == 5 { n * 30 + 30 } else { n * 30 - 7 };
            told.truncating = Some(to);
            truncate(&store, &info, segment, to)?;
            (told.head, told.truncating) = (to, None);
            store.seal(u64::MAX)?;
        }
        if n == 3 {
            store.close();
            store = Store::open_with(disk.clone(), options())?;
        }
    }
    store.close();
    Ok(())
}

fn check(disk: &FaultDisk, told: &Told, what: &str) {
    let store = Store::open_with(disk.clone(), options()).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_whole(&store, what);
    let names = disk.sealed_names();
    let described = store.describe().unwrap();
    let mut rows: Vec<_> = described.sealed_files.iter().map(|f| f.path.replace("sealed/", "")).collect();
    rows.sort();
    assert_eq!(names, rows, "{what}: files and rows");

    if let Some(info) = store.stream(&name("t/in")).unwrap() {
        let segment = info.segments[0];
        let asked = told.appended.len() + told.appending.len();
        let tail = segment.tail.0 as usize;
        assert!(tail == told.appended.len() || tail == asked, "{what}: tail {tail}, told {told:?}");
        let head = segment.head.0;
        assert!(head == told.head || Some(head) == told.truncating, "{what}: head {head}, told {told:?}");
        // Event n has offset n.
        let there = read_segment(&store, &info, segment.id).unwrap();
        assert_eq!(there, (head..tail as u64).collect::<Vec<_>>(), "{what}");
    }

    // Life goes on.
    let info = store.ensure_stream(&name("t/in"), StreamConfig::default()).unwrap();
    let (head, tail) = (info.segments[0].head.0, info.segments[0].tail.0);
    append(&store, &info, tail..tail + 20).unwrap();
    store.seal(0).unwrap();
    assert_eq!(
        read_segment(&store, &info, info.segments[0].id).unwrap(),
        (head..tail + 20).collect::<Vec<_>>(),
        "{what}"
    );
    assert_whole(&store, what);
}

#[test]
fn whatever_is_lost_in_a_move_no_event_is() {
    let calm = FaultDisk::new(0);
    let mut told = Told::default();
    run_script(&calm, &mut told).unwrap();
    let steps = calm.syncs();
    assert!(calm.puts() > 10, "{} files were made", calm.puts());
    check(&calm, &told, "no crash");
    let (mut with_files, mut crashes) = (0, 0);
    for seed in 0..SEEDS {
        for n in 1..=steps {
            let disk = FaultDisk::new(seed);
            disk.crash_at_sync(n);
            let mut told = Told::default();
            // Closing gives no error: the next opening repairs.
            let _ = run_script(&disk, &mut told);
            assert!(disk.crashed(), "seed {seed}, step {n}");
            crashes += 1;
            with_files += u64::from(!disk.sealed_names().is_empty());
            disk.reboot();
            check(&disk, &told, &format!("seed {seed}, crash at step {n}"));
        }
    }
    assert!(with_files * 2 > crashes, "{with_files} of {crashes} crashes had sealed files to lose");
}

#[test]
fn an_io_error_at_every_step_is_got_over_without_a_restart() {
    let calm = FaultDisk::new(0);
    run_script(&calm, &mut Told::default()).unwrap();
    for n in 1..=calm.syncs() {
        let disk = FaultDisk::new(n);
        let Ok(store) = Store::open_with(disk.clone(), options()) else { continue };
        let info = store.ensure_stream(&name("t/in"), StreamConfig::default()).unwrap();
        disk.fail_sync(disk.syncs() + n);
        let mut tail = 0;
        for round in 0..6 {
            // Whatever fails, the store is reopened and says what was done.
            if append(&store, &info, tail..tail + 10).and_then(|()| store.seal(0).map(drop)).is_err() {
                store.reopen_if_failed().unwrap();
            }
            tail = store.stream(&info.name).unwrap().unwrap().segments[0].tail.0;
            if round == 3 && truncate(&store, &info, info.segments[0].id, tail).is_err() {
                store.reopen_if_failed().unwrap();
            }
        }
        store.seal(0).unwrap();
        let segment = store.stream(&info.name).unwrap().unwrap().segments[0];
        let there = read_segment(&store, &info, segment.id).unwrap();
        assert_eq!(there, (segment.head.0..segment.tail.0).collect::<Vec<_>>(), "error at step {n}");
        assert_whole(&store, &format!("error at step {n}"));
    }
}
