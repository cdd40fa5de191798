//! What travels on an edge. Sources and operators make these, queues carry them, gates and sinks take them.

use std::sync::Arc;
use tidemill_storage::{Batch, Epoch, EventTime};

/// Where the events of a batch came from, for error reports: kept per batch, widened by nothing, inherited by output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Source name and partition id.
    pub partition: Arc<str>,
    /// Number of the first event of the read that this came from, counted from 0 in its partition.
    pub first: u64,
    /// One past the last.
    pub end: u64,
}

/// A batch on an edge.
#[derive(Clone, Debug, Default)]
pub struct EventBatch {
    /// The events.
    pub events: Batch,
    /// Where they came from, when one source partition is known to have given them.
    pub origin: Option<Origin>,
}

/// One element of an edge, in order.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every element is a batch: a box would cost an allocation for each and save nothing"
)]
pub enum Element {
    /// Events.
    Batch(EventBatch),
    /// No event before this time is expected on this edge any more.
    Watermark(EventTime),
    /// What came before belongs to this epoch, what follows to the next.
    Barrier(Epoch),
    /// The edge is silent: do not wait for its watermark.
    Idle,
    /// It speaks again.
    Active,
    /// Nothing more comes.
    End,
}
