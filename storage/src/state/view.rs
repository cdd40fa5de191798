//! The committed state of one subtask: [`Memory`] on top of the runs of its operator's manifest. `Store::load_state` makes
//! it; the host's keyed state reads through it and folds committed epochs in.
//!
//! Runs change under a view when the background flushes or merges: the [`RunCell`] that both share then holds a newer set. A
//! view takes it at an epoch's commit, or when a file that it wants to read is gone.

use super::delta::{Change, Entry};
use super::memory::{Looked, Memory};
use super::merge::merge_into;
use super::run::set::Found;
use super::run::{Below, KeyPlace, ReadError, RunSet};
use crate::error::Result;
use crate::hash::key_group;
use crate::ids::Epoch;
use crate::row::RunKey;
use crate::timer;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The newest set of runs of an operator, shared by its views and the background.
#[derive(Debug, Default)]
pub(crate) struct RunCell {
    newest: Mutex<Arc<RunSet>>,
    version: AtomicU64,
}

impl RunCell {
    /// Looks for the newest set while nobody else does, so that an older one never takes the place of a newer one.
    pub(crate) fn renew(&self, look: impl FnOnce() -> Result<RunSet>) -> Result<()> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = Arc::new(look()?);
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn newer_than(&self, version: u64) -> Option<(Arc<RunSet>, u64)> {
        if self.version.load(Ordering::Acquire) == version {
            return None;
        }
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        Some((newest.clone(), self.version.load(Ordering::Acquire)))
    }
}

/// How much memory committed state may take, in equal shares of all views of a store.
#[derive(Debug)]
pub(crate) struct StateBudget {
    bytes: usize,
    views: AtomicUsize,
}

impl StateBudget {
    pub(crate) fn new(bytes: usize) -> StateBudget {
        StateBudget { bytes, views: AtomicUsize::new(0) }
    }
}

/// A view's place in the budget.
#[derive(Debug)]
struct Share(Arc<StateBudget>);

impl Share {
    fn of(budget: Arc<StateBudget>) -> Share {
        budget.views.fetch_add(1, Ordering::Relaxed);
        Share(budget)
    }

    fn bytes(&self) -> usize {
        self.0.bytes / self.0.views.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.views.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See the module's words.
#[derive(Debug, Default)]
pub struct StateView {
    memory: Memory,
    max_parallelism: u32,
    below: Option<Runs>,
}

#[derive(Debug)]
struct Runs {
    cell: Arc<RunCell>,
    version: u64,
    set: Arc<RunSet>,
    share: Share,
}

impl From<Memory> for StateView {
    /// State without runs: all of it is in memory, whatever it takes.
    fn from(memory: Memory) -> StateView {
        StateView { max_parallelism: memory.max_parallelism(), memory, below: None }
    }
}

/// Reads `f` of the newest runs, and again when one of their files was merged away.
fn read<T>(runs: &mut Runs, memory: &mut Memory, f: impl Fn(&RunSet) -> Result<T, ReadError>) -> Result<T> {
    loop {
        match f(&runs.set) {
            Ok(found) => return Ok(found),
            Err(ReadError::Missing(_)) if runs.renew(memory) => {}
            Err(e) => return Err(e.into_error()),
        }
    }
}

impl Runs {
    /// Takes the newest set; false = there is no newer one.
    fn renew(&mut self, memory: &mut Memory) -> bool {
        let Some((set, version)) = self.cell.newer_than(self.version) else { return false };
        (self.set, self.version) = (set, version);
        if !self.set.is_empty() {
            memory.runs_hold(self.set.flushed);
        }
        true
    }
}

impl StateView {
    /// A view of a manifest whose runs are the cell's. `blobs` are applied by the caller, after this.
    pub(crate) fn new(memory: Memory, cell: Arc<RunCell>, budget: Arc<StateBudget>) -> Result<StateView> {
        let max_parallelism = memory.max_parallelism();
        let (set, version) = cell.newer_than(0).unwrap_or_default();
        let below = Runs { cell, version, set, share: Share::of(budget) };
        let mut view = StateView { memory, max_parallelism, below: Some(below) };
        view.load_at_start()?;
        Ok(view)
    }

    /// Loads the runs when they are small, timers at least.
    fn load_at_start(&mut self) -> Result<()> {
        let Some(runs) = &self.below else { return Ok(()) };
        if runs.set.is_empty() {
            return Ok(());
        }
        let key_groups = self.memory.key_groups();
        let all = runs.set.bytes <= runs.share.bytes() as u64 / 8;
        // While it loads, what is not there yet is not nothing.
        self.memory.begin_incomplete();
        if all {
            self.load(&RunKey::default(), |_| true)?;
            self.memory.end_complete();
        } else {
            for state in timer::STATES {
                let from = RunKey { state, key_group: key_groups.start, ..RunKey::default() };
                self.load(&from, |entry| entry.state == state && entry.key_group.0 < key_groups.end)?;
            }
        }
        if let Some(runs) = &self.below {
            self.memory.runs_hold(runs.set.flushed);
        }
        Ok(())
    }

    /// Takes entries of the runs into memory, from a place on, while `wanted`.
    fn load(&mut self, from: &RunKey, wanted: impl Fn(&Entry<'_>) -> bool) -> Result<()> {
        let Some(runs) = &mut self.below else { return Ok(()) };
        let key_groups = self.memory.key_groups();
        // A file that is merged away half way: from the beginning with the newer runs.
        loop {
            let set = runs.set.clone();
            let memory = &mut self.memory;
            let merged = set.sources(from).map(|sources| {
                merge_into(sources, true, |entry| {
                    if !wanted(entry) {
                        return Ok(false);
                    }
                    if let Change::Put(value) = entry.change
                        && key_groups.contains(&entry.key_group.0)
                    {
                        let hash = memory.checked_hash(&entry.key_group, entry.state, entry.key)?;
                        memory.remember(hash, entry.state, entry.key, entry.sub_key, value);
                    }
                    Ok(true)
                })
            });
            match merged {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(e)) => {
                    if !runs.renew(&mut self.memory) {
                        return Err(e);
                    }
                }
                Err(ReadError::Missing(_)) if runs.renew(&mut self.memory) => {}
                Err(e) => return Err(e.into_error()),
            }
        }
    }

    /// Applies a delta blob on top, as [`Memory::apply_delta`].
    pub(crate) fn apply_delta(&mut self, blob: &[u8], through: Epoch) -> Result<()> {
        self.memory.apply_delta(blob, through)
    }

    /// What is in memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The key groups it holds.
    pub fn key_groups(&self) -> Range<u32> {
        self.memory.key_groups()
    }

    fn place<'a>(&self, hash: u64, state: u32, key: &'a [u8]) -> KeyPlace<'a> {
        KeyPlace { state, key_group: key_group(hash, self.max_parallelism).0, key, hash }
    }

    /// The value of an entry if memory tells; `Err(())` = only [`StateView::fetch`] does. `hash` = h(key).
    #[inline]
    pub fn look(&self, hash: u64, state: u32, key: &[u8], sub_key: &[u8]) -> Result<Option<&[u8]>, Unknown> {
        match self.memory.look(hash, state, key, sub_key) {
            Looked::Value(value) => Ok(Some(value)),
            Looked::Nothing => Ok(None),
            Looked::Unknown => Err(Unknown),
        }
    }

    /// See [`Memory::warm`].
    pub fn warm(&self, places: &[(u64, u32)]) {
        self.memory.warm(places);
    }

    /// The value of an entry out of the runs, which memory then holds, too.
    pub fn fetch(&mut self, hash: u64, state: u32, key: &[u8], sub_key: &[u8]) -> Result<Option<Box<[u8]>>> {
        let place = self.place(hash, state, key);
        let Some(runs) = &mut self.below else { return Ok(None) };
        match read(runs, &mut self.memory, |set| set.get(place, sub_key))? {
            Below::Nothing => Ok(None),
            Below::Value(value) => {
                self.memory.remember(hash, state, key, sub_key, &value);
                let limit = runs.share.bytes();
                // Some room, so that it is not every miss that looks for something to evict.
                if self.memory.bytes() > limit + limit / 16 {
                    self.memory.evict(limit);
                }
                Ok(Some(value))
            }
        }
    }

    /// Entries of a key in the runs, with sub-keys in `[start, end)`, ascending, for whatever memory does not know; true: more
    /// may lie behind the last. Nothing when memory has all of the key.
    pub fn scan_runs(
        &mut self,
        (hash, state, key): (u64, u32, &[u8]),
        start: &[u8],
        end: Option<&[u8]>,
        limit: usize,
        limit_bytes: usize,
    ) -> Result<(Found, bool)> {
        if self.memory.is_whole(hash, state, key) {
            return Ok((Found::new(), false));
        }
        let place = self.place(hash, state, key);
        let Some(runs) = &mut self.below else { return Ok((Found::new(), false)) };
        read(runs, &mut self.memory, |set| set.scan(place, start, end, limit, limit_bytes))
    }

    /// The greatest sub-key of a key whose entries are never removed one by one: where a list goes on.
    pub fn last_sub_key(&mut self, hash: u64, state: u32, key: &[u8]) -> Result<Option<Box<[u8]>>> {
        if let Some(last) = self.memory.last_sub_key(hash, state, key) {
            return Ok(Some(last.into()));
        }
        if self.memory.is_whole(hash, state, key) {
            return Ok(None);
        }
        let place = self.place(hash, state, key);
        let Some(runs) = &mut self.below else { return Ok(None) };
        read(runs, &mut self.memory, |set| set.last_sub_key(place))
    }

    /// Folds one change of a committed epoch in.
    #[inline]
    pub fn apply(&mut self, epoch: Epoch, hash: u64, state: u32, key: &[u8], sub_key: &[u8], change: Change<'_>) {
        self.memory.apply(epoch, hash, state, key, sub_key, change);
    }

    /// After an epoch was folded in: takes newer runs, and keeps within the share.
    pub fn settle(&mut self) {
        let Some(runs) = &mut self.below else { return };
        runs.renew(&mut self.memory);
        self.memory.evict(runs.share.bytes());
    }

    /// Everything there is, in no order: state, key, sub-key, value. For tests and inspection; it reads all runs.
    pub fn for_each(&mut self, mut visit: impl FnMut(u32, &[u8], &[u8], &[u8])) -> Result<()> {
        for entry in self.memory.iter() {
            visit(entry.state, entry.key, entry.sub_key, entry.value);
        }
        let Some(runs) = &self.below else { return Ok(()) };
        if self.memory.is_complete() {
            return Ok(());
        }
        let (memory, key_groups) = (&self.memory, self.memory.key_groups());
        let sources = runs.set.sources(&RunKey::default()).map_err(ReadError::into_error)?;
        merge_into(sources, true, |entry| {
            if let Change::Put(value) = entry.change
                && key_groups.contains(&entry.key_group.0)
            {
                let hash = memory.checked_hash(&entry.key_group, entry.state, entry.key)?;
                if memory.look(hash, entry.state, entry.key, entry.sub_key) == Looked::Unknown {
                    visit(entry.state, entry.key, entry.sub_key, value);
                }
            }
            Ok(true)
        })
    }
}

/// Memory does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;
