//! The store: opens the data directory, checks its format, reopens after an I/O error; the one door to everything durable.

use crate::checkpoint::{CheckpointRecord, CheckpointSummary, Schedule};
use crate::commit::{Accepted, Part};
use crate::error::{Error, Result};
use crate::ids::{Epoch, Incarnation, Position, StreamName};
use crate::manifest::Manifest;
use crate::state;
use crate::stream::{ReadChunk, StreamConfig, StreamInfo};
use bytes::Bytes;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Wall clock, handed in: ms since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Settings of a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// redb's page cache, bytes.
    pub cache_bytes: usize,
    /// How many checkpoint records and input schedules of a pipeline are kept.
    pub checkpoints_retained: usize,
    /// Blobs of similar size in a manifest before they are folded into one; 0 = never in the background.
    pub state_fold_blobs: usize,
    /// Most bytes of parts that wait or share one commit; submitters wait beyond it.
    pub queue_bytes: usize,
    /// Most parts that wait or share one commit; submitters wait beyond it.
    pub queue_parts: usize,
    /// Gives the creation time of streams. The default knows no time and says 0.
    pub clock: Clock,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            cache_bytes: 64 << 20,
            checkpoints_retained: 10,
            state_fold_blobs: 8,
            queue_bytes: 64 << 20,
            queue_parts: 1_024,
            clock: Arc::new(|| 0),
        }
    }
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions")
            .field("cache_bytes", &self.cache_bytes)
            .field("checkpoints_retained", &self.checkpoints_retained)
            .field("state_fold_blobs", &self.state_fold_blobs)
            .field("queue_bytes", &self.queue_bytes)
            .field("queue_parts", &self.queue_parts)
            .finish_non_exhaustive()
    }
}

/// Gives a fresh backend at each opening and reopening. Tests hand in [`crate::fault`]'s.
pub trait BackendFactory: Send + Sync + 'static {
    /// The backend.
    type Backend: redb::StorageBackend;

    /// A new handle on the same bytes.
    fn backend(&self) -> std::io::Result<Self::Backend>;
}

/// What a run of a pipeline starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineStart {
    /// This run's number; commits of older runs are refused from now on.
    pub incarnation: Incarnation,
    /// Where the pipeline stood when it last committed.
    pub checkpoint: Option<CheckpointRecord>,
}

/// A cheap handle; the store closes with the last one.
#[derive(Clone, Debug)]
pub struct Store {}

/// Called on the committer's thread when a part is committed or refused.
pub type OnDone = Box<dyn FnOnce(Result<Accepted>) + Send>;

fn later<T>() -> Result<T> {
    Err(Error::bug("not built yet"))
}

impl Store {
    /// Opens a data directory, creating it when it is not there.
    pub fn open(_dir: &Path, _options: StoreOptions) -> Result<Store> {
        later()
    }

    /// Opens over any backend.
    pub fn open_with(_factory: impl BackendFactory, _options: StoreOptions) -> Result<Store> {
        later()
    }

    /// After an I/O error: drops the handle and opens again. True = it was reopened.
    pub fn reopen_if_failed(&self) -> Result<bool> {
        later()
    }

    /// Finishes what waits and closes the file.
    pub fn close(&self) {}

    /// Creates a stream; `Invalid` when it exists with another segment count.
    pub fn create_stream(&self, _name: &StreamName, _config: StreamConfig) -> Result<StreamInfo> {
        later()
    }

    /// Creates a stream or gets the one there is, whose segment count is kept.
    pub fn ensure_stream(&self, _name: &StreamName, _config: StreamConfig) -> Result<StreamInfo> {
        later()
    }

    /// A stream, if it exists.
    pub fn stream(&self, _name: &StreamName) -> Result<Option<StreamInfo>> {
        later()
    }

    /// All streams, by name.
    pub fn list_streams(&self) -> Result<Vec<StreamInfo>> {
        later()
    }

    /// Reads from a position: at least one event below the tail, about `max_bytes`.
    pub fn read(&self, _position: Position, _max_bytes: usize) -> Result<ReadChunk> {
        later()
    }

    /// Starts a run of a pipeline: takes the next incarnation durably, which fences older runs.
    pub fn start_pipeline(&self, _name: &str, _max_parallelism: u32) -> Result<PipelineStart> {
        later()
    }

    /// The names of all pipelines that ever started.
    pub fn list_pipelines(&self) -> Result<Vec<String>> {
        later()
    }

    /// The retained checkpoints, newest first.
    pub fn checkpoints(&self, _pipeline: &str) -> Result<Vec<CheckpointSummary>> {
        later()
    }

    /// The input schedules of an epoch: (operator uid, subtask, schedule).
    pub fn schedules(&self, _pipeline: &str, _epoch: Epoch) -> Result<Vec<(String, u32, Schedule)>> {
        later()
    }

    /// The committed state of an operator, for a range of key groups.
    pub fn load_state(&self, _pipeline: &str, _operator: &str, _key_groups: Range<u32>) -> Result<state::Memory> {
        later()
    }

    /// The blobs of an operator's state.
    pub fn state_manifest(&self, _pipeline: &str, _operator: &str) -> Result<Manifest> {
        later()
    }

    /// A named marker.
    pub fn marker(&self, _name: &str) -> Result<Option<Bytes>> {
        later()
    }

    /// Hands a part to the committer. Waits while too much waits already. The callback runs on the committer's thread.
    pub fn submit(&self, _part: Part, on_done: OnDone) {
        on_done(later());
    }

    /// Hands a part to the committer and waits for the outcome.
    pub fn commit(&self, _part: Part) -> Result<Accepted> {
        later()
    }
}
