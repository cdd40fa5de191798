//! What is committed plus what is about to be: a [`Snapshot`] is read, an [`Overlay`] on it gathers [`Changes`].
//!
//! `decide.rs` makes one overlay for the group and one on top for each part, and merges the upper into the lower when
//! the part is accepted; `redb_io.rs` is the lowest snapshot and writes the group's changes. Pure: no redb in here.

mod scoped;

pub(crate) use scoped::{ScopedChanges, ScopedSnapshot};
mod time;
mod transaction;

pub(crate) use time::{TimeChanges, TimeSnapshot};
pub(crate) use transaction::{TransactionChanges, TransactionSnapshot};

use crate::error::Result;
use crate::ids::{Epoch, Offset, SegmentId, StreamId, StreamName};
use crate::manifest::{BlobId, Manifest};
use crate::row::{
    CheckpointRow, ChunkKey, FileRow, IndexEntry, PastRow, PipelineRow, RunRow, SealedSegmentRow, SegmentKey,
    SegmentRow, StreamRow, WriterRow,
};
use crate::row::{RetentionRow, SubscriberRow};
use crate::stream::StreamPolicy;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The rows there are.
pub(crate) trait Snapshot: ScopedSnapshot + TimeSnapshot + TransactionSnapshot {
    fn stream_id(&self, name: &StreamName) -> Result<Option<StreamId>>;
    fn stream(&self, id: StreamId) -> Result<Option<StreamRow>>;
    fn segment(&self, key: SegmentKey) -> Result<Option<SegmentRow>>;
    /// The oldest chunks of a segment, at most `limit`, in order.
    fn oldest_chunks(&self, key: SegmentKey, limit: usize) -> Result<Vec<(Offset, IndexEntry)>>;
    fn index_entry(&self, key: ChunkKey) -> Result<Option<IndexEntry>>;
    fn file(&self, file: u64) -> Result<Option<FileRow>>;
    fn sealed_segment(&self, key: SegmentKey) -> Result<Option<SealedSegmentRow>>;
    fn past_segment(&self, key: SegmentKey) -> Result<Option<PastRow>>;
    /// Those of a stream, by id.
    fn past_segments(&self, stream: StreamId) -> Result<Vec<(SegmentId, PastRow)>>;
    fn writer(&self, stream: StreamId, writer: &str) -> Result<Option<WriterRow>>;
    fn writer_names(&self, stream: StreamId) -> Result<BTreeSet<String>>;
    fn policy(&self, stream: StreamId) -> Result<Option<StreamPolicy>>;
    /// Oldest first.
    fn retention_cuts(&self, stream: StreamId) -> Result<Vec<(u64, RetentionRow)>>;
    fn subscribers(&self, stream: StreamId) -> Result<BTreeMap<String, SubscriberRow>>;
    fn pipeline(&self, name: &str) -> Result<Option<PipelineRow>>;
    fn checkpoint(&self, pipeline: &str, epoch: Epoch) -> Result<Option<CheckpointRow>>;
    /// Epochs with a checkpoint record.
    fn checkpoint_epochs(&self, pipeline: &str) -> Result<BTreeSet<Epoch>>;
    fn manifest(&self, pipeline: &str, operator: &str) -> Result<Option<Manifest>>;
    /// All manifests of a pipeline, by operator.
    fn manifests(&self, pipeline: &str) -> Result<BTreeMap<String, Manifest>>;
    fn run(&self, id: BlobId) -> Result<Option<RunRow>>;
    fn marker(&self, name: &str) -> Result<Option<Bytes>>;
    fn next_stream(&self) -> Result<StreamId>;
    fn next_blob(&self) -> Result<BlobId>;
    fn next_file(&self) -> Result<u64>;
}

/// A schedule's place: pipeline, epoch, operator, subtask.
pub(crate) type ScheduleKey = (String, Epoch, String, u32);

/// Rows of one table, put or dropped: of a key the last word counts.
#[derive(Debug)]
pub(crate) struct Rows<K, V> {
    rows: BTreeMap<K, Option<V>>,
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Rows<K, V> {
        Rows { rows: BTreeMap::new() }
    }
}

impl<K: Ord, V> Rows<K, V> {
    pub(crate) fn put(&mut self, key: K, row: V) {
        self.rows.insert(key, Some(row));
    }

    pub(crate) fn drop(&mut self, key: K) {
        self.rows.insert(key, None);
    }

    /// None = nothing is said of it.
    pub(crate) fn get(&self, key: &K) -> Option<Option<&V>> {
        self.rows.get(key).map(Option::as_ref)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Everything said, in the order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, Option<&V>)> {
        self.rows.iter().map(|(key, row)| (key, row.as_ref()))
    }

    fn absorb(&mut self, upper: Rows<K, V>) {
        self.rows.extend(upper.rows);
    }
}

/// A writer's place: stream, id.
pub(crate) type WriterKey = (StreamId, String);

/// What a group of parts writes. Invariant: a key is never both put and dropped.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) names: BTreeMap<StreamName, StreamId>,
    pub(crate) streams: BTreeMap<StreamId, StreamRow>,
    pub(crate) segments: BTreeMap<SegmentKey, SegmentRow>,
    /// With the bytes when they are hot; without, hot bytes that lie there go.
    pub(crate) chunks: BTreeMap<ChunkKey, (IndexEntry, Option<Bytes>)>,
    pub(crate) dropped_chunks: BTreeSet<ChunkKey>,
    pub(crate) files: BTreeMap<u64, FileRow>,
    /// With their names: the files are unlinked when this is committed.
    pub(crate) dropped_files: BTreeMap<u64, String>,
    pub(crate) sealed_segments: BTreeMap<SegmentKey, SealedSegmentRow>,
    pub(crate) past_segments: BTreeMap<SegmentKey, PastRow>,
    /// All rows of these segments go; they have no chunks.
    pub(crate) dropped_segments: BTreeSet<SegmentKey>,
    pub(crate) writers: BTreeMap<WriterKey, WriterRow>,
    pub(crate) dropped_writers: BTreeSet<WriterKey>,
    pub(crate) dropped_streams: BTreeSet<StreamId>,
    pub(crate) policies: Rows<StreamId, StreamPolicy>,
    pub(crate) retention_cuts: Rows<(StreamId, u64), RetentionRow>,
    pub(crate) subscribers: Rows<(StreamId, String), SubscriberRow>,
    /// How the bytes of all hot chunks change.
    pub(crate) hot_bytes: i64,
    pub(crate) pipelines: BTreeMap<String, PipelineRow>,
    pub(crate) checkpoints: BTreeMap<(String, Epoch), CheckpointRow>,
    /// Their schedules go with them.
    pub(crate) dropped_checkpoints: BTreeSet<(String, Epoch)>,
    pub(crate) schedules: BTreeMap<ScheduleKey, Bytes>,
    pub(crate) manifests: BTreeMap<(String, String), Manifest>,
    /// Their checkpoints, schedules and manifests of before go; what is put under their names is new.
    pub(crate) forgotten_pipelines: BTreeSet<String>,
    pub(crate) runs: BTreeMap<BlobId, RunRow>,
    pub(crate) dropped_runs: BTreeSet<BlobId>,
    pub(crate) blobs: BTreeMap<BlobId, Bytes>,
    pub(crate) dropped_blobs: BTreeSet<BlobId>,
    pub(crate) markers: BTreeMap<String, Bytes>,
    /// Tables, logs, reader groups.
    pub(crate) scoped: ScopedChanges,
    pub(crate) time: TimeChanges,
    pub(crate) transactions: TransactionChanges,
    pub(crate) next_stream: Option<StreamId>,
    pub(crate) next_blob: Option<BlobId>,
    pub(crate) next_file: Option<u64>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
            && self.streams.is_empty()
            && self.segments.is_empty()
            && self.chunks.is_empty()
            && self.dropped_chunks.is_empty()
            && self.files.is_empty()
            && self.dropped_files.is_empty()
            && self.sealed_segments.is_empty()
            && self.past_segments.is_empty()
            && self.dropped_segments.is_empty()
            && self.writers.is_empty()
            && self.dropped_writers.is_empty()
            && self.dropped_streams.is_empty()
            && self.policies.is_empty()
            && self.retention_cuts.is_empty()
            && self.subscribers.is_empty()
            && self.pipelines.is_empty()
            && self.checkpoints.is_empty()
            && self.dropped_checkpoints.is_empty()
            && self.schedules.is_empty()
            && self.manifests.is_empty()
            && self.forgotten_pipelines.is_empty()
            && self.runs.is_empty()
            && self.dropped_runs.is_empty()
            && self.blobs.is_empty()
            && self.dropped_blobs.is_empty()
            && self.markers.is_empty()
            && self.scoped.is_empty()
            && self.time.is_empty()
            && self.transactions.is_empty()
    }

    /// Takes a segment out that has no chunks any more.
    pub(crate) fn drop_segment(&mut self, key: SegmentKey) {
        self.segments.remove(&key);
        self.sealed_segments.remove(&key);
        self.past_segments.remove(&key);
        self.dropped_segments.insert(key);
    }

    pub(crate) fn put_writer(&mut self, key: WriterKey, row: WriterRow) {
        self.dropped_writers.remove(&key);
        self.writers.insert(key, row);
    }

    pub(crate) fn drop_writer(&mut self, key: WriterKey) {
        self.writers.remove(&key);
        self.dropped_writers.insert(key);
    }

    /// Takes in the changes of a part that was decided on top of these.
    pub(crate) fn absorb(&mut self, upper: Changes) {
        for pipeline in &upper.forgotten_pipelines {
            self.forget_pipeline(pipeline);
        }
        self.names.extend(upper.names);
        self.streams.extend(upper.streams);
        self.segments.extend(upper.segments);
        self.pipelines.extend(upper.pipelines);
        self.manifests.extend(upper.manifests);
        self.markers.extend(upper.markers);
        self.time.absorb(upper.time);
        self.transactions.absorb(upper.transactions);
        self.schedules.extend(upper.schedules);
        for (key, chunk) in upper.chunks {
            self.dropped_chunks.remove(&key);
            self.chunks.insert(key, chunk);
        }
        for key in upper.dropped_chunks {
            // A new hot chunk was never written; a sealed one has taken the place of one that was.
            if !matches!(self.chunks.remove(&key), Some((_, Some(_)))) {
                self.dropped_chunks.insert(key);
            }
        }
        self.files.extend(upper.files);
        for (file, name) in upper.dropped_files {
            self.files.remove(&file);
            self.dropped_files.insert(file, name);
        }
        self.sealed_segments.extend(upper.sealed_segments);
        self.past_segments.extend(upper.past_segments);
        // Ids of segments are never used again, so nothing brings one back.
        upper.dropped_segments.into_iter().for_each(|key| self.drop_segment(key));
        upper.dropped_writers.into_iter().for_each(|key| self.drop_writer(key));
        upper.writers.into_iter().for_each(|(key, row)| self.put_writer(key, row));
        // Ids of streams are never used again.
        self.streams.retain(|id, _| !upper.dropped_streams.contains(id));
        self.dropped_streams.extend(upper.dropped_streams);
        self.policies.absorb(upper.policies);
        self.retention_cuts.absorb(upper.retention_cuts);
        self.subscribers.absorb(upper.subscribers);
        self.hot_bytes += upper.hot_bytes;
        put_and_drop(&mut self.runs, &mut self.dropped_runs, upper.runs, upper.dropped_runs);
        put_and_drop(&mut self.blobs, &mut self.dropped_blobs, upper.blobs, upper.dropped_blobs);
        for (pipeline, epoch) in &upper.dropped_checkpoints {
            self.schedules.retain(|(p, e, _, _), _| p != pipeline || e != epoch);
        }
        put_and_drop(
            &mut self.checkpoints,
            &mut self.dropped_checkpoints,
            upper.checkpoints,
            upper.dropped_checkpoints,
        );
        self.scoped.absorb(upper.scoped);
        self.next_stream = upper.next_stream.or(self.next_stream);
        self.next_blob = upper.next_blob.or(self.next_blob);
        self.next_file = upper.next_file.or(self.next_file);
    }
}

impl Changes {
    /// Nothing of a pipeline is left, but its row.
    pub(crate) fn forget_pipeline(&mut self, name: &str) {
        self.checkpoints.retain(|(pipeline, _), _| pipeline != name);
        self.dropped_checkpoints.retain(|(pipeline, _)| pipeline != name);
        self.schedules.retain(|(pipeline, ..), _| pipeline != name);
        self.manifests.retain(|(pipeline, _), _| pipeline != name);
        self.forgotten_pipelines.insert(name.to_string());
    }
}

fn put_and_drop<K: Ord, V>(
    puts: &mut BTreeMap<K, V>,
    drops: &mut BTreeSet<K>,
    upper_puts: BTreeMap<K, V>,
    upper_drops: BTreeSet<K>,
) {
    puts.extend(upper_puts);
    for key in upper_drops {
        if puts.remove(&key).is_none() {
            drops.insert(key);
        }
    }
}

/// A snapshot with changes on top; itself a snapshot.
pub(crate) struct Overlay<'a> {
    base: &'a dyn Snapshot,
    pub(crate) changes: Changes,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(base: &'a dyn Snapshot) -> Overlay<'a> {
        Overlay { base, changes: Changes::default() }
    }
}

impl Snapshot for Overlay<'_> {
    fn stream_id(&self, name: &StreamName) -> Result<Option<StreamId>> {
        self.changes.names.get(name).map_or_else(|| self.base.stream_id(name), |id| Ok(Some(*id)))
    }

    fn stream(&self, id: StreamId) -> Result<Option<StreamRow>> {
        if self.changes.dropped_streams.contains(&id) {
            return Ok(None);
        }
        self.changes.streams.get(&id).map_or_else(|| self.base.stream(id), |row| Ok(Some(row.clone())))
    }

    fn segment(&self, key: SegmentKey) -> Result<Option<SegmentRow>> {
        if self.changes.dropped_segments.contains(&key) {
            return Ok(None);
        }
        self.changes.segments.get(&key).map_or_else(|| self.base.segment(key), |row| Ok(Some(*row)))
    }

    fn oldest_chunks(&self, key: SegmentKey, limit: usize) -> Result<Vec<(Offset, IndexEntry)>> {
        let all = ChunkKey { segment: key, first: Offset(0) }..=ChunkKey { segment: key, first: Offset(u64::MAX) };
        let dropped = self.changes.dropped_chunks.range(all.clone()).count();
        let below = self.base.oldest_chunks(key, limit.saturating_add(dropped))?;
        let mut chunks: BTreeMap<Offset, IndexEntry> = below.into_iter().collect();
        chunks.retain(|first, _| !self.changes.dropped_chunks.contains(&ChunkKey { segment: key, first: *first }));
        chunks.extend(self.changes.chunks.range(all).map(|(k, (entry, _))| (k.first, *entry)));
        Ok(chunks.into_iter().take(limit).collect())
    }

    fn index_entry(&self, key: ChunkKey) -> Result<Option<IndexEntry>> {
        if self.changes.dropped_chunks.contains(&key) {
            return Ok(None);
        }
        match self.changes.chunks.get(&key) {
            Some((entry, _)) => Ok(Some(*entry)),
            None => self.base.index_entry(key),
        }
    }

    fn file(&self, file: u64) -> Result<Option<FileRow>> {
        if self.changes.dropped_files.contains_key(&file) {
            return Ok(None);
        }
        self.changes.files.get(&file).map_or_else(|| self.base.file(file), |row| Ok(Some(row.clone())))
    }

    fn sealed_segment(&self, key: SegmentKey) -> Result<Option<SealedSegmentRow>> {
        if self.changes.dropped_segments.contains(&key) {
            return Ok(None);
        }
        self.changes.sealed_segments.get(&key).map_or_else(|| self.base.sealed_segment(key), |row| Ok(Some(*row)))
    }

    fn past_segment(&self, key: SegmentKey) -> Result<Option<PastRow>> {
        if self.changes.dropped_segments.contains(&key) {
            return Ok(None);
        }
        self.changes.past_segments.get(&key).map_or_else(|| self.base.past_segment(key), |row| Ok(Some(row.clone())))
    }

    fn past_segments(&self, stream: StreamId) -> Result<Vec<(SegmentId, PastRow)>> {
        let mut rows: BTreeMap<SegmentId, PastRow> = self.base.past_segments(stream)?.into_iter().collect();
        let key = |segment| SegmentKey { stream, segment };
        let own = self.changes.past_segments.range(key(SegmentId(0))..=key(SegmentId(u64::MAX)));
        rows.extend(own.map(|(k, row)| (k.segment, row.clone())));
        rows.retain(|segment, _| !self.changes.dropped_segments.contains(&key(*segment)));
        Ok(rows.into_iter().collect())
    }

    fn writer(&self, stream: StreamId, writer: &str) -> Result<Option<WriterRow>> {
        let key = (stream, writer.to_string());
        if self.changes.dropped_writers.contains(&key) {
            return Ok(None);
        }
        self.changes.writers.get(&key).map_or_else(|| self.base.writer(stream, writer), |row| Ok(Some(row.clone())))
    }

    fn writer_names(&self, stream: StreamId) -> Result<BTreeSet<String>> {
        let mut names = self.base.writer_names(stream)?;
        names.extend(self.changes.writers.keys().filter(|key| key.0 == stream).map(|key| key.1.clone()));
        names.retain(|name| !self.changes.dropped_writers.contains(&(stream, name.clone())));
        Ok(names)
    }

    fn policy(&self, stream: StreamId) -> Result<Option<StreamPolicy>> {
        self.changes.policies.get(&stream).map_or_else(|| self.base.policy(stream), |policy| Ok(policy.copied()))
    }

    fn retention_cuts(&self, stream: StreamId) -> Result<Vec<(u64, RetentionRow)>> {
        let mut rows: BTreeMap<u64, RetentionRow> = self.base.retention_cuts(stream)?.into_iter().collect();
        for ((_, number), row) in self.changes.retention_cuts.iter().filter(|((of, _), _)| *of == stream) {
            match row {
                Some(row) => drop(rows.insert(*number, row.clone())),
                None => drop(rows.remove(number)),
            }
        }
        Ok(rows.into_iter().collect())
    }

    fn subscribers(&self, stream: StreamId) -> Result<BTreeMap<String, SubscriberRow>> {
        let mut rows = self.base.subscribers(stream)?;
        for ((_, name), row) in self.changes.subscribers.iter().filter(|((of, _), _)| *of == stream) {
            match row {
                Some(row) => drop(rows.insert(name.clone(), row.clone())),
                None => drop(rows.remove(name)),
            }
        }
        Ok(rows)
    }

    fn pipeline(&self, name: &str) -> Result<Option<PipelineRow>> {
        self.changes.pipelines.get(name).map_or_else(|| self.base.pipeline(name), |row| Ok(Some(*row)))
    }

    fn checkpoint(&self, pipeline: &str, epoch: Epoch) -> Result<Option<CheckpointRow>> {
        let key = (pipeline.to_string(), epoch);
        if self.changes.dropped_checkpoints.contains(&key) {
            return Ok(None);
        }
        match self.changes.checkpoints.get(&key) {
            Some(row) => Ok(Some(row.clone())),
            None if self.changes.forgotten_pipelines.contains(pipeline) => Ok(None),
            None => self.base.checkpoint(pipeline, epoch),
        }
    }

    fn checkpoint_epochs(&self, pipeline: &str) -> Result<BTreeSet<Epoch>> {
        let mut epochs = match self.changes.forgotten_pipelines.contains(pipeline) {
            true => BTreeSet::new(),
            false => self.base.checkpoint_epochs(pipeline)?,
        };
        let of = |(name, _): &&(String, Epoch)| name.as_str() == pipeline;
        epochs.extend(self.changes.checkpoints.keys().filter(of).map(|(_, epoch)| *epoch));
        for (_, epoch) in self.changes.dropped_checkpoints.iter().filter(of) {
            epochs.remove(epoch);
        }
        Ok(epochs)
    }

    fn manifest(&self, pipeline: &str, operator: &str) -> Result<Option<Manifest>> {
        match self.changes.manifests.get(&(pipeline.to_string(), operator.to_string())) {
            Some(manifest) => Ok(Some(manifest.clone())),
            None if self.changes.forgotten_pipelines.contains(pipeline) => Ok(None),
            None => self.base.manifest(pipeline, operator),
        }
    }

    fn manifests(&self, pipeline: &str) -> Result<BTreeMap<String, Manifest>> {
        let mut manifests = match self.changes.forgotten_pipelines.contains(pipeline) {
            true => BTreeMap::new(),
            false => self.base.manifests(pipeline)?,
        };
        let of = self.changes.manifests.iter().filter(|((name, _), _)| name == pipeline);
        manifests.extend(of.map(|((_, operator), manifest)| (operator.clone(), manifest.clone())));
        Ok(manifests)
    }

    fn run(&self, id: BlobId) -> Result<Option<RunRow>> {
        if self.changes.dropped_runs.contains(&id) {
            return Ok(None);
        }
        self.changes.runs.get(&id).map_or_else(|| self.base.run(id), |row| Ok(Some(row.clone())))
    }

    fn marker(&self, name: &str) -> Result<Option<Bytes>> {
        self.changes.markers.get(name).map_or_else(|| self.base.marker(name), |value| Ok(Some(value.clone())))
    }

    fn next_stream(&self) -> Result<StreamId> {
        self.changes.next_stream.map_or_else(|| self.base.next_stream(), Ok)
    }

    fn next_blob(&self) -> Result<BlobId> {
        self.changes.next_blob.map_or_else(|| self.base.next_blob(), Ok)
    }

    fn next_file(&self) -> Result<u64> {
        self.changes.next_file.map_or_else(|| self.base.next_file(), Ok)
    }
}
