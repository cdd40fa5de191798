//! A directory that was written by a program of format 1 opens, keeps everything, is brought to this format, and is then
//! refused by that program: it would truncate without counting the chunks of sealed files.

mod support;

use std::path::Path;
use support::*;
use tidemill_storage::schema::{FORMAT_FILE, FORMAT_VERSION, HOT_FILE};
use tidemill_storage::*;

const HOT: &[u8] = include_bytes!("fixtures/format-1/hot.redb.lz4");
const FORMAT: &str = include_str!("fixtures/format-1/FORMAT");

fn fixture() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FORMAT_FILE), FORMAT).unwrap();
    let hot = lz4_flex::block::decompress_size_prepended(HOT).unwrap();
    std::fs::write(dir.path().join(HOT_FILE), hot).unwrap();
    dir
}

fn options() -> StoreOptions {
    StoreOptions { state_fold_blobs: 0, hot_bytes_max: u64::MAX, ..StoreOptions::default() }
}

fn stored_format(dir: &Path) -> u32 {
    let database = redb::ReadOnlyDatabase::open(dir.join(HOT_FILE)).unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    let txn = redb::ReadableDatabase::begin_read(&database).unwrap();
    let value = txn.open_table(meta).unwrap().get("format").unwrap().unwrap();
    u32::from_le_bytes(value.value().try_into().unwrap())
}

fn check_contents(store: &Store) {
    assert_eq!(read_all(store, &name("t/in")).unwrap(), (0..200).collect::<Vec<_>>());
    assert_eq!(read_all(store, &name("t/out")).unwrap(), output_after(5)[7..]);
    assert_eq!(load(store, "p", "op").unwrap(), state_after(5));
    assert_eq!(store.checkpoints("p").unwrap().len(), 5);
    assert_eq!(store.marker("egress/p/out").unwrap().unwrap(), "4");
    assert_whole(store, "a directory of format 1");
}

#[test]
fn a_directory_of_format_1_opens_and_its_chunks_move() {
    assert!(FORMAT.contains("format 1"));
    let dir = fixture();
    assert_eq!(stored_format(dir.path()), 1);
    let store = Store::open(dir.path(), options()).unwrap();
    check_contents(&store);
    store.close();
    assert_eq!(stored_format(dir.path()), FORMAT_VERSION);
    let text = std::fs::read_to_string(dir.path().join(FORMAT_FILE)).unwrap();
    assert_eq!(text, format!("tidemill data directory, format {FORMAT_VERSION}\n"));

    let store = Store::open(dir.path(), options()).unwrap();
    assert!(store.seal(0).unwrap().files > 0);
    check_contents(&store);
    let out = store.stream(&name("t/out")).unwrap().unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    store.commit(Part::Epoch(epoch(&start, "p", &out, 6))).unwrap();
    assert_eq!(read_all(&store, &name("t/out")).unwrap(), output_after(6)[7..]);
}

#[test]
fn a_crash_between_the_upgrade_and_its_note_does_no_harm() {
    let dir = fixture();
    Store::open(dir.path(), options()).unwrap().close();
    std::fs::write(dir.path().join(FORMAT_FILE), FORMAT).unwrap();
    let store = Store::open(dir.path(), options()).unwrap();
    check_contents(&store);
}
