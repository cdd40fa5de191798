//! Sources over streams that are scaled: nothing is lost, doubled or out of order, whatever partition reads what.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tidemill_storage::stream::{WriterOptions, time::TimeConfig};

/// Reads for so many epochs, as source tasks do: who has said that he is at the end is asked no more, and still passes barriers. The
/// times, and who has ended.
fn read_epochs(readers: &mut [Box<dyn PartitionReader>], epochs: usize) -> (Vec<i64>, Vec<bool>) {
    let (mut times, mut ended) = (Vec::new(), vec![false; readers.len()]);
    for _ in 0..epochs {
        for (reader, ended) in readers.iter_mut().zip(&mut ended) {
            if !*ended {
                let (events, status) = read_all(&mut **reader, 7);
                times.extend(events.timestamps);
                *ended = status == ReadStatus::End;
            }
            reader.barrier();
        }
    }
    times.sort_unstable();
    (times, ended)
}

#[test]
fn positions_of_the_first_version_are_read_on_from() {
    let mut world = World::new(2);
    world.append(30);
    let info = world.info();
    let position = |segment: &tidemill_storage::stream::SegmentInfo, end| {
        let places = Places::Segment { segment: segment.id, offset: Offset(4), end };
        (id_of(segment.id), StreamPosition { stream: info.stream, places }.encode())
    };
    let positions: Vec<_> = info.segments.iter().map(|s| position(s, None)).collect();
    // Scaled since, which version 1 could not follow.
    world.scale(&Scaling::to(&info, 3).unwrap());
    world.append(10);
    let mut events = 0;
    let mut readers = resume(&world.source(false), &positions).unwrap();
    for _ in 0..3 {
        for reader in &mut readers {
            events += read_all(&mut **reader, 7).0.len();
            reader.barrier();
        }
    }
    assert_eq!(events, 40 - 8);
    let ended: Vec<_> = info.segments.iter().map(|s| position(s, Some(Offset(6)))).collect();
    for mut reader in resume(&world.source(true), &ended).unwrap() {
        let (rest, status) = read_all(&mut *reader, 7);
        assert_eq!((rest.len(), status), (2, ReadStatus::End));
    }
}

#[test]
fn a_segment_whose_rest_was_truncated_away_stops_the_pipeline() {
    let mut world = World::new(1);
    world.append(30);
    let source = world.source(false);
    let mut reader = source.open(&source.partitions().unwrap()[0], None).unwrap();
    reader.read(5, 1 << 20, &mut SourceBatch::default()).unwrap();
    let position = ("segment-0".to_string(), reader.position());
    world.scale(&Scaling::to(&world.info(), 2).unwrap());
    world.store.truncate_stream(&world.stream, &world.info().tail_cut()).unwrap();
    let mut reader = resume(&source, &[position]).unwrap().remove(0);
    let error = reader.read(100, 1 << 20, &mut SourceBatch::default()).unwrap_err().to_string();
    assert!(error.contains("source s: what the pipeline was to read next is not there"), "{error}");
    assert!(error.contains("in/x, segment 0") && error.contains("truncated"), "{error}");
}

#[test]
fn a_bounded_run_over_a_scaled_stream_ends_where_the_stream_did() {
    let mut world = World::new(2);
    world.append(20);
    world.scale(&Scaling::to(&world.info(), 3).unwrap());
    world.append(20);
    let source = world.source(true);
    let partitions = source.resume(&BTreeMap::new()).unwrap();
    let mut readers: Vec<_> = partitions.iter().map(|p| source.open(p, None).unwrap()).collect();
    world.append(20);
    world.scale(&Scaling::to(&world.info(), 1).unwrap());
    world.append(20);
    let (times, ended) = read_epochs(&mut readers, 6);
    assert_eq!((times, ended), ((0..40).collect::<Vec<i64>>(), vec![true; readers.len()]));
}

/// The watermark is that of the place, not of the tail: a reader that catches up hears of each as it passes it.
#[test]
fn watermarks_come_at_their_places_also_far_behind_the_tail_and_across_scalings() {
    let mut world = World::new(2);
    let stream = world.info().stream;
    world.store.configure_time(stream, TimeConfig { idle_timeout_ms: None }).unwrap();
    for n in 1..=12 {
        world.append(10);
        world.store.note_time(stream, "w", EventTime(n * 10 - 1)).unwrap();
        if n % 4 == 0 {
            world.scale(&Scaling::to(&world.info(), 1 + n as u32 % 3).unwrap());
        }
    }
    let source = world.source(false);
    let partitions = source.resume(&BTreeMap::new()).unwrap();
    let mut readers: Vec<_> = partitions.iter().map(|p| source.open(p, None).unwrap()).collect();
    let mut told = vec![Vec::new(); readers.len()];
    for _ in 0..400 {
        for (reader, told) in readers.iter_mut().zip(&mut told) {
            let mut out = SourceBatch::default();
            reader.read(1, 1, &mut out).unwrap();
            let before = told.last().copied().unwrap_or(i64::MIN);
            assert!(
                out.events.timestamps.iter().all(|time| *time > before),
                "{:?} after {before}",
                out.events.timestamps
            );
            told.extend(out.watermark.map(|time| time.0));
            reader.barrier();
        }
    }
    let least = told.iter().map(|told| told.last().copied().unwrap_or(i64::MIN)).max();
    assert_eq!(least, Some(119));
    assert!(told[0].len() > 6, "told on the way: {told:?}");
    assert!(told.iter().all(|told| told.is_sorted()), "{told:?}");
}

/// Far behind the tail a partition reads many segments at once; none of them may run ahead, or a watermark by event times would make the
/// others' events late.
#[test]
fn segments_of_a_partition_are_merged_by_the_times_of_their_events() {
    let mut world = World::new(1);
    for count in [4, 2, 5, 3] {
        world.append(200);
        world.scale(&Scaling::to(&world.info(), count).unwrap());
    }
    world.append(200);
    let source = world.source(false);
    let mut reader = source.open(&source.resume(&BTreeMap::new()).unwrap()[0], None).unwrap();
    let times = read_all(&mut *reader, 7).0.timestamps;
    assert_eq!(times, (0..1_000).collect::<Vec<i64>>(), "each segment is in order, so all are");
}

/// Partitions of a sealed stream end when its last segments are read, not while some of them wait for a barrier.
#[test]
fn a_scaled_stream_that_is_sealed_is_read_to_its_end() {
    let mut world = World::new(3);
    world.append(30);
    world.scale(&Scaling::to(&world.info(), 1).unwrap());
    world.append(30);
    world.store.seal_stream(&world.stream).unwrap();
    let source = world.source(false);
    let partitions = source.resume(&BTreeMap::new()).unwrap();
    let mut readers: Vec<_> = partitions.iter().map(|p| source.open(p, None).unwrap()).collect();
    assert_eq!(read_epochs(&mut readers, 4), ((0..60).collect(), vec![true; 3]));
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    To(u32),
    Merge(usize),
    Split(u8),
    /// A partition reads: so many events.
    Read(usize, usize),
    /// A partition passes the barrier of its epoch, if the others have passed the last one.
    Barrier(usize),
    /// The process dies: what is committed is what the last barrier has that all have passed.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..30).prop_map(Step::Append),
        1 => (1u32..5).prop_map(Step::To),
        1 => (0usize..4).prop_map(Step::Merge),
        1 => (1u8..16).prop_map(Step::Split),
        8 => (0usize..4, 1usize..12).prop_map(|(p, n)| Step::Read(p, n)),
        5 => (0usize..4).prop_map(Step::Barrier),
        1 => Just(Step::Crash),
    ]
}

/// What of an epoch came: (partition, key, number), in the order of each partition.
type Output = Vec<(usize, String, u64)>;

struct Model {
    world: World,
    source: StreamReaders,
    ids: Vec<String>,
    readers: Vec<Box<dyn PartitionReader>>,
    /// The epoch of each reader.
    epochs: Vec<u64>,
    /// Positions at the barriers that some have passed, and the output before them.
    barriers: BTreeMap<u64, Vec<Option<Vec<u8>>>>,
    outputs: BTreeMap<u64, Output>,
    committed: Option<(u64, Vec<(String, Vec<u8>)>)>,
    written: BTreeMap<String, u64>,
}

impl Model {
    fn new() -> Model {
        let world = World::new(3);
        let source = world.source(false);
        let mut model = Model {
            world,
            source,
            ids: Vec::new(),
            readers: Vec::new(),
            epochs: Vec::new(),
            barriers: BTreeMap::new(),
            outputs: BTreeMap::new(),
            committed: None,
            written: BTreeMap::new(),
        };
        model.restart();
        model
    }

    fn restart(&mut self) {
        self.source = self.world.source(false);
        let (epoch, positions) = self.committed.clone().unwrap_or_default();
        let kept =
            |position: &Vec<u8>| PartitionPosition { position: position.clone(), ..PartitionPosition::default() };
        let positions = positions.iter().map(|(id, position)| (id.clone(), kept(position))).collect();
        let partitions = self.source.resume(&positions).unwrap();
        self.readers = partitions.iter().map(|p| self.source.open(p, None).unwrap()).collect();
        self.ids = partitions.into_iter().map(|p| p.id).collect();
        self.epochs = vec![epoch + 1; self.readers.len()];
        self.barriers.clear();
        self.outputs.retain(|e, _| *e <= epoch);
    }

    fn append(&mut self, count: u64) {
        let mut writer = self.world.store.writer(&self.world.stream, WriterOptions::default()).unwrap();
        for n in 0..count {
            let key = format!("k{}", n % 7);
            let number = self.written.entry(key.clone()).or_default();
            writer.write(EventTime(0), Some(key.as_bytes()), Some(number.to_string().as_bytes()), &[]).unwrap();
            *number += 1;
        }
        writer.flush().unwrap();
    }

    fn read(&mut self, partition: usize, count: usize) -> ReadStatus {
        let mut out = SourceBatch::default();
        let status = self.readers[partition].read(count, 1 << 20, &mut out).unwrap();
        let output = self.outputs.entry(self.epochs[partition]).or_default();
        for (key, value) in out.events.keys.iter().zip(out.events.values.iter()) {
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
            output.push((partition, text(key), text(value).parse().unwrap()));
        }
        status
    }

    fn barrier(&mut self, partition: usize) {
        let epoch = self.epochs[partition];
        if self.epochs.iter().any(|e| *e + 1 < epoch) {
            return;
        }
        let positions = self.barriers.entry(epoch).or_insert_with(|| vec![None; self.readers.len()]);
        positions[partition] = Some(self.readers[partition].position());
        self.readers[partition].barrier();
        self.epochs[partition] += 1;
        if positions.iter().all(Option::is_some) {
            let positions = self.ids.iter().cloned().zip(positions.iter().flatten().cloned()).collect();
            self.committed = Some((epoch, positions));
        }
    }

    fn step(&mut self, step: &Step) {
        let info = self.world.info();
        match *step {
            Step::Append(count) => self.append(count),
            Step::To(count) => self.world.scale(&Scaling::to(&info, count).unwrap()),
            Step::Merge(n) => {
                if let Some(pair) = info.segments.windows(2).nth(n % info.segments.len()) {
                    self.world.scale(&Scaling::merge(&info, &[pair[0].id, pair[1].id]).unwrap());
                }
            }
            Step::Split(part) => {
                if let Ok(scaling) = Scaling::split_at(&info, f64::from(part) / 16.0) {
                    self.world.scale(&scaling);
                }
            }
            Step::Read(partition, count) => drop(self.read(partition % self.readers.len(), count)),
            Step::Barrier(partition) => self.barrier(partition % self.readers.len()),
            Step::Crash => self.restart(),
        }
    }

    /// Reads the rest, and looks at all.
    fn check(&mut self) {
        // As many epochs as there may be scalings to follow.
        for _ in 0..90 {
            for partition in 0..self.readers.len() {
                while self.read(partition, 100) == ReadStatus::More {}
            }
            for partition in 0..self.readers.len() {
                self.barrier(partition);
            }
        }
        let mut read: BTreeMap<String, u64> = BTreeMap::new();
        for (epoch, output) in &self.outputs {
            let mut by: BTreeMap<&String, usize> = BTreeMap::new();
            for (partition, key, number) in output {
                let expected = read.entry(key.clone()).or_default();
                assert_eq!(number, expected, "key {key} in epoch {epoch}");
                *expected += 1;
                assert_eq!(by.entry(key).or_insert(*partition), partition, "key {key} came twice in epoch {epoch}");
            }
        }
        assert_eq!(read, self.written);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    /// I-1 and I-8 for the source: whatever is scaled, read, committed and lost, each key comes in order, once, and within an epoch by
    /// one partition only, so that no other order can arise in the channels behind.
    #[test]
    fn partitions_follow_scalings_and_restarts_without_loss_or_disorder(steps in prop::collection::vec(step(), 1..80)) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
        model.check();
    }
}
