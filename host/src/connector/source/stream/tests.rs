//! Streams as sources over a real store.

use super::position::Places;
use super::*;
use crate::connector::{ReadStatus, SourceBatch};
use tidemill_storage::commit::Part;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::headers::{self, Entries};
use tidemill_storage::stream::{Appender, Scaling, StreamConfig};
use tidemill_storage::{Batch, EventTime, Offset, StoreOptions};

mod scaling;

struct World {
    store: Store,
    stream: StreamName,
    appended: u64,
}

impl World {
    fn new(segments: u32) -> World {
        let store = Store::open_with(FaultDisk::new(1), StoreOptions::default()).unwrap();
        let stream = StreamName::new("in/x").unwrap();
        store.create_stream(&stream, StreamConfig { segments }).unwrap();
        World { store, stream, appended: 0 }
    }

    /// Event n has time n, value "v<n>", every third one a header.
    fn append(&mut self, n: u64) {
        let info = self.store.stream(&self.stream).unwrap().unwrap();
        let mut batch = Batch::default();
        for i in self.appended..self.appended + n {
            let (key, value) = (format!("k{i}"), format!("v{i}"));
            let header = [("h", value.as_bytes())];
            let headers = if i % 3 == 0 { &header[..] } else { &[] };
            let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
            headers::push_event(&mut batch, EventTime(i as i64), key, value, headers);
        }
        self.appended += n;
        let mut appender = Appender::new(&info);
        appender.push(&batch).unwrap();
        for append in appender.finish().unwrap() {
            self.store.commit(Part::Append(append)).unwrap();
        }
    }

    fn source(&self, bounded: bool) -> StreamReaders {
        let spec = StreamSource { stream: self.stream.clone(), bounded };
        StreamReaders::new("s", &spec, true, self.store.clone())
    }

    fn info(&self) -> StreamInfo {
        self.store.stream(&self.stream).unwrap().unwrap()
    }

    fn scale(&self, scaling: &Scaling) {
        self.store.scale_stream(&self.stream, scaling).unwrap();
    }
}

/// A run that goes on from the positions of these partitions.
fn resume(
    source: &StreamReaders,
    positions: &[(String, Vec<u8>)],
) -> Result<Vec<Box<dyn PartitionReader>>, ConnectorError> {
    let kept = |position: &Vec<u8>| PartitionPosition { position: position.clone(), ..PartitionPosition::default() };
    let positions = positions.iter().map(|(id, position)| (id.clone(), kept(position))).collect();
    source.resume(&positions)?.iter().map(|partition| source.open(partition, None)).collect()
}

fn read_all(reader: &mut dyn PartitionReader, max_events: usize) -> (Batch, ReadStatus) {
    let mut all = SourceBatch::default();
    loop {
        let mut one = SourceBatch::default();
        let status = reader.read(max_events, 1 << 20, &mut one).unwrap();
        assert!(one.events.len() <= max_events);
        one.events.check("read").unwrap();
        all.events.extend_from(&one.events, 0..one.events.len()).unwrap();
        if status != ReadStatus::More {
            return (all.events, status);
        }
    }
}

#[test]
fn a_live_stream_is_followed_and_a_position_gives_exactly_the_rest() {
    let mut world = World::new(1);
    world.append(25);
    let source = world.source(false);
    let partition = source.partitions().unwrap().remove(0);
    assert_eq!((partition.id.as_str(), partition.size, source.bounded()), ("segment-0", None, false));
    let mut reader = source.open(&partition, None).unwrap();
    let (whole, status) = read_all(&mut *reader, 7);
    assert_eq!((whole.len(), status), (25, ReadStatus::CaughtUp));
    assert_eq!(whole.values.get(24), Some(&b"v24"[..]));
    world.append(3);
    let (more, status) = read_all(&mut *reader, 7);
    assert_eq!((more.timestamps, status), (vec![25, 26, 27], ReadStatus::CaughtUp));
    assert_eq!(reader.describe_position(), "in/x, segment 0, offset 28");

    let mut reader = resume(&world.source(false), &[]).unwrap().remove(0);
    for given in 0..28 {
        let position = reader.position();
        let mut resumed = resume(&world.source(false), &[(partition.id.clone(), position)]).unwrap().remove(0);
        let (rest, _) = read_all(&mut *resumed, 10);
        assert_eq!(rest.timestamps, (given..28).collect::<Vec<i64>>());
        let mut entries = Entries::new(&rest.headers);
        for i in given..28 {
            assert_eq!(entries.next_event().unwrap().len(), usize::from(i % 3 == 0), "headers of {i}");
        }
        let mut one = SourceBatch::default();
        reader.read(1, 1 << 20, &mut one).unwrap();
    }
}

#[test]
fn a_bounded_stream_ends_at_the_tails_of_its_first_look_also_after_a_restart() {
    let mut world = World::new(2);
    world.append(40);
    let source = world.source(true);
    let partitions = source.partitions().unwrap();
    world.append(10);
    assert_eq!(partitions.iter().map(|p| p.size.unwrap()).sum::<u64>(), 40);
    let (mut events, mut positions) = (0, Vec::new());
    for partition in &partitions {
        let mut reader = source.open(partition, None).unwrap();
        let mut few = SourceBatch::default();
        reader.read(3, 1 << 20, &mut few).unwrap();
        events += few.events.len();
        positions.push((partition.id.clone(), reader.position()));
    }
    world.append(10);
    let source = world.source(true);
    assert!(source.bounded());
    for mut reader in resume(&source, &positions).unwrap() {
        let (rest, status) = read_all(&mut *reader, 4);
        assert_eq!(status, ReadStatus::End);
        events += rest.len();
        let progress = reader.progress();
        assert!(progress.total.is_none_or(|total| total == progress.done), "{progress:?}");
    }
    assert_eq!(events, 40);
}

#[test]
fn a_stream_that_is_not_there_and_a_damaged_position_are_told() {
    let world = World::new(1);
    let spec = StreamSource { stream: StreamName::new("no/such").unwrap(), bounded: false };
    let error = StreamReaders::new("s", &spec, true, world.store.clone()).partitions().unwrap_err();
    assert!(error.to_string().starts_with("source s: there is no stream no/such in this data directory"), "{error}");
    let source = world.source(false);
    let partition = source.partitions().unwrap().remove(0);
    let position = source.open(&partition, None).unwrap().position();
    for cut in 0..position.len() {
        let cut_off = [(partition.id.clone(), position[..cut].to_vec())];
        let Err(error) = resume(&source, &cut_off) else { panic!("cut at {cut} was taken") };
        assert!(error.to_string().contains("the stored position is damaged"), "{error}");
    }
    let other = Partition { id: "segment-9".into(), size: None };
    assert!(source.open(&other, None).is_err());
}

#[test]
fn a_position_of_another_life_of_the_stream_is_refused() {
    let mut world = World::new(1);
    world.append(1);
    let source = world.source(false);
    let partition = source.partitions().unwrap().remove(0);
    let mut stored = StreamPosition::decode(&source.open(&partition, None).unwrap().position()).unwrap();
    stored.stream.generation.0 += 1;
    let Err(error) = resume(&source, &[(partition.id, stored.encode())]) else { panic!("it was taken") };
    assert!(error.to_string().contains("deleted and made again"), "{error}");
}

#[test]
fn a_stream_that_is_deleted_and_made_again_stops_its_reader() {
    let mut world = World::new(1);
    world.append(3);
    let source = world.source(false);
    let mut reader = source.open(&source.partitions().unwrap()[0], None).unwrap();
    read_all(&mut *reader, 10);
    world.store.delete_stream(&world.stream).unwrap();
    let mut out = SourceBatch::default();
    assert!(reader.read(1, 1, &mut out).unwrap_err().to_string().contains("there is no stream in/x"));
    world.store.create_stream(&world.stream, StreamConfig::default()).unwrap();
    assert!(reader.read(1, 1, &mut out).unwrap_err().to_string().contains("deleted and made again"));
}

#[test]
fn a_sealed_stream_ends() {
    let mut world = World::new(1);
    world.append(5);
    let source = world.source(false);
    let partition = source.partitions().unwrap().remove(0);
    let mut reader = source.open(&partition, None).unwrap();
    assert_eq!(read_all(&mut *reader, 100).1, ReadStatus::CaughtUp);
    world.store.seal_stream(&world.stream).unwrap();
    assert_eq!(read_all(&mut *reader, 100).1, ReadStatus::End);
}
