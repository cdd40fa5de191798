//! A directory that was written by a program of format 1 opens, keeps everything, is brought to this format, and is then
//! refused by that program: it would truncate without counting the chunks of sealed files.

mod support;

use flate2::read::GzDecoder;
use std::path::Path;
use support::*;
use tidemill_storage::schema::{FORMAT_FILE, FORMAT_VERSION, HOT_FILE};
use tidemill_storage::*;

const HOT: &[u8] = include_bytes!("fixtures/format-1/hot.redb.gz");
const FORMAT: &str = include_str!("fixtures/format-1/FORMAT");

fn fixture() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FORMAT_FILE), FORMAT).unwrap();
    std::io::copy(&mut GzDecoder::new(HOT), &mut std::fs::File::create(dir.path().join(HOT_FILE)).unwrap()).unwrap();
    dir
}

fn options() -> StoreOptions {
    StoreOptions { state_fold_blobs: 0, hot_bytes_max: u64::MAX, ..StoreOptions::default() }
}

/// Every event of every segment, and where the segments begin and end. What they say: `old_formats.rs`.
fn contents(store: &Store) -> Vec<(String, SegmentId, Offset, Offset, Batch)> {
    assert_whole(store, "a directory of format 1");
    let mut out = Vec::new();
    for info in store.list_streams().unwrap() {
        for segment in &info.segments {
            let mut all = Batch::default();
            let mut at = position(&info, segment.id, segment.head.0);
            while at.offset < segment.tail {
                let read = store.read(at, 1 << 20).unwrap();
                all.extend_from(&read.batch, 0..read.batch.len()).unwrap();
                at.offset = read.next;
            }
            out.push((info.name.to_string(), segment.id, segment.head, segment.tail, all));
        }
    }
    assert!(out.iter().map(|s| s.4.len()).sum::<usize>() > 10);
    out
}

fn stored_format(dir: &Path) -> u32 {
    let database = redb::ReadOnlyDatabase::open(dir.join(HOT_FILE)).unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    let txn = redb::ReadableDatabase::begin_read(&database).unwrap();
    let value = txn.open_table(meta).unwrap().get("format").unwrap().unwrap();
    u32::from_le_bytes(value.value().try_into().unwrap())
}

#[test]
fn a_directory_of_format_1_opens_and_its_chunks_move() {
    assert!(FORMAT.contains("format 1"));
    let dir = fixture();
    assert_eq!(stored_format(dir.path()), 1);
    let store = Store::open(dir.path(), options()).unwrap();
    let before = contents(&store);
    store.close();
    assert_eq!(stored_format(dir.path()), FORMAT_VERSION);
    let text = std::fs::read_to_string(dir.path().join(FORMAT_FILE)).unwrap();
    assert_eq!(text, format!("tidemill data directory, format {FORMAT_VERSION}\n"));

    let store = Store::open(dir.path(), options()).unwrap();
    assert!(store.seal(0).unwrap().files > 0);
    assert_eq!(store.describe().unwrap().hot_chunk_bytes, 0);
    assert!(contents(&store) == before);
    let info = store.list_streams().unwrap().remove(0);
    append(&store, &info, 0..20).unwrap();
    assert_whole(&store, "after an append");
}

#[test]
fn a_crash_between_the_upgrade_and_its_note_does_no_harm() {
    let dir = fixture();
    let store = Store::open(dir.path(), options()).unwrap();
    let before = contents(&store);
    store.close();
    std::fs::write(dir.path().join(FORMAT_FILE), FORMAT).unwrap();
    assert!(contents(&Store::open(dir.path(), options()).unwrap()) == before);
}
