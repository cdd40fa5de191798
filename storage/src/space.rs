//! Room on the disk of the data directory: what is free, what is kept in reserve, and who waits for more. `queue.rs` lets
//! appends and epochs in through it, the mover asks before it writes a file, `store.rs` shows it.
//!
//! Invariants:
//! 1. an append or epoch goes in only while the reserve is whole after it and all that went in before and is not yet
//!    committed, as far as that can be told beforehand ([`needed`]);
//! 2. background work that takes room before it frees any leaves half of the reserve: commits that free (truncation,
//!    markers) need a few pages themselves;
//! 3. those who wait go in in the order of their coming, by themselves, [`LOOK_EVERY`] after there is room at the latest.
//!
//! What is measured is the file system, so the space may still be lost to somebody else: then the commit fails as `Full`.

use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the first of those who wait looks again.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What a commit writes besides its own bytes: copies of the pages on the way to them, redb's allocator state.
const COMMIT_BYTES: u64 = 128 << 10;
/// Once somebody waits, this part of the reserve must be free beyond it, or one would wait and go on by turns.
const MARGIN: u64 = 8;

/// Bytes of disk that parts of so many bytes may take: redb rounds a large value up to a power of two of pages.
fn needed(bytes: u64) -> u64 {
    bytes.saturating_mul(2).saturating_add(COMMIT_BYTES)
}

/// Bytes free for this user on the file system of a path.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The disk that a store measures.
pub(crate) trait MeasuredDisk: Send + Sync {
    /// Bytes that can still be given out; none = nobody can tell.
    fn free(&self) -> io::Result<Option<u64>>;

    /// Its place in the file system, for messages.
    fn path(&self) -> PathBuf;
}

/// How much room there is on the disk of a data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskSpace {
    /// Where.
    pub path: PathBuf,
    /// Bytes free; none = it cannot be told.
    pub free_bytes: Option<u64>,
    /// The setting: appends and epochs wait rather than take of the last so many bytes. 0 = none are kept.
    pub reserve_bytes: u64,
    /// Parts that wait until there is room.
    pub waiting_parts: usize,
}

impl DiskSpace {
    /// Whether the reserve is touched.
    pub fn is_low(&self) -> bool {
        self.free_bytes.is_some_and(|free| free < self.reserve_bytes)
    }
}

#[derive(Debug, Default)]
struct Line {
    /// Bytes of parts that went in and are not decided yet.
    taking: u64,
    /// Who waits, by ticket.
    waiting: BTreeSet<u64>,
    next_ticket: u64,
    /// Somebody was turned away, and nobody went in since.
    paused: bool,
    /// The disk could not be measured; said once.
    unmeasured: bool,
    /// Nobody waits: whoever comes must hear that the store is latched, or closed.
    latched: bool,
    closed: bool,
}

/// The room, shared by all threads of a store.
pub(crate) struct Space {
    disk: Arc<dyn MeasuredDisk>,
    reserve: u64,
    line: Mutex<Line>,
    changed: Condvar,
}

/// A place in the line of those who want to put a part on the disk; given up when dropped. Those behind it wait until it
/// is granted, so it must be asked again and again. [`crate::Store::submit_in`] takes it.
pub struct Room {
    space: Arc<Space>,
    bytes: u64,
    ticket: Option<u64>,
    granted: bool,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("bytes", &self.bytes).field("granted", &self.granted).finish_non_exhaustive()
    }
}

impl Space {
    pub(crate) fn new(disk: Arc<dyn MeasuredDisk>, reserve: u64) -> Space {
        Space { disk, reserve, line: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, f: impl FnOnce(&mut Line)) {
        f(&mut self.lock());
        self.changed.notify_all();
    }

    fn free(&self, line: &mut Line) -> Option<u64> {
        match self.disk.free() {
            Ok(free) => {
                line.unmeasured = false;
                free
            }
            Err(error) => {
                if !std::mem::replace(&mut line.unmeasured, true) {
                    tracing::warn!(
                        "the room on the disk of {} cannot be told, so no reserve is kept: {error}",
                        self.disk.path().display()
                    );
                }
                None
            }
        }
    }

    /// Whether a part of so many bytes may go in now; says so when that changes.
    fn fits(&self, line: &mut Line, bytes: u64) -> bool {
        let Some(free) = self.free(line) else {
            line.paused = false;
            return true;
        };
        let margin = if line.paused { self.reserve / MARGIN } else { 0 };
        let fits =
            free >= self.reserve.saturating_add(margin).saturating_add(needed(line.taking.saturating_add(bytes)));
        let path = self.disk.path();
        if !fits && !line.paused {
            tracing::warn!(
                "the disk of {} is nearly full: {} free, of which {} are kept in reserve (store.reserve). Appends and \
                 epochs wait; make room there and they go on by themselves",
                path.display(),
                mib(free),
                mib(self.reserve)
            );
        }
        if fits && line.paused {
            tracing::warn!("there is room on the disk of {} again ({} free): work goes on", path.display(), mib(free));
        }
        line.paused = !fits;
        fits
    }

    /// A place at the end of the line, for a part of so many bytes.
    pub(crate) fn line_up(self: &Arc<Space>, bytes: u64) -> Room {
        let mut room = Room { space: self.clone(), bytes, ticket: None, granted: false };
        if self.reserve == 0 {
            room.grant(&mut self.lock());
        } else {
            let mut line = self.lock();
            let ticket = line.next_ticket;
            line.next_ticket += 1;
            line.waiting.insert(ticket);
            room.ticket = Some(ticket);
        }
        room
    }

    /// What went in has been decided.
    pub(crate) fn settle(&self, bytes: u64) {
        if bytes > 0 {
            self.change(|line| line.taking = line.taking.saturating_sub(bytes));
        }
    }

    /// For background work that takes so many bytes before it frees any. `Full`: not now.
    pub(crate) fn spare(&self, bytes: u64) -> Result<()> {
        let kept = self.reserve / 2;
        let free = if self.reserve == 0 { None } else { self.free(&mut self.lock()) };
        match free {
            Some(free) if free < kept.saturating_add(bytes) => Err(Error::full(format!(
                "the disk of {} is nearly full and its last {} are for what frees room (store.reserve); make room there",
                self.disk.path().display(),
                mib(kept)
            ))),
            _ => Ok(()),
        }
    }

    /// Lets everybody through, until it is reopened.
    pub(crate) fn set_latched(&self, latched: bool) {
        self.change(|line| line.latched = latched);
    }

    /// Lets everybody through for good.
    pub(crate) fn close(&self) {
        self.change(|line| line.closed = true);
    }

    /// A look at it.
    pub(crate) fn look(&self) -> DiskSpace {
        let mut line = self.lock();
        let free_bytes = self.free(&mut line);
        // One that was not turned away yet does not wait.
        let waiting_parts = if line.paused { line.waiting.len() } else { 0 };
        DiskSpace { path: self.disk.path(), free_bytes, reserve_bytes: self.reserve, waiting_parts }
    }
}

impl Room {
    fn grant(&mut self, line: &mut Line) {
        if let Some(ticket) = self.ticket.take() {
            line.waiting.remove(&ticket);
        }
        line.taking = line.taking.saturating_add(self.bytes);
        self.granted = true;
    }

    fn try_grant(&mut self, line: &mut Line) -> bool {
        let turn = line.waiting.first() == self.ticket.as_ref();
        if line.latched || line.closed || (turn && self.space.clone().fits(line, self.bytes)) {
            self.grant(line);
        }
        self.granted
    }

    /// Whether the part may go in now. Once true, it stays so.
    pub fn is_granted(&mut self) -> bool {
        if !self.granted {
            let space = self.space.clone();
            if self.try_grant(&mut space.lock()) {
                space.changed.notify_all();
            }
        }
        self.granted
    }

    /// Waits until it may.
    pub(crate) fn wait(&mut self) {
        let space = self.space.clone();
        let mut line = space.lock();
        while !self.granted && !self.try_grant(&mut line) {
            // Only the first measures; the others are woken when it has gone in.
            let first = line.waiting.first() == self.ticket.as_ref();
            line = match first {
                true => space.changed.wait_timeout(line, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0,
                false => space.changed.wait(line).unwrap_or_else(PoisonError::into_inner),
            };
        }
        drop(line);
        space.changed.notify_all();
    }

    /// In whatever the room: the caller is one that others wait for.
    pub(crate) fn force(&mut self) {
        if !self.granted {
            let space = self.space.clone();
            self.grant(&mut space.lock());
            space.changed.notify_all();
        }
    }

    /// The part is in the queue: from here on its bytes are settled when it is decided.
    pub(crate) fn spend(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let (bytes, ticket) = (if self.granted { self.bytes } else { 0 }, self.ticket.take());
        if bytes == 0 && ticket.is_none() {
            return;
        }
        self.space.change(|line| {
            line.taking = line.taking.saturating_sub(bytes);
            if let Some(ticket) = ticket {
                line.waiting.remove(&ticket);
            }
        });
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const MIB: u64 = 1 << 20;

    #[derive(Clone)]
    struct Disk(Arc<Mutex<io::Result<Option<u64>>>>);

    impl Disk {
        fn new(free: u64) -> Disk {
            Disk(Arc::new(Mutex::new(Ok(Some(free)))))
        }

        fn set(&self, free: io::Result<Option<u64>>) {
            *self.0.lock().unwrap() = free;
        }
    }

    impl MeasuredDisk for Disk {
        fn free(&self) -> io::Result<Option<u64>> {
            match &*self.0.lock().unwrap() {
                Ok(free) => Ok(*free),
                Err(e) => Err(e.kind().into()),
            }
        }

        fn path(&self) -> PathBuf {
            "here".into()
        }
    }

    fn space(free: u64) -> (Disk, Arc<Space>) {
        let disk = Disk::new(free);
        (disk.clone(), Arc::new(Space::new(Arc::new(disk), 8 * MIB)))
    }

    #[test]
    fn a_part_waits_when_it_would_touch_the_reserve_and_goes_on_by_itself_in_its_turn() {
        let (disk, space) = space(12 * MIB);
        let mut first = space.line_up(MIB);
        assert!(first.is_granted(), "12 - 2 x 1 MiB and a bit is more than 8");
        let mut second = space.line_up(MIB);
        assert!(!second.is_granted(), "with the first, which is not written yet, it would be too much");
        let mut third = space.line_up(1);
        assert!(!third.is_granted(), "it came later");
        assert_eq!(space.look().waiting_parts, 2);
        // What the first has written is gone from the disk.
        disk.set(Ok(Some(9 * MIB)));
        let waits = thread::spawn(move || second.wait());
        first.spend();
        space.settle(MIB);
        assert!(!third.is_granted());
        disk.set(Ok(Some(100 * MIB)));
        waits.join().unwrap();
        assert!(third.is_granted());
        assert_eq!(space.look().waiting_parts, 0);
    }

    #[test]
    fn who_waited_goes_on_only_when_there_is_a_little_more_than_the_reserve() {
        let (disk, space) = space(8 * MIB);
        let mut room = space.line_up(0);
        assert!(!room.is_granted());
        disk.set(Ok(Some(8 * MIB + COMMIT_BYTES)));
        assert!(!room.is_granted());
        disk.set(Ok(Some(9 * MIB + COMMIT_BYTES)));
        assert!(room.is_granted());
        disk.set(Ok(Some(0)));
        assert!(room.is_granted(), "what was said holds");
    }

    #[test]
    fn whoever_goes_away_makes_way_and_gives_back() {
        let (_disk, space) = space(12 * MIB);
        let mut first = space.line_up(MIB);
        let mut second = space.line_up(MIB);
        assert!(first.is_granted() && !second.is_granted());
        drop(first);
        let mut third = space.line_up(0);
        assert!(!third.is_granted(), "the second is before it");
        drop(second);
        assert!(third.is_granted());
        assert_eq!(space.lock().taking, 0);
    }

    #[test]
    fn nobody_waits_for_a_latched_store_or_a_disk_that_cannot_be_measured_or_without_a_reserve() {
        let (disk, space) = space(0);
        let mut room = space.line_up(MIB);
        assert!(!room.is_granted());
        space.set_latched(true);
        assert!(room.is_granted());
        space.set_latched(false);
        assert!(!space.line_up(0).is_granted());
        disk.set(Err(io::Error::other("gone")));
        assert!(space.line_up(0).is_granted());
        assert_eq!(space.look().free_bytes, None);
        let none = Arc::new(Space::new(Arc::new(disk.clone()), 0));
        disk.set(Ok(Some(0)));
        assert!(none.line_up(MIB).is_granted() && none.spare(MIB).is_ok());
    }

    #[test]
    fn background_work_leaves_half_of_the_reserve() {
        let (disk, space) = space(6 * MIB);
        space.spare(MIB).unwrap();
        let error = space.spare(3 * MIB).unwrap_err();
        assert_eq!(error.kind(), crate::Kind::Full, "{error}");
        disk.set(Ok(Some(7 * MIB)));
        space.spare(3 * MIB).unwrap();
    }

    #[test]
    fn the_disk_of_a_folder_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
        assert!(free_bytes(&dir.path().join("not there")).is_err());
    }
}
