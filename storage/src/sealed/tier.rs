//! Where sealed files lie: whole files put under a name, read by range, listed, deleted. The mover puts and deletes,
//! readers read; `directory.rs` hands in [`LocalTier`], tests hand in one that fails as told.
//!
//! Any `object_store` fits behind [`ObjectTier`]. Its file system needs no runtime (it works on the calling thread when
//! there is none), so that blocking on its futures is a plain call.

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use std::error::Error as StdError;
use std::io::{Error, ErrorKind, Result, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// Files in an object store, under the prefix `sealed/`.
#[derive(Debug)]
pub struct ObjectTier {
    objects: Arc<dyn ObjectStore>,
}

impl ObjectTier {
    /// A put of the store must be durable when it returns.
    pub fn new(objects: Arc<dyn ObjectStore>) -> ObjectTier {
        ObjectTier { objects }
    }
}

fn object(name: &str) -> ObjectPath {
    ObjectPath::from(SEALED_FOLDER).join(name)
}

/// The error's own io error, if it has one: its kind tells a full disk from a missing file.
fn io_error(error: object_store::Error) -> Error {
    let kind = match &error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
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
        let put = self.objects.put(&object, PutPayload::from_bytes(bytes));
        pollster::block_on(put).map(drop).map_err(io_error)
    }

    fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let start = range.start;
        match pollster::block_on(self.objects.get_range(&object(name), range)).map_err(io_error) {
            Ok(bytes) => Ok(bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(e),
            // A store may call a range past the end an error.
            Err(e) => match self.size(name)? {
                Some(size) if size <= start => Ok(Bytes::new()),
                _ => Err(e),
            },
        }
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        match pollster::block_on(self.objects.head(&object(name))).map_err(io_error) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn list(&self) -> Result<Vec<String>> {
        let prefix = ObjectPath::from(SEALED_FOLDER);
        match pollster::block_on(self.objects.list_with_delimiter(Some(&prefix))).map_err(io_error) {
            Ok(found) => Ok(found.objects.iter().filter_map(|o| o.location.filename().map(str::to_string)).collect()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    fn delete(&self, name: &str) -> Result<()> {
        match pollster::block_on(self.objects.delete(&object(name))).map_err(io_error) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

/// Files in a folder of this machine.
#[derive(Debug)]
pub struct LocalTier {
    objects: ObjectTier,
    folder: PathBuf,
}

impl LocalTier {
    /// Files under `DIR/sealed`; the directory must be there, the folder is made with the first file.
    pub fn new(dir: &Path) -> Result<LocalTier> {
        let files = LocalFileSystem::new_with_prefix(dir).map_err(io_error)?;
        Ok(LocalTier { objects: ObjectTier::new(Arc::new(files)), folder: dir.join(SEALED_FOLDER) })
    }
}

/// So much of a file is written between two syncs, bytes.
const SYNC_BYTES: usize = 2 << 20;

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = std::fs::File::create(path)?;
    for piece in bytes.chunks(SYNC_BYTES) {
        file.write_all(piece)?;
        file.sync_data()?;
    }
    file.sync_all()
}

impl Tier for LocalTier {
    /// Staged beside its place under a name that listings hide, as the object store's own puts are, but synced piece by
    /// piece: commits share the disk and would wait behind a whole file.
    fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        let (staged, place) = (self.folder.join(format!("{name}#1")), self.folder.join(name));
        std::fs::create_dir_all(&self.folder)?;
        let written = write_synced(&staged, &bytes).and_then(|()| std::fs::rename(&staged, &place));
        if let Err(e) = written {
            let _ = std::fs::remove_file(&staged); // else `clean` finds it
            return Err(e);
        }
        // The name, and the folder's own when this is its first file.
        for folder in [self.folder.as_path(), self.folder.parent().unwrap_or(&self.folder)] {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.objects.read(name, range)
    }

    fn open(&self, name: &str) -> Result<Option<Box<dyn TierFile>>> {
        Ok(Some(Box::new(std::fs::File::open(self.folder.join(name))?)))
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        self.objects.size(name)
    }

    fn list(&self) -> Result<Vec<String>> {
        self.objects.list()
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.objects.delete(name)
    }

    /// The file system writes `NAME#1` and renames it; such names are hidden from its own listing.
    fn clean(&self) -> Result<()> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let half_made = name
                .to_str()
                .and_then(|n| n.split_once('#'))
                .is_some_and(|(name, staged)| super::is_file_name(name) && staged.bytes().all(|b| b.is_ascii_digit()));
            if half_made {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps_its_promises(tier: &dyn Tier) {
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

    #[test]
    fn a_folder_and_any_object_store_keep_the_same_promises() {
        let dir = tempfile::tempdir().unwrap();
        keeps_its_promises(&LocalTier::new(dir.path()).unwrap());
        keeps_its_promises(&ObjectTier::new(Arc::new(object_store::memory::InMemory::new())));
    }

    #[test]
    fn half_made_files_are_cleaned_and_other_files_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let tier = LocalTier::new(dir.path()).unwrap();
        tier.put("000000000001-00000001.chunks", Bytes::from_static(b"x")).unwrap();
        let folder = dir.path().join(SEALED_FOLDER);
        std::fs::write(folder.join("000000000002-0000000a.chunks#1"), b"half").unwrap();
        std::fs::write(folder.join("notes#1"), b"somebody's").unwrap();
        tier.clean().unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["000000000001-00000001.chunks", "notes#1"]);
    }
}
