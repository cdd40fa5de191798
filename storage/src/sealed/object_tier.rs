//! Sealed files in an object store, under the prefix `sealed/`.
//!
//! The file system of `object_store` needs no runtime (it works on the calling thread when there is none), so that blocking
//! on its futures is a plain call. Stores behind a network do: whoever makes the tier hands in what runs their futures.
//! Their every answer takes long, so that small reads fetch a block around them, and the blocks read last are kept.

use super::tier::{SEALED_FOLDER, Tier};
use bytes::{Bytes, BytesMut};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::error::Error as StdError;
use std::future::Future;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, mpsc};

/// Starts a future and lets it run by itself.
pub type Spawn = Arc<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

/// What a small read fetches at once, bytes.
const BLOCK_BYTES: u64 = 1 << 20;

/// Tells whose files lie under a prefix; beside the folder of sealed files.
const OWNER: &str = "OWNER";

/// Files in an object store, under the prefix `sealed/`.
pub struct ObjectTier {
    objects: Arc<dyn ObjectStore>,
    /// None = futures are polled on the calling thread.
    spawn: Option<Spawn>,
    /// Blocks of files, which never change.
    blocks: Option<Cache<(String, u64), Bytes, BlockWeight>>,
}

#[derive(Clone)]
struct BlockWeight;

impl Weighter<(String, u64), Bytes> for BlockWeight {
    fn weight(&self, _: &(String, u64), block: &Bytes) -> u64 {
        block.len() as u64 + 64
    }
}

impl std::fmt::Debug for ObjectTier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectTier").field("objects", &self.objects).finish_non_exhaustive()
    }
}

impl ObjectTier {
    /// Of a store whose futures need no runtime. A put of it must be durable when it returns.
    pub fn new(objects: Arc<dyn ObjectStore>) -> ObjectTier {
        ObjectTier { objects, spawn: None, blocks: None }
    }

    /// Of a store behind a network: `spawn` runs its futures, and must do so for as long as the tier is used; `cache_bytes` of
    /// what was read are kept.
    pub fn remote(objects: Arc<dyn ObjectStore>, spawn: Spawn, cache_bytes: u64) -> ObjectTier {
        let blocks = usize::try_from(cache_bytes / BLOCK_BYTES).unwrap_or(usize::MAX).clamp(8, 1 << 20);
        let cache = Cache::with_weighter(blocks, cache_bytes.max(8 * BLOCK_BYTES), BlockWeight);
        ObjectTier { objects, spawn: Some(spawn), blocks: Some(cache) }
    }

    fn wait<T, F>(&self, work: impl FnOnce(Arc<dyn ObjectStore>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        let work = work(self.objects.clone());
        let Some(spawn) = &self.spawn else { return pollster::block_on(work).map_err(io_error) };
        let (answer, answered) = mpsc::sync_channel(1);
        spawn(Box::pin(async move {
            let _ = answer.send(work.await);
        }));
        // Dropped unsent: what runs the futures is gone, or the work panicked.
        answered.recv().map_err(|_| Error::other("the object store's own thread has ended"))?.map_err(io_error)
    }

    fn fetch(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let (object, start) = (object(name), range.start);
        match self.wait(|objects| async move { objects.get_range(&object, range).await }) {
            Ok(bytes) => Ok(bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(e),
            // A store may call a range past the end an error.
            Err(e) => match self.size(name)? {
                Some(size) if size <= start => Ok(Bytes::new()),
                _ => Err(e),
            },
        }
    }
}

fn object(name: &str) -> ObjectPath {
    ObjectPath::from(SEALED_FOLDER).join(name)
}

/// The error's own io error, if it has one: its kind tells a full disk from a missing file.
pub(super) fn io_error(error: object_store::Error) -> Error {
    let kind = match &error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        object_store::Error::AlreadyExists { .. } => ErrorKind::AlreadyExists,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ErrorKind::PermissionDenied
        }
        other => {
            let mut cause: Option<&(dyn StdError + 'static)> = Some(other);
            let mut kind = ErrorKind::Other;
            while let Some(error) = cause {
                if let Some(io) = error.downcast_ref::<Error>() {
                    kind = io.kind();
                }
                cause = error.source();
            }
            kind
        }
    };
    Error::new(kind, error)
}

impl Tier for ObjectTier {
    fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        let object = object(name);
        self.wait(|objects| async move { objects.put(&object, PutPayload::from_bytes(bytes)).await }).map(drop)
    }

    fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let Some(blocks) = self.blocks.as_ref().filter(|_| range.end - range.start < BLOCK_BYTES) else {
            return self.fetch(name, range);
        };
        let mut pieces = Vec::with_capacity(2);
        for block in range.start / BLOCK_BYTES..=(range.end - 1) / BLOCK_BYTES {
            let first = block * BLOCK_BYTES;
            let key = (name.to_string(), block);
            let bytes = blocks.get_or_insert_with(&key, || self.fetch(name, first..first + BLOCK_BYTES))?;
            let within =
                |at: u64| usize::try_from(at.saturating_sub(first)).map_or(bytes.len(), |at| at.min(bytes.len()));
            pieces.push(bytes.slice(within(range.start)..within(range.end)));
        }
        Ok(match pieces.len() {
            1 => pieces.remove(0),
            _ => pieces
                .iter()
                .fold(BytesMut::new(), |mut all, piece| {
                    all.extend_from_slice(piece);
                    all
                })
                .freeze(),
        })
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        let object = object(name);
        match self.wait(|objects| async move { objects.head(&object).await }) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn list(&self) -> Result<Vec<String>> {
        let prefix = ObjectPath::from(SEALED_FOLDER);
        match self.wait(|objects| async move { objects.list_with_delimiter(Some(&prefix)).await }) {
            Ok(found) => Ok(found.objects.iter().filter_map(|o| o.location.filename().map(str::to_string)).collect()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        let object = object(name);
        match self.wait(|objects| async move { objects.delete(&object).await }) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn claim(&self, owner: &str) -> Result<String> {
        let (object, payload) = (ObjectPath::from(OWNER), PutPayload::from_bytes(Bytes::from(owner.to_string())));
        let options = PutOptions::from(PutMode::Create);
        match self.wait(|objects| async move { objects.put_opts(&object, payload, options).await }) {
            Ok(_) => Ok(owner.to_string()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                let object = ObjectPath::from(OWNER);
                let noted = self.wait(|objects| async move { objects.get(&object).await?.bytes().await })?;
                Ok(String::from_utf8_lossy(&noted).trim().to_string())
            }
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use object_store::memory::InMemory;

    pub(crate) fn keeps_its_promises(tier: &dyn Tier) {
        let name = "000000000001-00000001.chunks";
        assert_eq!(tier.list().unwrap(), Vec::<String>::new());
        assert_eq!(tier.size(name).unwrap(), None);
        assert_eq!(tier.read(name, 0..4).unwrap_err().kind(), ErrorKind::NotFound);
        tier.delete(name).unwrap();

        tier.put(name, Bytes::from_static(b"0123456789")).unwrap();
        assert_eq!(tier.list().unwrap(), [name]);
        assert_eq!(tier.size(name).unwrap(), Some(10));
        assert_eq!(&tier.read(name, 2..5).unwrap()[..], b"234");
        assert_eq!(&tier.read(name, 8..20).unwrap()[..], b"89", "a file that ends before");
        assert!(tier.read(name, 20..30).unwrap().is_empty());
        assert!(tier.read(name, 3..3).unwrap().is_empty());
        tier.clean().unwrap();
        assert_eq!(tier.list().unwrap(), [name]);
        tier.delete(name).unwrap();
        assert_eq!(tier.list().unwrap(), Vec::<String>::new());
    }

    fn on_a_thread() -> Spawn {
        Arc::new(|work| drop(std::thread::spawn(move || pollster::block_on(work))))
    }

    #[test]
    fn an_object_store_keeps_the_promises_of_a_tier_on_the_calling_thread_and_on_another() {
        keeps_its_promises(&ObjectTier::new(Arc::new(InMemory::new())));
        keeps_its_promises(&ObjectTier::remote(Arc::new(InMemory::new()), on_a_thread(), 1 << 20));
    }

    #[test]
    fn small_reads_over_the_borders_of_blocks_give_the_same_bytes() {
        let tier = ObjectTier::remote(Arc::new(InMemory::new()), on_a_thread(), 0);
        let name = "000000000001-00000001.chunks";
        let bytes: Vec<u8> = (0..3 * BLOCK_BYTES + 17).map(|i| (i * 31 % 251) as u8).collect();
        tier.put(name, Bytes::from(bytes.clone())).unwrap();
        for start in [0, BLOCK_BYTES - 3, BLOCK_BYTES, 2 * BLOCK_BYTES - 1, 3 * BLOCK_BYTES - 2, 3 * BLOCK_BYTES + 16] {
            for len in [1, 2, 5, 4_096, BLOCK_BYTES - 1, BLOCK_BYTES + 5] {
                let (from, to) = (start as usize, ((start + len) as usize).min(bytes.len()));
                assert_eq!(
                    tier.read(name, start..start + len).unwrap(),
                    bytes[from..to],
                    "{len} bytes from {start} on"
                );
            }
        }
    }

    #[test]
    fn the_first_who_claims_a_prefix_has_it() {
        let objects = Arc::new(InMemory::new());
        let (one, other) = (ObjectTier::new(objects.clone()), ObjectTier::new(objects));
        assert_eq!(one.claim("a").unwrap(), "a");
        assert_eq!(other.claim("b").unwrap(), "a");
        assert_eq!(one.claim("a").unwrap(), "a");
        assert_eq!(one.list().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_runtime_that_is_gone_is_an_error() {
        let tier = ObjectTier::remote(Arc::new(InMemory::new()), Arc::new(drop), 0);
        assert!(tier.list().unwrap_err().to_string().contains("own thread"));
    }
}
