//! An egress's place: what of its stream is outside for good, and what it was about to do, in a named marker of the
//! store. Every change is a compare-and-swap against the marker as last seen, so that of two egresses on one stream one
//! is refused. The egresses hold a [`Place`] and open it to a [`Progress`].

use crate::config::pipeline::egress_stream;
use crate::connector::ConnectorError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidemill_storage::commit::{MarkerSwap, Part};
use tidemill_storage::stream::{StreamInfo, StreamRef};
use tidemill_storage::{Batch, Error, Generation, Kind, Offset, Position, SegmentId, Store, StreamId, StreamName};

/// First byte of a marker; the rest is postcard.
const VERSION: u8 = 1;
/// Asked of the store at once, bytes.
const READ_BYTES: usize = 1 << 20;

/// The names of an egress's stream and marker.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) stream: StreamName,
    pub(super) marker: String,
}

/// Segments and their next offsets.
pub(super) type Cut = BTreeMap<SegmentId, Offset>;

/// What a marker says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) stream: StreamId,
    pub(super) generation: Generation,
    /// Everything below is outside.
    pub(super) next: Cut,
    /// Files finished so far.
    pub(super) files: u32,
    /// A file that is being put in place.
    pub(super) intent: Option<Intent>,
}

/// A file that is written and fsynced under its temporary name, and about to get its final one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intent {
    /// The folder: it may have changed in the pipeline file since.
    pub(super) folder: String,
    pub(super) temporary: String,
    pub(super) name: String,
    /// The events in it: segment, first, one past the last.
    pub(super) ranges: Vec<(SegmentId, Offset, Offset)>,
    pub(super) bytes: u64,
    pub(super) crc32: u32,
}

impl Place {
    pub(super) fn new(pipeline: &str, sink: &str) -> Result<Place, ConnectorError> {
        let stream = egress_stream(pipeline, sink)?;
        Ok(Place { stream, marker: format!("egress/{pipeline}/{sink}") })
    }

    /// The progress as the store knows it. `None` = the stream is not there yet.
    pub(super) fn open(&self, store: &Store) -> Result<Option<Progress>, ConnectorError> {
        let stored = store.marker(&self.marker)?;
        let info = store.stream(&self.stream)?;
        let (marker, info) = match (&stored, info) {
            (None, None) => return Ok(None),
            (None, Some(info)) => {
                let StreamRef { id, generation } = info.stream;
                (Marker { stream: id, generation, ..Marker::default() }, info)
            }
            (Some(bytes), info) => {
                let marker = decode(bytes)
                    .map_err(|why| Error::corrupt(format!("marker {}: {why}; keep the data directory", self.marker)))?;
                let same = |i: &StreamInfo| i.stream.id == marker.stream && i.stream.generation == marker.generation;
                match info.filter(same) {
                    Some(info) => (marker, info),
                    None => return Err(self.replaced()),
                }
            }
        };
        Ok(Some(Progress { place: self.clone(), stored, marker, stream: info.stream }))
    }

    fn replaced(&self) -> ConnectorError {
        ConnectorError::Invalid(format!(
            "stream {} was deleted or made again behind its egress; run under another pipeline or sink name",
            self.stream
        ))
    }
}

fn decode(bytes: &[u8]) -> Result<Marker, String> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|e| format!("cannot be read: {e}")),
        Some((other, _)) => Err(format!("is of version {other}; run the Tidemill that wrote it, or a newer one")),
        None => Err("is empty".to_string()),
    }
}

fn encode(marker: &Marker) -> Result<Bytes, ConnectorError> {
    let bytes =
        postcard::to_extend(marker, vec![VERSION]).map_err(|e| Error::bug(format!("encoding a marker: {e}")))?;
    Ok(bytes.into())
}

/// An opened place.
#[derive(Debug)]
pub(super) struct Progress {
    place: Place,
    /// The marker's bytes as the store has them.
    stored: Option<Bytes>,
    pub(super) marker: Marker,
    stream: StreamRef,
}

impl Progress {
    /// Whether this egress never finished anything.
    pub(super) fn is_new(&self) -> bool {
        self.stored.is_none()
    }

    /// The stream now; its tails are how far there is something to copy.
    pub(super) fn look(&self, store: &Store) -> Result<StreamInfo, ConnectorError> {
        match store.stream(&self.place.stream)? {
            Some(info) if info.stream == self.stream => Ok(info),
            _ => Err(self.place.replaced()),
        }
    }

    /// Events of a segment in `from..to`; `to` is at or below its tail. Gives where to go on.
    pub(super) fn read(
        &self,
        store: &Store,
        segment: SegmentId,
        from: Offset,
        to: Offset,
        mut each: impl FnMut(&Batch, usize),
    ) -> Result<Offset, ConnectorError> {
        let StreamRef { id, generation } = self.stream;
        let chunk = store.read(Position { stream: id, generation, segment, offset: from }, READ_BYTES)?;
        let n = chunk.batch.len().min(to.0.saturating_sub(from.0) as usize);
        if n == 0 {
            let message =
                format!("stream {} gave no event at {from} of segment {segment}, below its tail", self.place.stream);
            return Err(Error::bug(message).into());
        }
        for i in 0..n {
            each(&chunk.batch, i);
        }
        Ok(from.plus(n as u64))
    }

    /// Replaces the marker; with `free`, what lies below its `next` is given back.
    pub(super) fn swap(&mut self, store: &Store, marker: Marker, free: bool) -> Result<(), ConnectorError> {
        let value = encode(&marker)?;
        let StreamRef { id, generation } = self.stream;
        let position = |(segment, offset): (&SegmentId, &Offset)| Position {
            stream: id,
            generation,
            segment: *segment,
            offset: *offset,
        };
        let truncate = if free { marker.next.iter().map(position).collect() } else { Vec::new() };
        let swap = MarkerSwap {
            name: self.place.marker.clone(),
            expected: self.stored.clone(),
            value: value.clone(),
            truncate,
        };
        store.commit(Part::Marker(swap)).map_err(|e| match e.kind() {
            Kind::Fenced => {
                e.context(format!("another process copies {} outside already; stop one", self.place.stream))
            }
            _ => e,
        })?;
        self.stored = Some(value);
        self.marker = marker;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_comes_back_and_damage_is_told() {
        let intent = Intent {
            folder: "/out".into(),
            temporary: ".part-00000003.tmp".into(),
            name: "part-00000003.jsonl".into(),
            ranges: vec![(SegmentId(1), Offset(5), Offset(9))],
            bytes: 77,
            crc32: 0xDEAD_BEEF,
        };
        let next = Cut::from([(SegmentId(1), Offset(5))]);
        let marker = Marker { stream: StreamId(4), generation: Generation(1), next, files: 3, intent: Some(intent) };
        let bytes = encode(&marker).unwrap();
        assert_eq!(decode(&bytes), Ok(marker));
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode(&[7, 0]).unwrap_err().contains("version 7"));
    }
}
