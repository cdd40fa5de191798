//! A commit that fails latches the store: the part hears that its outcome is unknown, everything else waits for the
//! reopening, and after it the pipeline learns from its record what was committed and goes on.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn options() -> StoreOptions {
    StoreOptions { state_fold_blobs: 0, ..StoreOptions::default() }
}

/// After epoch 1, `fail` plans a fault for the commit of epoch 2; then the store reopens and goes on to epoch 4.
fn go_on_after(fail: impl Fn(&FaultDisk)) {
    let disk = FaultDisk::new(1);
    let store = Store::open_with(disk.clone(), options()).unwrap();
    let out = store.ensure_stream(&name("t/out"), StreamConfig::default()).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    store.commit(Part::Epoch(epoch(&start, "p", &out, 1))).unwrap();

    fail(&disk);
    let error = store.commit(Part::Epoch(epoch(&start, "p", &out, 2))).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.to_string().contains("outcome is unknown"), "{error}");
    let error = store.stream(&name("t/out")).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "a read of a latched store: {error}");
    assert_eq!(append(&store, &out, [1]).unwrap_err().kind(), Kind::Unavailable);

    assert!(store.reopen_if_failed().unwrap());
    assert!(!store.reopen_if_failed().unwrap());
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    let last = start.checkpoint.as_ref().unwrap().epoch.0;
    assert!(last == 1 || last == 2, "epoch {last}");
    assert_eq!(read_all(&store, &name("t/out")).unwrap(), output_after(last));
    for n in last + 1..=4 {
        store.commit(Part::Epoch(epoch(&start, "p", &out, n))).unwrap();
    }
    assert_eq!(read_all(&store, &name("t/out")).unwrap(), output_after(4));
    assert_eq!(load(&store, "p", "op").unwrap(), state_after(4));
}

#[test]
fn a_sync_that_fails_once() {
    // A commit syncs twice: before and after the switch to the new state.
    for nth in 1..=2 {
        go_on_after(|disk| disk.fail_sync(disk.syncs() + nth));
    }
}

#[test]
fn a_write_that_is_cut_short() {
    for nth in 1..=3 {
        go_on_after(|disk| disk.short_write(disk.writes() + nth));
    }
}

#[test]
fn a_full_disk_loses_nothing_and_works_again_when_there_is_space() {
    let disk = FaultDisk::new(3);
    let store = Store::open_with(disk.clone(), options()).unwrap();
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    disk.space_left(Some(1 << 20));
    let mut acked = Vec::new();
    let error = loop {
        let first = acked.len() as u64;
        match append(&store, &info, first..first + 1_000) {
            Ok(()) => acked.extend(first..first + 1_000),
            Err(e) => break e,
        }
        assert!(acked.len() < 10_000_000, "the disk never gets full");
    };
    assert!(acked.len() > 1_000);
    assert!(matches!(error.kind(), Kind::Full | Kind::Unavailable), "{error}");

    disk.space_left(None);
    assert!(store.reopen_if_failed().unwrap());
    let mut there = read_all(&store, &name("t/in")).unwrap();
    let more = there.split_off(acked.len());
    assert_eq!(there, acked);
    assert!(more.is_empty() || more.len() == 1_000, "the append whose outcome was unknown is whole or not there");
    let next = (acked.len() + more.len()) as u64;
    append(&store, &info, [next]).unwrap();
    assert_eq!(read_all(&store, &name("t/in")).unwrap().len() as u64, next + 1);
}

#[test]
fn a_full_disk_says_so() {
    let disk = FaultDisk::new(4);
    let store = Store::open_with(disk.clone(), options()).unwrap();
    let info = store.create_stream(&name("t/in"), StreamConfig::default()).unwrap();
    disk.space_left(Some(0));
    let kinds: Vec<Kind> =
        (0..3).filter_map(|i| append(&store, &info, i * 100_000..(i + 1) * 100_000).err()).map(|e| e.kind()).collect();
    assert_eq!(kinds.first(), Some(&Kind::Full), "{kinds:?}");
}
