//! Every redb table, its keys and values: the one list of names on disk. Used by `redb_io.rs` alone.
//!
//! FORMAT_VERSION counts changes that an older program would misread. The `meta` table and its keys `format` and
//! `hash` keep their encoding for ever, so that any program can tell whether it may open a store.
//! Format 2 added `next_file`, `sealed_files` and `sealed_segments`. Format 3 gave the rows of `streams` their state and the
//! epochs of the segment set, those of `manifests` runs and epochs, those of `pipelines` a mark of deletion, and added
//! `past_segments`, `writers` and `runs`. A store of an older format is brought to this one when it is opened.
//! Retired names (never to be used again): none yet.

use redb::TableDefinition;

/// The format this program reads and writes.
pub const FORMAT_VERSION: u32 = 3;
/// The oldest format that this program opens, and brings to its own.
pub const FORMAT_VERSION_OLDEST: u32 = 1;

/// The redb file in a data directory.
pub const HOT_FILE: &str = "hot.redb";
/// The file whose lock is the ownership of a data directory; holds the owner's process id.
pub const LOCK_FILE: &str = "LOCK";
/// Where the sealed files lie when not in the directory (tier_place.rs).
pub const TIER_FILE: &str = "TIER";
/// Text file that tells the format before redb is touched: `tidemill data directory, format 3`.
pub const FORMAT_FILE: &str = "FORMAT";

pub(crate) type BytesTable = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Keys below; values raw.
pub(crate) const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta");
/// u32 LE. Never changes its encoding.
pub(crate) const META_FORMAT: &str = "format";
/// Name of the hash, UTF-8. Never changes its encoding.
pub(crate) const META_HASH: &str = "hash";
/// 16 bytes, drawn when the directory is made.
pub(crate) const META_DIRECTORY_ID: &str = "directory_id";
/// u64 LE: the next stream id.
pub(crate) const META_NEXT_STREAM: &str = "next_stream";
/// u64 LE: the next blob id.
pub(crate) const META_NEXT_BLOB: &str = "next_blob";

/// u64 LE: the number of the next sealed file.
pub(crate) const META_NEXT_FILE: &str = "next_file";
/// u64 LE: the next transaction id.
pub(crate) const META_NEXT_TRANSACTION: &str = "next_transaction";
/// u64 LE: bytes of the staged chunks of all open and prepared transactions.
pub(crate) const META_STAGED_BYTES: &str = "staged_bytes";

/// Stream name -> stream id in a row.
pub(crate) const STREAM_NAMES: BytesTable = TableDefinition::new("stream_names");
/// Stream id -> [`crate::row::StreamRow`].
pub(crate) const STREAMS: BytesTable = TableDefinition::new("streams");
/// (stream, segment) -> [`crate::row::SegmentRow`].
pub(crate) const SEGMENTS: BytesTable = TableDefinition::new("segments");
/// (stream, segment, first offset) -> [`crate::row::IndexEntry`].
pub(crate) const CHUNK_INDEX: BytesTable = TableDefinition::new("chunk_index");
/// The same key -> an encoded chunk, when its location is hot.
pub(crate) const HOT_CHUNKS: BytesTable = TableDefinition::new("hot_chunks");
/// Pipeline -> [`crate::row::PipelineRow`].
pub(crate) const PIPELINES: BytesTable = TableDefinition::new("pipelines");
/// (pipeline, epoch) -> [`crate::row::CheckpointRow`].
pub(crate) const CHECKPOINTS: BytesTable = TableDefinition::new("checkpoints");
/// (pipeline, epoch, operator, subtask) -> an encoded [`crate::checkpoint::Schedule`] in a row.
pub(crate) const SCHEDULES: BytesTable = TableDefinition::new("schedules");
/// (pipeline, operator) -> [`crate::manifest::Manifest`].
pub(crate) const MANIFESTS: BytesTable = TableDefinition::new("manifests");
/// Run id (of the blobs' numbers) -> [`crate::row::RunRow`].
pub(crate) const RUNS: BytesTable = TableDefinition::new("runs");
/// Blob id -> state delta, when its location is hot.
pub(crate) const HOT_BLOBS: BytesTable = TableDefinition::new("hot_blobs");
/// Marker name -> value in a row.
pub(crate) const MARKERS: BytesTable = TableDefinition::new("markers");
/// File number -> [`crate::row::FileRow`].
pub(crate) const SEALED_FILES: BytesTable = TableDefinition::new("sealed_files");
/// (stream, segment) -> [`crate::row::SealedSegmentRow`]; none = nothing of it was ever sealed.
pub(crate) const SEALED_SEGMENTS: BytesTable = TableDefinition::new("sealed_segments");

/// u64 LE: the next id of a table, log or reader group.
pub(crate) const META_NEXT_SCOPED: &str = "next_scoped";

/// Table name -> [`crate::row::TableRow`].
pub(crate) const TABLES: BytesTable = TableDefinition::new("tables");
/// (table, primary key, secondary key) -> [`crate::row::EntryRow`].
pub(crate) const TABLE_ENTRIES: BytesTable = TableDefinition::new("table_entries");
/// Log name -> [`crate::row::LogRow`].
pub(crate) const LOGS: BytesTable = TableDefinition::new("logs");
/// (log, revision) -> [`crate::row::LogEntryRow`].
pub(crate) const LOG_ENTRIES: BytesTable = TableDefinition::new("log_entries");
/// Group name -> [`crate::row::GroupRow`].
pub(crate) const READER_GROUPS: BytesTable = TableDefinition::new("reader_groups");

/// (stream, segment) -> [`crate::row::PastRow`]: segments that a scaling sealed and that are not wholly truncated.
pub(crate) const PAST_SEGMENTS: BytesTable = TableDefinition::new("past_segments");

/// (stream, writer) -> [`crate::row::WriterRow`].
pub(crate) const WRITERS: BytesTable = TableDefinition::new("writers");

/// (stream, writer) -> [`crate::row::MarkRow`].
pub(crate) const WRITER_MARKS: BytesTable = TableDefinition::new("writer_marks");
/// (stream, number) -> [`crate::row::WatermarkRow`].
pub(crate) const WATERMARKS: BytesTable = TableDefinition::new("watermarks");
/// Stream -> [`crate::row::TimeConfigRow`]; none = as by default.
pub(crate) const TIME_CONFIGS: BytesTable = TableDefinition::new("time_configs");
/// Transaction -> [`crate::row::TransactionRow`].
pub(crate) const TRANSACTIONS: BytesTable = TableDefinition::new("transactions");
/// (stream, transaction) -> nothing in a row: it is neither committed nor aborted.
pub(crate) const LIVE_TRANSACTIONS: BytesTable = TableDefinition::new("live_transactions");
/// A number that counts up -> transaction id in a row: it was committed or aborted, in this order.
pub(crate) const ENDED_TRANSACTIONS: BytesTable = TableDefinition::new("ended_transactions");
/// (transaction, number) -> [`crate::row::StagedRow`].
pub(crate) const STAGED_INDEX: BytesTable = TableDefinition::new("staged_index");
/// The same key -> an encoded chunk that is in no index yet.
pub(crate) const STAGED_CHUNKS: BytesTable = TableDefinition::new("staged_chunks");

/// Stream -> [`crate::stream::StreamPolicy`] in a row; none = the default.
pub(crate) const POLICIES: BytesTable = TableDefinition::new("policies");
/// (stream, number) -> [`crate::row::RetentionRow`], oldest first.
pub(crate) const RETENTION_CUTS: BytesTable = TableDefinition::new("retention_cuts");
/// (stream, subscriber) -> [`crate::row::SubscriberRow`].
pub(crate) const SUBSCRIBERS: BytesTable = TableDefinition::new("subscribers");

/// Every table of bytes, to be made with the store.
pub(crate) const ALL: [BytesTable; 32] = [
    STREAM_NAMES,
    STREAMS,
    SEGMENTS,
    CHUNK_INDEX,
    HOT_CHUNKS,
    PIPELINES,
    CHECKPOINTS,
    SCHEDULES,
    MANIFESTS,
    RUNS,
    HOT_BLOBS,
    MARKERS,
    SEALED_FILES,
    SEALED_SEGMENTS,
    TABLES,
    TABLE_ENTRIES,
    LOGS,
    LOG_ENTRIES,
    READER_GROUPS,
    PAST_SEGMENTS,
    WRITERS,
    WRITER_MARKS,
    WATERMARKS,
    TIME_CONFIGS,
    TRANSACTIONS,
    LIVE_TRANSACTIONS,
    ENDED_TRANSACTIONS,
    STAGED_INDEX,
    STAGED_CHUNKS,
    POLICIES,
    RETENTION_CUTS,
    SUBSCRIBERS,
];
