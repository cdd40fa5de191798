//! What a pipeline leaves behind: a bounded number of checkpoints, and state whose manifest stays short.

mod support;

use redb::ReadableTable;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

#[test]
fn old_checkpoints_and_their_schedules_go_with_new_ones() {
    let options = StoreOptions { checkpoints_retained: 4, ..StoreOptions::default() };
    let store = Store::open_with(FaultDisk::new(0), options).unwrap();
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    store.start_pipeline("pp", 1).unwrap();
    for n in 1..=7 {
        store.commit(Part::Epoch(epoch(&start, "p", &out, n))).unwrap();
    }
    let checkpoints = store.checkpoints("p").unwrap();
    assert_eq!(checkpoints.iter().map(|c| c.record.epoch.0).collect::<Vec<_>>(), [7, 6, 5, 4]);
    assert!(checkpoints.iter().all(|c| c.output_events == 3 && c.output_bytes > 0 && c.state_bytes > 0));
    assert!(store.schedules("p", Epoch(3)).unwrap().is_empty());
    let schedules = store.schedules("p", Epoch(4)).unwrap();
    assert_eq!((schedules[0].0.as_str(), schedules[0].1), ("op", 0));
    assert_eq!(schedules[0].2.calls, [ScheduledCall::Watermark { watermark: 4, clock: 7 }]);
    assert_eq!(store.list_pipelines().unwrap(), ["p", "pp"]);
    assert!(store.checkpoints("pp").unwrap().is_empty());
}

#[test]
fn folding_keeps_the_sum_and_frees_what_it_folded() {
    let disk = FaultDisk::new(0);
    let options = StoreOptions { state_fold_blobs: 0, ..StoreOptions::default() };
    let store = Store::open_with(disk.clone(), options.clone()).unwrap();
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    for n in 1..=9 {
        store.commit(Part::Epoch(epoch(&start, "p", &out, n))).unwrap();
    }
    let before = store.state_manifest("p", "op").unwrap();
    assert_eq!(before.blobs.len(), 9);
    assert!(!store.fold_state("p", "op", 10).unwrap());
    assert!(store.fold_state("p", "op", 8).unwrap());
    let after = store.state_manifest("p", "op").unwrap();
    assert_eq!(after.blobs.len(), 1);
    assert!(after.bytes() < before.bytes());
    assert_eq!(load(&store, "p", "op").unwrap(), state_after(9));
    store.commit(Part::Epoch(epoch(&start, "p", &out, 10))).unwrap();
    store.close();

    // Invariant: exactly the blobs that a manifest names are stored.
    let database = redb::Builder::new().create_with_backend(disk.backend().unwrap()).unwrap();
    let txn = redb::ReadableDatabase::begin_read(&database).unwrap();
    let blobs = txn.open_table(redb::TableDefinition::<&[u8], &[u8]>::new("hot_blobs")).unwrap();
    assert_eq!(redb::ReadableTableMetadata::len(&blobs).unwrap(), 2);
    drop((blobs, txn, database));
    let store = Store::open_with(disk, options).unwrap();
    assert_eq!(load(&store, "p", "op").unwrap(), state_after(10));
}

#[test]
fn the_background_keeps_manifests_short_while_epochs_are_committed() {
    let store = Store::open_with(FaultDisk::new(0), StoreOptions::default()).unwrap();
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    for n in 1..=200 {
        store.commit(Part::Epoch(epoch(&start, "p", &out, n))).unwrap();
    }
    assert_eq!(load(&store, "p", "op").unwrap(), state_after(200));
    // However far behind the background is, folding by hand ends below the bound, and both together lose nothing.
    while store.state_manifest("p", "op").unwrap().blobs.len() >= 8 {
        store.fold_state("p", "op", 8).unwrap();
    }
    assert_eq!(load(&store, "p", "op").unwrap(), state_after(200));
}

#[test]
fn a_damaged_state_blob_is_named() {
    let disk = FaultDisk::new(0);
    let options = StoreOptions { state_fold_blobs: 0, ..StoreOptions::default() };
    let store = Store::open_with(disk.clone(), options.clone()).unwrap();
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    store.commit(Part::Epoch(epoch(&start, "p", &out, 1))).unwrap();
    let id = store.state_manifest("p", "op").unwrap().blobs[0].id.0;
    store.close();
    let database = redb::Builder::new().create_with_backend(disk.backend().unwrap()).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut blobs = txn.open_table(redb::TableDefinition::<&[u8], &[u8]>::new("hot_blobs")).unwrap();
        let mut blob = blobs.get(&id.to_be_bytes()[..]).unwrap().unwrap().value().to_vec();
        blob[30] ^= 4;
        blobs.insert(&id.to_be_bytes()[..], &blob[..]).unwrap();
    }
    txn.commit().unwrap();
    drop(database);
    let store = Store::open_with(disk, options).unwrap();
    let error = load(&store, "p", "op").unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains("pipeline p, operator op, blob"), "{error}");
    assert_eq!(read_all(&store, &name("t/out")).unwrap(), output_after(1));
}
