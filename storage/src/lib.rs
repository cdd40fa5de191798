//! Durable streams, keyed state and checkpoints, in one redb file and the sealed files beside it. Blocking; knows no wasm, no tokio, no HTTP.
//!
//! Guarantees, whatever the process or the disk does between two syncs:
//! 1. a part ([`Part`]) whose commit returned `Ok` is there for ever, whole; one that was refused left no trace; one that
//!    failed as `Unavailable` or `Full` is there whole or not at all, and [`Store::reopen_if_failed`] then shows which;
//! 2. an epoch's output, state, timers, positions, watermarks and dead letters appear at once;
//! 3. of a pipeline, only the newest run commits, and only the epoch after the last one;
//! 4. an event keeps its offset; a segment's events are read in one order by everybody; heads, tails and watermarks
//!    never go back;
//! 5. bytes from disk are checked before they are believed: damage is `Corrupt`, names the place, and never panics.
//!
//! Beside streams and pipelines, on the same store: [`table`] (key-value tables), [`log`] (revisioned logs, state synchroniser) and
//! [`stream::reader_group`].
//!
//! Map: [`Store`] is the door; `queue` -> `committer` -> `decide` (pure, on `overlay`) -> `redb_io` is the way of a part;
//! `shared` holds the database; [`sealed`] moves chunks out of it; `codec` and [`schema`] own every byte and name on disk (docs/file-format.md).

#![forbid(unsafe_code)]

mod backend;
pub mod batch;
mod check;
pub mod checkpoint;
mod codec;
pub mod commit;
mod committer;
mod debt;
mod decide;
mod describe;
mod directory;
pub mod error;
#[cfg(feature = "fault")]
pub mod fault;
mod flush;
mod fold;
mod format;
mod guard;
pub mod hash;
pub mod headers;
pub mod ids;
pub mod log;
mod maintain;
pub mod manifest;
pub mod names;
mod overlay;
mod pressure;
mod queue;
mod redb_io;
mod row;
pub mod schema;
pub mod sealed;
mod shared;
mod space;
pub mod state;
pub mod store;
pub mod stream;
mod sweeper;
pub mod table;
mod terms;
mod tier_place;
pub mod time;
pub mod timer;
mod upkeep;

pub use backend::BackendFactory;
pub use batch::{Batch, Column, OptionalColumn};
pub use check::{CheckReport, Fault};
pub use checkpoint::*;
pub use commit::*;
pub use describe::{LogSizes, SealedFileSizes, StateSizes, StoreDescription, StreamSizes, TierBytes, TransactionSizes};
pub use error::{Error, Kind, Result};
pub use ids::{
    Epoch, Generation, Incarnation, KeyGroup, Offset, Position, SegmentId, StreamId, StreamName, TransactionId,
};
pub use log::{Log, LogEntry, LogInfo, LogPage, Revision, SharedState, Synchroniser};
pub use maintain::Maintenance;
pub use manifest::{BlobEntry, BlobId, Location, Manifest, RunEntry};
pub use names::{GroupName, LogName, TableName};
pub use sealed::{MoverStatus, SealReport, Tier};
pub use space::{DiskSpace, Room, free_bytes};
pub use store::{AutoTimeWriter, Clock, OnDone, PipelineStart, Store, StoreOptions};
pub use stream::time::{Noted, StreamTime, TimeConfig, TimeNote, TimeWindow, Watermark, WindowClamp, WriterMark};
pub use stream::transaction::{
    AbortReason, Placed, Staging, Transaction, TransactionInfo, TransactionLimits, TransactionOptions, TransactionPart,
    TransactionState,
};
pub use stream::{
    Appender, CutOrder, CutTile, EncodedChunk, EventWriter, PastSegment, ReadChunk, ReadFrom, RetentionPolicy,
    ScalePolicy, Scaling, SegmentInfo, StreamConfig, StreamCut, StreamInfo, StreamPolicy, StreamRead, StreamReader,
    StreamRef, StreamState, WriterOptions, WriterState, decode_chunk, encode_chunk,
};
pub use sweeper::SweepReport;
pub use table::{
    Expected, Table, TableAction, TableChange, TableEntry, TableInfo, TableKey, TablePage, TableRange, Version,
};
pub use tier_place::RemoteTier;
pub use time::EventTime;
