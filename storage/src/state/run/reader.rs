//! Reads files of runs piece by piece: trailer, index, filter and blocks on demand, checked and kept in one cache for the
//! whole store. Runs (`set.rs`) and [`crate::Store::check`] call it.

use super::filter;
use super::layout::{Block, Index, TRAILER_BYTES, Trailer};
use crate::error::{Error, Kind, Result};
use crate::row::{FileRow, RunFile};
use crate::sealed::reader::{missing, tier_error};
use crate::sealed::{SEALED_FOLDER, Tier, TierFile};
use crate::state::delta::Entry;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Which part of which file.
type PartKey = (u64, u32);
const INDEX: u32 = u32::MAX;
const FILTER: u32 = u32::MAX - 1;

/// A part of a file, checked.
#[derive(Clone, Debug)]
enum FilePart {
    Index(Arc<(Trailer, Index)>),
    Filter(Arc<Vec<u8>>),
    Block(Arc<Block>),
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<PartKey, FilePart> for Bytes {
    fn weight(&self, _: &PartKey, part: &FilePart) -> u64 {
        let bytes = match part {
            FilePart::Index(index) => index.1.bytes(),
            FilePart::Filter(filter) => filter.len(),
            FilePart::Block(block) => block.bytes(),
        };
        bytes as u64 + 64
    }
}

/// Parts of files that were read lately. One for a store.
#[derive(Debug)]
pub(crate) struct RunCache {
    parts: Cache<PartKey, FilePart, Bytes>,
}

impl RunCache {
    /// Keeps so many bytes at most.
    pub(crate) fn new(bytes: u64) -> RunCache {
        RunCache { parts: Cache::with_weighter((bytes / (4 << 10)).max(16) as usize, bytes, Bytes) }
    }
}

/// Why something could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// There is no such file: its run was merged away after the look-up, or it was lost. Only a newer manifest tells.
    Missing(Error),
    Other(Error),
}

impl From<Error> for ReadError {
    fn from(error: Error) -> ReadError {
        ReadError::Other(error)
    }
}

impl ReadError {
    pub(crate) fn into_error(self) -> Error {
        match self {
            ReadError::Missing(e) | ReadError::Other(e) => e,
        }
    }
}

/// A file of a run, opened when it is first read.
#[derive(Debug)]
pub(crate) struct RunReader {
    pub(super) file: RunFile,
    row: FileRow,
    tier: Arc<dyn Tier>,
    cache: Arc<RunCache>,
    handle: OnceLock<Option<Box<dyn TierFile>>>,
}

impl RunReader {
    pub(crate) fn new(file: RunFile, row: FileRow, tier: Arc<dyn Tier>, cache: Arc<RunCache>) -> RunReader {
        RunReader { file, row, tier, cache, handle: OnceLock::new() }
    }

    fn context(&self, error: Error) -> Error {
        error.context(format!("file {SEALED_FOLDER}/{}", self.row.name))
    }

    fn read(&self, range: Range<u64>) -> Result<bytes::Bytes, ReadError> {
        let wanted = range.end.saturating_sub(range.start);
        let read = match self.handle.get() {
            Some(Some(handle)) => handle.read(range),
            Some(None) => self.tier.read(&self.row.name, range),
            None => match self.tier.open(&self.row.name) {
                Ok(handle) => match self.handle.get_or_init(|| handle) {
                    Some(handle) => handle.read(range),
                    None => self.tier.read(&self.row.name, range),
                },
                Err(e) => Err(e),
            },
        };
        match read {
            Ok(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Ok(bytes) => {
                let what = format!("it was cut off: of {wanted} bytes {} are there; restore a backup", bytes.len());
                Err(self.context(Error::corrupt(what)).into())
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Err(ReadError::Missing(missing(&self.row.name))),
            Err(e) => Err(tier_error("reading", &self.row.name, &e).into()),
        }
    }

    /// A part from the cache, or read, checked and kept.
    fn part(&self, part: u32, read: impl FnOnce() -> Result<FilePart, ReadError>) -> Result<FilePart, ReadError> {
        let key = (self.file.file, part);
        if let Some(found) = self.cache.parts.get(&key) {
            return Ok(found);
        }
        let found = read().map_err(|e| match e {
            ReadError::Other(e) if e.kind() == Kind::Corrupt => ReadError::Other(self.context(e)),
            e => e,
        })?;
        self.cache.parts.insert(key, found.clone());
        Ok(found)
    }

    fn wrong_part(&self) -> ReadError {
        ReadError::Other(Error::bug(format!("the cache holds another part of file {}", self.file.file)))
    }

    fn index(&self) -> Result<Arc<(Trailer, Index)>, ReadError> {
        let read = || {
            let at = self.row.bytes.saturating_sub(TRAILER_BYTES as u64);
            let trailer = Trailer::decode(&self.read(at..self.row.bytes)?, self.file.file, self.row.bytes)?;
            let index = Index::decode(&self.read(trailer.index_at..trailer.trailer_at)?, &trailer)?;
            Ok(FilePart::Index(Arc::new((trailer, index))))
        };
        match self.part(INDEX, read)? {
            FilePart::Index(index) => Ok(index),
            _ => Err(self.wrong_part()),
        }
    }

    /// Whether the file may hold a key.
    pub(super) fn may_hold(&self, hash: u64) -> Result<bool, ReadError> {
        let read = || {
            let index = self.index()?;
            let bytes = self.read(index.0.filter_at..index.0.index_at)?;
            if crc32c::crc32c(&bytes) != index.0.filter_crc {
                return Err(Error::corrupt("the checksum of the filter does not match; restore a backup").into());
            }
            Ok(FilePart::Filter(Arc::new(bytes.to_vec())))
        };
        match self.part(FILTER, read)? {
            FilePart::Filter(filter) => Ok(filter::may_hold(&filter, hash)),
            _ => Err(self.wrong_part()),
        }
    }

    /// How many blocks.
    pub(super) fn blocks(&self) -> Result<usize, ReadError> {
        Ok(self.index()?.1.len())
    }

    pub(super) fn block(&self, index: usize) -> Result<Arc<Block>, ReadError> {
        let read = || {
            let parts = self.index()?;
            let block = parts.1.block(index)?;
            let bytes = self.read(block.start..block.start + u64::from(block.len))?;
            Ok(FilePart::Block(Arc::new(Block::decode(&bytes)?)))
        };
        match self.part(index as u32, read)? {
            FilePart::Block(block) => Ok(block),
            _ => Err(self.wrong_part()),
        }
    }

    /// The block that holds the first entry for which `before` is false, if any does: the last that starts before it.
    pub(super) fn seek(&self, before: impl Fn(&Entry<'_>) -> bool) -> Result<usize, ReadError> {
        let parts = self.index()?;
        let (mut low, mut high) = (0, parts.1.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(&parts.1.block(middle)?.first) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.saturating_sub(1))
    }

    /// Reads all of it, past the cache: every checksum, and that the entries ascend and are as many as told.
    pub(crate) fn check(&self) -> Result<()> {
        let check = || -> Result<(), ReadError> {
            let at = self.row.bytes.saturating_sub(TRAILER_BYTES as u64);
            let trailer = Trailer::decode(&self.read(at..self.row.bytes)?, self.file.file, self.row.bytes)?;
            let index = Index::decode(&self.read(trailer.index_at..trailer.trailer_at)?, &trailer)?;
            let mut last = None;
            let mut entries = 0;
            for i in 0..index.len() {
                let block = index.block(i)?;
                let decoded = Block::decode(&self.read(block.start..block.start + u64::from(block.len))?)?;
                for j in 0..decoded.len() {
                    let entry = decoded.entry(j)?;
                    let key = crate::row::RunKey::of(&entry);
                    let first = if j == 0 { Some(crate::row::RunKey::of(&block.first)) } else { None };
                    if last.as_ref().is_some_and(|last| *last >= key) || first.is_some_and(|first| first != key) {
                        return Err(Error::corrupt("the entries do not ascend; restore a backup").into());
                    }
                    if entries == 0 && key != self.file.first {
                        return Err(Error::corrupt("it begins with another entry than its run says").into());
                    }
                    last = Some(key);
                    entries += 1;
                }
            }
            if (entries, last.as_ref()) != (self.file.entries, Some(&self.file.last)) {
                return Err(Error::corrupt("it has other entries than its run says; restore a backup").into());
            }
            Ok(())
        };
        check().map_err(|e| self.context(e.into_error()))
    }
}
