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
    /// The writes to broadcast state, where the subtask keeps it for all.
    pub(super) shared: Option<Arc<Overlay>>,
    pub(super) max_parallelism: u32,
}

impl SealedEpoch {
    /// What a subtask wrote of its own, and what it wrote for all.
    pub(super) fn with_shared(own: Option<SealedEpoch>, shared: Option<SealedEpoch>) -> Option<SealedEpoch> {
        match (own, shared) {
            (Some(own), shared) => Some(SealedEpoch { shared: shared.map(|shared| shared.overlay), ..own }),
            (None, shared) => shared,
        }
    }

    fn overlays(&self) -> impl Iterator<Item = &Overlay> {
        std::iter::once(&*self.overlay).chain(self.shared.as_deref())
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// About how much memory the writes take.
    pub fn bytes(&self) -> usize {
        self.overlays().map(Overlay::bytes).sum()
    }

    /// The sorted delta blob; sorting and compressing make this slow enough for another thread.
    pub fn encode(&self) -> Bytes {
        let mut builder = DeltaBuilder::default();
        for overlay in self.overlays() {
            overlay.for_each_change(|hash, state, key, sub_key, change| {
                builder.push(state, key_group(hash, self.max_parallelism), key, sub_key, change);
            });
        }
        builder.finish()
    }
}
