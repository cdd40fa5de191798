//! A sealed epoch: the writes of one subtask that no call changes any more. Made at the barrier, encoded on a committing
//! thread while the subtask goes on reading it below its next epoch's writes.

use super::overlay::Overlay;
use bytes::Bytes;
use std::sync::Arc;
use tidemill_storage::Epoch;
use tidemill_storage::hash::key_group;
use tidemill_storage::state::DeltaBuilder;

/// Shared, cheap to clone.
#[derive(Clone, Debug)]
pub struct SealedEpoch {
    pub(super) epoch: Epoch,
    pub(super) overlay: Arc<Overlay>,
    pub(super) max_parallelism: u32,
}

impl SealedEpoch {
    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// About how much memory the writes take.
    pub fn bytes(&self) -> usize {
        self.overlay.bytes()
    }

    /// The sorted delta blob; sorting and compressing make this slow enough for another thread.
    pub fn encode(&self) -> Bytes {
        let mut builder = DeltaBuilder::default();
        self.overlay.for_each_change(|hash, state, key, sub_key, change| {
            builder.push(state, key_group(hash, self.max_parallelism), key, sub_key, change);
        });
        builder.finish()
    }
}
