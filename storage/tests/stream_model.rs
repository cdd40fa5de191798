//! The stream store against a plain list: random appends, moves, truncations, reads, restarts and crashes; what can be
//! read is always the list from the head on.

mod support;

use proptest::prelude::*;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

const SEGMENTS: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// So many events, of so many bytes.
    Append(u64, usize),
    /// Move until so many parts of 8 of the hot bytes are left.
    Seal(u64),
    /// Truncate a segment to so many parts of 16 between head and tail.
    Truncate(usize, u64),
    /// Read a segment from somewhere between head and tail.
    Read(usize, u64, usize),
    Reopen,
    /// Crash when the n-th sync from now on is asked for.
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u64..60, 0usize..400).prop_map(|(n, bytes)| Step::Append(n, bytes)),
        4 => (0u64..8).prop_map(Step::Seal),
        3 => (0usize..3, 0u64..=16).prop_map(|(s, to)| Step::Truncate(s, to)),
        4 => (0usize..3, 0u64..=16, 0usize..4_000).prop_map(|(s, from, max)| Step::Read(s, from, max)),
        1 => Just(Step::Reopen),
        2 => (1u64..12).prop_map(Step::Crash),
    ]
}

/// What a segment must hold: event n of the list at offset n, from the head on.
#[derive(Clone, Debug, Default, PartialEq)]
struct Segment {
    head: u64,
    events: Vec<(i64, Option<Vec<u8>>)>,
}

fn options(file_bytes: u64) -> StoreOptions {
    StoreOptions { hot_bytes_max: u64::MAX, sealed_file_bytes: file_bytes, ..StoreOptions::default() }
}

fn events(from: u64, count: u64, bytes: usize) -> Batch {
    let mut batch = Batch::default();
    for i in from..from + count {
        let value = vec![i as u8; bytes];
        let headers: &[(&str, &[u8])] = if i % 7 == 0 { &[("h", b"v")] } else { &[] };
        headers::push_event(
            &mut batch,
            EventTime(i as i64),
            Some(&i.to_le_bytes()),
            (i % 5 > 0).then_some(&value),
            headers,
        );
    }
    batch
}

/// What there is in the store, read to the end.
fn stored(store: &Store, info: &StreamInfo) -> Vec<Segment> {
    let info = store.stream(&info.name).unwrap().unwrap();
    let mut out = Vec::new();
    for segment in &info.segments {
        let mut model = Segment { head: segment.head.0, events: Vec::new() };
        let mut at = position(&info, segment.id, segment.head.0);
        while at.offset < segment.tail {
            let read = store.read(at, 1 << 20).unwrap();
            assert_eq!(read.first, at.offset);
            read.batch.check("read").unwrap();
            let values = read.batch.values.iter().map(|v| v.map(<[u8]>::to_vec));
            model.events.extend(read.batch.timestamps.iter().copied().zip(values));
            at.offset = read.next;
        }
        out.push(model);
    }
    out
}

/// The same, of the lists.
fn visible(model: &[Segment]) -> Vec<Segment> {
    model.iter().map(|s| Segment { head: s.head, events: s.events[s.head as usize..].to_vec() }).collect()
}

struct Run {
    disk: FaultDisk,
    store: Store,
    info: StreamInfo,
    model: Vec<Segment>,
    /// What may be there instead, since the outcome of the last step is unknown.
    maybe: Vec<Segment>,
    next: u64,
    file_bytes: u64,
}

impl Run {
    fn new(seed: u64, file_bytes: u64) -> Run {
        let disk = FaultDisk::new(seed);
        let store = Store::open_with(disk.clone(), options(file_bytes)).unwrap();
        let info = store.create_stream(&name("t/s"), StreamConfig { segments: SEGMENTS }).unwrap();
        let model = vec![Segment::default(); SEGMENTS as usize];
        Run { disk, store, info, maybe: model.clone(), model, next: 0, file_bytes }
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        self.maybe = self.model.clone();
        match *step {
            Step::Append(count, bytes) => {
                let batch = events(self.next, count, bytes);
                self.next += count;
                for append in Appender::new(&self.info).append(&batch)? {
                    self.maybe = self.model.clone();
                    let at = self.info.segments.iter().position(|s| s.id == append.segment).unwrap();
                    for chunk in &append.chunks {
                        let batch = decode_chunk(&chunk.bytes)?;
                        let values = batch.values.iter().map(|v| v.map(<[u8]>::to_vec));
                        self.maybe[at].events.extend(batch.timestamps.iter().copied().zip(values));
                    }
                    self.store.commit(Part::Append(append))?;
                    self.model = self.maybe.clone();
                }
            }
            Step::Seal(eighths) => {
                let hot = self.store.describe()?.hot_chunk_bytes;
                self.store.seal(hot * eighths / 8)?;
                assert!(self.store.describe()?.hot_chunk_bytes <= hot * eighths / 8);
            }
            Step::Truncate(at, part) => {
                let segment = &self.model[at];
                let to = segment.head + (segment.events.len() as u64 - segment.head) * part / 16;
                self.maybe[at].head = to;
                truncate(&self.store, &self.info, self.info.segments[at].id, to)?;
                self.model = self.maybe.clone();
            }
            Step::Read(at, part, max) => {
                let segment = &self.model[at];
                let from = segment.head + (segment.events.len() as u64 - segment.head) * part / 16;
                let read = self.store.read(position(&self.info, self.info.segments[at].id, from), max)?;
                let expected = &segment.events[from as usize..read.next.0 as usize];
                assert!(read.batch.timestamps.iter().eq(expected.iter().map(|e| &e.0)));
                assert_eq!(read.batch.is_empty(), from == segment.events.len() as u64);
            }
            Step::Reopen => {
                self.store.close();
                self.store = Store::open_with(self.disk.clone(), options(self.file_bytes))?;
            }
            Step::Crash(syncs) => self.disk.crash_at_sync(self.disk.syncs() + syncs),
        }
        Ok(())
    }

    fn recover(&mut self) {
        self.store.close();
        self.disk.reboot();
        self.store = Store::open_with(self.disk.clone(), options(self.file_bytes)).unwrap();
        let is = stored(&self.store, &self.info);
        if is != visible(&self.model) {
            assert_eq!(is, visible(&self.maybe));
            self.model = self.maybe.clone();
        }
        assert_whole(&self.store, "after a crash");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_is_a_list_whatever_happens(
        steps in prop::collection::vec(step(), 1..40),
        seed: u64,
        file_bytes in prop_oneof![Just(1u64), Just(2_000), Just(1 << 20)],
    ) {
        let mut run = Run::new(seed, file_bytes);
        for step in &steps {
            if let Err(e) = run.step(step) {
                prop_assert!(run.disk.crashed(), "{step:?}: {e}");
                run.recover();
            }
        }
        run.recover();
        run.store.seal(0).unwrap();
        prop_assert_eq!(stored(&run.store, &run.info), visible(&run.model));
        assert_whole(&run.store, "at the end");
    }
}
