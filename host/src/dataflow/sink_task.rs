//! A sink's place in a chain: stages events for a stream; they leave only in a handover.

use crate::dataflow::control::{Handover, RunControl, SharedCounters};
use crate::dataflow::element::EventBatch;
use crate::dataflow::encoder::{EncoderHandle, Staging};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tidemill_storage::EventTime;
use tidemill_storage::stream::{Appender, StreamRef};

/// Stages events of one sink subtask.
pub struct SinkNode {
    stream: StreamRef,
    staging: Arc<Staging>,
    encoder: EncoderHandle,
    watermark: EventTime,
    staged: u64,
    events: u64,
    name: Arc<str>,
    counters: SharedCounters,
}

impl SinkNode {
    /// A sink named `name` into the stream of `appender`; `encoder` makes its chunks.
    pub fn new(
        name: Arc<str>,
        stream: StreamRef,
        appender: Appender,
        encoder: EncoderHandle,
        counters: SharedCounters,
    ) -> SinkNode {
        let staging = Staging::new(appender);
        SinkNode { stream, staging, encoder, watermark: EventTime::MIN, staged: 0, events: 0, name, counters }
    }

    /// Stages a batch.
    pub fn batch(&mut self, batch: EventBatch, control: &RunControl) {
        let count = batch.events.len() as u64;
        let bytes = batch.events.bytes() as u64;
        self.staging.stage(batch.events, &self.encoder);
        self.staged += bytes;
        control.add_staged(bytes);
        self.events += count;
        self.counters.events_in.fetch_add(count, Ordering::Relaxed);
    }

    /// Notes the watermark; it goes out with the epoch.
    pub fn watermark(&mut self, watermark: EventTime) {
        self.watermark = self.watermark.max(watermark);
        self.counters.watermark.fetch_max(watermark.0, Ordering::Relaxed);
    }

    /// Gives this epoch's output.
    pub fn hand_over(&mut self, handover: &mut Handover) {
        self.staging.end_epoch(handover.epoch);
        handover.staged.push(self.staging.clone());
        handover.staged_bytes += std::mem::take(&mut self.staged);
        handover.stream_watermarks.push((self.stream, self.watermark));
        let counter = handover.counters.entry(format!("{}/events_in", self.name)).or_default();
        *counter += std::mem::take(&mut self.events);
    }
}
