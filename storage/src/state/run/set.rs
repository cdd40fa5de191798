//! The runs of an operator's state as of one manifest, read as one: look-ups by key, entries of a key, and everything in
//! order. [`super::super::StateView`] reads through it, flush and merge write what it gives in order.

use super::layout::Block;
use super::reader::{ReadError, RunReader};
use crate::error::Result;
use crate::ids::Epoch;
use crate::row::RunKey;
use crate::state::delta::{Change, Entry};
use crate::state::merge::Changes;
use crate::state::slot_hash;
use std::sync::Arc;

/// One run: its files, ascending.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) files: Vec<Arc<RunReader>>,
}

/// See the module's words. Immutable; a newer manifest has another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunSet {
    /// Everything up to this epoch is in here.
    pub(crate) flushed: Epoch,
    /// Oldest first.
    pub(crate) runs: Vec<Run>,
    /// Bytes of the files.
    pub(crate) bytes: u64,
}

/// What the runs know of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Below {
    Value(Box<[u8]>),
    Nothing,
}

/// A key: state, key group, key, and h(key).
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyPlace<'a> {
    pub(crate) state: u32,
    pub(crate) key_group: u32,
    pub(crate) key: &'a [u8],
    pub(crate) hash: u64,
}

impl KeyPlace<'_> {
    fn start(&self) -> RunKey {
        self.at(false, &[])
    }

    fn at(&self, is_entry: bool, sub_key: &[u8]) -> RunKey {
        RunKey {
            state: self.state,
            key_group: self.key_group,
            key: self.key.to_vec(),
            is_entry,
            sub_key: sub_key.to_vec(),
        }
    }

    fn is_of(&self, entry: &Entry<'_>) -> bool {
        entry.state == self.state && entry.key_group.0 == self.key_group && entry.key == self.key
    }
}

/// Sub-key and value of live entries of a key.
pub(crate) type Found = Vec<(Box<[u8]>, Box<[u8]>)>;

impl RunSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The value of an entry.
    pub(crate) fn get(&self, place: KeyPlace<'_>, sub_key: &[u8]) -> Result<Below, ReadError> {
        for run in self.runs.iter().rev() {
            if !run.may_hold(place)? {
                continue;
            }
            // A clear of the key comes right before its entry with an empty sub-key: one block, mostly.
            let mut at = RunCursor::seek(run, &place.start())?;
            let cleared = match at.entry() {
                Some(entry) if place.is_of(&entry) => entry.change == Change::ClearKey,
                _ => continue,
            };
            if cleared {
                at.step()?;
            }
            if !sub_key.is_empty() {
                at = RunCursor::seek(run, &place.at(true, sub_key))?;
            }
            match at.entry() {
                Some(entry) if place.is_of(&entry) && entry.sub_key == sub_key => match entry.change {
                    Change::Put(value) => return Ok(Below::Value(value.into())),
                    Change::Delete => return Ok(Below::Nothing),
                    Change::ClearKey => {}
                },
                _ => {}
            }
            if cleared {
                break;
            }
        }
        Ok(Below::Nothing)
    }

    /// Live entries of a key with sub-keys in `[start, end)`, ascending: at most `limit`, or fewer once they have
    /// `limit_bytes`. True: there may be more behind the last.
    pub(crate) fn scan(
        &self,
        place: KeyPlace<'_>,
        start: &[u8],
        end: Option<&[u8]>,
        limit: usize,
        limit_bytes: usize,
    ) -> Result<(Found, bool), ReadError> {
        // Newest first.
        let mut heads = Vec::new();
        for run in self.runs.iter().rev() {
            if !run.may_hold(place)? {
                continue;
            }
            let clear = RunCursor::seek(run, &place.start())?;
            let cleared = clear.entry().is_some_and(|e| place.is_of(&e) && e.change == Change::ClearKey);
            heads.push(RunCursor::seek(run, &place.at(true, start))?);
            if cleared {
                break;
            }
        }
        let mut found = Found::new();
        let mut bytes = 0;
        loop {
            let within = |head: &RunCursor| match head.entry() {
                Some(e) if place.is_of(&e) && end.is_none_or(|end| e.sub_key < end) => Some(e.sub_key.to_vec()),
                _ => None,
            };
            let Some(least) = heads.iter().filter_map(within).min() else { return Ok((found, false)) };
            if found.len() >= limit || bytes >= limit_bytes {
                return Ok((found, true));
            }
            let mut newest: Option<Option<Box<[u8]>>> = None;
            for head in &mut heads {
                let value = match head.entry() {
                    Some(e) if place.is_of(&e) && e.sub_key == least => match e.change {
                        Change::Put(value) => Some(Box::from(value)),
                        Change::Delete | Change::ClearKey => None,
                    },
                    _ => continue,
                };
                newest.get_or_insert(value);
                head.step()?;
            }
            if let Some(Some(value)) = newest {
                bytes += least.len() + value.len();
                found.push((least.into(), value));
            }
        }
    }

    /// The greatest sub-key under which a key has something, of a state whose entries are never deleted one by one.
    pub(crate) fn last_sub_key(&self, place: KeyPlace<'_>) -> Result<Option<Box<[u8]>>, ReadError> {
        for run in self.runs.iter().rev() {
            if !run.may_hold(place)? {
                continue;
            }
            if let Some((is_clear, sub_key)) = run.last_of(place)? {
                return Ok((!is_clear).then_some(sub_key));
            }
        }
        Ok(None)
    }

    /// All runs as sources of a merge, oldest first, from an entry on.
    pub(crate) fn sources(&self, from: &RunKey) -> Result<Vec<Box<dyn Changes + '_>>, ReadError> {
        let source = |run| Ok(Box::new(RunCursor::seek(run, from)?) as Box<dyn Changes + '_>);
        self.runs.iter().map(source).collect()
    }
}

impl Run {
    /// The files that may hold a key: those whose range does.
    fn holders<'a>(&'a self, place: KeyPlace<'a>) -> impl Iterator<Item = &'a Arc<RunReader>> {
        let wanted = (place.state, place.key_group, place.key);
        let first = self.files.partition_point(|file| file.file.last.key_place() < wanted);
        self.files[first..].iter().take_while(move |file| file.file.first.key_place() <= wanted)
    }

    fn may_hold(&self, place: KeyPlace<'_>) -> Result<bool, ReadError> {
        for file in self.holders(place) {
            if file.may_hold(slot_hash(place.state, place.hash))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The last entry of a key: whether it is a clear, and its sub-key.
    fn last_of(&self, place: KeyPlace<'_>) -> Result<Option<(bool, Box<[u8]>)>, ReadError> {
        let past = |entry: &Entry<'_>| {
            (entry.state, entry.key_group.0, entry.key) <= (place.state, place.key_group, place.key)
        };
        let holders: Vec<_> = self.holders(place).collect();
        for file in holders.into_iter().rev() {
            let block = file.block(file.seek(past)?)?;
            let mut last = None;
            for i in 0..block.len() {
                let entry = block.entry(i)?;
                if place.is_of(&entry) {
                    last = Some((entry.change == Change::ClearKey, entry.sub_key.into()));
                }
            }
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }
}

/// A place in a run that goes forward.
#[derive(Debug)]
pub(crate) struct RunCursor<'a> {
    files: &'a [Arc<RunReader>],
    file: usize,
    block: usize,
    entry: usize,
    /// None = past the end.
    open: Option<Arc<Block>>,
}

impl<'a> RunCursor<'a> {
    /// At the first entry that does not come before `target`.
    pub(crate) fn seek(run: &'a Run, target: &RunKey) -> Result<RunCursor<'a>, ReadError> {
        let files = &run.files[..];
        let file = files.partition_point(|file| file.file.last < *target);
        let mut cursor = RunCursor { files, file, block: 0, entry: 0, open: None };
        let Some(reader) = files.get(file) else { return Ok(cursor) };
        cursor.block = reader.seek(|first| target.is_after(first))?;
        let block = reader.block(cursor.block)?;
        let (mut low, mut high) = (0, block.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if target.is_after(&block.entry(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        cursor.entry = low;
        cursor.open = Some(block);
        cursor.settle()?;
        Ok(cursor)
    }

    /// Opens the next block when this one is used up.
    fn settle(&mut self) -> Result<(), ReadError> {
        while let Some(block) = &self.open {
            if self.entry < block.len() {
                // Parsed here once, so that `entry` finds it.
                block.entry(self.entry)?;
                return Ok(());
            }
            (self.block, self.entry) = (self.block + 1, 0);
            if self.block >= self.files[self.file].blocks()? {
                (self.file, self.block) = (self.file + 1, 0);
            }
            self.open = match self.files.get(self.file) {
                Some(reader) => Some(reader.block(self.block)?),
                None => None,
            };
        }
        Ok(())
    }

    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        self.open.as_ref()?.entry(self.entry).ok()
    }

    pub(crate) fn step(&mut self) -> Result<(), ReadError> {
        self.entry += 1;
        self.settle()
    }
}

impl Changes for RunCursor<'_> {
    fn peek(&self) -> Option<Entry<'_>> {
        self.entry()
    }

    fn advance(&mut self) -> Result<()> {
        self.step().map_err(ReadError::into_error)
    }
}
