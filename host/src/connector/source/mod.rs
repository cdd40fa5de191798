//! Replayable sources: the registry of their kinds. `job` builds them from the pipeline file.

mod file;
mod stream;

use super::{ConnectorError, SharedSource};
use crate::clock::Clock;
use crate::config::pipeline::{SourceKind, SourceSpec, WatermarkKind};
use std::sync::Arc;
use tidemill_storage::Store;

/// A source as the pipeline file says, with the machine's clock.
pub fn build(spec: &SourceSpec, store: &Store) -> Result<SharedSource, ConnectorError> {
    build_with_clock(spec, store, &Clock::system())
}

/// The same; events without a time of their own get this clock's.
pub fn build_with_clock(spec: &SourceSpec, store: &Store, clock: &Clock) -> Result<SharedSource, ConnectorError> {
    Ok(match &spec.kind {
        SourceKind::File(file) => Arc::new(file::Files::new(&spec.name, file, clock.clone())),
        SourceKind::Stream(stream) => {
            let with_watermark = spec.watermark.kind == WatermarkKind::FromStream;
            Arc::new(stream::StreamReaders::new(&spec.name, stream, with_watermark, store.clone()))
        }
    })
}
