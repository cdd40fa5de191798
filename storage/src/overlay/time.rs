//! Marks and watermarks in snapshots and changes: the part of [`super::Snapshot`] and [`super::Changes`] that `decide/time.rs`
//! works on and `redb_io/time.rs` reads and writes.

use super::Overlay;
use crate::error::Result;
use crate::ids::StreamId;
use crate::row::{MarkRow, TimeConfigRow, WatermarkRow};
use std::collections::{BTreeMap, BTreeSet};

/// The rows there are.
pub(crate) trait TimeSnapshot {
    /// All marks of a stream, by writer.
    fn marks(&self, stream: StreamId) -> Result<BTreeMap<String, MarkRow>>;
    fn mark(&self, stream: StreamId, writer: &str) -> Result<Option<MarkRow>>;
    /// Streams with a mark.
    fn timed_streams(&self) -> Result<BTreeSet<StreamId>>;
    fn last_watermark(&self, stream: StreamId) -> Result<Option<(u64, WatermarkRow)>>;
    /// The oldest watermarks, at most `limit`, in order.
    fn oldest_watermarks(&self, stream: StreamId, limit: usize) -> Result<Vec<(u64, WatermarkRow)>>;
    fn time_config(&self, stream: StreamId) -> Result<Option<TimeConfigRow>>;
}

/// What a group of parts writes; none = the row goes.
#[derive(Debug, Default)]
pub(crate) struct TimeChanges {
    pub(crate) marks: BTreeMap<(StreamId, String), Option<MarkRow>>,
    pub(crate) watermarks: BTreeMap<(StreamId, u64), Option<WatermarkRow>>,
    pub(crate) configs: BTreeMap<StreamId, Option<TimeConfigRow>>,
}

impl TimeChanges {
    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.watermarks.is_empty() && self.configs.is_empty()
    }

    /// Takes in the changes of a part that was decided on top of these.
    pub(crate) fn absorb(&mut self, upper: TimeChanges) {
        self.marks.extend(upper.marks);
        self.watermarks.extend(upper.watermarks);
        self.configs.extend(upper.configs);
    }
}

impl TimeSnapshot for Overlay<'_> {
    fn marks(&self, stream: StreamId) -> Result<BTreeMap<String, MarkRow>> {
        let mut marks = self.base.marks(stream)?;
        let own = self.changes.time.marks.range((stream, String::new())..);
        for ((_, writer), mark) in own.take_while(|((id, _), _)| *id == stream) {
            match mark {
                Some(mark) => drop(marks.insert(writer.clone(), mark.clone())),
                None => drop(marks.remove(writer)),
            }
        }
        Ok(marks)
    }

    fn mark(&self, stream: StreamId, writer: &str) -> Result<Option<MarkRow>> {
        match self.changes.time.marks.get(&(stream, writer.to_string())) {
            Some(mark) => Ok(mark.clone()),
            None => self.base.mark(stream, writer),
        }
    }

    fn timed_streams(&self) -> Result<BTreeSet<StreamId>> {
        let mut streams = self.base.timed_streams()?;
        // One whose marks are all gone costs a look.
        streams.extend(self.changes.time.marks.keys().map(|(stream, _)| *stream));
        Ok(streams)
    }

    fn last_watermark(&self, stream: StreamId) -> Result<Option<(u64, WatermarkRow)>> {
        let mut own = self.changes.time.watermarks.range((stream, 0)..=(stream, u64::MAX));
        match own.next_back() {
            // The newest is dropped only together with all others.
            Some(((_, number), row)) => Ok(row.clone().map(|row| (*number, row))),
            None => self.base.last_watermark(stream),
        }
    }

    fn oldest_watermarks(&self, stream: StreamId, limit: usize) -> Result<Vec<(u64, WatermarkRow)>> {
        let own = || self.changes.time.watermarks.range((stream, 0)..=(stream, u64::MAX));
        let below = self.base.oldest_watermarks(stream, limit.saturating_add(own().count()))?;
        let mut rows: BTreeMap<u64, WatermarkRow> = below.into_iter().collect();
        for ((_, number), row) in own() {
            match row {
                Some(row) => drop(rows.insert(*number, row.clone())),
                None => drop(rows.remove(number)),
            }
        }
        Ok(rows.into_iter().take(limit).collect())
    }

    fn time_config(&self, stream: StreamId) -> Result<Option<TimeConfigRow>> {
        self.changes.time.configs.get(&stream).map_or_else(|| self.base.time_config(stream), |row| Ok(*row))
    }
}
