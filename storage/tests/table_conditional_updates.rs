//! Checklist row 28: entries of a table are versioned; an update with a stale version, or of a key that is or is not there
//! against expectation, is refused and changes nothing of its batch.

mod support;

use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn table() -> (Store, Table) {
    let store = Store::open_with(FaultDisk::new(0), StoreOptions::default()).unwrap();
    let table = store.ensure_table(&TableName::new("t/accounts").unwrap()).unwrap();
    (store, table)
}

fn all(table: &Table) -> Vec<(String, String, u64)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let page = table.scan(&TableRange::All, None, 1_000).unwrap();
    assert_eq!(page.next, None);
    let row =
        |e: &TableEntry| (format!("{}/{}", text(&e.key.primary), text(&e.key.secondary)), text(&e.value), e.version.0);
    page.entries.iter().map(row).collect()
}

#[test]
fn a_stale_version_is_a_conflict_and_no_key_of_the_batch_changes() {
    let (_store, table) = table();
    let first = table
        .update("a", vec![TableChange::put("x", "1", Expected::Absent), TableChange::put("y", "1", Expected::Any)]);
    let first = first.unwrap();
    let second = table.put_if(&TableKey::pair("a", "x"), "2", Expected::Version(first)).unwrap();
    assert!(second > first);
    let before = all(&table);
    assert_eq!(before, [("a/x".into(), "2".into(), second.0), ("a/y".into(), "1".into(), first.0)]);

    let stale = vec![
        TableChange::put("y", "9", Expected::Version(first)),
        TableChange::put("z", "9", Expected::Absent),
        TableChange::put("x", "9", Expected::Version(first)),
    ];
    let error = table.update("a", stale).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    for part in ["table t/accounts", "\"a\" / \"x\"", &format!("version {second}, not {first}")] {
        assert!(error.to_string().contains(part), "{part} is not in: {error}");
    }
    assert_eq!(all(&table), before, "nothing of the batch was done");
}

#[test]
fn what_is_expected_is_checked_for_puts_inserts_and_removals() {
    let (_store, table) = table();
    let key = TableKey::new("k");
    let kind = |result: Result<Version>| result.unwrap_err().kind();
    let version = table.insert(&key, "1").unwrap();
    assert_eq!(kind(table.insert(&key, "2")), Kind::Conflict);
    assert_eq!(kind(table.put_if(&TableKey::new("none"), "2", Expected::Version(version))), Kind::NotFound);
    let other = Version(version.0 + 7);
    assert_eq!(table.remove(&key, Expected::Version(other)).unwrap_err().kind(), Kind::Conflict);
    let absent = table.remove(&TableKey::new("none"), Expected::Version(version)).unwrap_err();
    assert_eq!(absent.kind(), Kind::NotFound);
    assert!(absent.to_string().contains("\"none\" is not there"), "{absent}");
    table.remove(&TableKey::new("none"), Expected::Any).unwrap();
    assert_eq!(all(&table).len(), 1);
    table.remove(&key, Expected::Version(version)).unwrap();
    assert_eq!(table.get(&key).unwrap(), None);
    // A key that comes back does not get a version that somebody may still hold.
    assert!(table.insert(&key, "3").unwrap() > version);
    assert_eq!(kind(table.put_if(&key, "4", Expected::Version(version))), Kind::Conflict);
}

#[test]
fn puts_and_removals_of_one_primary_key_go_together_and_others_are_not_touched() {
    let (_store, table) = table();
    table
        .update("a", vec![TableChange::put("1", "x", Expected::Any), TableChange::put("2", "x", Expected::Any)])
        .unwrap();
    table.put(&TableKey::pair("b", "1"), "x").unwrap();
    let mixed = vec![TableChange::remove("1", Expected::Any), TableChange::put("3", "y", Expected::Absent)];
    table.update("a", mixed).unwrap();
    let keys: Vec<String> = all(&table).into_iter().map(|(key, ..)| key).collect();
    assert_eq!(keys, ["a/2", "a/3", "b/1"]);
    let info = table.info().unwrap();
    assert_eq!((info.entries, info.bytes), (3, 3 * 3));
}

#[test]
fn limits_and_senseless_updates_are_refused_with_the_reason() {
    let (_store, table) = table();
    let refused = |primary: Vec<u8>, changes: Vec<TableChange>, why: &str| {
        let error = table.update(primary, changes).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        assert!(error.to_string().contains("t/accounts") && error.to_string().contains(why), "{error}");
    };
    let put = |secondary: &'static str| TableChange::put(secondary, "v", Expected::Any);
    refused(Vec::new(), vec![put("")], "empty primary key");
    refused(vec![b'k'; 5_000], vec![put("")], "a primary key of 5000 bytes");
    refused(b"k".to_vec(), vec![put("a"), put("b"), put("a")], "changed twice");
    refused(b"k".to_vec(), vec![TableChange::put("a", vec![0; 2 << 20], Expected::Any)], "a value of 2097152 bytes");
    refused(b"k".to_vec(), vec![TableChange::remove("a", Expected::Absent)], "leave it out");
    refused(
        b"k".to_vec(),
        (0..5_000).map(|n| TableChange::put(n.to_string(), "", Expected::Any)).collect(),
        "5000 changes",
    );
    assert_eq!(all(&table), []);
    assert_eq!(table.info().unwrap().version, Version(0));
}

#[test]
fn a_deleted_table_refuses_old_handles_and_begins_empty_when_it_is_made_anew() {
    let (store, old) = table();
    let name = old.name().clone();
    let key = TableKey::new("k");
    old.put(&key, "1").unwrap();
    assert!(store.delete_table(&name).unwrap() && !store.delete_table(&name).unwrap());
    assert!(store.table(&name).unwrap().is_none());
    let new = store.ensure_table(&name).unwrap();
    assert_eq!(all(&new), []);
    assert_eq!(old.get(&key).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(old.put(&key, "2").unwrap_err().kind(), Kind::NotFound);
    new.put(&key, "3").unwrap();
    assert_eq!(store.ensure_table(&name).unwrap().get(&key).unwrap().unwrap().value, "3");
    assert_eq!(store.list_tables().unwrap().len(), 1);
    support::assert_whole(&store, "after a deletion");
}

#[test]
fn two_writers_who_go_by_versions_lose_no_increment() {
    let (_store, table) = table();
    let key = TableKey::new("n");
    table.insert(&key, 0u64.to_le_bytes().to_vec()).unwrap();
    let add = || {
        for _ in 0..100 {
            loop {
                let entry = table.get(&key).unwrap().unwrap();
                let n = u64::from_le_bytes(entry.value[..].try_into().unwrap()) + 1;
                match table.put_if(&key, n.to_le_bytes().to_vec(), Expected::Version(entry.version)) {
                    Ok(_) => break,
                    Err(e) => assert_eq!(e.kind(), Kind::Conflict),
                }
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(add);
        scope.spawn(add);
    });
    let entry = table.get(&key).unwrap().unwrap();
    assert_eq!(u64::from_le_bytes(entry.value[..].try_into().unwrap()), 200);
}
