//! Durable streams, keyed state and checkpoints, in one redb file. Blocking; knows no wasm, no tokio, no HTTP.

#![forbid(unsafe_code)]

pub mod batch;
pub mod checkpoint;
mod codec;
pub mod commit;
mod committer;
mod decide;
mod directory;
pub mod error;
#[cfg(feature = "fault")]
pub mod fault;
mod fold;
pub mod hash;
pub mod headers;
pub mod ids;
pub mod manifest;
mod overlay;
mod queue;
mod redb_io;
mod row;
pub mod schema;
mod shared;
pub mod state;
pub mod store;
pub mod stream;
pub mod time;
pub mod timer;

pub use batch::{Batch, Column, OptionalColumn};
pub use checkpoint::*;
pub use commit::*;
pub use error::{Error, Kind, Result};
pub use ids::{Epoch, Generation, Incarnation, KeyGroup, Offset, Position, SegmentId, StreamId, StreamName};
pub use manifest::{BlobEntry, BlobId, Location, Manifest};
pub use store::{BackendFactory, Clock, OnDone, PipelineStart, Store, StoreOptions};
pub use stream::{
    Appender, EncodedChunk, ReadChunk, SegmentInfo, StreamConfig, StreamInfo, StreamRef, decode_chunk, encode_chunk,
};
pub use time::EventTime;
