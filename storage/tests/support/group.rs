//! What the tests of reader groups share: a store with one stream, events that are numbers, readers that are read dry.

#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::stream::reader_group::*;
use tidemill_storage::stream::{CutTile, Scaling, StreamCut};
use tidemill_storage::*;

pub const READ: usize = 1 << 16;

pub struct World {
    pub disk: FaultDisk,
    pub store: Store,
}

pub fn stream() -> StreamName {
    StreamName::new("t/s").unwrap()
}

pub fn group_name() -> GroupName {
    GroupName::new("t/readers").unwrap()
}

impl World {
    /// With stream t/s of so many segments.
    pub fn new(segments: u32) -> World {
        let disk = FaultDisk::new(0);
        let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
        store.create_stream(&stream(), StreamConfig { segments }).unwrap();
        World { disk, store }
    }

    pub fn info(&self) -> StreamInfo {
        self.store.stream(&stream()).unwrap().unwrap()
    }

    /// Events of these numbers, each with a key of its own, in one chunk per segment.
    pub fn put(&self, numbers: impl IntoIterator<Item = u64>) {
        put(&self.store, &stream(), numbers);
    }

    /// An event to a segment.
    pub fn put_in(&self, segment: SegmentId, number: u64) {
        let mut batch = Batch::default();
        batch.push(EventTime(0), None, Some(number.to_string().as_bytes()));
        let chunks = vec![encode_chunk(&batch).unwrap()];
        self.store.commit(Part::Append(Append { stream: self.info().stream, segment, chunks })).unwrap();
    }

    /// A group from the head, without an end.
    pub fn group(&self) -> ReaderGroup {
        self.group_of(GroupConfig::new([GroupStream::from_head(stream())]))
    }

    pub fn group_of(&self, config: GroupConfig) -> ReaderGroup {
        self.store.create_reader_group(&group_name(), &config).unwrap()
    }

    pub fn split(&self, segment: SegmentId) -> Vec<SegmentId> {
        self.scale(&Scaling::split(&self.info(), segment, 2).unwrap())
    }

    pub fn merge(&self, segments: &[SegmentId]) -> SegmentId {
        self.scale(&Scaling::merge(&self.info(), segments).unwrap())[0]
    }

    /// The new segments.
    pub fn scale(&self, scaling: &Scaling) -> Vec<SegmentId> {
        let before: Vec<SegmentId> = self.info().segments.iter().map(|s| s.id).collect();
        let after = self.store.scale_stream(&stream(), scaling).unwrap();
        after.segments.iter().map(|s| s.id).filter(|id| !before.contains(id)).collect()
    }

    /// Removes what lies before these offsets.
    pub fn truncate(&self, at: impl IntoIterator<Item = (SegmentId, u64)>) {
        let info = self.info();
        let position = |(segment, offset)| Position {
            stream: info.stream.id,
            generation: info.stream.generation,
            segment,
            offset: Offset(offset),
        };
        let name = "truncation".to_string();
        let expected = self.store.marker(&name).unwrap();
        let truncate = at.into_iter().map(position).collect();
        let value = bytes::Bytes::from_static(b"x");
        self.store.commit(Part::Marker(MarkerSwap { name, expected, value, truncate })).unwrap();
    }

    pub fn segments(&self) -> Vec<SegmentId> {
        self.info().segments.iter().map(|s| s.id).collect()
    }
}

pub fn put(store: &Store, name: &StreamName, numbers: impl IntoIterator<Item = u64>) {
    let mut batch = Batch::default();
    for number in numbers {
        let text = number.to_string();
        batch.push(EventTime(number as i64), Some(text.as_bytes()), Some(text.as_bytes()));
    }
    let info = store.stream(name).unwrap().unwrap();
    for append in Appender::new(&info).append(&batch).unwrap() {
        store.commit(Part::Append(append)).unwrap();
    }
}

pub fn numbers(batch: &Batch) -> Vec<u64> {
    batch.values.iter().map(|v| std::str::from_utf8(v.unwrap()).unwrap().parse().unwrap()).collect()
}

/// The events of the next call; none when there is nothing. Markers and ends are not expected.
pub fn events(reader: &mut GroupReader) -> Vec<u64> {
    match reader.read(READ).unwrap() {
        GroupRead::Events(events) => numbers(&events.batch),
        GroupRead::Idle => Vec::new(),
        other => panic!("{other:?}"),
    }
}

/// Everything until there is nothing more.
pub fn drain(reader: &mut GroupReader) -> Vec<u64> {
    let mut out = Vec::new();
    loop {
        match reader.read(READ).unwrap() {
            GroupRead::Events(events) => out.extend(numbers(&events.batch)),
            GroupRead::Idle | GroupRead::EndOfStream => return out,
            GroupRead::Checkpoint(name) => panic!("marker of {name}"),
        }
    }
}

/// Reads all in turn until none gets anything more, and all have settled.
pub fn drain_all(readers: &mut [GroupReader]) -> Vec<Vec<u64>> {
    let mut out = vec![Vec::new(); readers.len()];
    for _ in 0..8 {
        for (reader, out) in readers.iter_mut().zip(&mut out) {
            out.extend(drain(reader));
        }
    }
    out
}

pub fn sorted(numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut out: Vec<u64> = numbers.into_iter().collect();
    out.sort_unstable();
    out
}

/// How many segments each reader has.
pub fn shares(group: &ReaderGroup) -> Vec<usize> {
    group.info().unwrap().readers.iter().map(|reader| reader.segments.len()).collect()
}

/// The offset per segment of the stream's part of a cut.
pub fn offsets(cut: &GroupCut) -> BTreeMap<SegmentId, Offset> {
    cut[&stream()].positions()
}

pub fn complete(group: &ReaderGroup, name: &str) -> GroupCut {
    match group.checkpoint(name).unwrap() {
        CheckpointStatus::Complete(cut) => cut,
        CheckpointStatus::Open(waiting) => panic!("{name} waits for {waiting:?}"),
    }
}

/// A cut of one segment's stream.
pub fn whole_cut(info: &StreamInfo, segment: SegmentId, offset: u64) -> StreamCut {
    StreamCut::new(info.stream, vec![CutTile { low: 0, high: u64::MAX, segment, offset: Offset(offset) }]).unwrap()
}
