//! Durable streams, keyed state and checkpoints, in one redb file. Blocking; knows no wasm, no tokio, no HTTP.

pub mod batch;
pub mod error;
pub mod hash;
pub mod headers;
pub mod ids;
pub mod state;
pub mod time;
pub mod timer;

pub use batch::{Batch, Column, OptionalColumn};
pub use error::{Error, Kind, Result};
pub use ids::{Epoch, Generation, Incarnation, KeyGroup, Offset, Position, SegmentId, StreamId, StreamName};
pub use time::EventTime;
