//! Shows what a pipeline commits while it is worked on: the new events of its sink streams and its dead letters.

use crate::cli::output::Output;
use crate::cli::stream::events;
use anyhow::Result;
use std::collections::BTreeMap;
use tidemill::config::pipeline::{Pipeline, SinkKind};
use tidemill_storage::{SegmentId, Store, StreamName};

/// How far each stream was shown: by segment, the next offset.
#[derive(Default)]
pub(super) struct Tail {
    streams: BTreeMap<String, BTreeMap<SegmentId, u64>>,
    /// Whose events were printed last.
    last: Option<String>,
}

impl Tail {
    /// Takes note of a pipeline's streams; what they hold already is not shown.
    pub(super) fn follow(&mut self, pipeline: &Pipeline, store: &Store) {
        for name in names(pipeline) {
            let there = || {
                let info = store.stream(name).ok().flatten();
                let segments = info.iter().flat_map(|info| info.all_segments().map(|s| (s.id, s.tail.0)));
                segments.collect::<BTreeMap<_, _>>()
            };
            self.streams.entry(name.to_string()).or_insert_with(there);
        }
    }

    /// Prints what was committed since.
    pub(super) fn show(&mut self, pipeline: &Pipeline, store: &Store, output: &Output) -> Result<()> {
        for name in names(pipeline) {
            let Some(info) = store.stream(name).ok().flatten() else { continue }; // it is made by the first event
            let next = self.streams.entry(name.to_string()).or_default();
            let mut out = output.stdout();
            for segment in info.all_segments() {
                let from = next.entry(segment.id).or_insert(segment.head.0);
                *from = (*from).max(segment.head.0);
                if *from >= segment.tail.0 {
                    continue;
                }
                if self.last.as_deref() != Some(name.as_str()) {
                    output.say(&format!("--- {name}"));
                    self.last = Some(name.to_string());
                }
                *from += events::print(store, info.stream, segment.id, *from..segment.tail.0, u64::MAX, &mut out)?;
            }
            out.flush()?;
        }
        Ok(())
    }
}

/// The streams that a pipeline writes to.
fn names(pipeline: &Pipeline) -> impl Iterator<Item = &StreamName> {
    let sinks = pipeline.sinks.iter().filter_map(|sink| match &sink.kind {
        SinkKind::Stream { stream, .. } => Some(stream),
        SinkKind::File(_) | SinkKind::Stdout => None,
    });
    sinks.chain([&pipeline.dead_letters])
}
