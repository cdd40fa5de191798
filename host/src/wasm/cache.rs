//! Compiled components on disk, so that a component is compiled once per machine. `component.rs` asks it first.
//!
//! A file is `<sha-256 of the component>-<engine>.cwasm`: 8 bytes of magic, the SHA-256 of the rest, then what wasmtime
//! serialised. `<engine>` is the hash of wasmtime's version and settings, so another build never loads this one's code.
//!
//! Invariants:
//! 1. The folder has mode 0700: only its owner can put code there. A folder that others may write to is not used.
//! 2. A file appears whole (written aside, then renamed).
//! 3. What fails a check is compiled again and written anew; the cache never stops a pipeline.

use super::error::ComponentError;
use sha2::{Digest, Sha256};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::PathBuf;
use wasmtime::Engine;
use wasmtime::component::Component;

const MAGIC: &[u8; 8] = b"TMCWASM1";
const HEADER_LEN: usize = MAGIC.len() + 32;

pub(super) struct Cache {
    dir: PathBuf,
    engine: String,
}

impl Cache {
    /// Makes the folder if need be and checks who may write to it.
    pub(super) fn open(dir: PathBuf, engine: &Engine) -> Result<Cache, ComponentError> {
        make_private(&dir).map_err(|why| {
            ComponentError::Engine(format!("the cache of compiled components {}: {why}", dir.display()))
        })?;
        let mut hash = StableHash(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hash);
        Ok(Cache { dir, engine: format!("{:016x}", hash.finish()) })
    }

    fn file(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}-{}.cwasm", self.engine))
    }

    /// The compiled form of the component with this digest, if it is there and whole.
    pub(super) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let file = self.file(digest);
        let bytes = std::fs::read(&file).ok()?;
        let code = checked(&bytes).or_else(|| {
            tracing::warn!(file = %file.display(), "a compiled component in the cache is damaged; compiling it again");
            None
        })?;
        // SAFETY: these are bytes that `put` wrote: the folder is writable by its owner alone (invariant 1), and the
        // checksum over exactly these bytes, in memory, has just been verified, so no tear or bit flip is left in
        // them. wasmtime checks its version and settings itself. `deserialize_file` would save one copy, but what it
        // maps could change after the check.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(engine, code) };
        component
            .inspect_err(|e| tracing::warn!(file = %file.display(), "wasmtime refuses a cached component: {e:#}"))
            .ok()
    }

    /// Keeps a compiled component. Failing is no reason to stop: it is said in the log.
    pub(super) fn put(&self, digest: &str, component: &Component) {
        let file = self.file(digest);
        let written = component.serialize().map_err(|e| e.to_string()).and_then(|code| {
            let mut aside = tempfile::NamedTempFile::new_in(&self.dir).map_err(|e| e.to_string())?;
            let written = aside
                .write_all(MAGIC)
                .and_then(|()| aside.write_all(&Sha256::digest(&code)))
                .and_then(|()| aside.write_all(&code));
            written.map_err(|e| e.to_string())?;
            // Not fsynced: after a power cut the checksum finds what is missing, and compiling again mends it.
            aside.persist(&file).map(drop).map_err(|e| e.to_string())
        });
        if let Err(why) = written {
            tracing::warn!(file = %file.display(), "cannot keep a compiled component: {why}");
        }
    }
}

/// The code in a cache file, if magic and checksum hold.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (header, code) = bytes.split_at_checked(HEADER_LEN)?;
    let (magic, sum) = header.split_at(MAGIC.len());
    (magic == MAGIC && Sha256::digest(code).as_slice() == sum).then_some(code)
}

#[cfg(unix)]
fn make_private(dir: &std::path::Path) -> Result<(), String> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| e.to_string())?;
    let mode = std::fs::metadata(dir).map_err(|e| e.to_string())?.permissions().mode();
    if mode & 0o022 != 0 {
        return Err(format!(
            "others may write to it (mode {:o}), and whoever writes there runs code in this process; \
             chmod 700 it or give another folder",
            mode & 0o777
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(dir: &std::path::Path) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|e| e.to_string())
}

/// A hasher whose answer is the same in every build of Tidemill, unlike the standard library's.
struct StableHash(Sha256);

impl Hasher for StableHash {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }
}
