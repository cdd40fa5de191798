//! After truncation the space comes back, in the tier too: a slow segment's few living chunks in many files are carried into a new one and
//! the old files go; whatever sync the disk crashes at, everything can be read and no file is left over.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn options() -> StoreOptions {
    StoreOptions { hot_bytes_max: u64::MAX, sealed_file_bytes: 40_000, state_fold_blobs: 0, ..StoreOptions::default() }
}

/// A quiet stream's events lie in the same files as a busy one's, which is truncated.
fn fill(store: &Store) -> Result<()> {
    let busy = store.ensure_stream(&name("t/busy"), StreamConfig::default())?;
    let quiet = store.ensure_stream(&name("t/quiet"), StreamConfig::default())?;
    for round in 0..6u64 {
        append(store, &quiet, round * 3..round * 3 + 3)?;
        append(store, &busy, round * 1_000..round * 1_000 + 1_000)?;
        store.seal(0)?;
    }
    let tail = store.stream(&busy.name)?.ok_or_else(|| Error::bug("gone"))?.tail_cut();
    store.truncate_stream(&busy.name, &tail).map(drop)
}

fn tier_bytes(store: &Store) -> (usize, u64) {
    let files = store.describe().unwrap().sealed_files;
    (files.len(), files.iter().map(|f| f.bytes).sum())
}

#[test]
fn a_slow_stream_keeps_no_dead_bytes_of_others_alive() {
    let store = Store::open_with(FaultDisk::new(1), options()).unwrap();
    fill(&store).unwrap();
    let (files, bytes) = tier_bytes(&store);
    assert!(files >= 6, "{files} files");
    let done = store.maintain().unwrap();
    assert!(done.rewritten_files >= 6, "{done:?} {:?}", store.describe().unwrap().sealed_files);
    let (files_after, bytes_after) = tier_bytes(&store);
    assert!(files_after <= 1 && bytes_after * 4 < bytes, "{files_after} files of {bytes_after} bytes, {bytes} before");
    assert_eq!(read_all(&store, &name("t/quiet")).unwrap(), (0..18).collect::<Vec<_>>());
    assert_eq!(store.maintain().unwrap().rewritten_files, 0, "nothing is rewritten twice for nothing");
    assert_whole(&store, "after rewriting");
}

#[test]
fn whatever_sync_the_disk_crashes_at_nothing_is_lost() {
    let calm = FaultDisk::new(0);
    let store = Store::open_with(calm.clone(), options()).unwrap();
    fill(&store).unwrap();
    let before = calm.syncs();
    store.maintain().unwrap();
    store.close();
    let syncs = calm.syncs() - before;
    assert!(syncs >= 2, "{syncs} syncs");
    for n in 1..=syncs {
        let disk = FaultDisk::new(n);
        let store = Store::open_with(disk.clone(), options()).unwrap();
        fill(&store).unwrap();
        disk.crash_at_sync(disk.syncs() + n);
        let _ = store.maintain();
        store.close();
        disk.reboot();
        let store = Store::open_with(disk.clone(), options()).unwrap();
        assert_eq!(read_all(&store, &name("t/quiet")).unwrap(), (0..18).collect::<Vec<_>>(), "sync {n}");
        assert_whole(&store, &format!("sync {n}"));
        store.maintain().unwrap();
        assert!(tier_bytes(&store).0 <= 1, "sync {n}");
        assert_whole(&store, &format!("sync {n}, rewritten"));
    }
}
