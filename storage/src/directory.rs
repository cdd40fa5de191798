//! A data directory: who owns it and which format it has, settled before redb is touched. `store.rs` opens it first.
//!
//! ```text
//! DIR/LOCK      locked by the owner for as long as it runs; text: the owner's process id
//! DIR/FORMAT    text: "tidemill data directory, format 3"
//! DIR/hot.redb  everything that changes (schema.rs)
//! DIR/sealed/   files of chunks (sealed/)
//! DIR/TIER      only when they lie elsewhere: where (tier_place.rs)
//! ```

use crate::backend::BackendFactory;
use crate::error::{Error, Kind, Result};
use crate::format::{is_known, newer_format};
use crate::redb_io::FULL;
use crate::schema::{FORMAT_FILE, FORMAT_VERSION, HOT_FILE, LOCK_FILE};
use crate::sealed::Tier;
use crate::space;
use redb::backends::FileBackend;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FORMAT_PREFIX: &str = "tidemill data directory, format ";

/// The ownership of a directory; ends when dropped.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

fn io_error(doing: &str, path: &Path, error: &io::Error) -> Error {
    let kind = match error.kind() {
        kind if FULL.contains(&kind) => Kind::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory => {
            Kind::Invalid
        }
        _ => Kind::Unavailable,
    };
    Error::new(kind, format!("{doing} {}: {error}", path.display()))
}

/// Makes the directory if need be, takes its lock, checks its format. Writes nothing but the lock file into a
/// directory that it refuses.
pub(crate) fn acquire(dir: &Path) -> Result<DirectoryLock> {
    if dir.exists() && !dir.is_dir() {
        return Err(Error::invalid(format!("{} is a file, not a folder: use another --data-dir", dir.display())));
    }
    fs::create_dir_all(dir).map_err(|e| io_error("making the data directory", dir, &e))?;
    let lock = lock(dir)?;
    check_format(dir)?;
    Ok(lock)
}

fn lock(dir: &Path) -> Result<DirectoryLock> {
    let path = dir.join(LOCK_FILE);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(|e| io_error("opening", &path, &e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only for the message: the owner may be writing it just now.
            let _ = file.take(64).read_to_string(&mut owner);
            let owner = owner.trim();
            let owner = if owner.is_empty() { "another process".into() } else { format!("process {owner}") };
            return Err(Error::refused(format!(
                "data directory {} is in use by {owner}: stop it, or use another --data-dir",
                dir.display()
            )));
        }
        Err(TryLockError::Error(e)) => return Err(io_error("locking", &path, &e)),
    }
    let note = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    note.map_err(|e| io_error("writing", &path, &e))?;
    Ok(DirectoryLock { _file: file })
}

fn check_format(dir: &Path) -> Result<()> {
    let path = dir.join(FORMAT_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let version = text.trim().strip_prefix(FORMAT_PREFIX).and_then(|v| v.parse::<u32>().ok());
            match version {
                Some(version) if is_known(version) => Ok(()),
                Some(version) => Err(newer_format(version).context(format!("data directory {}", dir.display()))),
                None => Err(Error::refused(format!(
                    "{} does not tell a format of tidemill: is this a data directory?",
                    path.display()
                ))),
            }
        }
        // A new directory, or a crash before the note was made: the redb file itself tells.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io_error("reading", &path, &e)),
    }
}

/// Notes the format of a directory whose redb file was found to have it, or was brought to it.
pub(crate) fn note_format(dir: &Path) -> Result<()> {
    let path = dir.join(FORMAT_FILE);
    let text = format!("{FORMAT_PREFIX}{FORMAT_VERSION}\n");
    let write = || {
        if path.try_exists()? && fs::read_to_string(&path)? == text {
            return Ok(());
        }
        write_aside(&path, &text)
    };
    write().map_err(|e| io_error("writing", &path, &e))
}

/// Writes a small file: after a crash the old one or the whole new one is there.
pub(crate) fn write_aside(path: &Path, text: &str) -> io::Result<()> {
    let aside = aside(path);
    let mut file = File::create(&aside)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    publish(&aside, path)
}

fn aside(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}

/// A crash leaves the old file or the whole new one.
fn publish(aside: &Path, path: &Path) -> io::Result<()> {
    File::open(aside)?.sync_all()?;
    fs::rename(aside, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// The redb file of a directory, and its sealed files.
pub(crate) struct HotFile {
    path: PathBuf,
    tier: Arc<dyn Tier>,
}

impl HotFile {
    pub(crate) fn of(dir: &Path, tier: Arc<dyn Tier>) -> HotFile {
        HotFile { path: dir.join(HOT_FILE), tier }
    }
}

impl BackendFactory for HotFile {
    type Backend = FileBackend;

    fn exists(&self) -> io::Result<bool> {
        self.path.try_exists()
    }

    fn backend(&self) -> io::Result<FileBackend> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        FileBackend::new(file).map_err(io::Error::other)
    }

    fn aside(&self) -> io::Result<FileBackend> {
        // What a crash left half made is of no use to anybody.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(aside(&self.path))?;
        FileBackend::new(file).map_err(io::Error::other)
    }

    fn publish(&self) -> io::Result<()> {
        publish(&aside(&self.path), &self.path)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(fs::metadata(&self.path)?.len())
    }

    fn tier(&self) -> io::Result<Arc<dyn Tier>> {
        Ok(self.tier.clone())
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        space::free_bytes(&self.place()).map(Some)
    }

    fn place(&self) -> PathBuf {
        self.path.parent().unwrap_or(Path::new(".")).to_owned()
    }
}
