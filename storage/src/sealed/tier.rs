//! Where sealed files lie: whole files put under a name, read by range, listed, deleted. The mover puts and deletes,
//! readers read; `tier_place.rs` chooses between a folder ([`super::LocalTier`]) and an object store
//! ([`super::ObjectTier`]), tests hand in one that fails as told.

use bytes::Bytes;
use std::io::{ErrorKind, Result};
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// The folder of sealed files in a data directory, or their prefix in an object store.
pub const SEALED_FOLDER: &str = "sealed";

/// A place for immutable files. Names are plain: no slash.
pub trait Tier: Send + Sync + std::fmt::Debug + 'static {
    /// Stores a whole file. Durable, and seen by everybody, when it returns; after an error it may be there or not.
    fn put(&self, name: &str, bytes: Bytes) -> Result<()>;

    /// Bytes of a file: fewer than asked for when it ends before, `NotFound` when there is none.
    fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes>;

    /// A handle for many small reads; none = [`Tier::read`] is as good. `NotFound` when there is no such file.
    fn open(&self, _name: &str) -> Result<Option<Box<dyn TierFile>>> {
        Ok(None)
    }

    /// How many bytes a file has; none when there is no such file.
    fn size(&self, name: &str) -> Result<Option<u64>>;

    /// The names of all files, in any order.
    fn list(&self) -> Result<Vec<String>>;

    /// Deletes a file; it is no error that there is none.
    fn delete(&self, name: &str) -> Result<()>;

    /// Removes what puts that never returned have left half made. Nobody may be putting.
    fn clean(&self) -> Result<()> {
        Ok(())
    }

    /// Notes `owner` as the one data directory whose files lie here, unless another is noted already. Gives the one that is.
    fn claim(&self, owner: &str) -> Result<String> {
        Ok(owner.to_string())
    }
}

/// An open file: it can be read even after it was deleted.
pub trait TierFile: Send + Sync + std::fmt::Debug {
    /// Bytes of the file: fewer than asked for when it ends before.
    fn read(&self, range: Range<u64>) -> Result<Bytes>;
}

impl TierFile for std::fs::File {
    fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let mut bytes = vec![0; range.end.saturating_sub(range.start) as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_at(&mut bytes[filled..], range.start + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(filled);
        Ok(Bytes::from(bytes))
    }
}
