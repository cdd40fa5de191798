//! Writes a run: entries that come in order become files of about one size, each put into the tier as soon as it is
//! full. Flush and merge feed it; what it gives goes to the committer.

use super::filter;
use super::layout::{BLOCK_BYTES, Trailer, push_block, push_index_entry};
use crate::error::Result;
use crate::hash::hash_key;
use crate::row::{FileRow, RunFile, RunKey};
use crate::sealed::layout::push_header;
use crate::sealed::{Holds, file_name};
use crate::state::delta::{Entry, push_entry};
use crate::state::slot_hash;
use bytes::Bytes;

/// A file ready to be put.
#[derive(Debug)]
pub(crate) struct FinishedFile {
    pub(crate) file: RunFile,
    pub(crate) row: FileRow,
    pub(crate) bytes: Bytes,
}

/// A file in the making, in memory.
#[derive(Debug)]
pub(crate) struct RunFileWriter {
    number: u64,
    bytes: Vec<u8>,
    block: Vec<u8>,
    starts: Vec<u32>,
    /// The index entry of the open block, whose place is not known yet.
    block_first: Option<RunKey>,
    index: Vec<u8>,
    hashes: Vec<u64>,
    first: Option<RunKey>,
    last: RunKey,
    entries: u64,
}

impl RunFileWriter {
    pub(crate) fn new(number: u64) -> RunFileWriter {
        let mut bytes = Vec::new();
        push_header(&mut bytes, number, Holds::State);
        RunFileWriter {
            number,
            bytes,
            block: Vec::new(),
            starts: Vec::new(),
            block_first: None,
            index: Vec::new(),
            hashes: Vec::new(),
            first: None,
            last: RunKey::default(),
            entries: 0,
        }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        (self.bytes.len() + self.block.len()) as u64
    }

    /// Takes in the next entry. They ascend strictly.
    pub(crate) fn push(&mut self, entry: &Entry<'_>) {
        if self.first.is_none() || !self.last.is_of_same_key(entry) {
            self.hashes.push(slot_hash(entry.state, hash_key(entry.key)));
        }
        self.last.set(entry);
        if self.first.is_none() {
            self.first = Some(self.last.clone());
        }
        if self.block_first.is_none() {
            self.block_first = Some(self.last.clone());
        }
        self.starts.push(self.block.len() as u32);
        push_entry(&mut self.block, entry);
        self.entries += 1;
        if self.block.len() >= BLOCK_BYTES {
            self.close_block();
        }
    }

    fn close_block(&mut self) {
        let Some(first) = self.block_first.take() else { return };
        for start in &self.starts {
            self.block.extend_from_slice(&start.to_le_bytes());
        }
        self.block.extend_from_slice(&(self.starts.len() as u32).to_le_bytes());
        let start = self.bytes.len();
        push_block(&mut self.bytes, &self.block);
        push_index_entry(&mut self.index, start as u64, (self.bytes.len() - start) as u32, &first.as_entry());
        self.block.clear();
        self.starts.clear();
    }

    /// The file; none when nothing was pushed.
    pub(crate) fn finish(mut self) -> Result<Option<FinishedFile>> {
        self.close_block();
        let Some(first) = self.first else { return Ok(None) };
        let filter = filter::build(&self.hashes);
        let filter_at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(&filter);
        let index_at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(&self.index);
        let trailer = Trailer {
            filter_at,
            index_at,
            trailer_at: self.bytes.len() as u64,
            entries: self.entries,
            file: self.number,
            filter_crc: crc32c::crc32c(&filter),
            index_crc: crc32c::crc32c(&self.index),
        };
        trailer.push(&mut self.bytes);
        let bytes = Bytes::from(self.bytes);
        let crc = crc32c::crc32c(&bytes);
        let len = bytes.len() as u64;
        let name = file_name(self.number, crc, Holds::State);
        Ok(Some(FinishedFile {
            file: RunFile { file: self.number, entries: self.entries, first, last: self.last },
            row: FileRow { name, bytes: len, crc, live_chunks: 1, live_bytes: len },
            bytes,
        }))
    }
}
