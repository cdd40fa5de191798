//! Where a store lies: what `store.rs` is handed to open its redb file and its tier with. `directory.rs` gives a data
//! directory, tests a disk that fails as told.

use crate::sealed::Tier;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the redb file and the sealed files lie. Each opening and reopening asks for a fresh backend. Tests hand in `fault::FaultDisk`.
pub trait BackendFactory: Send + Sync + 'static {
    /// The backend.
    type Backend: redb::StorageBackend;

    /// Whether a store was published here.
    fn exists(&self) -> std::io::Result<bool>;

    /// A new handle on the store's bytes.
    fn backend(&self) -> std::io::Result<Self::Backend>;

    /// An empty place to make a store in: redb's creation of a file is not safe against a crash, so it is made aside.
    fn aside(&self) -> std::io::Result<Self::Backend>;

    /// Puts what was made aside, and is closed, in the store's place: at once, and durably.
    fn publish(&self) -> std::io::Result<()>;

    /// Bytes of the store's file.
    fn size(&self) -> std::io::Result<u64>;

    /// Where the sealed files lie.
    fn tier(&self) -> std::io::Result<Arc<dyn Tier>>;

    /// Bytes that the disk can still give out; none = there is no telling, and no reserve is kept.
    fn free_bytes(&self) -> std::io::Result<Option<u64>>;

    /// Where that disk is, for messages.
    fn place(&self) -> PathBuf;
}
