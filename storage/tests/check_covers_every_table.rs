//! `check` reads every row of every table: whichever is damaged (a bit turned, bytes missing, nothing left), it is named, `check` and `open`
//! end with errors and never a panic, and what does not hang on the row is read as before.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::schema::HOT_FILE;
use tidemill_storage::stream::reader_group::{GroupConfig, GroupStream};
use tidemill_storage::*;

type Table = redb::TableDefinition<'static, &'static [u8], &'static [u8]>;

fn options() -> StoreOptions {
    StoreOptions { state_fold_blobs: 0, hot_bytes_max: u64::MAX, sweep_interval_ms: 0, ..StoreOptions::default() }
}

/// A row in every table; `t/whole` is a stream that has nothing to do with the rest.
fn fill(store: &Store) {
    let whole = store.create_stream(&name("t/whole"), StreamConfig::default()).unwrap();
    append(store, &whole, 100..120).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    let policy = StreamPolicy { retention: Some(RetentionPolicy::ByConsumption), ..StreamPolicy::default() };
    store.set_stream_policy(&info.name, policy).unwrap();
    let mut writer =
        store.writer(&info.name, WriterOptions { id: Some("w".into()), ..WriterOptions::default() }).unwrap();
    write(&mut writer, "k", 0..40);
    writer.flush().unwrap();
    store.seal(0).unwrap();
    store.scale_stream(&info.name, &Scaling::to(&info, 3).unwrap()).unwrap();
    write(&mut writer, "k", 40..80);
    writer.flush().unwrap();
    let now = store.stream(&info.name).unwrap().unwrap();
    store.acknowledge("reader", &now.head_cut()).unwrap();
    store.maintain().unwrap();
    store.note_time(info.stream, "w", EventTime(10)).unwrap();
    store.configure_time(info.stream, TimeConfig { idle_timeout_ms: Some(5) }).unwrap();
    let mut open = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    open.write(&batch(0..5)).unwrap();
    open.flush().unwrap();
    store.begin_transaction(info.stream, TransactionOptions::default()).unwrap().abort().unwrap();
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    for n in 1..=2 {
        store.commit(Part::Epoch(epoch(&start, "p", &out, n))).unwrap();
    }
    store.flush_state("p", "op").unwrap();
    store.commit(Part::Epoch(epoch(&start, "p", &out, 3))).unwrap();
    truncate(store, &out, out.segments[0].id, 1).unwrap();
    store.ensure_table(&TableName::new("t/table").unwrap()).unwrap().put(&TableKey::new("key"), "value").unwrap();
    store.ensure_log(&LogName::new("t/log").unwrap()).unwrap().append("entry").unwrap();
    let group = GroupConfig::new([GroupStream::from_head(name("t/s"))]);
    store.create_reader_group(&GroupName::new("t/group").unwrap(), &group).unwrap();
}

fn tables(dir: &Path) -> Vec<(String, u64)> {
    use redb::{ReadableDatabase, ReadableTableMetadata, TableHandle};
    let database = redb::Database::open(dir.join(HOT_FILE)).unwrap();
    let txn = database.begin_read().unwrap();
    let names: Vec<String> = txn.list_tables().unwrap().map(|table| table.name().to_string()).collect();
    let rows = |name: &String| {
        let name: &'static str = Box::leak(name.clone().into_boxed_str());
        txn.open_table(Table::new(name)).unwrap().len().unwrap()
    };
    names.iter().filter(|name| *name != "meta").map(|name| (name.clone(), rows(name))).collect()
}

fn damage(dir: &Path, table: &str, f: impl Fn(&mut Vec<u8>)) {
    let table = Table::new(Box::leak(table.to_string().into_boxed_str()));
    let database = redb::Database::open(dir.join(HOT_FILE)).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut table = txn.open_table(table).unwrap();
        let last = redb::ReadableTable::last(&table).unwrap().map(|(k, v)| (k.value().to_vec(), v.value().to_vec()));
        let (key, mut value) = last.unwrap();
        f(&mut value);
        table.insert(&key[..], &value[..]).unwrap();
    }
    txn.commit().unwrap();
}

#[test]
fn a_damaged_row_of_any_table_is_named_and_harms_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options()).unwrap();
    fill(&store);
    assert_whole(&store, "before");
    store.close();
    drop(store);
    let tables = tables(dir.path());
    let empty: Vec<&String> = tables.iter().filter(|(_, rows)| *rows == 0).map(|(name, _)| name).collect();
    assert!(empty.is_empty(), "give these a row: {empty:?}");
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("a bit turned", |value| *value.last_mut().unwrap() ^= 1),
        ("a byte in the middle", |value| {
            let at = value.len() / 2;
            value[at] ^= 0x40;
        }),
        ("the last byte gone", |value| value.truncate(value.len() - 1)),
        ("nothing left", Vec::clear),
    ];
    for (table, _) in &tables {
        for (what, turn) in damages {
            let copy = tempfile::tempdir().unwrap();
            for entry in walk(dir.path()) {
                let to = copy.path().join(entry.strip_prefix(dir.path()).unwrap());
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                std::fs::copy(&entry, to).unwrap();
            }
            damage(copy.path(), table, turn);
            let store = Store::open(copy.path(), options()).unwrap_or_else(|e| panic!("{table}, {what}: {e}"));
            let report = store.check().unwrap();
            assert!(!report.is_whole(), "{table}, {what}: nothing is told");
            let texts: BTreeSet<String> = report.faults.iter().map(ToString::to_string).collect();
            assert!(texts.iter().all(|text| text.len() > 20), "{table}, {what}: {texts:?}");
            // `t/whole` is the first row of each table that it has rows in; the last ones are damaged.
            if table != "stream_names" && table != "streams" {
                assert!(!texts.iter().any(|text| text.contains("t/whole")), "{table}, {what}: {texts:?}");
            }
            if table == "stream_names" {
                continue;
            }
            assert_eq!(read_all(&store, &name("t/whole")).unwrap(), (100..120).collect::<Vec<_>>(), "{table}, {what}");
            // What goes on by itself is held up by none of it.
            let _ = (store.maintain(), store.sweep());
            store.close();
        }
    }
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// A deleted pipeline notes no time any more: its writer is closed with it, on every stream that it wrote.
#[test]
fn a_deleted_pipeline_holds_no_stream_up() {
    let store = Store::open_with(FaultDisk::new(3), options()).unwrap();
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    store.configure_time(out.stream, TimeConfig { idle_timeout_ms: None }).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    store.commit(Part::Epoch(epoch(&start, "p", &out, 1))).unwrap();
    store.note_time(out.stream, "client", EventTime(500)).unwrap();
    let watermark = || store.stream(&out.name).unwrap().unwrap().watermark;
    assert_eq!(watermark(), Some(EventTime(1)), "the pipeline holds it up");
    store.delete_pipeline("p").unwrap();
    assert_eq!(watermark(), Some(EventTime(500)), "in the same commit");
    assert_whole(&store, "after the deletion");
}
