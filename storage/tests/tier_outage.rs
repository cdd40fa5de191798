//! The sealed files lie in an object store that is away for a while, is slow, and loses answers to what it has done. Appends go on from the
//! hot file until that has twice its size, then they wait; what lies sealed cannot be read meanwhile, what is hot can. When the store is
//! back everything goes on by itself, nothing is lost or doubled, and no file stays that nothing names.

mod support;

use object_store::memory::InMemory;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::sealed::ObjectTier;
use tidemill_storage::{BackendFactory, Kind, Store, StoreOptions, StreamConfig, Tier};

#[derive(Debug)]
struct Flaky {
    objects: ObjectTier,
    away: AtomicBool,
    /// So many of the next calls are done, and their answers lost.
    loses: AtomicU64,
    refused: AtomicU64,
}

impl Flaky {
    fn call<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.away.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::TimedOut, "the object store does not answer"));
        }
        let done = work();
        let less = |n: u64| n.checked_sub(1);
        if self.loses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Err(Error::new(ErrorKind::ConnectionReset, "the answer got lost"));
        }
        done
    }
}

impl Tier for Flaky {
    fn put(&self, name: &str, bytes: bytes::Bytes) -> Result<()> {
        self.call(|| self.objects.put(name, bytes))
    }

    fn read(&self, name: &str, range: Range<u64>) -> Result<bytes::Bytes> {
        self.call(|| self.objects.read(name, range))
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        self.call(|| self.objects.size(name))
    }

    fn list(&self) -> Result<Vec<String>> {
        self.call(|| self.objects.list())
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.call(|| self.objects.delete(name))
    }
}

/// The hot file on a disk of its own, the sealed files in the object store.
#[derive(Clone)]
struct Apart {
    disk: FaultDisk,
    tier: Arc<Flaky>,
}

impl BackendFactory for Apart {
    type Backend = <FaultDisk as BackendFactory>::Backend;

    fn exists(&self) -> Result<bool> {
        self.disk.exists()
    }

    fn backend(&self) -> Result<Self::Backend> {
        self.disk.backend()
    }

    fn aside(&self) -> Result<Self::Backend> {
        self.disk.aside()
    }

    fn publish(&self) -> Result<()> {
        self.disk.publish()
    }

    fn size(&self) -> Result<u64> {
        self.disk.size()
    }

    fn tier(&self) -> Result<Arc<dyn Tier>> {
        Ok(self.tier.clone())
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        self.disk.free_bytes()
    }

    fn place(&self) -> std::path::PathBuf {
        self.disk.place()
    }
}

impl Apart {
    fn new() -> Apart {
        let objects = ObjectTier::new(Arc::new(InMemory::new()));
        let (away, loses) = (AtomicBool::new(false), AtomicU64::new(0));
        let tier = Flaky { objects, away, loses, refused: AtomicU64::new(0) };
        Apart { disk: FaultDisk::new(11), tier: Arc::new(tier) }
    }

    fn open(&self) -> Store {
        let options = StoreOptions { hot_bytes_max: 64 << 10, sealed_file_bytes: 16 << 10, ..StoreOptions::default() };
        Store::open_with(self.clone(), options).unwrap()
    }
}

/// So many events from this number on, in parts of ten.
fn fill(store: &Store, numbers: Range<u64>) -> tidemill_storage::Result<()> {
    let info = store.stream(&name("t/s"))?.unwrap();
    let numbers: Vec<u64> = numbers.collect();
    numbers.chunks(10).try_for_each(|part| append(store, &info, part.iter().copied()))
}

#[test]
fn an_outage_slows_and_loses_nothing() {
    let apart = Apart::new();
    let store = apart.open();
    store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    fill(&store, 0..2_000).unwrap();
    store.seal(0).unwrap();
    assert!(!apart.tier.objects.list().unwrap().is_empty());

    apart.tier.away.store(true, Ordering::SeqCst);
    // What is small goes on as if nothing were.
    fill(&store, 2_000..2_100).unwrap();
    let info = store.stream(&name("t/s")).unwrap().unwrap();
    let hot = position(&info, info.segments[0].id, 2_000);
    assert_eq!(store.read(hot, 1 << 10).unwrap().batch.timestamps[0], 2_000, "hot events can be read");
    let sealed = store.read(position(&info, info.segments[0].id, 0), 1 << 10).unwrap_err();
    assert_eq!(sealed.kind(), Kind::Unavailable, "{sealed}");
    assert!(sealed.to_string().contains("t/s") && sealed.to_string().contains("does not answer"), "{sealed}");

    // Much of it waits for the mover, which tries again and again; it is not refused, and not lost.
    let (sender, written) = mpsc::channel();
    let (writer, goes_on) = (store.clone(), apart.clone());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let done = fill(&writer, 2_100..12_000);
            drop(sender.send(done));
        });
        while goes_on.tier.refused.load(Ordering::SeqCst) < 4 {
            std::thread::yield_now();
        }
        // The last answers get lost when it is back: what was put is put again, under another name.
        goes_on.tier.loses.store(3, Ordering::SeqCst);
        goes_on.tier.away.store(false, Ordering::SeqCst);
        written.recv().unwrap().unwrap();
    });
    apart.tier.loses.store(0, Ordering::SeqCst);
    store.seal(0).unwrap();
    assert_eq!(read_all(&store, &name("t/s")).unwrap(), (0..12_000).collect::<Vec<_>>());
    assert_whole(&store, "after the outage");
    store.close();

    // The next process finds everything in the object store, and nothing that nothing names stays there.
    let store = apart.open();
    assert_eq!(read_all(&store, &name("t/s")).unwrap(), (0..12_000).collect::<Vec<_>>());
    let mut named: Vec<String> =
        store.describe().unwrap().sealed_files.iter().map(|f| f.path.rsplit('/').next().unwrap().to_string()).collect();
    let mut there = apart.tier.objects.list().unwrap();
    named.sort();
    there.sort();
    assert_eq!(named, there);
    let tail = store.stream(&name("t/s")).unwrap().unwrap().tail_cut();
    store.truncate_stream(&name("t/s"), &tail).unwrap();
    store.seal(u64::MAX).unwrap();
    assert_eq!(apart.tier.objects.list().unwrap(), Vec::<String>::new());
}
