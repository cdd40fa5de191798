//! `check` goes through staged chunks, transactions, marks and watermarks, too, and names what is wrong with them.

mod support;

use std::path::Path;
use support::*;
use tidemill_storage::schema::HOT_FILE;
use tidemill_storage::*;

type Table = redb::TableDefinition<'static, &'static [u8], &'static [u8]>;

fn options() -> StoreOptions {
    StoreOptions { state_fold_blobs: 0, hot_bytes_max: u64::MAX, sweep_interval_ms: 0, ..StoreOptions::default() }
}

/// An open, a prepared, a committed and an aborted transaction, marks and watermarks.
fn fill(store: &Store) {
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let mut all: Vec<Transaction> =
        (0..4).map(|_| store.begin_transaction(info.stream, TransactionOptions::default()).unwrap()).collect();
    for transaction in &mut all {
        for n in 0..3 {
            transaction.write(&batch(n * 10..n * 10 + 10)).unwrap();
            transaction.flush().unwrap();
        }
    }
    all[1].prepare().unwrap();
    all[2].commit(None).unwrap();
    all[3].abort().unwrap();
    for time in [10, 20, 30] {
        store.note_time(info.stream, "w", EventTime(time)).unwrap();
    }
}

fn change(dir: &Path, table: &'static str, nth: usize, f: fn(Vec<u8>) -> Option<Vec<u8>>) {
    let database = redb::Database::open(dir.join(HOT_FILE)).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut table = txn.open_table(Table::new(table)).unwrap();
        let (key, value) = {
            let item = redb::ReadableTable::iter(&table).unwrap().nth(nth).unwrap().unwrap();
            (item.0.value().to_vec(), item.1.value().to_vec())
        };
        match f(value) {
            Some(value) => drop(table.insert(&key[..], &value[..]).unwrap()),
            None => drop(table.remove(&key[..]).unwrap()),
        }
    }
    txn.commit().unwrap();
}

fn flip(mut value: Vec<u8>) -> Option<Vec<u8>> {
    let at = value.len() - 1;
    value[at] ^= 1;
    Some(value)
}

fn remove(_: Vec<u8>) -> Option<Vec<u8>> {
    None
}

#[test]
fn everything_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options()).unwrap();
    fill(&store);
    let report = store.check().unwrap();
    assert_eq!(report.faults, []);
    assert_eq!((report.transactions, report.staged_chunks, report.events), (4, 6, 30));
}

#[test]
fn each_kind_of_damage_is_named() {
    type Damage = fn(Vec<u8>) -> Option<Vec<u8>>;
    let cases: [(&'static str, usize, Damage, &str); 13] = [
        ("staged_chunks", 1, flip, "transaction 1 of stream t/s, staged chunk 1:"),
        ("staged_chunks", 1, remove, "transaction 1 of stream t/s, staged chunk 1: the chunk is missing"),
        ("staged_index", 4, flip, "transaction 2 of stream t/s, staged chunk 1:"),
        ("staged_index", 4, remove, "transaction 2 of stream t/s, staged chunk 1: its entry is missing"),
        ("transactions", 0, remove, "staged chunk 0 of transaction 1 belongs to nothing"),
        ("transactions", 1, flip, "the row of transaction 2: the checksum does not match"),
        ("live_transactions", 0, remove, "transaction 1 of stream t/s is not in the list where it belongs"),
        ("ended_transactions", 0, remove, "transaction 3 of stream t/s is not in the list where it belongs"),
        ("writer_marks", 0, flip, "the mark of writer w on stream 1: the checksum does not match"),
        ("watermarks", 1, flip, "watermark 2 of stream 1: the checksum does not match"),
        ("watermarks", 1, remove, "watermark 3 counts 3 of them, there are 2"),
        ("watermarks", 2, remove, "its row has another watermark than 2"),
        ("time_configs", 0, flip, "how stream 1 treats silent writers"),
    ];
    for (table, nth, damage, told) in cases {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), options()).unwrap();
        fill(&store);
        let info = store.stream(&name("t/s")).unwrap().unwrap();
        store.configure_time(info.stream, TimeConfig { idle_timeout_ms: Some(5) }).unwrap();
        store.close();
        change(dir.path(), table, nth, damage);
        let store = Store::open(dir.path(), options()).unwrap();
        let faults: Vec<String> = store.check().unwrap().faults.iter().map(ToString::to_string).collect();
        assert!(faults.iter().any(|fault| fault.contains(told)), "{table}: no {told:?} in:\n{}", faults.join("\n"));
        // What was committed is not harmed, and the damage holds up no sweep.
        assert_eq!(read_all(&store, &name("t/s")).unwrap(), (0..30).collect::<Vec<_>>(), "{table}");
        store.sweep().unwrap();
    }
}
