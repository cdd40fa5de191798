//! The bytes of a file of a run: a sealed file that holds sorted state. `writer.rs` writes them, `reader.rs` and
//! [`crate::Store::check`] read them; every part has its own checksum, so that a reader checks no more than it reads.
//!
//! ```text
//! integers little-endian
//! header   as of every sealed file (sealed/layout.rs), contents 1
//! blocks, end to end
//!  0  u8       codec of the body: 0 raw, 1 lz4 block
//!  1  [u8; 3]  zero
//!  4  u32      raw length of the body
//!  8  u32      length of the body as stored
//! 12  u32      crc32c of bytes 0..12 and of the body as stored
//! 16  ..       body
//!     body     entries as a state delta has them (state/delta.rs), ascending | u32 per entry: where it starts | u32 entries
//! filter   blocks of 32 bytes (filter.rs) over h(state, key)
//! index    per block: u64 where it starts | u32 its length | its first entry, as in a body, without value
//! trailer, 56 bytes, the file's last
//!  0  u64      where the filter starts
//!  8  u64      where the index starts
//! 16  u64      where the trailer starts
//! 24  u64      entries
//! 32  u64      file number
//! 40  u32      crc32c of the filter
//! 44  u32      crc32c of the index
//! 48  u32      crc32c of bytes 0..48
//! 52  [u8; 4]  magic "TMSR"
//! ```

use crate::error::{Error, Result};
use crate::sealed::layout::HEADER_BYTES;
use crate::state::delta::{self, Entry};

/// A block is closed once its entries have so many bytes; one large entry makes a large block.
pub(super) const BLOCK_BYTES: usize = 8 << 10;
pub(super) const BLOCK_HEAD_BYTES: usize = 16;
pub(super) const TRAILER_BYTES: usize = 56;
const MAGIC: [u8; 4] = *b"TMSR";
const CODEC_RAW: u8 = 0;
const CODEC_LZ4: u8 = 1;
/// An lz4 block grows by at most this factor when decoded: the guard of the allocation.
const LZ4_RATIO_MAX: u64 = 255;

pub(super) fn bad(why: impl std::fmt::Display) -> Error {
    Error::corrupt(why)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|b| u64::from_le_bytes(*b))
}

/// Appends a block with this raw body, compressed when that saves an eighth.
pub(super) fn push_block(out: &mut Vec<u8>, body: &[u8]) {
    let packed = lz4_flex::block::compress(body);
    let (codec, stored) =
        if packed.len() <= body.len() - body.len() / 8 { (CODEC_LZ4, &packed[..]) } else { (CODEC_RAW, body) };
    let at = out.len();
    out.extend_from_slice(&[codec, 0, 0, 0]);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&(stored.len() as u32).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out[at..]), stored);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(stored);
}

/// A decoded block.
#[derive(Debug)]
pub(super) struct Block {
    body: Vec<u8>,
    entries: usize,
    /// Where the starts of the entries lie in the body.
    starts_at: usize,
}

impl Block {
    /// Checks the checksum and decompresses.
    pub(super) fn decode(bytes: &[u8]) -> Result<Block> {
        let (head, stored) =
            bytes.split_first_chunk::<BLOCK_HEAD_BYTES>().ok_or_else(|| bad("a block is shorter than its head"))?;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..12]), stored);
        if u32_at(head, 12) != Some(crc) {
            return Err(bad("the checksum of a block does not match"));
        }
        let (raw, told) = (u32_at(head, 4).unwrap_or(0), u32_at(head, 8).unwrap_or(0));
        if told as usize != stored.len() {
            return Err(bad("a block has another length than it says"));
        }
        let body = match head[0] {
            CODEC_RAW if raw == told => stored.to_vec(),
            CODEC_LZ4 if u64::from(raw) <= u64::from(told) * LZ4_RATIO_MAX => {
                let mut body = vec![0; raw as usize];
                match lz4_flex::block::decompress_into(stored, &mut body) {
                    Ok(n) if n == body.len() => body,
                    _ => return Err(bad("a block does not decompress to its raw length")),
                }
            }
            _ => return Err(bad("a block has an unknown codec or a wrong raw length")),
        };
        let entries = body.len().checked_sub(4).and_then(|at| u32_at(&body, at)).unwrap_or(0) as usize;
        let starts_at = entries.checked_mul(4).and_then(|n| body.len().checked_sub(4 + n));
        let starts_at = starts_at.filter(|_| entries > 0).ok_or_else(|| bad("a block has a wrong count of entries"))?;
        Ok(Block { body, entries, starts_at })
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.body.len()
    }

    pub(super) fn entry(&self, index: usize) -> Result<Entry<'_>> {
        let start = u32_at(&self.body, self.starts_at + index * 4).unwrap_or(u32::MAX) as usize;
        let mut rest = self.body.get(start..self.starts_at).unwrap_or(&[]);
        delta::parse(&mut rest).ok_or_else(|| bad("an entry of a block is malformed"))
    }
}

/// Where the parts of a file lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) filter_at: u64,
    pub(super) index_at: u64,
    pub(super) trailer_at: u64,
    pub(super) entries: u64,
    pub(super) file: u64,
    pub(super) filter_crc: u32,
    pub(super) index_crc: u32,
}

impl Trailer {
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        let at = out.len();
        for number in [self.filter_at, self.index_at, self.trailer_at, self.entries, self.file] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.filter_crc.to_le_bytes());
        out.extend_from_slice(&self.index_crc.to_le_bytes());
        let crc = crc32c::crc32c(&out[at..]);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&MAGIC);
    }

    /// Of a file of `len` bytes.
    pub(super) fn decode(bytes: &[u8], file: u64, len: u64) -> Result<Trailer> {
        let cut = || bad("the end is not that of a file of state: it was cut off");
        if bytes.len() != TRAILER_BYTES || bytes[52..] != MAGIC {
            return Err(cut());
        }
        if u32_at(bytes, 48) != Some(crc32c::crc32c(&bytes[..48])) {
            return Err(bad("the checksum of the trailer does not match"));
        }
        let number = |at| u64_at(bytes, at).unwrap_or_default();
        let crc = |at| u32_at(bytes, at).unwrap_or_default();
        let trailer = Trailer {
            filter_at: number(0),
            index_at: number(8),
            trailer_at: number(16),
            entries: number(24),
            file: number(32),
            filter_crc: crc(40),
            index_crc: crc(44),
        };
        let Trailer { filter_at, index_at, trailer_at, .. } = trailer;
        let ascend = HEADER_BYTES as u64 <= filter_at && filter_at <= index_at && index_at <= trailer_at;
        if trailer.file != file {
            return Err(bad(format!("it is file {}", trailer.file)));
        }
        if !ascend || trailer_at.checked_add(TRAILER_BYTES as u64) != Some(len) {
            return Err(bad("the parts do not lie one after the other"));
        }
        Ok(trailer)
    }
}

/// Appends the index entry of a block.
pub(super) fn push_index_entry(out: &mut Vec<u8>, start: u64, len: u32, first: &Entry<'_>) {
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    delta::push_entry(out, &first.without_value());
}

/// A checked index: where each block lies, and its first entry.
#[derive(Debug)]
pub(super) struct Index {
    bytes: Vec<u8>,
    /// Where the index entries start.
    at: Vec<u32>,
}

/// A block's place in the file, and the first entry in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexedBlock<'a> {
    pub(super) start: u64,
    pub(super) len: u32,
    pub(super) first: Entry<'a>,
}

impl Index {
    pub(super) fn decode(bytes: &[u8], trailer: &Trailer) -> Result<Index> {
        if crc32c::crc32c(bytes) != trailer.index_crc {
            return Err(bad("the checksum of the index does not match"));
        }
        let mut index = Index { bytes: bytes.to_vec(), at: Vec::new() };
        let (mut at, mut end) = (0, HEADER_BYTES as u64);
        while at < bytes.len() {
            let malformed = || bad(format!("the index is malformed at byte {at}"));
            let mut rest = bytes.get(at + 12..).ok_or_else(malformed)?;
            let (start, len) = (u64_at(bytes, at), u32_at(bytes, at + 8));
            delta::parse(&mut rest).ok_or_else(malformed)?;
            if start != Some(end) || len.is_none_or(|len| len as usize <= BLOCK_HEAD_BYTES) {
                return Err(bad("the blocks do not lie end to end"));
            }
            end += u64::from(len.unwrap_or_default());
            index.at.push(at as u32);
            at = bytes.len() - rest.len();
        }
        if end != trailer.filter_at || index.at.is_empty() {
            return Err(bad("the blocks do not end where the filter starts"));
        }
        Ok(index)
    }

    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.at.len() * 4
    }

    pub(super) fn block(&self, index: usize) -> Result<IndexedBlock<'_>> {
        let parse = || {
            let at = *self.at.get(index)? as usize;
            let (start, len) = (u64_at(&self.bytes, at)?, u32_at(&self.bytes, at + 8)?);
            let first = delta::parse(&mut self.bytes.get(at + 12..)?)?;
            Some(IndexedBlock { start, len, first })
        };
        parse().ok_or_else(|| bad("the index is malformed"))
    }
}
