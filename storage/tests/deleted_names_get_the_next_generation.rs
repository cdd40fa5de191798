//! A deleted stream is gone at once: for readers, writers and lists. Its name can be used again, and what was known of the
//! old stream stands for nothing in the new one.

mod support;

use support::*;
use tidemill_storage::*;

#[test]
fn a_recreated_name_has_the_next_generation_and_old_positions_stand_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let old = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    let stale = appends(&old, 0..10);
    append(&store, &old, 0..10).unwrap();
    store.delete_stream(&old.name).unwrap();

    assert_eq!(store.stream(&old.name).unwrap(), None);
    assert!(store.list_streams().unwrap().is_empty());
    assert_eq!(store.delete_stream(&old.name).unwrap_err().kind(), Kind::NotFound);
    let error = store.commit(Part::Append(stale[0].clone())).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("stream t/s was deleted"), "{error}");
    let at = position(&old, old.segments[0].id, 0);
    assert_eq!(store.read(at, 100).unwrap_err().kind(), Kind::NotFound);

    let new = store.create_stream(&name("t/s"), StreamConfig { segments: 1 }).unwrap();
    assert_eq!((new.stream.generation, new.segments[0].tail), (Generation(2), Offset(0)));
    assert_ne!(new.stream.id, old.stream.id);
    append(&store, &new, 20..25).unwrap();
    assert_eq!(read_all(&store, &new.name).unwrap(), [20, 21, 22, 23, 24]);
    assert!(store.commit(Part::Append(stale[0].clone())).is_err());
    assert!(store.read(at, 100).is_err());
    assert_eq!(read_all(&store, &new.name).unwrap(), [20, 21, 22, 23, 24], "nothing of the old stream came in");
    assert_whole(&store, "a recreated stream");

    store.close();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    store.delete_stream(&new.name).unwrap();
    let third = store.ensure_stream(&name("t/s"), StreamConfig::default()).unwrap();
    assert_eq!(third.stream.generation, Generation(3));
}
