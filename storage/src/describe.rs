//! What a store holds and where: sizes by stream, state and tier, for people. [`crate::Store::describe`] reads rows only, no
//! event and no blob.

use crate::error::Result;
use crate::ids::StreamName;
use crate::names::{GroupName, LogName};
use crate::overlay::{Snapshot, TransactionSnapshot};
use crate::redb_io::RedbSnapshot;
use crate::row::SegmentKey;
use crate::sealed::{MoverStatus, SEALED_FOLDER};
use crate::space::DiskSpace;
use crate::stream;
use crate::table::{TableInfo, table_info};

/// Bytes in each tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierBytes {
    /// In the hot file.
    pub hot: u64,
    /// In sealed files.
    pub sealed: u64,
}

/// A stream's sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSizes {
    /// The stream.
    pub name: StreamName,
    /// Segments that are there, those sealed by a scaling included.
    pub segments: u64,
    /// Events that can be read.
    pub events: u64,
    /// Chunks kept.
    pub chunks: u64,
    /// Those of them that lie in sealed files.
    pub sealed_chunks: u64,
    /// Bytes of the chunks, as stored.
    pub bytes: TierBytes,
    /// Bytes of their columns, decoded.
    pub raw_bytes: u64,
}

/// An operator's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSizes {
    /// The pipeline.
    pub pipeline: String,
    /// The operator's uid.
    pub operator: String,
    /// Blobs in the manifest.
    pub blobs: u64,
    /// Runs of its manifest, in sealed files.
    pub runs: u64,
    /// Bytes of them.
    pub bytes: TierBytes,
}

/// A sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedFileSizes {
    /// Its number.
    pub number: u64,
    /// Its path in the data directory, or where else sealed files lie.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// Chunks of it that the index names.
    pub live_chunks: u64,
    /// Bytes of them; the rest goes when they go.
    pub live_bytes: u64,
}

/// A revisioned log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSizes {
    /// Its name.
    pub name: LogName,
    /// Entries.
    pub entries: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// What transactions hold that nobody sees yet. No stream counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionSizes {
    /// Transactions that are neither committed nor aborted.
    pub live: u64,
    /// Bytes of staged chunks of the open and prepared ones, in the hot file.
    pub staged_bytes: u64,
}

/// What a store holds, as one consistent snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreDescription {
    /// By name.
    pub streams: Vec<StreamSizes>,
    /// Not in any stream.
    pub transactions: TransactionSizes,
    /// By pipeline and operator.
    pub state: Vec<StateSizes>,
    /// Key-value tables, by name.
    pub tables: Vec<TableInfo>,
    /// Revisioned logs, by name.
    pub logs: Vec<LogSizes>,
    /// Names of the reader groups.
    pub reader_groups: Vec<GroupName>,
    /// By number.
    pub sealed_files: Vec<SealedFileSizes>,
    /// Where they lie when not in the data directory ([`crate::RemoteTier::url`]).
    pub remote_tier: Option<String>,
    /// Bytes of the redb file, free pages and all.
    pub hot_file_bytes: u64,
    /// Bytes of chunks in it, which the mover keeps low.
    pub hot_chunk_bytes: u64,
    /// The setting: beyond so many bytes of hot chunks the mover works, at twice of it writers wait.
    pub hot_bytes_max: u64,
    /// How the mover is doing.
    pub mover: MoverStatus,
    /// The room on the disk.
    pub disk: DiskSpace,
}

/// All but what is known without a snapshot.
pub(crate) fn describe(snapshot: &RedbSnapshot) -> Result<StoreDescription> {
    let mut out = StoreDescription::default();
    for info in stream::list(snapshot)? {
        let mut sizes = StreamSizes {
            name: info.name.clone(),
            segments: info.all_segments().count() as u64,
            events: 0,
            chunks: 0,
            sealed_chunks: 0,
            bytes: TierBytes::default(),
            raw_bytes: 0,
        };
        for segment in info.all_segments() {
            let key = SegmentKey { stream: info.stream.id, segment: segment.id };
            let sealed = snapshot.sealed_segment(key)?.unwrap_or_default();
            sizes.events += segment.tail.0.saturating_sub(segment.head.0);
            sizes.chunks += segment.chunks;
            sizes.sealed_chunks += sealed.chunks;
            sizes.bytes.sealed += sealed.bytes;
            sizes.bytes.hot += segment.bytes.saturating_sub(sealed.bytes);
            sizes.raw_bytes += segment.raw_bytes;
        }
        out.hot_chunk_bytes += sizes.bytes.hot;
        out.streams.push(sizes);
    }
    let live = snapshot.live_transactions(None)?.len() as u64;
    out.transactions = TransactionSizes { live, staged_bytes: snapshot.staged_bytes()? };
    for pipeline in snapshot.pipeline_names()? {
        for operator in snapshot.operators(&pipeline)? {
            let manifest = snapshot.manifest(&pipeline, &operator)?.unwrap_or_default();
            let hot = manifest.blob_bytes();
            let bytes = TierBytes { hot, sealed: manifest.bytes() - hot };
            let (blobs, runs) = (manifest.blobs.len() as u64, manifest.runs.len() as u64);
            out.state.push(StateSizes { pipeline: pipeline.clone(), operator, blobs, runs, bytes });
        }
    }
    for (name, row) in snapshot.tables()? {
        out.tables.push(table_info(name, row?));
    }
    for (name, row) in snapshot.logs()? {
        let row = row?;
        out.logs.push(LogSizes { name, entries: row.tail.saturating_sub(row.head), bytes: row.bytes });
    }
    out.reader_groups = snapshot.groups()?.into_iter().map(|(name, _)| name).collect();
    for (number, row) in snapshot.files()? {
        let row = row?;
        let path = format!("{SEALED_FOLDER}/{}", row.name);
        let (bytes, live_chunks, live_bytes) = (row.bytes, row.live_chunks, row.live_bytes);
        out.sealed_files.push(SealedFileSizes { number, path, bytes, live_chunks, live_bytes });
    }
    Ok(out)
}
