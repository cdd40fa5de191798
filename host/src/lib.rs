//! Tidemill's host: sources, dataflow, the wasm boundary, checkpoints and the command line, over `tidemill-storage`.
//! Layers and their arrows: docs/architecture.md.

pub mod bench;
pub mod checkpoint;
pub mod clock;
pub mod config;
pub mod connector;
pub mod dataflow;
pub mod job;
pub mod operator;
pub mod remote_tier;
pub mod state;
pub mod telemetry;
pub mod wasm;
