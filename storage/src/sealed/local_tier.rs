//! Sealed files in a folder of this machine.

use super::object_tier::{ObjectTier, io_error};
use super::tier::{SEALED_FOLDER, Tier, TierFile};
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use std::io::{ErrorKind, Result, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

    #[test]
    fn a_folder_keeps_the_promises_of_a_tier() {
        let dir = tempfile::tempdir().unwrap();
        crate::sealed::object_tier::tests::keeps_its_promises(&LocalTier::new(dir.path()).unwrap());
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
