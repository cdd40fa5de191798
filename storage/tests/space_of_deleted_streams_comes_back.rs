//! Row 15: deleting a stream gives its space back, hot and sealed, with its writers and policies; also when the process dies in the middle,
//! and when the name has been used again meanwhile.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn options() -> StoreOptions {
    StoreOptions { hot_bytes_max: u64::MAX, sealed_file_bytes: 4_000, state_fold_blobs: 0, ..StoreOptions::default() }
}

fn fill(store: &Store) -> Result<()> {
    let info = store.ensure_stream(&name("t/s"), StreamConfig { segments: 2 })?;
    append(store, &info, 0..500)?;
    store.seal(0)?;
    let info = store.scale_stream(&info.name, &Scaling::to(&info, 3)?)?;
    append(store, &info, 500..600)?;
    let retention = Some(RetentionPolicy::ByAge { min_ms: 1, max_ms: None });
    store.set_stream_policy(&info.name, StreamPolicy { retention, ..StreamPolicy::default() })?;
    store.acknowledge("r", &info.head_cut())?;
    store.maintain()?;
    store.open_writer(&info.name, "w").map(drop)
}

fn assert_empty(store: &Store, what: &str) {
    let described = store.describe().unwrap();
    assert_eq!((described.hot_chunk_bytes, described.sealed_files.len()), (0, 0), "{what}");
    assert_whole(store, what);
}

#[test]
fn a_deletion_frees_everything_also_after_a_crash_in_the_middle() {
    let calm = FaultDisk::new(0);
    let store = Store::open_with(calm.clone(), options()).unwrap();
    fill(&store).unwrap();
    let before = calm.syncs();
    store.delete_stream(&name("t/s")).unwrap();
    let syncs = calm.syncs() - before;
    assert_empty(&store, "deleted");
    for n in 1..=syncs {
        let disk = FaultDisk::new(n);
        let store = Store::open_with(disk.clone(), options()).unwrap();
        fill(&store).unwrap();
        disk.crash_at_sync(disk.syncs() + n);
        assert!(store.delete_stream(&name("t/s")).is_err(), "sync {n}");
        store.close();
        disk.reboot();
        let store = Store::open_with(disk.clone(), options()).unwrap();
        let what = format!("sync {n}");
        match store.stream(&name("t/s")).unwrap() {
            Some(_) => assert_eq!(read_stream(&store, &name("t/s")).len(), 600, "{what}: not deleted, so whole"),
            None => {
                // The name lives on at once, beside what is still to be freed.
                let new = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
                assert_eq!(new.stream.generation, Generation(2));
                append(&store, &new, 0..5).unwrap();
                store.maintain().unwrap();
                assert_eq!(read_all(&store, &new.name).unwrap().len(), 5);
                assert_eq!(store.writer_state(&new.name, "w").unwrap(), None);
                assert_eq!(store.subscribers(&new.name).unwrap().len(), 0);
                assert_whole(&store, &what);
            }
        }
        store.delete_stream(&name("t/s")).unwrap();
        store.seal(0).unwrap();
        assert_empty(&store, &what);
    }
}
