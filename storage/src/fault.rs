//! A disk in memory that fails as told: tests of this crate and of the host hand a [`FaultDisk`] to
//! [`crate::Store::open_with`]. Only with feature `fault`.
//!
//! Map: a [`FaultDisk`] outlives crashes; each [`FaultBackend`] is one opening of it, dead after the crash. Writes since
//! the last sync are *pending*: a reader sees them, a crash keeps a subset of them drawn from the seed, torn at sectors.
//! Sealed files lie on the same disk (`fault/tier.rs`).
//! Invariant: what a returned sync covered survives every crash.

mod tier;

use crate::backend::BackendFactory;
use crate::sealed::Tier;
use redb::{BackendError, StorageBackend};
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Result};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk writes whole, bytes.
pub const SECTOR_BYTES: usize = 512;
/// What the file system gives out, bytes: a full disk refuses the next one.
pub const BLOCK_BYTES: u64 = 4_096;

type Locked<T> = std::result::Result<T, BackendError>;

#[derive(Debug)]
enum Pending {
    Write { at: usize, data: Vec<u8> },
    SetLen(usize),
}

#[derive(Debug, Default)]
struct Disk {
    /// What readers see.
    seen: Vec<u8>,
    /// What survives whatever happens.
    durable: Vec<u8>,
    pending: Vec<Pending>,
    files: tier::Files,
    seed: u64,
    syncs: u64,
    writes: u64,
    crash_at_sync: Option<u64>,
    fail_sync: Option<u64>,
    short_write: Option<u64>,
    blocks: BTreeSet<u64>,
    /// Blocks that may still be given out.
    blocks_left: Option<u64>,
    /// The fewest blocks that were left since it was said how many there are.
    blocks_least: u64,
    crashed: bool,
    /// Whether a store made here was put in its place.
    published: bool,
    /// Counts crashes: backends of an earlier life are dead.
    life: u64,
    backends: u64,
    locks: Vec<Lock>,
}

#[derive(Debug)]
struct Lock {
    owner: u64,
    start: u64,
    /// Inclusive.
    end: u64,
    exclusive: bool,
}

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct FaultDisk(Arc<Mutex<Disk>>);

fn random(state: &mut u64) -> u64 {
    // splitmix64
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn write_at(file: &mut Vec<u8>, at: usize, data: &[u8]) {
    if file.len() < at + data.len() {
        file.resize(at + data.len(), 0);
    }
    file[at..at + data.len()].copy_from_slice(data);
}

impl Disk {
    fn sync(&mut self) {
        for op in self.pending.drain(..) {
            match op {
                Pending::Write { at, data } => write_at(&mut self.durable, at, &data),
                Pending::SetLen(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// Keeps a subset of what was pending: each operation whole, not at all, cut short, or some of its sectors.
    fn crash(&mut self) {
        let mut state = self.seed ^ self.syncs.wrapping_mul(0x2545_f491_4f6c_dd1d);
        for op in std::mem::take(&mut self.pending) {
            let fate = random(&mut state) % 4;
            match op {
                _ if fate == 0 => {}
                Pending::SetLen(len) => self.durable.resize(len, 0),
                Pending::Write { at, data } if fate == 1 => write_at(&mut self.durable, at, &data),
                Pending::Write { at, data } if fate == 2 => {
                    let sectors = data.len().div_ceil(SECTOR_BYTES) as u64;
                    let kept = (random(&mut state) % (sectors + 1)) as usize * SECTOR_BYTES;
                    write_at(&mut self.durable, at, &data[..kept.min(data.len())]);
                }
                Pending::Write { at, data } => {
                    for (i, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                        if random(&mut state).is_multiple_of(2) {
                            write_at(&mut self.durable, at + i * SECTOR_BYTES, sector);
                        }
                    }
                }
            }
        }
        self.files.crash(&mut state);
        self.crashed = true;
    }

    /// Gives out the blocks of a range; how many bytes of it got theirs.
    fn allocate(&mut self, at: u64, len: u64) -> u64 {
        for block in at / BLOCK_BYTES..(at + len).div_ceil(BLOCK_BYTES) {
            if self.blocks.contains(&block) {
                continue;
            }
            match &mut self.blocks_left {
                Some(0) => return (block * BLOCK_BYTES).saturating_sub(at),
                Some(left) => {
                    *left -= 1;
                    self.blocks_least = self.blocks_least.min(*left);
                }
                None => {}
            }
            self.blocks.insert(block);
        }
        len
    }

    /// Counts a sync; the error that it is to give, if any.
    fn count_sync(&mut self) -> Result<()> {
        self.syncs += 1;
        if self.crash_at_sync == Some(self.syncs) {
            self.crash();
            return Err(Error::other("the disk has crashed"));
        }
        if self.fail_sync == Some(self.syncs) {
            return Err(Error::other("the disk failed to sync"));
        }
        Ok(())
    }

    fn write(&mut self, at: u64, data: &[u8]) {
        write_at(&mut self.seen, at as usize, data);
        self.pending.push(Pending::Write { at: at as usize, data: data.to_vec() });
    }
}

impl FaultDisk {
    /// An empty disk; the seed decides what crashes keep.
    pub fn new(seed: u64) -> FaultDisk {
        let disk = FaultDisk::default();
        disk.lock().seed = seed;
        disk
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Result<MutexGuard<'_, Disk>> {
        let disk = self.lock();
        if disk.crashed { Err(Error::other("the disk has crashed")) } else { Ok(disk) }
    }

    /// Syncs so far, over all lives, with those of sealed files.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Writes so far, over all lives.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Crash when the n-th sync (counted from 1, over all lives) is asked for.
    pub fn crash_at_sync(&self, n: u64) {
        self.lock().crash_at_sync = Some(n);
    }

    /// Crash now.
    pub fn crash(&self) {
        self.lock().crash();
    }

    /// The n-th sync gives an I/O error, and nothing else happens: what was pending stays so.
    pub fn fail_sync(&self, n: u64) {
        self.lock().fail_sync = Some(n);
    }

    /// The n-th write writes half and gives an I/O error.
    pub fn short_write(&self, n: u64) {
        self.lock().short_write = Some(n);
    }

    /// So many bytes more, in blocks, and the disk is full. None = it never is.
    pub fn space_left(&self, bytes: Option<u64>) {
        let mut disk = self.lock();
        disk.blocks_left = bytes.map(|b| b / BLOCK_BYTES);
        disk.blocks_least = disk.blocks_left.unwrap_or(u64::MAX);
    }

    /// The fewest bytes that were left since [`FaultDisk::space_left`] was called.
    pub fn least_space(&self) -> u64 {
        self.lock().blocks_least.saturating_mul(BLOCK_BYTES)
    }

    /// Whether it has crashed and was not rebooted.
    pub fn crashed(&self) -> bool {
        self.lock().crashed
    }

    /// After a crash: what survived can be opened again. Clears every fault that was planned.
    pub fn reboot(&self) {
        let mut disk = self.lock();
        disk.pending.clear();
        if !disk.published {
            disk.durable.clear();
        }
        disk.seen = disk.durable.clone();
        disk.crashed = false;
        disk.life += 1;
        disk.locks.clear();
        disk.files.reboot();
        (disk.crash_at_sync, disk.fail_sync, disk.short_write) = (None, None, None);
    }

    /// The bytes as a reader sees them.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().seen.clone()
    }
}

impl BackendFactory for FaultDisk {
    type Backend = FaultBackend;

    fn exists(&self) -> Result<bool> {
        Ok(self.alive()?.published)
    }

    fn backend(&self) -> Result<FaultBackend> {
        let mut disk = self.alive()?;
        disk.backends += 1;
        Ok(FaultBackend { disk: self.clone(), life: disk.life, id: disk.backends })
    }

    fn aside(&self) -> Result<FaultBackend> {
        let mut disk = self.alive()?;
        (disk.seen, disk.durable, disk.pending) = Default::default();
        drop(disk);
        self.backend()
    }

    fn publish(&self) -> Result<()> {
        let mut disk = self.alive()?;
        disk.count_sync()?;
        disk.sync();
        disk.published = true;
        Ok(())
    }

    fn size(&self) -> Result<u64> {
        Ok(self.alive()?.seen.len() as u64)
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(self.alive()?.blocks_left.map(|left| left * BLOCK_BYTES))
    }

    fn place(&self) -> PathBuf {
        "a disk in memory".into()
    }

    fn tier(&self) -> Result<Arc<dyn Tier>> {
        let life = self.alive()?.life;
        Ok(Arc::new(tier::FaultTier { disk: self.clone(), life }))
    }
}

/// One opening of a [`FaultDisk`].
#[derive(Debug)]
pub struct FaultBackend {
    disk: FaultDisk,
    life: u64,
    id: u64,
}

impl FaultBackend {
    fn alive(&self) -> Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.alive()?;
        if disk.life != self.life { Err(Error::other("the disk has crashed")) } else { Ok(disk) }
    }

    fn try_lock(&self, start: Bound<u64>, end: Bound<u64>, exclusive: bool) -> Locked<bool> {
        let (start, end) = inclusive(start, end);
        let mut disk = self.alive().map_err(BackendError::Io)?;
        let conflict = |l: &Lock| l.owner != self.id && l.start <= end && start <= l.end && (exclusive || l.exclusive);
        if disk.locks.iter().any(conflict) {
            return Ok(false);
        }
        disk.locks.push(Lock { owner: self.id, start, end, exclusive });
        Ok(true)
    }

    fn wait_lock(&self, start: Bound<u64>, end: Bound<u64>, exclusive: bool) -> Locked<()> {
        while !self.try_lock(start, end, exclusive)? {
            std::thread::yield_now();
        }
        Ok(())
    }
}

fn inclusive(start: Bound<u64>, end: Bound<u64>) -> (u64, u64) {
    let start = match start {
        Bound::Included(at) => at,
        Bound::Excluded(at) => at.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match end {
        Bound::Included(at) => at,
        Bound::Excluded(at) => at.saturating_sub(1),
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl StorageBackend for FaultBackend {
    fn len(&self) -> Result<u64> {
        Ok(self.alive()?.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let disk = self.alive()?;
        let start = offset as usize;
        let from = disk.seen.get(start..start.saturating_add(out.len()));
        out.copy_from_slice(from.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut disk = self.alive()?;
        disk.seen.resize(len as usize, 0);
        disk.pending.push(Pending::SetLen(len as usize));
        // Blocks past the end are free again; a file grows without any, as sparse files do.
        let freed = disk.blocks.split_off(&len.div_ceil(BLOCK_BYTES)).len() as u64;
        disk.blocks_left = disk.blocks_left.map(|left| left + freed);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let mut disk = self.alive()?;
        disk.count_sync()?;
        disk.sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut disk = self.alive()?;
        disk.writes += 1;
        if offset as usize + data.len() > disk.seen.len() {
            return Err(Error::from(ErrorKind::InvalidInput));
        }
        if disk.short_write == Some(disk.writes) {
            disk.write(offset, &data[..data.len() / 2]);
            return Err(Error::from(ErrorKind::WriteZero));
        }
        let fits = disk.allocate(offset, data.len() as u64) as usize;
        disk.write(offset, &data[..fits.min(data.len())]);
        if fits < data.len() { Err(Error::from(ErrorKind::StorageFull)) } else { Ok(()) }
    }

    fn close(&self) -> Result<()> {
        let mut disk = self.disk.lock();
        disk.locks.retain(|lock| lock.owner != self.id);
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.try_lock(start, end, true)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.try_lock(start, end, false)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.wait_lock(start, end, true)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.wait_lock(start, end, false)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        let (start, end) = inclusive(start, end);
        let mut disk = self.alive().map_err(BackendError::Io)?;
        let held = disk.locks.iter().position(|l| (l.owner, l.start, l.end) == (self.id, start, end));
        match held {
            Some(at) => drop(disk.locks.swap_remove(at)),
            None => return Err(BackendError::Io(Error::from(ErrorKind::NotFound))),
        }
        Ok(())
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        let (start, end) = inclusive(start, end);
        let disk = self.alive().map_err(BackendError::Io)?;
        Ok(disk.locks.iter().any(|l| l.owner != self.id && l.start <= end && start <= l.end))
    }
}
