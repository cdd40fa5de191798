//! One owner per data directory, and no touching of a newer format.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use support::*;
use tidemill_storage::schema::{FORMAT_FILE, FORMAT_VERSION, HOT_FILE, LOCK_FILE};
use tidemill_storage::*;

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
    entries
        .map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()))
        .filter(|(name, _)| name != LOCK_FILE)
        .collect()
}

#[test]
fn what_was_written_is_there_when_the_directory_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/data");
    let options = StoreOptions { clock: std::sync::Arc::new(|| 1_234), ..StoreOptions::default() };
    let store = Store::open(&path, options).unwrap();
    let info = store.create_stream(&name("t/in"), StreamConfig { segments: 3 }).unwrap();
    assert_eq!(info.created_at_ms, 1_234);
    append(&store, &info, 0..100).unwrap();
    drop(store);
    let store = Store::open(&path, StoreOptions::default()).unwrap();
    assert_eq!(read_all(&store, &name("t/in")).unwrap(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_second_owner_is_refused_until_the_first_closes() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let error = Store::open(dir.path(), StoreOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    let text = error.to_string();
    assert!(text.contains(&dir.path().display().to_string()), "{text}");
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    first.close();
    Store::open(dir.path(), StoreOptions::default()).unwrap();
}

const NEWER: u32 = FORMAT_VERSION + 1;

#[test]
fn a_newer_format_is_refused_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path(), StoreOptions::default()).unwrap().close();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    let database = redb::Database::open(dir.path().join(HOT_FILE)).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(meta).unwrap().insert("format", &NEWER.to_le_bytes()[..]).unwrap();
    txn.commit().unwrap();
    drop(database);

    let refused = || {
        let before = files(dir.path());
        let error = Store::open(dir.path(), StoreOptions::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{error}");
        assert!(error.to_string().contains(&format!("format {NEWER}")), "{error}");
        assert!(error.to_string().contains("newer tidemill"), "{error}");
        assert!(files(dir.path()) == before, "a byte was changed");
    };
    refused();
    std::fs::write(dir.path().join(FORMAT_FILE), format!("tidemill data directory, format {NEWER}\n")).unwrap();
    refused();
    // Even a redb file that nobody can read is not looked at then.
    std::fs::write(dir.path().join(HOT_FILE), "from the future").unwrap();
    refused();
}

#[test]
fn another_file_in_the_place_of_the_store_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(HOT_FILE), vec![7; 100_000]).unwrap();
    let error = Store::open(dir.path(), StoreOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    assert_eq!(std::fs::read(dir.path().join(HOT_FILE)).unwrap(), vec![7; 100_000]);
}
