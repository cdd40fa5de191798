//! Rows and bytes in and out of redb: [`RedbSnapshot`] reads one read transaction, [`apply`] writes a group's changes in
//! one write transaction. The only file, with `store.rs`, `shared.rs` and `format.rs`, that knows redb's calls.

mod keepers;
mod scoped;
mod time;
mod transaction;

pub(crate) use keepers::{KEEPERS, Keeper};
pub(crate) use time::StreamWatermarks;

use crate::codec::{
    after_prefix, blob_key, checkpoint_key, checkpoint_key_epoch, chunk_key, decode_blob_key, decode_chunk_key,
    decode_file_key, decode_row, decode_segment_key, decode_text_key, encode_row, file_key, manifest_key,
    manifest_key_operator, retention_key, schedule_key, schedule_key_owner, segment_key, stream_key, text_key,
    text_prefix, writer_key,
};
use crate::error::{Error, Kind, Result};
use crate::ids::{Epoch, Offset, SegmentId, StreamId, StreamName};
use crate::manifest::{BlobEntry, BlobId, Manifest};
use crate::overlay::{Changes, Rows, Snapshot};
use crate::row::{
    CheckpointRow, ChunkKey, FileRow, IndexEntry, PastRow, PipelineRow, RunRow, SealedSegmentRow, SegmentKey,
    SegmentRow, StreamRow, WriterRow,
};
use crate::row::{RetentionRow, SubscriberRow};
use crate::schema::{self, BytesTable};
use crate::stream::StreamPolicy;
use bytes::Bytes;
use redb::{Database, ReadOnlyTable, ReadTransaction, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

/// A disk, a quota or a limit on the size of files is used up.
pub(crate) const FULL: [ErrorKind; 3] = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];

/// redb's error as ours. What cannot be told to be passing, full or owned is `Corrupt`.
pub(crate) fn redb_error(doing: &str, error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let kind = match &error {
        redb::Error::Io(e) if FULL.contains(&e.kind()) => Kind::Full,
        redb::Error::Io(e) if matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => Kind::Corrupt,
        redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::Backend(_) => {
            Kind::Unavailable
        }
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Kind::Refused,
        redb::Error::UpgradeRequired(_) => Kind::Refused,
        redb::Error::ValueTooLarge(_) => Kind::Invalid,
        _ => Kind::Corrupt,
    };
    let mend = match kind {
        Kind::Full => "; make room on the disk of the data directory",
        Kind::Corrupt => "; keep the files and restore a backup",
        _ => "",
    };
    Error::new(kind, format!("{doing}: {error}{mend}"))
}

pub(crate) fn read_error(error: impl Into<redb::Error>) -> Error {
    redb_error("reading the store", error)
}

/// One read transaction. Never kept beyond a call: a long one pins pages and grows the file.
pub(crate) struct RedbSnapshot {
    txn: ReadTransaction,
}

type Bytes2<'a> = (&'a [u8], &'a [u8]);

impl RedbSnapshot {
    pub(crate) fn new(txn: ReadTransaction) -> RedbSnapshot {
        RedbSnapshot { txn }
    }

    fn table(&self, table: BytesTable) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>> {
        self.txn.open_table(table).map_err(read_error)
    }

    fn row<T: DeserializeOwned>(
        &self,
        table: BytesTable,
        key: &[u8],
        what: impl FnOnce() -> String,
    ) -> Result<Option<T>> {
        match self.table(table)?.get(key).map_err(read_error)? {
            Some(guard) => decode_row(guard.value(), what).map(Some),
            None => Ok(None),
        }
    }

    fn bytes(&self, table: BytesTable, key: &[u8]) -> Result<Option<Bytes>> {
        let guard = self.table(table)?.get(key).map_err(read_error)?;
        Ok(guard.map(|g| Bytes::copy_from_slice(g.value())))
    }

    /// Calls `each` on keys from `start` to before `end`, until it says false.
    fn scan(
        &self,
        table: BytesTable,
        start: &[u8],
        end: Option<&[u8]>,
        mut each: impl FnMut(Bytes2<'_>) -> Result<bool>,
    ) -> Result<()> {
        let table = self.table(table)?;
        let range = match end {
            Some(end) => table.range(start..end),
            None => table.range(start..),
        };
        for item in range.map_err(read_error)? {
            let (key, value) = item.map_err(read_error)?;
            if !each((key.value(), value.value()))? {
                break;
            }
        }
        Ok(())
    }

    fn scan_prefix(
        &self,
        table: BytesTable,
        prefix: &[u8],
        each: impl FnMut(Bytes2<'_>) -> Result<bool>,
    ) -> Result<()> {
        self.scan(table, prefix, after_prefix(prefix).as_deref(), each)
    }

    fn meta_number(&self, key: &str) -> Result<u64> {
        let table = self.txn.open_table(schema::META).map_err(read_error)?;
        let guard = table.get(key).map_err(read_error)?;
        let bytes = guard.as_ref().and_then(|g| g.value().first_chunk::<8>().copied());
        bytes
            .map(u64::from_le_bytes)
            .ok_or_else(|| Error::corrupt(format!("meta: {key} is missing or too short; restore a backup")))
    }

    pub(crate) fn stream_names(&self) -> Result<Vec<(StreamName, StreamId)>> {
        let mut out = Vec::new();
        self.scan(schema::STREAM_NAMES, &[], None, |(key, value)| {
            let name = decode_text_key(key)?;
            let id = decode_row(value, || format!("the id of stream {name}"))?;
            out.push((StreamName::new(name).map_err(|e| Error::corrupt(e.to_string()))?, id));
            Ok(true)
        })?;
        Ok(out)
    }

    /// All rows of streams, deleted ones included.
    pub(crate) fn stream_rows(&self) -> Result<Vec<(StreamId, Result<StreamRow>)>> {
        let mut out = Vec::new();
        self.scan(schema::STREAMS, &[], None, |(key, value)| {
            let id = StreamId(decode_file_key(key)?);
            out.push((id, decode_row(value, || format!("the row of stream {id}"))));
            Ok(true)
        })?;
        Ok(out)
    }

    pub(crate) fn pipeline_names(&self) -> Result<Vec<String>> {
        let mut out = Vec::new();
        self.scan(schema::PIPELINES, &[], None, |(key, value)| {
            let name = decode_text_key(key)?;
            // One that cannot be read is told by whoever reads it.
            if !decode_row::<PipelineRow>(value, String::new).is_ok_and(|row| row.deleted) {
                out.push(name.to_string());
            }
            Ok(true)
        })?;
        Ok(out)
    }

    pub(crate) fn schedules(&self, pipeline: &str, epoch: Epoch) -> Result<Vec<(String, u32, Bytes)>> {
        let prefix = checkpoint_key(pipeline, epoch);
        let mut out = Vec::new();
        self.scan_prefix(schema::SCHEDULES, &prefix, |(key, value)| {
            let (operator, subtask) = schedule_key_owner(key, &prefix)?;
            let row: Vec<u8> =
                decode_row(value, || format!("input schedule of {pipeline}, epoch {epoch}, {operator}[{subtask}]"))?;
            out.push((operator, subtask, row.into()));
            Ok(true)
        })?;
        Ok(out)
    }

    /// Where the chunk starts that holds `offset` (or would: check); none when all start later.
    pub(crate) fn holder(&self, segment: SegmentKey, offset: Offset) -> Result<Option<Offset>> {
        let key = |first| chunk_key(ChunkKey { segment, first });
        let table = self.table(schema::CHUNK_INDEX)?;
        let (lowest, at) = (key(Offset(0)), key(offset));
        let holder = table.range::<&[u8]>(&lowest[..]..=&at[..]).map_err(read_error)?.next_back();
        holder.map(|item| Ok(decode_chunk_key(item.map_err(read_error)?.0.value())?.first)).transpose()
    }

    /// A hot chunk's bytes as they lie there; none when the table has none.
    pub(crate) fn hot_chunk(&self, key: ChunkKey) -> Result<Option<Bytes>> {
        self.bytes(schema::HOT_CHUNKS, &chunk_key(key))
    }

    /// Index entries of a segment that start at `from` or later, until `each` says false.
    pub(crate) fn chunks_starting_at(
        &self,
        segment: SegmentKey,
        from: Offset,
        mut each: impl FnMut(ChunkKey, Result<IndexEntry>) -> Result<bool>,
    ) -> Result<()> {
        let key = |first| chunk_key(ChunkKey { segment, first });
        self.scan(schema::CHUNK_INDEX, &key(from)[..], Some(&key(Offset(u64::MAX))[..]), |(key, value)| {
            let key = decode_chunk_key(key)?;
            each(key, decode_row(value, || index_name(key)))
        })
    }

    /// Operators of a pipeline that have a manifest.
    pub(crate) fn operators(&self, pipeline: &str) -> Result<Vec<String>> {
        let prefix = text_prefix(pipeline);
        let mut out = Vec::new();
        self.scan_prefix(schema::MANIFESTS, &prefix, |(key, _)| {
            out.push(manifest_key_operator(key, &prefix)?);
            Ok(true)
        })?;
        Ok(out)
    }

    /// The ids of all hot state blobs.
    pub(crate) fn blob_ids(&self) -> Result<BTreeSet<BlobId>> {
        let mut out = BTreeSet::new();
        self.scan(schema::HOT_BLOBS, &[], None, |(key, _)| {
            out.insert(decode_blob_key(key)?);
            Ok(true)
        })?;
        Ok(out)
    }

    /// What is wrong with the markers that cannot be read.
    pub(crate) fn bad_markers(&self) -> Result<Vec<String>> {
        let mut out = Vec::new();
        self.scan(schema::MARKERS, &[], None, |(key, value)| {
            let name = decode_text_key(key)?;
            if let Err(e) = decode_row::<Vec<u8>>(value, || format!("marker {name}")) {
                out.push(e.to_string());
            }
            Ok(true)
        })?;
        Ok(out)
    }

    /// All segments with a row.
    pub(crate) fn segments(&self) -> Result<Vec<(SegmentKey, Result<SegmentRow>)>> {
        let mut out = Vec::new();
        self.scan(schema::SEGMENTS, &[], None, |(key, value)| {
            let key = decode_segment_key(key)?;
            out.push((key, decode_row(value, || segment_name(key))));
            Ok(true)
        })?;
        Ok(out)
    }

    /// All sealed files.
    pub(crate) fn files(&self) -> Result<Vec<(u64, Result<FileRow>)>> {
        let mut out = Vec::new();
        self.scan(schema::SEALED_FILES, &[], None, |(key, value)| {
            let file = decode_file_key(key)?;
            out.push((file, decode_row(value, || format!("the row of sealed file {file}"))));
            Ok(true)
        })?;
        Ok(out)
    }

    /// Bytes of all hot chunks, as the rows of the segments count them. A row that cannot be read counts nothing.
    pub(crate) fn hot_chunk_bytes(&self) -> Result<u64> {
        let mut sum = 0u64;
        for (key, row) in self.segments()? {
            let sealed = self.sealed_segment(key).ok().flatten().unwrap_or_default();
            sum = sum.saturating_add(row.map_or(0, |row| row.bytes.saturating_sub(sealed.bytes)));
        }
        Ok(sum)
    }

    /// A state blob, checked against its entry.
    pub(crate) fn blob(&self, entry: &BlobEntry) -> Result<Bytes> {
        let bytes = self.bytes(schema::HOT_BLOBS, &blob_key(entry.id))?;
        let bytes = bytes.ok_or_else(|| Error::corrupt("the manifest names a blob that is not there"))?;
        if bytes.len() as u64 != entry.bytes || crc32c::crc32c(&bytes) != entry.crc {
            return Err(Error::corrupt("the blob does not match the manifest's length and checksum"));
        }
        Ok(bytes)
    }

    /// The numbers of all runs.
    pub(crate) fn run_ids(&self) -> Result<BTreeSet<BlobId>> {
        let mut out = BTreeSet::new();
        self.scan(schema::RUNS, &[], None, |(key, _)| {
            out.insert(decode_blob_key(key)?);
            Ok(true)
        })?;
        Ok(out)
    }
}

fn segment_name(key: SegmentKey) -> String {
    format!("the row of stream {}, segment {}", key.stream, key.segment)
}

fn past_name(key: SegmentKey) -> String {
    format!("the row of stream {}, sealed segment {}", key.stream, key.segment)
}

fn index_name(key: ChunkKey) -> String {
    format!("index entry of stream {}, segment {}, offset {}", key.segment.stream, key.segment.segment, key.first)
}

impl Snapshot for RedbSnapshot {
    fn stream_id(&self, name: &StreamName) -> Result<Option<StreamId>> {
        self.row(schema::STREAM_NAMES, &text_key(name.as_str()), || format!("the id of stream {name}"))
    }

    fn stream(&self, id: StreamId) -> Result<Option<StreamRow>> {
        self.row(schema::STREAMS, &stream_key(id), || format!("the row of stream {id}"))
    }

    fn segment(&self, key: SegmentKey) -> Result<Option<SegmentRow>> {
        self.row(schema::SEGMENTS, &segment_key(key), || segment_name(key))
    }

    fn index_entry(&self, key: ChunkKey) -> Result<Option<IndexEntry>> {
        self.row(schema::CHUNK_INDEX, &chunk_key(key), || index_name(key))
    }

    fn file(&self, file: u64) -> Result<Option<FileRow>> {
        self.row(schema::SEALED_FILES, &file_key(file), || format!("the row of sealed file {file}"))
    }

    fn sealed_segment(&self, key: SegmentKey) -> Result<Option<SealedSegmentRow>> {
        self.row(schema::SEALED_SEGMENTS, &segment_key(key), || {
            format!("the sealed part of stream {}, segment {}", key.stream, key.segment)
        })
    }

    fn past_segment(&self, key: SegmentKey) -> Result<Option<PastRow>> {
        self.row(schema::PAST_SEGMENTS, &segment_key(key), || past_name(key))
    }

    fn past_segments(&self, stream: StreamId) -> Result<Vec<(SegmentId, PastRow)>> {
        let mut out = Vec::new();
        self.scan_prefix(schema::PAST_SEGMENTS, &stream_key(stream), |(key, value)| {
            let key = decode_segment_key(key)?;
            out.push((key.segment, decode_row(value, || past_name(key))?));
            Ok(true)
        })?;
        Ok(out)
    }

    fn writer(&self, stream: StreamId, writer: &str) -> Result<Option<WriterRow>> {
        self.row(schema::WRITERS, &writer_key(stream, writer), || format!("writer {writer} of stream {stream}"))
    }

    fn writer_names(&self, stream: StreamId) -> Result<BTreeSet<String>> {
        let mut out = BTreeSet::new();
        self.scan_prefix(schema::WRITERS, &stream_key(stream), |(key, _)| {
            out.insert(decode_text_key(key.get(8..).unwrap_or_default())?.to_string());
            Ok(true)
        })?;
        Ok(out)
    }

    fn policy(&self, stream: StreamId) -> Result<Option<StreamPolicy>> {
        self.row(schema::POLICIES, &stream_key(stream), || format!("the policy of stream {stream}"))
    }

    fn retention_cuts(&self, stream: StreamId) -> Result<Vec<(u64, RetentionRow)>> {
        let mut out = Vec::new();
        self.scan_prefix(schema::RETENTION_CUTS, &stream_key(stream), |(key, value)| {
            let number = decode_file_key(key.get(8..).unwrap_or_default())?;
            out.push((number, decode_row(value, || format!("a retention cut of stream {stream}"))?));
            Ok(true)
        })?;
        Ok(out)
    }

    fn subscribers(&self, stream: StreamId) -> Result<BTreeMap<String, SubscriberRow>> {
        let mut out = BTreeMap::new();
        self.scan_prefix(schema::SUBSCRIBERS, &stream_key(stream), |(key, value)| {
            let name = decode_text_key(key.get(8..).unwrap_or_default())?.to_string();
            let row = decode_row(value, || format!("subscriber {name} of stream {stream}"))?;
            out.insert(name, row);
            Ok(true)
        })?;
        Ok(out)
    }

    fn oldest_chunks(&self, key: SegmentKey, limit: usize) -> Result<Vec<(Offset, IndexEntry)>> {
        let mut out = Vec::new();
        self.scan_prefix(schema::CHUNK_INDEX, &segment_key(key), |(key, value)| {
            let key = decode_chunk_key(key)?;
            if out.len() < limit {
                out.push((key.first, decode_row(value, || index_name(key))?));
            }
            Ok(out.len() < limit)
        })?;
        Ok(out)
    }

    fn pipeline(&self, name: &str) -> Result<Option<PipelineRow>> {
        self.row(schema::PIPELINES, &text_key(name), || format!("the row of pipeline {name}"))
    }

    fn checkpoint(&self, pipeline: &str, epoch: Epoch) -> Result<Option<CheckpointRow>> {
        self.row(schema::CHECKPOINTS, &checkpoint_key(pipeline, epoch), || {
            format!("the checkpoint of pipeline {pipeline}, epoch {epoch}")
        })
    }

    fn checkpoint_epochs(&self, pipeline: &str) -> Result<BTreeSet<Epoch>> {
        let mut out = BTreeSet::new();
        self.scan_prefix(schema::CHECKPOINTS, &text_prefix(pipeline), |(key, _)| {
            out.insert(checkpoint_key_epoch(key)?);
            Ok(true)
        })?;
        Ok(out)
    }

    fn manifest(&self, pipeline: &str, operator: &str) -> Result<Option<Manifest>> {
        self.row(schema::MANIFESTS, &manifest_key(pipeline, operator), || {
            format!("the manifest of pipeline {pipeline}, operator {operator}")
        })
    }

    fn manifests(&self, pipeline: &str) -> Result<BTreeMap<String, Manifest>> {
        let of = |operator: String| Ok((operator.clone(), self.manifest(pipeline, &operator)?.unwrap_or_default()));
        self.operators(pipeline)?.into_iter().map(of).collect()
    }

    fn run(&self, id: BlobId) -> Result<Option<RunRow>> {
        self.row(schema::RUNS, &blob_key(id), || format!("the row of run {} of an operator's state", id.0))
    }

    fn marker(&self, name: &str) -> Result<Option<Bytes>> {
        let row: Option<Vec<u8>> = self.row(schema::MARKERS, &text_key(name), || format!("marker {name}"))?;
        Ok(row.map(Bytes::from))
    }

    fn next_stream(&self) -> Result<StreamId> {
        self.meta_number(schema::META_NEXT_STREAM).map(StreamId)
    }

    fn next_blob(&self) -> Result<BlobId> {
        self.meta_number(schema::META_NEXT_BLOB).map(BlobId)
    }

    fn next_file(&self) -> Result<u64> {
        self.meta_number(schema::META_NEXT_FILE)
    }
}

pub(crate) fn write_error(error: impl Into<redb::Error>) -> Error {
    redb_error("writing the store", error)
}

/// Starts a write transaction as all of ours are: durable, and with the allocator state saved, so that opening after
/// a crash takes milliseconds whatever the size.
pub(crate) fn begin_write(db: &Database) -> Result<WriteTransaction> {
    let mut txn = db.begin_write().map_err(write_error)?;
    txn.set_durability(redb::Durability::Immediate).map_err(write_error)?;
    txn.set_quick_repair(true);
    Ok(txn)
}

fn put_all<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    txn: &WriteTransaction,
    table: BytesTable,
    rows: impl Iterator<Item = (K, Result<V>)>,
) -> Result<()> {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut table = txn.open_table(table).map_err(write_error)?;
    for (key, value) in rows {
        table.insert(key.as_ref(), value?.as_ref()).map_err(write_error)?;
    }
    Ok(())
}

fn put_rows<K: AsRef<[u8]>, T: Serialize>(
    txn: &WriteTransaction,
    table: BytesTable,
    rows: impl Iterator<Item = (K, T)>,
) -> Result<()> {
    put_all(txn, table, rows.map(|(key, row)| (key, encode_row(&row))))
}

fn remove_all<K: AsRef<[u8]>>(txn: &WriteTransaction, table: BytesTable, keys: impl Iterator<Item = K>) -> Result<()> {
    let mut keys = keys.peekable();
    if keys.peek().is_none() {
        return Ok(());
    }
    let mut table = txn.open_table(table).map_err(write_error)?;
    for key in keys {
        table.remove(key.as_ref()).map_err(write_error)?;
    }
    Ok(())
}

fn remove_prefix(txn: &WriteTransaction, table: BytesTable, prefix: &[u8]) -> Result<()> {
    let Some(end) = after_prefix(prefix) else { return Ok(()) };
    let mut table = txn.open_table(table).map_err(write_error)?;
    table.retain_in::<&[u8], _>(prefix..&end[..], |_, _| false).map_err(write_error)
}

fn write_rows<K: Ord, V: Serialize, B: AsRef<[u8]>>(
    txn: &WriteTransaction,
    table: BytesTable,
    rows: &Rows<K, V>,
    key: impl Fn(&K) -> B,
) -> Result<()> {
    remove_all(txn, table, rows.iter().filter(|(_, row)| row.is_none()).map(|(k, _)| key(k)))?;
    put_rows(txn, table, rows.iter().filter_map(|(k, row)| Some((key(k), row?))))
}

/// Writes a group's changes in one transaction. After an error the outcome is unknown.
pub(crate) fn apply(db: &Database, changes: &Changes) -> Result<()> {
    let txn = begin_write(db)?;
    put_rows(&txn, schema::STREAM_NAMES, changes.names.iter().map(|(k, v)| (k.as_str(), v)))?;
    put_rows(&txn, schema::STREAMS, changes.streams.iter().map(|(k, v)| (stream_key(*k), v)))?;
    put_rows(&txn, schema::SEGMENTS, changes.segments.iter().map(|(k, v)| (segment_key(*k), v)))?;
    put_rows(&txn, schema::CHUNK_INDEX, changes.chunks.iter().map(|(k, v)| (chunk_key(*k), v.0)))?;
    let hot = changes.chunks.iter().filter_map(|(k, v)| Some((chunk_key(*k), Ok(v.1.as_ref()?))));
    put_all(&txn, schema::HOT_CHUNKS, hot)?;
    let sealed = changes.chunks.iter().filter(|(_, v)| v.1.is_none()).map(|(k, _)| chunk_key(*k));
    remove_all(&txn, schema::HOT_CHUNKS, sealed)?;
    remove_all(&txn, schema::CHUNK_INDEX, changes.dropped_chunks.iter().map(|k| chunk_key(*k)))?;
    remove_all(&txn, schema::HOT_CHUNKS, changes.dropped_chunks.iter().map(|k| chunk_key(*k)))?;
    put_rows(&txn, schema::SEALED_FILES, changes.files.iter().map(|(k, v)| (file_key(*k), v)))?;
    remove_all(&txn, schema::SEALED_FILES, changes.dropped_files.keys().map(|k| file_key(*k)))?;
    put_rows(&txn, schema::SEALED_SEGMENTS, changes.sealed_segments.iter().map(|(k, v)| (segment_key(*k), v)))?;
    for pipeline in &changes.forgotten_pipelines {
        for table in [schema::CHECKPOINTS, schema::SCHEDULES, schema::MANIFESTS] {
            remove_prefix(&txn, table, &text_prefix(pipeline))?;
        }
    }
    put_rows(&txn, schema::PAST_SEGMENTS, changes.past_segments.iter().map(|(k, v)| (segment_key(*k), v)))?;
    for table in [schema::SEGMENTS, schema::SEALED_SEGMENTS, schema::PAST_SEGMENTS] {
        remove_all(&txn, table, changes.dropped_segments.iter().map(|k| segment_key(*k)))?;
    }
    remove_all(&txn, schema::WRITERS, changes.dropped_writers.iter().map(|(s, w)| writer_key(*s, w)))?;
    put_rows(&txn, schema::WRITERS, changes.writers.iter().map(|((s, w), v)| (writer_key(*s, w), v)))?;
    remove_all(&txn, schema::STREAMS, changes.dropped_streams.iter().map(|id| stream_key(*id)))?;
    write_rows(&txn, schema::POLICIES, &changes.policies, |id| stream_key(*id))?;
    write_rows(&txn, schema::RETENTION_CUTS, &changes.retention_cuts, |(s, n)| retention_key(*s, *n))?;
    write_rows(&txn, schema::SUBSCRIBERS, &changes.subscribers, |(s, name)| writer_key(*s, name))?;
    put_rows(&txn, schema::PIPELINES, changes.pipelines.iter().map(|(k, v)| (text_key(k), v)))?;
    let checkpoints = changes.checkpoints.iter().map(|((p, e), v)| (checkpoint_key(p, *e), v));
    put_rows(&txn, schema::CHECKPOINTS, checkpoints)?;
    let schedules = changes.schedules.iter().map(|((p, e, o, s), v)| (schedule_key(p, *e, o, *s), v.to_vec()));
    put_rows(&txn, schema::SCHEDULES, schedules)?;
    for (pipeline, epoch) in &changes.dropped_checkpoints {
        let key = checkpoint_key(pipeline, *epoch);
        remove_all(&txn, schema::CHECKPOINTS, std::iter::once(&key))?;
        remove_prefix(&txn, schema::SCHEDULES, &key)?;
    }
    put_rows(&txn, schema::MANIFESTS, changes.manifests.iter().map(|((p, o), v)| (manifest_key(p, o), v)))?;
    put_rows(&txn, schema::RUNS, changes.runs.iter().map(|(k, v)| (blob_key(*k), v)))?;
    remove_all(&txn, schema::RUNS, changes.dropped_runs.iter().map(|k| blob_key(*k)))?;
    put_all(&txn, schema::HOT_BLOBS, changes.blobs.iter().map(|(k, v)| (blob_key(*k), Ok(v))))?;
    remove_all(&txn, schema::HOT_BLOBS, changes.dropped_blobs.iter().map(|k| blob_key(*k)))?;
    put_rows(&txn, schema::MARKERS, changes.markers.iter().map(|(k, v)| (text_key(k), v.to_vec())))?;
    scoped::apply(&txn, &changes.scoped)?;
    time::apply(&txn, &changes.time)?;
    transaction::apply(&txn, &changes.transactions)?;
    {
        let mut meta = txn.open_table(schema::META).map_err(write_error)?;
        let counters = [
            (schema::META_NEXT_STREAM, changes.next_stream.map(|id| id.0)),
            (schema::META_NEXT_BLOB, changes.next_blob.map(|id| id.0)),
            (schema::META_NEXT_FILE, changes.next_file),
            (schema::META_NEXT_TRANSACTION, changes.transactions.next.map(|id| id.0)),
            (schema::META_STAGED_BYTES, changes.transactions.staged_bytes),
        ];
        for (key, value) in counters.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            meta.insert(key, &value.to_le_bytes()[..]).map_err(write_error)?;
        }
    }
    txn.commit().map_err(write_error)
}
