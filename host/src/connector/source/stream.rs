//! A stream of this data directory as source. Its segments are read by partitions, over scalings: `follower.rs` says which by whom,
//! `partition.rs` reads, `position.rs` is the kept form. `source::build` makes it, source tasks drive its readers.

mod follower;
mod partition;
mod position;

use crate::config::pipeline::StreamSource;
use crate::connector::{ConnectorError, Partition, PartitionReader, Source};
use follower::Follower;
use partition::StreamPartition;
use position::StreamPosition;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tidemill_storage::checkpoint::PartitionPosition;
use tidemill_storage::stream::{StreamInfo, StreamRef};
use tidemill_storage::{SegmentId, Store, StreamName};

/// A partition is named for the segment that it began with.
fn id_of(segment: SegmentId) -> String {
    format!("segment-{segment}")
}

/// What the readers of a run share.
#[derive(Clone)]
struct Run {
    stream: StreamRef,
    follower: Arc<Follower>,
}

/// The source of a `stream = "..."` of a pipeline.
pub(super) struct StreamReaders {
    name: String,
    stream: StreamName,
    bounded: bool,
    /// Whether the watermark is the stream's own.
    with_watermark: bool,
    store: Store,
    /// Where a bounded run ends: the tails at the first look, the same for all partitions.
    first_look: Mutex<Option<StreamInfo>>,
    run: Mutex<Option<Run>>,
}

impl StreamReaders {
    pub(super) fn new(name: &str, spec: &StreamSource, with_watermark: bool, store: Store) -> StreamReaders {
        StreamReaders {
            name: name.to_string(),
            stream: spec.stream.clone(),
            bounded: spec.bounded,
            with_watermark,
            store,
            first_look: Mutex::new(None),
            run: Mutex::new(None),
        }
    }

    /// The stream as it is, or as it was when a bounded run began.
    fn info(&self) -> Result<StreamInfo, ConnectorError> {
        let info = look(&self.store, &self.stream, &self.name)?;
        if !self.bounded {
            return Ok(info);
        }
        let mut first = self.first_look.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(first.get_or_insert(info).clone())
    }

    fn start(&self) -> Result<Run, ConnectorError> {
        let info = self.info()?;
        let follower = Arc::new(Follower::start(&info, self.bounded, id_of));
        Ok(Run { stream: info.stream, follower })
    }

    fn partitions_of(&self, run: &Run) -> Vec<Partition> {
        // How much of it there is can be said as long as no successors will join.
        let info = self.info().ok().filter(|info| self.bounded && info.past.is_empty());
        let size = |id: &str| {
            let segment = info.as_ref()?.segments.iter().find(|s| id_of(s.id) == id)?;
            Some(segment.tail.0.saturating_sub(segment.head.0))
        };
        run.follower.ids().into_iter().map(|id| Partition { size: size(&id), id }).collect()
    }
}

fn look(store: &Store, stream: &StreamName, source: &str) -> Result<StreamInfo, ConnectorError> {
    store.stream(stream)?.ok_or_else(|| {
        ConnectorError::Invalid(format!(
            "source {source}: there is no stream {stream} in this data directory; make it with `tidemill stream create \
             {stream}`, or run the pipeline that writes it"
        ))
    })
}

impl Source for StreamReaders {
    fn partitions(&self) -> Result<Vec<Partition>, ConnectorError> {
        Ok(self.partitions_of(&self.start()?))
    }

    fn resume(&self, positions: &BTreeMap<String, PartitionPosition>) -> Result<Vec<Partition>, ConnectorError> {
        let run = if positions.is_empty() {
            self.start()?
        } else {
            let bad =
                |why: String| ConnectorError::Invalid(format!("source {}: stream {}: {why}", self.name, self.stream));
            let decode = |(id, kept): (&String, &PartitionPosition)| {
                let position = StreamPosition::decode(&kept.position).map_err(|why| bad(format!("{id}: {why}")))?;
                Ok((id.clone(), position))
            };
            let positions = positions.iter().map(decode).collect::<Result<_, ConnectorError>>()?;
            // Of today: what was truncated or scaled since counts.
            let info = look(&self.store, &self.stream, &self.name)?;
            let follower = Follower::resume(&info, self.bounded, positions).map_err(bad)?;
            Run { stream: info.stream, follower: Arc::new(follower) }
        };
        let partitions = self.partitions_of(&run);
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
        Ok(partitions)
    }

    fn open(
        &self,
        partition: &Partition,
        _position: Option<&[u8]>,
    ) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let run = {
            let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
            match &*run {
                Some(run) => run.clone(),
                None => run.insert(self.start()?).clone(),
            }
        };
        let share = run.follower.share(&partition.id).ok_or_else(|| {
            ConnectorError::Invalid(format!("source {}: stream {} has no {}", self.name, self.stream, partition.id))
        })?;
        let total = partition.size.is_some().then(|| run.follower.left(share));
        let names = (self.name.clone(), self.stream.clone(), run.stream);
        let follower = (run.follower.clone(), share);
        Ok(Box::new(StreamPartition::new(names, self.store.clone(), follower, self.with_watermark, total)))
    }

    fn bounded(&self) -> bool {
        self.bounded
    }
}

#[cfg(test)]
mod tests;
