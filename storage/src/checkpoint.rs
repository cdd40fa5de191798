//! Checkpoint records and input schedules: what a pipeline needs to go on from an epoch, and to run it again exactly.

use crate::ids::{Epoch, Incarnation};
use crate::time::EventTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a pipeline stood when an epoch ended. The record of the newest epoch is what recovery starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRecord {
    /// The epoch.
    pub epoch: Epoch,
    /// The run that committed it.
    pub incarnation: Incarnation,
    /// Wall clock at the barrier, ms since the Unix epoch.
    pub taken_at_ms: i64,
    /// Key groups; fixed for the life of the pipeline's state.
    pub max_parallelism: u32,
    /// Source name -> partition id -> where it stands.
    pub sources: BTreeMap<String, BTreeMap<String, PartitionPosition>>,
    /// Operator uid -> the watermark it had reached. Lateness after a restart is judged by it.
    pub watermarks: BTreeMap<String, EventTime>,
    /// `node/metric` -> committed counter (`events_in`, `events_out`, `rejected`, and the operator's own).
    pub counters: BTreeMap<String, u64>,
    /// All input ended and everything was emitted: a further run has nothing to do.
    pub finished: bool,
}

/// One source partition's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionPosition {
    /// The connector's own encoding.
    pub position: Vec<u8>,
    /// Greatest event time seen, `i64::MIN` for none: the watermark generator's state.
    pub max_time: i64,
    /// The last watermark this partition gave.
    pub watermark: i64,
    /// Read to its end.
    pub ended: bool,
    /// Events read in all, rejected ones included.
    pub events: u64,
}

/// One operator subtask's calls in an epoch, in order: enough to make exactly the same calls again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The calls.
    pub calls: Vec<ScheduledCall>,
}

/// One call of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScheduledCall {
    /// `process` with events from an upstream channel.
    Process {
        /// Operator input.
        input: u32,
        /// Upstream channel of that input.
        channel: u32,
        /// Events in the call.
        events: u32,
        /// The operator's watermark at the call, ms.
        watermark: i64,
        /// Processing time of the call, ms.
        clock: i64,
    },
    /// `on-timers`.
    Timers {
        /// Timers delivered.
        timers: u32,
        /// The operator's watermark, ms.
        watermark: i64,
        /// Processing time of the call, ms.
        clock: i64,
    },
    /// `on-watermark`.
    Watermark {
        /// The new watermark, ms.
        watermark: i64,
        /// Processing time of the call, ms.
        clock: i64,
    },
}

/// One line of `checkpoint list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSummary {
    /// The record.
    pub record: CheckpointRecord,
    /// Bytes of state deltas in this epoch.
    pub state_bytes: u64,
    /// Bytes of output chunks in this epoch.
    pub output_bytes: u64,
    /// Events of output in this epoch, dead letters included.
    pub output_events: u64,
}

impl Schedule {
    /// The stored form: a version byte, then postcard.
    pub fn encode(&self) -> crate::error::Result<bytes::Bytes> {
        let out = postcard::to_extend(self, vec![1u8])
            .map_err(|e| crate::error::Error::bug(format!("an input schedule cannot be encoded: {e}")))?;
        Ok(out.into())
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> crate::error::Result<Schedule> {
        match bytes.split_first() {
            Some((1, rest)) => postcard::from_bytes(rest)
                .map_err(|e| crate::error::Error::corrupt(format!("an input schedule cannot be read: {e}"))),
            Some((version, _)) => Err(crate::error::Error::corrupt(format!(
                "an input schedule has version {version}, this program knows version 1"
            ))),
            None => Err(crate::error::Error::corrupt("an input schedule is empty")),
        }
    }
}
