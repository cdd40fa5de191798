//! Where bytes lie, and the manifest of an operator's state: the ordered runs and blobs whose sum the state is. The committer
//! appends to it, `state/background` keeps it short, [`crate::Store::load_state`] reads it.

use crate::ids::Epoch;
use serde::{Deserialize, Serialize};

/// Where a chunk lies. Part of format version 1, so that moving bytes out of the hot file changes no format.
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

/// One blob of a manifest: changes that lie in the hot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobEntry {
    /// Its number.
    pub id: BlobId,
    /// How many bytes.
    pub bytes: u64,
    /// crc32c of its bytes.
    pub crc: u32,
    /// The last epoch whose changes it holds.
    pub through: Epoch,
}

/// One run of a manifest: changes that lie sorted in sealed files. Its files are in the row of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEntry {
    /// Its number, of the blobs' numbers.
    pub id: BlobId,
    /// Bytes of its files.
    pub bytes: u64,
    /// Changes in it.
    pub entries: u64,
    /// The last epoch whose changes it holds.
    pub through: Epoch,
}

/// The state of one operator of one pipeline: later changes win. Invariant: the parts ascend in epochs, runs first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The runs, oldest first.
    pub runs: Vec<RunEntry>,
    /// The blobs that no run holds yet, oldest first.
    pub blobs: Vec<BlobEntry>,
}

impl Manifest {
    /// Bytes of all blobs and runs.
    pub fn bytes(&self) -> u64 {
        self.blob_bytes() + self.runs.iter().map(|run| run.bytes).sum::<u64>()
    }

    /// Bytes that lie in the hot file.
    pub fn blob_bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.bytes).sum()
    }

    /// Every change of this epoch and of older ones is in a run. 0 = there are no runs.
    pub fn flushed(&self) -> Epoch {
        self.runs.last().map_or(Epoch(0), |run| run.through)
    }
}
