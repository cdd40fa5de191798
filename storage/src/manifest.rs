//! Where bytes lie, and the manifest of an operator's state: the ordered blobs whose sum the state is. The committer
//! appends to it, `fold.rs` keeps it short, [`crate::Store::load_state`] reads it.

use serde::{Deserialize, Serialize};

/// Where a chunk or a blob lies. Part of format version 1, so that moving bytes out of the hot file changes no format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Location {
    /// In the hot file, under the key that the entry itself stands for.
    Hot,
    /// In a sealed file: its number, and the range of bytes in it.
    Sealed {
        /// The file.
        file: u64,
        /// First byte.
        start: u64,
        /// How many bytes.
        len: u64,
    },
}

/// A blob of state changes, for the life of the data directory; never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlobId(pub u64);

/// One blob of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobEntry {
    /// Its number.
    pub id: BlobId,
    /// Where its bytes lie.
    pub location: Location,
    /// How many bytes.
    pub bytes: u64,
    /// crc32c of its bytes.
    pub crc: u32,
}

/// The state of one operator of one pipeline: blobs, oldest first. Later changes win.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The blobs, oldest first.
    pub blobs: Vec<BlobEntry>,
}

impl Manifest {
    /// Bytes of all blobs.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|b| b.bytes).sum()
    }
}
