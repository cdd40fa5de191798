//! The sealed files of a [`FaultDisk`]: the same disk, the same crashes. Tests damage and lose them through the disk.
//!
//! A put is two syncs (the file; its name in the directory), a deletion one. A crash in a put leaves nothing, part of the
//! file, or all of it; a file deleted since the last put may be back after a crash.

use super::{BLOCK_BYTES, Disk, FaultDisk, random};
use crate::sealed::Tier;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;

/// The files, and what is planned for them.
#[derive(Debug, Default)]
pub(super) struct Files {
    durable: BTreeMap<String, Vec<u8>>,
    /// Deleted, but the directory was not synced since.
    deleted: BTreeMap<String, Vec<u8>>,
    puts: u64,
    fail_puts: u64,
    fail_reads: bool,
}

impl Files {
    /// What a crash does to them.
    pub(super) fn crash(&mut self, state: &mut u64) {
        for (name, bytes) in std::mem::take(&mut self.deleted) {
            if random(state).is_multiple_of(2) {
                self.durable.insert(name, bytes);
            }
        }
    }

    /// After a crash every plan is forgotten.
    pub(super) fn reboot(&mut self) {
        (self.fail_puts, self.fail_reads) = (0, false);
    }
}

/// The sealed files' side of a [`FaultDisk`].
#[derive(Debug)]
pub(super) struct FaultTier {
    pub(super) disk: FaultDisk,
    pub(super) life: u64,
}

impl FaultTier {
    fn with<T>(&self, f: impl FnOnce(&mut Disk) -> Result<T>) -> Result<T> {
        let mut disk = self.disk.alive()?;
        if disk.life != self.life { Err(Error::other("the disk has crashed")) } else { f(&mut disk) }
    }
}

fn not_found(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{name}: no such file"))
}

impl Tier for FaultTier {
    fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.with(|disk| {
            disk.files.puts += 1;
            if disk.files.fail_puts > 0 {
                disk.files.fail_puts -= 1;
                return Err(Error::other("the disk failed to write a sealed file"));
            }
            let blocks = (bytes.len() as u64).div_ceil(BLOCK_BYTES);
            if let Some(left) = disk.blocks_left {
                let rest = left.checked_sub(blocks).ok_or_else(|| Error::from(ErrorKind::StorageFull))?;
                disk.blocks_left = Some(rest);
                disk.blocks_least = disk.blocks_least.min(rest);
            }
            let mut state = disk.seed ^ disk.syncs.wrapping_mul(0x9e6c_63d0_876a_3f6b);
            if let Err(e) = disk.count_sync().and_then(|()| disk.count_sync()) {
                let kept = match random(&mut state) % 3 {
                    0 => return Err(e),
                    1 => (random(&mut state) % bytes.len().max(1) as u64) as usize,
                    _ => bytes.len(),
                };
                disk.files.durable.insert(name.to_string(), bytes[..kept].to_vec());
                return Err(e);
            }
            disk.files.deleted.clear();
            disk.files.durable.insert(name.to_string(), bytes.to_vec());
            Ok(())
        })
    }

    fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.with(|disk| {
            if disk.files.fail_reads {
                return Err(Error::other("the disk failed to read a sealed file"));
            }
            let file = disk.files.durable.get(name).ok_or_else(|| not_found(name))?;
            let end = (range.end as usize).min(file.len());
            Ok(Bytes::copy_from_slice(file.get(range.start as usize..end).unwrap_or_default()))
        })
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        self.with(|disk| Ok(disk.files.durable.get(name).map(|file| file.len() as u64)))
    }

    fn list(&self) -> Result<Vec<String>> {
        self.with(|disk| Ok(disk.files.durable.keys().cloned().collect()))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.with(|disk| {
            disk.count_sync()?;
            if let Some(bytes) = disk.files.durable.remove(name) {
                disk.blocks_left = disk.blocks_left.map(|left| left + (bytes.len() as u64).div_ceil(BLOCK_BYTES));
                disk.files.deleted.insert(name.to_string(), bytes);
            }
            Ok(())
        })
    }
}

impl FaultDisk {
    /// The names of the sealed files there are.
    pub fn sealed_names(&self) -> Vec<String> {
        self.lock().files.durable.keys().cloned().collect()
    }

    /// Changes the bytes of a sealed file behind the store's back.
    pub fn damage_sealed(&self, name: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        if let Some(file) = self.lock().files.durable.get_mut(name) {
            damage(file);
        }
    }

    /// Puts a file there behind the store's back.
    pub fn plant_sealed(&self, name: &str, bytes: &[u8]) {
        self.lock().files.durable.insert(name.to_string(), bytes.to_vec());
    }

    /// Loses a sealed file.
    pub fn lose_sealed(&self, name: &str) {
        self.lock().files.durable.remove(name);
    }

    /// The next puts of sealed files fail.
    pub fn fail_puts(&self, how_many: u64) {
        self.lock().files.fail_puts = how_many;
    }

    /// Reads of sealed files fail, or no longer do.
    pub fn fail_sealed_reads(&self, fail: bool) {
        self.lock().files.fail_reads = fail;
    }

    /// Puts of sealed files so far, failed ones too.
    pub fn puts(&self) -> u64 {
        self.lock().files.puts
    }
}
