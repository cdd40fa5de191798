//! Connectors live at the border: replayable sources feed operators directly, their position in the epoch; an egress
//! reads a *committed* stream and keeps its own position. `dataflow/source_task` drives sources, `job` egresses.

pub(crate) mod json;
pub mod sink;
pub mod source;

use std::collections::BTreeMap;
use std::sync::Arc;
use tidemill_storage::checkpoint::PartitionPosition;
use tidemill_storage::{Batch, EventTime, Store};

/// What a source says of one of its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Stable name: a file's path, a segment's number. Positions are kept under it.
    pub id: String,
    /// How much there is, in the unit of [`PartitionReader::progress`], when known.
    pub size: Option<u64>,
}

/// An event that the source itself refuses: it goes to the dead letters in the same epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRejection {
    /// Best known event time (that of the last good event, else 0).
    pub time: EventTime,
    /// The bytes as read.
    pub value: Vec<u8>,
    /// Why, and where: names file and line.
    pub reason: String,
}

/// What one read brought. The caller reuses it: readers append.
#[derive(Debug, Default)]
pub struct SourceBatch {
    /// Good events.
    pub events: Batch,
    /// Bad ones.
    pub rejected: Vec<SourceRejection>,
    /// A watermark that the partition itself knows (a stream's own), after these events.
    pub watermark: Option<EventTime>,
    /// The position has moved though no event came (a segment was read to its end): worth a checkpoint, for which others may wait.
    pub moved: bool,
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStatus {
    /// More can be read at once.
    More,
    /// Nothing more for now (a live stream's tail).
    CaughtUp,
    /// Nothing more ever.
    End,
}

/// How far a partition is, for progress bars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Done, in any unit.
    pub done: u64,
    /// Of so much, when known.
    pub total: Option<u64>,
}

/// A reader of one partition. Never blocks for long: a live reader with nothing to give says `CaughtUp`.
pub trait PartitionReader: Send {
    /// Appends at most `max_events` events to `out`, and stops early past about `max_bytes`.
    fn read(
        &mut self,
        max_events: usize,
        max_bytes: usize,
        out: &mut SourceBatch,
    ) -> Result<ReadStatus, ConnectorError>;

    /// Where it stands: reading again from here gives what would have come next.
    fn position(&self) -> Vec<u8>;

    /// A barrier is put behind all that was read: what comes now belongs to a later epoch. Its position was taken just before.
    fn barrier(&mut self) {}

    /// For people: "line 17 of flights.csv", "segment 0, offset 17".
    fn describe_position(&self) -> String;

    /// How far it is.
    fn progress(&self) -> Progress;
}

/// A source of a pipeline: partitions and their readers.
pub trait Source: Send + Sync {
    /// The partitions there are now. Checks that they can be read.
    fn partitions(&self) -> Result<Vec<Partition>, ConnectorError>;

    /// The partitions of a run that goes on from these positions, by partition; none = it begins. Asked before a run opens its readers.
    fn resume(&self, positions: &BTreeMap<String, PartitionPosition>) -> Result<Vec<Partition>, ConnectorError> {
        let _ = positions;
        self.partitions()
    }

    /// Opens one, at a position it gave before, or at the start.
    fn open(&self, partition: &Partition, position: Option<&[u8]>) -> Result<Box<dyn PartitionReader>, ConnectorError>;

    /// Whether it ends by itself.
    fn bounded(&self) -> bool;
}

/// An egress: copies committed events of a stream to the outside, exactly once where the outside allows.
/// It is driven by its own thread; `step` does a bounded piece of work.
pub trait Egress: Send {
    /// Moves what is committed. `last` = the pipeline has finished: leave nothing behind. Returns whether there was
    /// anything to do.
    fn step(&mut self, store: &Store, last: bool) -> Result<bool, ConnectorError>;
}

/// A connector's error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectorError {
    /// Fix the pipeline file or the input. Names the thing and the mend.
    #[error("{0}")]
    Invalid(String),
    /// Passing: try again.
    #[error("{0}")]
    Unavailable(String),
    /// A disk is full: make room, and it goes on.
    #[error("{0}")]
    Full(String),
    /// The storage layer's.
    #[error(transparent)]
    Storage(#[from] tidemill_storage::Error),
}

/// A source that can be shared.
pub type SharedSource = Arc<dyn Source>;
