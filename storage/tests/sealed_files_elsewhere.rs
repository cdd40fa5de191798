//! A data directory whose sealed files lie in an object store: those that lay beside it are carried over, it is opened with that store
//! only, no two directories share a prefix, and a crash in the middle of the change, or an outage at opening, loses nothing.

mod support;

use object_store::memory::InMemory;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use support::*;
use tidemill_storage::sealed::ObjectTier;
use tidemill_storage::*;

/// An object store that goes away after so many calls, as for a crash in their middle.
#[derive(Debug)]
struct Leaving {
    objects: ObjectTier,
    calls_left: AtomicU64,
    away: AtomicBool,
    /// Marks are put, and the answer gets lost.
    loses_claims: AtomicBool,
}

impl Leaving {
    fn new(objects: &Arc<InMemory>, calls: u64) -> Arc<Leaving> {
        let objects = ObjectTier::new(objects.clone());
        Arc::new(Leaving {
            objects,
            calls_left: AtomicU64::new(calls),
            away: AtomicBool::new(false),
            loses_claims: AtomicBool::new(false),
        })
    }

    fn call<T>(&self, work: impl FnOnce(&ObjectTier) -> Result<T>) -> Result<T> {
        let left = self.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_err() || self.away.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::TimedOut, "the object store does not answer"));
        }
        work(&self.objects)
    }
}

impl Tier for Leaving {
    fn put(&self, name: &str, bytes: bytes::Bytes) -> Result<()> {
        self.call(|objects| objects.put(name, bytes))
    }

    fn read(&self, name: &str, range: Range<u64>) -> Result<bytes::Bytes> {
        self.call(|objects| objects.read(name, range))
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        self.call(|objects| objects.size(name))
    }

    fn list(&self) -> Result<Vec<String>> {
        self.call(|objects| objects.list())
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.call(|objects| objects.delete(name))
    }

    fn claim(&self, owner: &str) -> Result<String> {
        let claimed = self.call(|objects| objects.claim(owner));
        match self.loses_claims.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::ConnectionReset, "the answer got lost")),
            false => claimed,
        }
    }
}

fn options(remote: Option<(&str, Arc<dyn Tier>)>) -> StoreOptions {
    StoreOptions {
        hot_bytes_max: u64::MAX,
        sealed_file_bytes: 4 << 10,
        remote_tier: remote.map(|(url, tier)| RemoteTier { url: url.to_string(), tier }),
        ..StoreOptions::default()
    }
}

fn objects_of(objects: &Arc<InMemory>) -> Option<(&'static str, Arc<dyn Tier>)> {
    Some(("s3://events/here", Arc::new(ObjectTier::new(objects.clone()))))
}

/// A directory with sealed files of its own: 2,000 events.
fn with_local_files(dir: &Path) {
    let store = Store::open(dir, options(None)).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    for n in 0..20 {
        append(&store, &info, n * 100..n * 100 + 100).unwrap();
    }
    store.seal(0).unwrap();
    store.close();
    assert!(local_files(dir) > 3);
}

fn local_files(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("sealed")).unwrap().count()
}

fn all_events(store: &Store, to: u64) {
    assert_eq!(read_all(store, &name("t/s")).unwrap(), (0..to).collect::<Vec<_>>());
}

#[test]
fn files_are_carried_over_once_and_new_ones_lie_in_the_object_store() {
    let (dir, objects) = (tempfile::tempdir().unwrap(), Arc::new(InMemory::new()));
    with_local_files(dir.path());
    let store = Store::open(dir.path(), options(objects_of(&objects))).unwrap();
    assert_eq!(local_files(dir.path()), 0);
    let info = store.stream(&name("t/s")).unwrap().unwrap();
    all_events(&store, 2_000);
    append(&store, &info, 2_000..2_500).unwrap();
    store.seal(0).unwrap();
    store.close();

    let store = Store::open(dir.path(), options(objects_of(&objects))).unwrap();
    assert_eq!(local_files(dir.path()), 0);
    all_events(&store, 2_500);
    assert_whole(&store, "with the sealed files elsewhere");
    // Space comes back there, too.
    let tail = store.stream(&name("t/s")).unwrap().unwrap().tail_cut();
    store.truncate_stream(&name("t/s"), &tail).unwrap();
    store.seal(u64::MAX).unwrap();
    assert_eq!(ObjectTier::new(objects).list().unwrap(), Vec::<String>::new());
}

#[test]
fn a_crash_at_any_call_while_files_are_carried_over_loses_nothing() {
    for calls in (0..12).chain([30, 60]) {
        let (dir, objects) = (tempfile::tempdir().unwrap(), Arc::new(InMemory::new()));
        with_local_files(dir.path());
        let leaving = Leaving::new(&objects, calls);
        let opened = Store::open(dir.path(), options(Some(("s3://events/here", leaving))));
        if let Err(e) = &opened {
            assert_eq!(e.kind(), Kind::Unavailable, "{e}");
        } else {
            assert!(calls > 4, "opened with {calls} calls");
        }
        drop(opened);
        let store = Store::open(dir.path(), options(objects_of(&objects))).unwrap();
        all_events(&store, 2_000);
        assert_whole(&store, "after the crash");
        store.close();
        assert_eq!(local_files(dir.path()), 0);
    }
}

#[test]
fn a_directory_is_opened_only_with_the_place_of_its_files() {
    let (dir, objects) = (tempfile::tempdir().unwrap(), Arc::new(InMemory::new()));
    Store::open(dir.path(), options(objects_of(&objects))).unwrap().close();

    let error = Store::open(dir.path(), options(None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let text = error.to_string();
    assert!(text.contains("s3://events/here") && text.contains("store.tier"), "{text}");

    let elsewhere: Arc<dyn Tier> = Arc::new(ObjectTier::new(Arc::new(InMemory::new())));
    let error = Store::open(dir.path(), options(Some(("s3://events/there", elsewhere)))).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let text = error.to_string();
    assert!(text.contains("s3://events/here") && text.contains("s3://events/there"), "{text}");

    Store::open(dir.path(), options(objects_of(&objects))).unwrap().close();

    std::fs::write(dir.path().join("TIER"), "s3://events/here\n").unwrap();
    let error = Store::open(dir.path(), options(objects_of(&objects))).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains("TIER"), "{error}");
}

#[test]
fn another_directory_is_refused_the_same_prefix_and_stays_as_it_was() {
    let objects = Arc::new(InMemory::new());
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    with_local_files(first.path());
    with_local_files(second.path());
    Store::open(first.path(), options(objects_of(&objects))).unwrap().close();
    let there = ObjectTier::new(objects.clone()).list().unwrap();

    let error = Store::open(second.path(), options(objects_of(&objects))).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    let text = error.to_string();
    assert!(text.contains("s3://events/here") && text.contains("use another prefix"), "{text}");
    assert_eq!(ObjectTier::new(objects.clone()).list().unwrap(), there);
    let store = Store::open(second.path(), options(None)).unwrap();
    all_events(&store, 2_000);
    store.close();
    all_events(&Store::open(first.path(), options(objects_of(&objects))).unwrap(), 2_000);
}

#[test]
fn a_store_opens_during_an_outage_unless_it_has_never_seen_the_place() {
    let (dir, objects) = (tempfile::tempdir().unwrap(), Arc::new(InMemory::new()));
    with_local_files(dir.path());
    let leaving = Leaving::new(&objects, u64::MAX);
    let place = || Some(("s3://events/here", leaving.clone() as Arc<dyn Tier>));
    leaving.away.store(true, Ordering::SeqCst);
    let error = Store::open(dir.path(), options(place())).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("s3://events/here"), "{error}");
    all_events(&Store::open(dir.path(), options(None)).unwrap(), 2_000);

    leaving.away.store(false, Ordering::SeqCst);
    Store::open(dir.path(), options(place())).unwrap().close();
    leaving.away.store(true, Ordering::SeqCst);
    let store = Store::open(dir.path(), options(place())).unwrap();
    let info = store.stream(&name("t/s")).unwrap().unwrap();
    append(&store, &info, 2_000..2_100).unwrap();
    let sealed = store.read(position(&info, info.segments[0].id, 0), 1 << 10).unwrap_err();
    assert_eq!(sealed.kind(), Kind::Unavailable, "{sealed}");
    leaving.away.store(false, Ordering::SeqCst);
    all_events(&store, 2_100);
}

#[test]
fn a_mark_whose_answer_got_lost_is_known_as_its_own_the_next_time() {
    let (dir, objects) = (tempfile::tempdir().unwrap(), Arc::new(InMemory::new()));
    with_local_files(dir.path());
    let leaving = Leaving::new(&objects, u64::MAX);
    leaving.loses_claims.store(true, Ordering::SeqCst);
    let place = || Some(("s3://events/here", leaving.clone() as Arc<dyn Tier>));
    assert_eq!(Store::open(dir.path(), options(place())).unwrap_err().kind(), Kind::Unavailable);
    // Without the setting it is what it was.
    all_events(&Store::open(dir.path(), options(None)).unwrap(), 2_000);
    leaving.loses_claims.store(false, Ordering::SeqCst);
    all_events(&Store::open(dir.path(), options(place())).unwrap(), 2_000);
    assert_eq!(local_files(dir.path()), 0);
    // Another place was meant: the first keeps its mark, the directory goes on with the second.
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), Arc::new(InMemory::new()));
    with_local_files(dir.path());
    let leaving = Leaving::new(&Arc::new(InMemory::new()), u64::MAX);
    leaving.loses_claims.store(true, Ordering::SeqCst);
    Store::open(dir.path(), options(Some(("s3://slip/of-the-pen", leaving)))).unwrap_err();
    all_events(&Store::open(dir.path(), options(objects_of(&elsewhere))).unwrap(), 2_000);
    assert_eq!(Store::open(dir.path(), options(None)).unwrap_err().kind(), Kind::Invalid);
}
