//! What people see of a running job: counters per node, the last checkpoint, progress. The CLI shows it.

use crate::dataflow::control::{NodeCounters, SharedCounters};
use crate::dataflow::source_task::PartitionProgress;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use tidemill_storage::EventTime;
use tidemill_storage::checkpoint::CheckpointRecord;

/// One node's line. Counts include work that is not committed yet; committed counts are in the checkpoint.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// Its name in the pipeline file.
    pub name: String,
    /// `source`, `operator` or `sink`.
    pub kind: &'static str,
    /// Subtasks.
    pub parallelism: u32,
    /// Events taken.
    pub events_in: u64,
    /// Events given.
    pub events_out: u64,
    /// Events refused.
    pub rejected: u64,
    /// Newest watermark.
    pub watermark: EventTime,
}

/// A look at a running job.
#[derive(Clone, Debug)]
pub struct RunStatus {
    /// `starting`, `running`, `restarting`, `waiting for disk space`, `draining`, `done`.
    pub state: String,
    /// In the order of the graph.
    pub nodes: Vec<NodeStatus>,
    /// Newest committed epoch.
    pub epoch: u64,
    /// Age of the newest checkpoint, ms.
    pub last_checkpoint_ms_ago: Option<u64>,
    /// Restarts so far.
    pub restarts: u32,
    /// (done, total) over all partitions of bounded sources, when every total is known.
    pub progress: Option<(u64, u64)>,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub struct RunSummary {
    /// All input was read and everything is committed; `false` = stopped at a checkpoint.
    pub finished: bool,
    /// Newest committed epoch.
    pub epochs: u64,
    /// Restarts.
    pub restarts: u32,
    /// As committed.
    pub nodes: Vec<NodeStatus>,
    /// Length of this run, ms.
    pub elapsed_ms: u64,
}

/// One node's counters with its name.
#[derive(Debug)]
pub struct NodeEntry {
    /// Name in the file.
    pub name: String,
    /// `source`, `operator` or `sink`.
    pub kind: &'static str,
    /// Subtasks.
    pub parallelism: u32,
    /// Its counters.
    pub counters: SharedCounters,
}

#[derive(Debug, Default)]
struct Inner {
    state: &'static str,
    epoch: u64,
    checkpoint_at_ms: Option<i64>,
    restarts: u32,
    partitions: Vec<Arc<PartitionProgress>>,
}

/// The board that a job writes and people read.
#[derive(Debug)]
pub struct StatusBoard {
    nodes: Vec<NodeEntry>,
    inner: Mutex<Inner>,
}

impl StatusBoard {
    /// For these nodes: `(name, kind, subtasks)`.
    pub fn new(nodes: Vec<(String, &'static str, u32)>) -> StatusBoard {
        let entry = |(name, kind, parallelism)| NodeEntry {
            name,
            kind,
            parallelism,
            counters: Arc::new(NodeCounters::default()),
        };
        let inner = Inner { state: "starting", ..Inner::default() };
        StatusBoard { nodes: nodes.into_iter().map(entry).collect(), inner: Mutex::new(inner) }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Node i's counters.
    pub fn counters(&self, node: usize) -> SharedCounters {
        self.nodes[node].counters.clone()
    }

    /// A new state of the job.
    pub fn set_state(&self, state: &'static str) {
        self.inner().state = state;
    }

    /// A run begins again from a record: the counters go back to what is committed.
    pub fn begin_run(&self, record: &CheckpointRecord, restarts: u32) {
        for node in &self.nodes {
            let committed =
                |metric: &str| record.counters.get(&format!("{}/{metric}", node.name)).copied().unwrap_or(0);
            node.counters.events_in.store(committed("events_in"), Ordering::Relaxed);
            node.counters.events_out.store(committed("events_out"), Ordering::Relaxed);
            node.counters.rejected.store(committed("rejected"), Ordering::Relaxed);
        }
        let mut inner = self.inner();
        inner.epoch = record.epoch.0;
        inner.restarts = restarts;
        inner.partitions.clear();
    }

    /// A partition to show.
    pub fn add_partition(&self) -> Arc<PartitionProgress> {
        let progress = Arc::new(PartitionProgress::default());
        self.inner().partitions.push(progress.clone());
        progress
    }

    /// A checkpoint is durable.
    pub fn checkpointed(&self, record: &CheckpointRecord) {
        let mut inner = self.inner();
        inner.epoch = record.epoch.0;
        inner.checkpoint_at_ms = Some(record.taken_at_ms);
    }

    /// The nodes' lines.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        let status = |node: &NodeEntry| NodeStatus {
            name: node.name.clone(),
            kind: node.kind,
            parallelism: node.parallelism,
            events_in: node.counters.events_in.load(Ordering::Relaxed),
            events_out: node.counters.events_out.load(Ordering::Relaxed),
            rejected: node.counters.rejected.load(Ordering::Relaxed),
            watermark: EventTime(node.counters.watermark.load(Ordering::Relaxed)),
        };
        self.nodes.iter().map(status).collect()
    }

    /// A look at everything.
    pub fn status(&self, now_ms: i64) -> RunStatus {
        let nodes = self.nodes();
        let inner = self.inner();
        let mut totals =
            inner.partitions.iter().map(|p| (p.done.load(Ordering::Relaxed), p.total.load(Ordering::Relaxed)));
        let progress = totals.try_fold((0, 0), |(d, t): (u64, u64), (done, total)| {
            (total > 0).then(|| (d + done.min(total), t + total))
        });
        RunStatus {
            state: inner.state.to_string(),
            nodes,
            epoch: inner.epoch,
            last_checkpoint_ms_ago: inner.checkpoint_at_ms.map(|at| now_ms.saturating_sub(at).max(0) as u64),
            restarts: inner.restarts,
            progress: progress.filter(|(_, total)| *total > 0),
        }
    }

    /// (newest committed epoch, restarts).
    pub fn totals(&self) -> (u64, u32) {
        let inner = self.inner();
        (inner.epoch, inner.restarts)
    }
}
