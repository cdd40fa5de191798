//! Keeps the hot file small: moves the oldest chunks of every segment to sealed files, and unlinks files and orphans. A
//! thread of the store runs [`run`]; the committer wakes it and switches the index over.
//!
//! Only the mover puts and deletes files, one thing at a time (`busy`), so that a file without a row is an orphan. After
//! any failure it no longer trusts what it knows and looks for orphans anew.

use super::reader::tier_error;
use super::writer::{FileWriter, Group, SealedFile};
use super::{SEALED_FOLDER, is_file_name};
use crate::decide::{Outcome, Work};
use crate::error::{Error, Kind, Result};
use crate::ids::Offset;
use crate::overlay::Snapshot;
use crate::queue::{Job, Queue, closed};
use crate::redb_io::RedbSnapshot;
use crate::row::{ChunkKey, FileRow, IndexEntry, SegmentKey};
use crate::shared::Shared;
use crate::store::StoreOptions;
use crate::stream::CHUNK_TARGET_BYTES;
use bytes::Bytes;
use crossbeam_channel::bounded;
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most bytes that are read of the hot file in one snapshot.
const READ_BYTES_MAX: u64 = 4 << 20;
/// First and longest wait before a failed move is tried again.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// The longest when the disk was full.
const RETRY_FULL: Duration = Duration::from_secs(1);

/// What a call of [`crate::Store::seal`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealReport {
    /// Sealed files made.
    pub files: u64,
    /// Hot chunks that were taken.
    pub old_chunks: u64,
    /// Chunks that took their place.
    pub new_chunks: u64,
    /// Bytes of the files made.
    pub bytes: u64,
    /// Files deleted: all of their chunks were truncated, or no row named them.
    pub unlinked: u64,
}

/// How the mover is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoverStatus {
    /// Everything since the store was opened.
    pub done: SealReport,
    /// Why the last move failed; none = it went well. It is tried again.
    pub last_error: Option<String>,
    /// Parts that wait until chunks have moved out of the hot file, or state was flushed or merged.
    pub waiting_parts: usize,
}

#[derive(Debug, Default)]
struct Known {
    status: MoverStatus,
    /// Files whose rows are gone.
    unlink: Vec<String>,
    /// There may be files that nobody knows of.
    doubt: bool,
    /// Files that are mostly dead but damaged: they stay.
    given_up: BTreeSet<u64>,
}

/// What the thread waits for.
#[derive(Debug, Default)]
struct Signal {
    work: bool,
    closed: bool,
}

/// Chunks of a segment that are to move.
#[derive(Debug)]
struct Share {
    segment: SegmentKey,
    from: Offset,
    hot: u64,
    quota: u64,
}

type HotChunk = (ChunkKey, IndexEntry, Bytes);

pub(crate) struct Mover {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    hot_bytes_max: u64,
    file_bytes: u64,
    /// About so many chunks are switched over in one commit.
    switch_chunks: usize,
    busy: Mutex<()>,
    known: Mutex<Known>,
    signal: Mutex<Signal>,
    signalled: Condvar,
}

/// Works whenever it is woken, and tries again by itself after a failure, until the mover is closed.
pub(crate) fn run(mover: &Mover) {
    let mut wait: Option<Duration> = None;
    while mover.wait(wait) {
        wait = match mover.round() {
            Ok(()) => None,
            // A full disk is looked at again and again: whoever waits for the mover waits for that, too.
            Err(e) if e.kind() == Kind::Full => Some(wait.map_or(RETRY_MIN, |wait| (wait * 2).min(RETRY_FULL))),
            Err(_) => Some(wait.map_or(RETRY_MIN, |wait| (wait * 2).min(RETRY_MAX))),
        };
    }
}

fn guard<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic elsewhere left behind is whole: counters and lists that only grow.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mover {
    pub(crate) fn new(shared: Arc<Shared>, queue: Arc<Queue>, options: &StoreOptions) -> Mover {
        Mover {
            shared,
            queue,
            hot_bytes_max: options.hot_bytes_max,
            file_bytes: options.sealed_file_bytes.max(1),
            switch_chunks: options.switch_chunks,
            busy: Mutex::default(),
            known: Mutex::default(),
            signal: Mutex::default(),
            signalled: Condvar::new(),
        }
    }

    fn send(&self, change: impl FnOnce(&mut Signal)) {
        change(&mut guard(&self.signal));
        self.signalled.notify_all();
    }

    /// There may be something to do.
    pub(crate) fn wake(&self) {
        self.send(|signal| signal.work = true);
    }

    /// The thread ends after what it does just now.
    pub(crate) fn close(&self) {
        self.send(|signal| signal.closed = true);
    }

    /// After an error whose outcome was unknown, files may have lost their rows, or have got none.
    pub(crate) fn doubt(&self) {
        self.known().doubt = true;
        self.wake();
    }

    /// Waits to be woken, or for so long; false when closed.
    fn wait(&self, timeout: Option<Duration>) -> bool {
        let mut signal = guard(&self.signal);
        while !signal.work && !signal.closed {
            match timeout {
                None => signal = self.signalled.wait(signal).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    let (woken, over) =
                        self.signalled.wait_timeout(signal, timeout).unwrap_or_else(PoisonError::into_inner);
                    signal = woken;
                    signal.work |= over.timed_out();
                }
            }
        }
        signal.work = false;
        !signal.closed
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    pub(super) fn is_given_up(&self, file: u64) -> bool {
        self.known().given_up.contains(&file)
    }

    pub(super) fn give_up(&self, file: u64) {
        self.known().given_up.insert(file);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        guard(&self.known)
    }

    /// Nobody else puts or deletes files as long as this is held.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        guard(&self.busy)
    }

    pub(crate) fn status(&self) -> MoverStatus {
        let waiting_parts = self.shared.pressure.waiting() + self.shared.debt.waiting();
        MoverStatus { waiting_parts, ..self.known().status.clone() }
    }

    /// Notes files whose rows are gone; true when there is something to do.
    pub(crate) fn unlink_later(&self, names: Vec<String>) -> bool {
        let mut known = self.known();
        known.unlink.extend(names);
        !known.unlink.is_empty()
    }

    /// What a crash left behind goes; then the thread looks whether there is more to do. A failure is tried again later:
    /// it must not keep the store from opening.
    pub(crate) fn remove_orphans_at_open(&self) {
        let _busy = self.hold();
        let removed = self.remove_orphans();
        if self.note(removed).is_err() || self.shared.pressure.is_high() {
            self.wake();
        }
    }

    /// Whether its row is gone and the file is about to go.
    pub(crate) fn is_to_be_unlinked(&self, name: &str) -> bool {
        self.known().unlink.iter().any(|other| other == name)
    }

    /// Logs what changes, not every try: an outage may take hours. Not under the lock: a log may be slow.
    fn note<T>(&self, result: Result<T>) -> Result<T> {
        let error = result.as_ref().err().map(ToString::to_string);
        let before = {
            let mut known = self.known();
            known.doubt |= error.is_some();
            std::mem::replace(&mut known.status.last_error, error.clone())
        };
        match (before, error) {
            (None, None) => {}
            (Some(_), None) => tracing::info!("chunks move to sealed files again"),
            // What a closing store breaks off is done after the next opening.
            (None, Some(error)) if !self.queue.is_closed() => {
                tracing::warn!(%error, "chunks stay in the hot file; moving them is tried again");
            }
            (_, Some(error)) => tracing::debug!(%error, "chunks still stay in the hot file"),
        }
        result
    }

    fn round(&self) -> Result<()> {
        let keep = if self.shared.pressure.is_high() { self.hot_bytes_max / 2 } else { u64::MAX };
        self.seal(keep).map(drop)
    }

    /// Moves until at most so many bytes are hot.
    pub(crate) fn seal(&self, keep: u64) -> Result<SealReport> {
        let _busy = self.hold();
        let before = self.known().status.done;
        self.note(self.unlink().and_then(|()| self.move_down_to(keep)))?;
        let after = self.known().status.done;
        Ok(SealReport {
            files: after.files - before.files,
            old_chunks: after.old_chunks - before.old_chunks,
            new_chunks: after.new_chunks - before.new_chunks,
            bytes: after.bytes - before.bytes,
            unlinked: after.unlinked - before.unlinked,
        })
    }

    pub(super) fn unlink(&self) -> Result<()> {
        if self.known().doubt {
            return self.remove_orphans();
        }
        loop {
            let Some(name) = self.known().unlink.last().cloned() else { return Ok(()) };
            self.delete(&name)?;
            self.known().unlink.retain(|other| *other != name);
        }
    }

    pub(super) fn delete(&self, name: &str) -> Result<()> {
        self.shared.tier.delete(name).map_err(|e| tier_error("deleting", name, &e))?;
        self.known().status.done.unlinked += 1;
        Ok(())
    }

    /// Files in the tier that look like ours and that no row names, with the rows' own names.
    pub(crate) fn orphans(&self) -> Result<Vec<String>> {
        let listed = self.shared.tier.list().map_err(|e| tier_error("listing", "", &e))?;
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        let under_way = self.shared.files_under_way();
        let rows = self.shared.read(RedbSnapshot::files)?;
        // A row that cannot be read may name any of them.
        let named = rows.into_iter().map(|(_, row)| Ok(row?.name)).collect::<Result<BTreeSet<String>>>()?;
        Ok(listed
            .into_iter()
            .filter(|name| is_file_name(name) && !named.contains(name) && !under_way.contains(name))
            .collect())
    }

    fn remove_orphans(&self) -> Result<()> {
        // What comes to be unlinked from here on has a row now or is in the list again.
        // Until all of it went well there is doubt.
        self.known().doubt = true;
        self.known().unlink.clear();
        self.shared.tier.clean().map_err(|e| tier_error("cleaning", "", &e))?;
        for name in self.orphans()? {
            tracing::info!(file = %format!("{SEALED_FOLDER}/{name}"), "removing a sealed file that nothing names");
            self.delete(&name)?;
        }
        self.known().doubt = false;
        Ok(())
    }

    fn move_down_to(&self, keep: u64) -> Result<()> {
        if self.shared.pressure.hot() <= keep {
            return Ok(());
        }
        let mut shares = self.shared.read(|snapshot| shares(snapshot, keep))?;
        let before = self.known().status.done.old_chunks;
        let mut failed = None;
        let mut writer = None;
        let mut memory = Vec::new();
        for share in &mut shares {
            while share.quota > 0 {
                let chunks = match self.shared.read(|snapshot| read_hot(snapshot, share)) {
                    Ok(chunks) => chunks,
                    Err(e) if e.kind() == Kind::Corrupt => {
                        // A segment that cannot be read must not hold up the others.
                        failed = Some(e);
                        break;
                    }
                    Err(e) => return Err(e),
                };
                if chunks.is_empty() {
                    break;
                }
                for (key, entry, bytes) in chunks {
                    share.from = key.first.plus(u64::from(entry.events));
                    share.quota = share.quota.saturating_sub(u64::from(entry.bytes).max(1));
                    let file = match writer.take() {
                        Some(file) => file,
                        None => FileWriter::within(self.shared.reserve_file()?, std::mem::take(&mut memory)),
                    };
                    let file = writer.insert(file);
                    file.add(key, entry, bytes)?;
                    if file.len() >= self.file_bytes {
                        memory = self.put(writer.take())?;
                    }
                }
            }
        }
        self.put(writer)?;
        if failed.is_none() && self.known().status.done.old_chunks == before {
            // The rows count chunks that the index has lost. Nobody may wait for those.
            let found = self.shared.read(hot_in_index)?;
            self.shared.pressure.set_hot(found);
        }
        failed.map_or(Ok(()), Err)
    }

    pub(super) fn switch(&self, work: Work) -> Result<Outcome> {
        let (answer, answered) = bounded(1);
        self.queue.push(Job { work, on_done: Box::new(move |outcome| drop(answer.send(outcome))) });
        answered.recv().map_err(|_| closed())?
    }

    /// Waits until the committer has told of everything that it committed so far.
    pub(crate) fn hear_all(&self) -> Result<()> {
        let row = FileRow { name: String::new(), bytes: 0, crc: 0, live_chunks: 0, live_bytes: 0 };
        self.switch(Work::Seal { file: u64::MAX, row, groups: Vec::new(), more: false }).map(drop)
    }

    /// Makes the file durable, then switches the index over. Gives its memory back.
    fn put(&self, writer: Option<FileWriter>) -> Result<Vec<u8>> {
        let Some(file) = writer.map(FileWriter::finish).transpose()?.flatten() else { return Ok(Vec::new()) };
        let number = file.number;
        let put = self.put_file(file);
        if put.is_err() {
            self.shared.release_file(number);
        }
        put
    }

    fn put_file(&self, file: SealedFile) -> Result<Vec<u8>> {
        let SealedFile { number, row, bytes, groups } = file;
        let name = row.name.clone();
        self.shared.space.spare(row.bytes)?;
        self.shared.tier.put(&name, bytes.clone()).map_err(|e| tier_error("writing", &name, &e))?;
        let mut some = false;
        for groups in portions(groups, self.switch_chunks) {
            let old: u64 = groups.iter().map(|group| group.old.len() as u64).sum();
            let new: u64 = groups.iter().map(|group| group.new.len() as u64).sum();
            let switched = match self.switch(Work::Seal { file: number, row: row.clone(), groups, more: some })? {
                Outcome::Sealed(switched) => switched,
                other => return Err(Error::bug(format!("the committer answered another question: {other:?}"))),
            };
            let done = &mut self.known().status.done;
            if switched > 0 {
                done.files += u64::from(!some);
                done.bytes += if some { 0 } else { row.bytes };
                done.old_chunks += old;
                done.new_chunks += new;
                some = true;
            }
            if switched < new {
                // Truncated meanwhile, or not as it was: what comes after it is planned anew.
                break;
            }
        }
        if !some {
            self.delete(&name)?;
        }
        Ok(bytes.try_into_mut().map(Vec::from).unwrap_or_default())
    }
}

/// Groups in their order, in portions of about so many chunks: a commit that switches over thousands would hold up
/// the epochs behind it.
fn portions(groups: Vec<Group>, chunks: usize) -> Vec<Vec<Group>> {
    let mut portions = Vec::new();
    let (mut portion, mut size) = (Vec::new(), 0);
    for group in groups {
        size += group.old.len() + group.new.len();
        portion.push(group);
        if size >= chunks {
            portions.push(std::mem::take(&mut portion));
            size = 0;
        }
    }
    if !portion.is_empty() {
        portions.push(portion);
    }
    portions
}

/// What each segment gives, the fullest first, so that at most `keep` bytes stay hot: its part of the whole, but no less
/// than a full chunk, for small ones are joined and a handful of events is not worth an index entry in a file.
fn shares(snapshot: &RedbSnapshot, keep: u64) -> Result<Vec<Share>> {
    let mut shares = Vec::new();
    for (segment, row) in snapshot.segments()? {
        // One that cannot be read stays; `check` names it.
        let (Ok(row), Ok(sealed)) = (row, snapshot.sealed_segment(segment)) else { continue };
        let sealed = sealed.unwrap_or_default();
        let hot = row.bytes.saturating_sub(sealed.bytes);
        if hot > 0 {
            shares.push(Share { segment, from: sealed.until, hot, quota: 0 });
        }
    }
    shares.sort_by_key(|share| (std::cmp::Reverse(share.hot), share.segment));
    let all: u64 = shares.iter().map(|share| share.hot).sum();
    let mut excess = all.saturating_sub(keep);
    let part = u128::from(excess);
    for share in &mut shares {
        let fair = (u128::from(share.hot) * part).div_ceil(u128::from(all.max(1))) as u64;
        share.quota = fair.max(CHUNK_TARGET_BYTES as u64).min(share.hot);
        if excess == 0 {
            share.quota = 0;
        }
        excess = excess.saturating_sub(share.quota);
    }
    shares.retain(|share| share.quota > 0);
    Ok(shares)
}

/// The next hot chunks of a share. A chunk whose bytes are gone counts as one of no bytes: its damage moves along.
fn read_hot(snapshot: &RedbSnapshot, share: &Share) -> Result<Vec<HotChunk>> {
    let mut out = Vec::new();
    let mut sum = 0;
    snapshot.chunks_starting_at(share.segment, share.from, |key, entry| {
        // An entry that cannot be read stays where it is: it must not keep all that comes after it in the hot file.
        let Ok(entry) = entry else { return Ok(true) };
        let bytes = snapshot.hot_chunk(key)?.unwrap_or_default();
        out.push((key, entry, bytes));
        sum += u64::from(entry.bytes);
        Ok(sum < share.quota.min(READ_BYTES_MAX))
    })?;
    Ok(out)
}

/// Bytes of hot chunks that the index names.
fn hot_in_index(snapshot: &RedbSnapshot) -> Result<u64> {
    let mut sum = 0;
    for (segment, _) in snapshot.segments()? {
        let from = snapshot.sealed_segment(segment).ok().flatten().unwrap_or_default().until;
        snapshot.chunks_starting_at(segment, from, |_, entry| {
            sum += entry.map_or(0, |entry| u64::from(entry.bytes));
            Ok(true)
        })?;
    }
    Ok(sum)
}
