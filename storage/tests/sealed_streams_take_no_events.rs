//! A sealed stream takes no events, from clients and pipelines alike; what is there can be read, and its end can be told.

mod support;

use support::*;
use tidemill_storage::*;

#[test]
fn what_is_there_can_be_read_and_then_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 1 }).unwrap();
    append(&store, &info, 0..5).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    let sealed = store.seal_stream(&info.name).unwrap();
    assert_eq!(sealed.state, StreamState::Sealed);
    assert_eq!(store.seal_stream(&info.name).unwrap(), sealed);

    let error = append(&store, &info, 5..6).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("stream t/s is sealed"), "{error}");
    assert_eq!(store.commit(Part::Epoch(epoch(&start, "p", &info, 1))).unwrap_err().kind(), Kind::Invalid);
    let scaling = Scaling::to(&sealed, 2).unwrap();
    assert_eq!(store.scale_stream(&info.name, &scaling).unwrap_err().kind(), Kind::Invalid);
    assert!(store.checkpoints("p").unwrap().is_empty(), "the checkpoint left nothing");

    store.close();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let read = store.read(position(&info, info.segments[0].id, 3), 1_000).unwrap();
    assert_eq!((read.batch.len(), read.next, read.tail, read.sealed), (2, Offset(5), Offset(5), true));
    assert!(!store.stream(&info.name).unwrap().unwrap().is_active(info.segments[0].id));
}
