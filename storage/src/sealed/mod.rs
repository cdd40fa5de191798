//! Sealed files: immutable files of committed chunks and of state, out of the hot file (docs/sealed-files.md, docs/state.md).
//!
//! Map: `writer.rs` makes a file of hot chunks, `mover.rs` decides when and carries it into a [`Tier`], the committer
//! switches the index over (`decide/seal.rs`), `reader.rs` fetches chunks back, `rewrite.rs` gives up files that are mostly dead, `layout.rs` owns the bytes around them.
//!
//! Invariants:
//! 1. a file is durable in the tier before an index entry names it, and is never changed;
//! 2. in a segment, sealed chunks come before hot ones; [`crate::row::SealedSegmentRow`] holds the border;
//! 3. a file's row counts exactly the index entries (or runs, see `state/run`) that name it and exists while there is one;
//! 4. file numbers only count up, and a file's name holds the crc of its bytes.

pub(crate) mod layout;
mod local_tier;
pub(crate) mod mover;
mod object_tier;
pub(crate) mod reader;
mod rewrite;
pub(crate) mod tier;
pub(crate) mod writer;

pub use local_tier::LocalTier;
pub use mover::{MoverStatus, SealReport};
pub use object_tier::{ObjectTier, Spawn};
pub use tier::{SEALED_FOLDER, Tier, TierFile};

/// What a sealed file holds. The numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Holds {
    Chunks = 0,
    State = 1,
}

impl Holds {
    const ALL: [Holds; 2] = [Holds::Chunks, Holds::State];

    fn extension(self) -> &'static str {
        match self {
            Holds::Chunks => "chunks",
            Holds::State => "state",
        }
    }
}

/// The name of a file.
pub(crate) fn file_name(file: u64, crc: u32, holds: Holds) -> String {
    format!("{file:012}-{crc:08x}.{}", holds.extension())
}

/// What a file of this name holds. None: it is not one of ours, and never deleted.
pub(crate) fn holds(name: &str) -> Option<Holds> {
    let (stem, extension) = name.split_once('.')?;
    let (number, crc) = stem.split_once('-')?;
    let digits = number.len() >= 12 && number.bytes().all(|b| b.is_ascii_digit());
    let hex = crc.len() == 8 && crc.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    Holds::ALL.into_iter().find(|holds| digits && hex && holds.extension() == extension)
}

/// Whether a file may be one of ours: no other is ever deleted.
pub(crate) fn is_file_name(name: &str) -> bool {
    holds(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_names_are_known_and_no_others() {
        for file in [1, 999_999_999_999, u64::MAX] {
            assert!(is_file_name(&file_name(file, 0xab, Holds::Chunks)));
            assert_eq!(holds(&file_name(file, 0xab, Holds::State)), Some(Holds::State));
        }
        for other in ["notes.txt", "000000000001-00000001.chunks.bak", "1-00000001.chunks", "x.chunks", ".chunks"] {
            assert!(!is_file_name(other), "{other}");
        }
    }
}
