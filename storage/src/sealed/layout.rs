//! The bytes of a sealed file around its chunks. `writer.rs` writes them, `check.rs` reads them; a reader of a stream
//! needs only the index.
//!
//! ```text
//! integers little-endian
//! header, 20 bytes
//!  0  [u8; 4]  magic "TMSF"
//!  4  u8       version, 1
//!  5  u8       what it holds: 0 chunks, 1 state (then state/run/layout.rs draws the rest)
//!  6  u16      zero
//!  8  u64      file number
//! 16  u32      crc32c of bytes 0..16
//! chunks, end to end, each as codec/chunk.rs draws it
//! footer: an entry of 40 bytes per chunk, in the order of the chunks
//!  0  u64      stream id
//!  8  u64      segment id
//! 16  u64      offset of the first event
//! 24  u64      first byte in the file
//! 32  u32      length
//! 36  u32      crc that the chunk's header holds
//! trailer, 20 bytes, the file's last
//!  0  u64      where the footer starts
//!  8  u32      entries
//! 12  u32      crc32c of the footer and of bytes 0..12 of the trailer
//! 16  [u8; 4]  magic "TMSE"
//! ```

use super::Holds;
use crate::error::{Error, Result};
use crate::ids::{Offset, SegmentId, StreamId};
use crate::row::{ChunkKey, SegmentKey};

pub(crate) const HEADER_BYTES: usize = 20;
const ENTRY_BYTES: usize = 40;
const TRAILER_BYTES: usize = 20;
const MAGIC: [u8; 4] = *b"TMSF";
const END_MAGIC: [u8; 4] = *b"TMSE";
const VERSION: u8 = 1;

/// A chunk in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FooterEntry {
    pub(crate) key: ChunkKey,
    pub(crate) start: u64,
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

fn bad(why: impl std::fmt::Display) -> Error {
    Error::corrupt(why)
}

pub(crate) fn push_header(out: &mut Vec<u8>, file: u64, holds: Holds) {
    let at = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, holds as u8, 0, 0]);
    out.extend_from_slice(&file.to_le_bytes());
    let crc = crc32c::crc32c(&out[at..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// Footer and trailer, onto a file that starts with `out`.
pub(crate) fn push_footer(out: &mut Vec<u8>, entries: &[FooterEntry]) {
    let start = out.len();
    for entry in entries {
        for number in [entry.key.segment.stream.0, entry.key.segment.segment.0, entry.key.first.0, entry.start] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&entry.len.to_le_bytes());
        out.extend_from_slice(&entry.crc.to_le_bytes());
    }
    out.extend_from_slice(&(start as u64).to_le_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&END_MAGIC);
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|b| u64::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|b| u32::from_le_bytes(*b))
}

/// Checks the header of a file that starts with `bytes`.
pub(crate) fn check_header(bytes: &[u8], file: u64, holds: Holds) -> Result<()> {
    let header = bytes.get(..HEADER_BYTES).ok_or_else(|| bad(format!("{} bytes are too few", bytes.len())))?;
    if header[..4] != MAGIC {
        return Err(bad("no sealed file starts like this"));
    }
    if header[4] != VERSION || header[5] != holds as u8 || header[6..8] != [0, 0] {
        return Err(bad(format!("version {}, contents {}: unknown", header[4], header[5])));
    }
    if u32_at(header, 16) != Some(crc32c::crc32c(&header[..16])) {
        return Err(bad("the checksum of the header does not match"));
    }
    if u64_at(header, 8) != Some(file) {
        return Err(bad(format!("it is file {}", u64_at(header, 8).unwrap_or_default())));
    }
    Ok(())
}

/// Checks header, footer and trailer of a whole file; gives its entries. The chunks are not looked at.
pub(crate) fn entries(bytes: &[u8], file: u64) -> Result<Vec<FooterEntry>> {
    check_header(bytes, file, Holds::Chunks)?;
    let cut = || bad("the end is not that of a sealed file: it was cut off");
    let trailer_at = bytes.len().checked_sub(TRAILER_BYTES).ok_or_else(cut)?;
    let trailer = &bytes[trailer_at..];
    if trailer[16..] != END_MAGIC {
        return Err(cut());
    }
    let start = usize::try_from(u64_at(trailer, 0).ok_or_else(cut)?).map_err(|_| cut())?;
    let footer = bytes.get(start..trailer_at).filter(|_| start >= HEADER_BYTES).ok_or_else(cut)?;
    if u32_at(trailer, 12) != Some(crc32c::crc32c(&bytes[start..trailer_at + 12])) {
        return Err(bad("the checksum of the footer does not match"));
    }
    if u32_at(trailer, 8).map(|n| n as usize * ENTRY_BYTES) != Some(footer.len()) {
        return Err(bad("the footer has another length than its entries"));
    }
    let (rows, _) = footer.as_chunks::<ENTRY_BYTES>();
    let entry = |row: &[u8; ENTRY_BYTES]| {
        let number = |at| u64_at(row, at).unwrap_or_default();
        let segment = SegmentKey { stream: StreamId(number(0)), segment: SegmentId(number(8)) };
        FooterEntry {
            key: ChunkKey { segment, first: Offset(number(16)) },
            start: number(24),
            len: u32_at(row, 32).unwrap_or_default(),
            crc: u32_at(row, 36).unwrap_or_default(),
        }
    };
    let entries: Vec<FooterEntry> = rows.iter().map(entry).collect();
    let mut at = HEADER_BYTES as u64;
    for entry in &entries {
        if entry.start != at {
            return Err(bad("the chunks do not lie end to end"));
        }
        at = at.saturating_add(u64::from(entry.len));
    }
    if at != start as u64 {
        return Err(bad("the chunks do not end where the footer starts"));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_comes_back_and_every_flipped_bit_around_the_chunks_is_found() {
        let key = |first| ChunkKey {
            segment: SegmentKey { stream: StreamId(3), segment: SegmentId(1 << 32) },
            first: Offset(first),
        };
        let told = [
            FooterEntry { key: key(0), start: 20, len: 7, crc: 5 },
            FooterEntry { key: key(9), start: 27, len: 3, crc: 6 },
        ];
        let mut file = Vec::new();
        push_header(&mut file, 42, Holds::Chunks);
        file.extend_from_slice(b"chunk-1chk");
        push_footer(&mut file, &told);
        assert_eq!(entries(&file, 42).unwrap(), told);
        assert!(entries(&file, 41).is_err());
        for at in (0..HEADER_BYTES).chain(30..file.len()) {
            for bit in 0..8 {
                let mut bad = file.clone();
                bad[at] ^= 1 << bit;
                assert!(entries(&bad, 42).is_err(), "byte {at}, bit {bit}");
            }
        }
        for cut in 0..file.len() {
            assert!(entries(&file[..cut], 42).is_err(), "cut at {cut}");
        }
    }
}
