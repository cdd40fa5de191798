//! Sealed files: immutable files of committed chunks, out of the hot file (docs/sealed-files.md).
//!
//! Map: `writer.rs` makes a file of hot chunks, `mover.rs` decides when and carries it into a [`Tier`], the committer
//! switches the index over (`decide/seal.rs`), `reader.rs` fetches chunks back, `rewrite.rs` gives up files that are mostly dead, `layout.rs` owns the bytes around them.
//!
//! Invariants:
//! 1. a file is durable in the tier before an index entry names it, and is never changed;
//! 2. in a segment, sealed chunks come before hot ones; [`crate::row::SealedSegmentRow`] holds the border;
//! 3. a file's row counts exactly the index entries that name it and exists while there is one;
//! 4. file numbers only count up, and a file's name holds the crc of its bytes.

pub(crate) mod layout;
pub(crate) mod mover;
pub(crate) mod reader;
mod rewrite;
pub(crate) mod tier;
pub(crate) mod writer;

pub use mover::{MoverStatus, SealReport};
pub use tier::{LocalTier, ObjectTier, SEALED_FOLDER, Tier};

const EXTENSION: &str = "chunks";

/// The name of a file of chunks.
pub(crate) fn file_name(file: u64, crc: u32) -> String {
    format!("{file:012}-{crc:08x}.{EXTENSION}")
}

/// Whether a file may be one of ours: no other is ever deleted.
pub(crate) fn is_file_name(name: &str) -> bool {
    let parse = || {
        let (number, crc) = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.split_once('-')?;
        let digits = number.len() >= 12 && number.bytes().all(|b| b.is_ascii_digit());
        let hex = crc.len() == 8 && crc.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        Some(digits && hex)
    };
    parse().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_names_are_known_and_no_others() {
        for file in [1, 999_999_999_999, u64::MAX] {
            assert!(is_file_name(&file_name(file, 0xab)));
        }
        for other in ["notes.txt", "000000000001-00000001.chunks.bak", "1-00000001.chunks", "x.chunks", ".chunks"] {
            assert!(!is_file_name(other), "{other}");
        }
    }
}
