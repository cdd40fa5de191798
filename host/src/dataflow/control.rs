//! What a run shares with its tasks: the epoch to begin, the epoch that is committed, counters; and what a task hands
//! over at a barrier. The coordinator is on the other side.

use crate::dataflow::encoder::Staging;
use crate::state::SealedEpoch;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use tidemill_storage::checkpoint::{PartitionPosition, Schedule};
use tidemill_storage::commit::Append;
use tidemill_storage::stream::StreamRef;
use tidemill_storage::{Epoch, EventTime};

/// Signals between the coordinator and the tasks of one run. Plain atomics: read once a step, never per event.
pub struct RunControl {
    barrier: AtomicU64,
    committed: AtomicU64,
    dirty: AtomicBool,
    staged_bytes: AtomicU64,
    staged_bytes_max: u64,
    on_dirty: Box<dyn Fn() + Send + Sync>,
}

impl RunControl {
    /// For a run whose last committed epoch is `committed`. Sources pause while more than `staged_bytes_max` bytes of
    /// output are not durable; `on_dirty` is called when there is something to commit again.
    pub fn new(committed: Epoch, staged_bytes_max: u64, on_dirty: Box<dyn Fn() + Send + Sync>) -> RunControl {
        RunControl {
            barrier: AtomicU64::new(committed.0),
            committed: AtomicU64::new(committed.0),
            dirty: AtomicBool::new(false),
            staged_bytes: AtomicU64::new(0),
            staged_bytes_max,
            on_dirty,
        }
    }

    /// The newest epoch whose barrier sources should have sent.
    pub fn barrier(&self) -> Epoch {
        Epoch(self.barrier.load(Ordering::Acquire))
    }

    /// Coordinator: asks sources for this barrier.
    pub fn request_barrier(&self, epoch: Epoch) {
        self.barrier.store(epoch.0, Ordering::Release);
    }

    /// The newest committed epoch.
    pub fn committed(&self) -> Epoch {
        Epoch(self.committed.load(Ordering::Acquire))
    }

    /// Coordinator: this epoch is durable.
    pub fn set_committed(&self, epoch: Epoch) {
        self.committed.store(epoch.0, Ordering::Release);
    }

    /// A task did something that a checkpoint should keep.
    pub fn mark_dirty(&self) {
        if !self.dirty.load(Ordering::Relaxed) && !self.dirty.swap(true, Ordering::AcqRel) {
            (self.on_dirty)();
        }
    }

    /// Coordinator: a barrier begins; what is done from now on is news.
    pub fn clear_dirty(&self) {
        self.dirty.store(false, Ordering::Release);
    }

    /// Coordinator: whether anything was done since the last barrier.
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// So many output bytes were staged.
    pub fn add_staged(&self, bytes: u64) {
        self.staged_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Coordinator: so many staged bytes are durable.
    pub fn sub_staged(&self, bytes: u64) {
        self.staged_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Output bytes that are not durable yet.
    pub fn staged_bytes(&self) -> u64 {
        self.staged_bytes.load(Ordering::Relaxed)
    }

    /// Whether sources should wait for commits.
    pub fn is_full(&self) -> bool {
        self.staged_bytes() > self.staged_bytes_max
    }
}

/// How many subtasks of an operator were given more than they have room for, for a barrier's sake: the sources that feed it
/// pause until there is none.
#[derive(Debug, Default)]
pub struct Pressure(AtomicU64);

impl Pressure {
    /// A subtask has too much.
    pub fn press(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// It has room again.
    pub fn release(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether any has too much.
    pub fn is_high(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }
}

/// Live counters of one node, all subtasks together: for people who watch. What is committed is in the checkpoint.
#[derive(Debug)]
pub struct NodeCounters {
    /// Events taken.
    pub events_in: AtomicU64,
    /// Events given.
    pub events_out: AtomicU64,
    /// Events refused.
    pub rejected: AtomicU64,
    /// The newest watermark, ms.
    pub watermark: AtomicI64,
}

impl Default for NodeCounters {
    fn default() -> NodeCounters {
        NodeCounters {
            events_in: AtomicU64::new(0),
            events_out: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            watermark: AtomicI64::new(i64::MIN),
        }
    }
}

/// A node's counters, shared.
pub type SharedCounters = Arc<NodeCounters>;

/// Everything one task did in one epoch.
#[derive(Default)]
pub struct Handover {
    /// The epoch.
    pub epoch: Epoch,
    /// (source, partition) -> position.
    pub positions: Vec<(Arc<str>, String, PartitionPosition)>,
    /// (operator uid, its changes).
    pub state: Vec<(Arc<str>, SealedEpoch)>,
    /// Output of sinks: what each staged up to here.
    pub staged: Vec<Arc<Staging>>,
    /// Dead letters.
    pub appends: Vec<Append>,
    /// Sinks' watermarks by stream.
    pub stream_watermarks: Vec<(StreamRef, EventTime)>,
    /// (operator uid, watermark).
    pub watermarks: Vec<(Arc<str>, EventTime)>,
    /// (operator uid, subtask, what it was called with).
    pub schedules: Vec<(Arc<str>, u32, Schedule)>,
    /// Counter increments of this epoch, by `node/metric`.
    pub counters: BTreeMap<String, u64>,
    /// Bytes of output in `staged`.
    pub staged_bytes: u64,
    /// The end of input has passed every node of the task.
    pub ended: bool,
}

/// What tasks tell the coordinator.
pub enum TaskEvent {
    /// A task reached a barrier.
    HandedOver {
        /// The task.
        task: usize,
        /// What it did.
        handover: Box<Handover>,
    },
}

/// Where a task sends its events.
pub type Report = Arc<dyn Fn(TaskEvent) + Send + Sync>;
