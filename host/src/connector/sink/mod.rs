//! Egresses: readers of committed streams. `job` builds one per sink that is not a stream and drives it on a thread.
//!
//! A file or stdout sink writes, in the pipeline's commit, to an internal stream `<pipeline>/<sink>.egress`; its egress
//! copies from there to the outside and keeps its place in a marker of the store, which also frees what was copied.

mod file;
mod line;
mod marker;
mod stdout;

use super::{ConnectorError, Egress};
use crate::clock::Clock;
use crate::config::pipeline::{SinkKind, SinkSpec};
use tidemill_storage::Store;

/// The egress of a sink; `None` for a stream sink, which needs none. Starts nothing: the first step looks at the store.
pub fn build(spec: &SinkSpec, pipeline: &str, _store: &Store) -> Result<Option<Box<dyn Egress>>, ConnectorError> {
    let place = marker::Place::new(pipeline, &spec.name)?;
    Ok(match &spec.kind {
        SinkKind::Stream { .. } => None,
        SinkKind::File(file) => Some(Box::new(file::FileEgress::new(place, file, Clock::system()))),
        SinkKind::Stdout => Some(Box::new(stdout::StdoutEgress::new(place, Box::new(std::io::stdout())))),
    })
}
