//! Marks and watermarks in and out of redb: the part of a snapshot and of a group's changes that is `overlay/time.rs`'s.

use super::{RedbSnapshot, put_rows, read_error, remove_all};
use crate::codec::numbered::{decode_mark_key, decode_numbered_key, mark_key, numbered_key};
use crate::codec::{decode_row, stream_key};
use crate::error::Result;
use crate::ids::StreamId;
use crate::overlay::{TimeChanges, TimeSnapshot};
use crate::row::{MarkRow, TimeConfigRow, WatermarkRow};
use crate::schema;
use crate::stream::time::window::Watermarks;
use redb::WriteTransaction;
use std::collections::{BTreeMap, BTreeSet};

fn mark_name(stream: StreamId, writer: &str) -> String {
    format!("the mark of writer {writer} on stream {stream}")
}

fn watermark_name(stream: StreamId, number: u64) -> String {
    format!("watermark {number} of stream {stream}")
}

impl TimeSnapshot for RedbSnapshot {
    fn marks(&self, stream: StreamId) -> Result<BTreeMap<String, MarkRow>> {
        let mut out = BTreeMap::new();
        self.scan_prefix(schema::WRITER_MARKS, &stream_key(stream), |(key, value)| {
            let (_, writer) = decode_mark_key(key)?;
            let row = decode_row(value, || mark_name(stream, &writer))?;
            out.insert(writer, row);
            Ok(true)
        })?;
        Ok(out)
    }

    fn mark(&self, stream: StreamId, writer: &str) -> Result<Option<MarkRow>> {
        self.row(schema::WRITER_MARKS, &mark_key(stream, writer), || mark_name(stream, writer))
    }

    fn timed_streams(&self) -> Result<BTreeSet<StreamId>> {
        let mut out = BTreeSet::new();
        let mut from = Some(StreamId(0));
        while let Some(stream) = from.take() {
            self.scan(schema::WRITER_MARKS, &stream_key(stream), None, |(key, _)| {
                let (found, _) = decode_mark_key(key)?;
                out.insert(found);
                from = found.0.checked_add(1).map(StreamId);
                Ok(false)
            })?;
        }
        Ok(out)
    }

    fn last_watermark(&self, stream: StreamId) -> Result<Option<(u64, WatermarkRow)>> {
        self.watermark_in(stream, 0..=u64::MAX, true)
    }

    fn oldest_watermarks(&self, stream: StreamId, limit: usize) -> Result<Vec<(u64, WatermarkRow)>> {
        let mut out = Vec::new();
        self.scan_prefix(schema::WATERMARKS, &stream_key(stream), |(key, value)| {
            let (_, number) = decode_numbered_key(key)?;
            if out.len() < limit {
                out.push((number, decode_row(value, || watermark_name(stream, number))?));
            }
            Ok(out.len() < limit)
        })?;
        Ok(out)
    }

    fn time_config(&self, stream: StreamId) -> Result<Option<TimeConfigRow>> {
        self.row(schema::TIME_CONFIGS, &stream_key(stream), || format!("how stream {stream} treats silent writers"))
    }
}

impl RedbSnapshot {
    /// The first or the last watermark of a range of numbers.
    fn watermark_in(
        &self,
        stream: StreamId,
        numbers: std::ops::RangeInclusive<u64>,
        last: bool,
    ) -> Result<Option<(u64, WatermarkRow)>> {
        let (start, end) = (numbered_key(stream.0, *numbers.start()), numbered_key(stream.0, *numbers.end()));
        let table = self.table(schema::WATERMARKS)?;
        let mut range = table.range::<&[u8]>(&start[..]..=&end[..]).map_err(read_error)?;
        let item = if last { range.next_back() } else { range.next() };
        let Some(item) = item else { return Ok(None) };
        let (key, value) = item.map_err(read_error)?;
        let (_, number) = decode_numbered_key(key.value())?;
        Ok(Some((number, decode_row(value.value(), || watermark_name(stream, number))?)))
    }

    /// The newest watermarks of a stream, at most `limit`, oldest first.
    pub(crate) fn newest_watermarks(&self, stream: StreamId, limit: usize) -> Result<Vec<(u64, WatermarkRow)>> {
        let mut out = Vec::new();
        let (start, end) = (numbered_key(stream.0, 0), numbered_key(stream.0, u64::MAX));
        let table = self.table(schema::WATERMARKS)?;
        for item in table.range::<&[u8]>(&start[..]..=&end[..]).map_err(read_error)?.rev().take(limit) {
            let (key, value) = item.map_err(read_error)?;
            let (_, number) = decode_numbered_key(key.value())?;
            out.push((number, decode_row(value.value(), || watermark_name(stream, number))?));
        }
        out.reverse();
        Ok(out)
    }
}

/// The watermarks of one stream, for windows.
pub(crate) struct StreamWatermarks<'a> {
    pub(crate) snapshot: &'a RedbSnapshot,
    pub(crate) stream: StreamId,
}

impl Watermarks for StreamWatermarks<'_> {
    fn at_or_after(&self, number: u64) -> Result<Option<(u64, WatermarkRow)>> {
        self.snapshot.watermark_in(self.stream, number..=u64::MAX, false)
    }

    fn before(&self, number: u64) -> Result<Option<(u64, WatermarkRow)>> {
        match number.checked_sub(1) {
            Some(last) => self.snapshot.watermark_in(self.stream, 0..=last, true),
            None => Ok(None),
        }
    }
}

/// Writes a group's changes.
pub(super) fn apply(txn: &WriteTransaction, changes: &TimeChanges) -> Result<()> {
    let put = changes.marks.iter().filter_map(|((s, w), row)| Some((mark_key(*s, w), row.as_ref()?)));
    put_rows(txn, schema::WRITER_MARKS, put)?;
    let gone = changes.marks.iter().filter(|(_, row)| row.is_none()).map(|((s, w), _)| mark_key(*s, w));
    remove_all(txn, schema::WRITER_MARKS, gone)?;
    let put = changes.watermarks.iter().filter_map(|((s, n), row)| Some((numbered_key(s.0, *n), row.as_ref()?)));
    put_rows(txn, schema::WATERMARKS, put)?;
    let gone = changes.watermarks.iter().filter(|(_, row)| row.is_none()).map(|((s, n), _)| numbered_key(s.0, *n));
    remove_all(txn, schema::WATERMARKS, gone)?;
    let put = changes.configs.iter().filter_map(|(s, row)| Some((stream_key(*s), row.as_ref()?)));
    put_rows(txn, schema::TIME_CONFIGS, put)?;
    let gone = changes.configs.iter().filter(|(_, row)| row.is_none()).map(|(s, _)| stream_key(*s));
    remove_all(txn, schema::TIME_CONFIGS, gone)
}
