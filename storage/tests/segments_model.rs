//! Streams that are scaled, truncated and sealed under idempotent writers, crashes and restarts, against a plain model. Invariants: I-1 a
//! key's events are read in the order of their writing, over scalings and restarts; I-2 what was acknowledged is there until it is
//! truncated, and nothing is there twice; I-3 the ranges of the active segments tile the key space.

mod support;

use proptest::prelude::*;
use std::collections::BTreeMap;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

const KEYS: u64 = 6;
const WRITERS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    /// By writer: so many events.
    Write(usize, u64),
    /// To so many segments of equal ranges.
    Scale(u32),
    /// Split the segment that owns this part of 16.
    Split(u8),
    /// Merge the n-th active segment with its neighbour.
    Merge(usize),
    /// Truncate where a reader stands after so many reads.
    Truncate(usize),
    /// Open the writer again.
    Open(usize),
    Move,
    Maintain,
    Reopen,
    /// Crash when the n-th sync from now on is asked for.
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..WRITERS, 1u64..40).prop_map(|(w, n)| Step::Write(w, n)),
        2 => (1u32..6).prop_map(Step::Scale),
        2 => (1u8..16).prop_map(Step::Split),
        2 => (0usize..5).prop_map(Step::Merge),
        2 => (0usize..12).prop_map(Step::Truncate),
        1 => (0..WRITERS).prop_map(Step::Open),
        1 => Just(Step::Move),
        1 => Just(Step::Maintain),
        1 => Just(Step::Reopen),
        2 => (1u64..10).prop_map(Step::Crash),
    ]
}

fn options() -> StoreOptions {
    StoreOptions { hot_bytes_max: u64::MAX, sealed_file_bytes: 2_000, state_fold_blobs: 0, ..StoreOptions::default() }
}

/// The events of one writer under one key are numbered from 0; what is there is a run of them.
#[derive(Debug, Default)]
struct Model {
    /// Written so far, and how many of them are acknowledged, by writer.
    written: [u64; WRITERS],
    acked: [u64; WRITERS],
    /// Of each writer and key, the first number that must still be there: everything below may be truncated.
    kept_from: BTreeMap<String, u64>,
}

struct Run {
    disk: FaultDisk,
    store: Store,
    writers: Vec<EventWriter>,
    model: Model,
}

fn writer(store: &Store, w: usize) -> Result<EventWriter> {
    let options = WriterOptions { id: Some(format!("w{w}")), batch_events: 5, ..WriterOptions::default() };
    store.writer(&name("t/s"), options)
}

impl Run {
    fn new(seed: u64) -> Run {
        let disk = FaultDisk::new(seed);
        let store = Store::open_with(disk.clone(), options()).unwrap();
        store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
        let writers = (0..WRITERS).map(|w| writer(&store, w).unwrap()).collect();
        Run { disk, store, writers, model: Model::default() }
    }

    fn info(&self) -> Result<StreamInfo> {
        self.store.stream(&name("t/s"))?.ok_or_else(|| Error::bug("the stream is gone"))
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match *step {
            Step::Write(w, count) => {
                for _ in 0..count {
                    let n = self.model.written[w];
                    self.model.written[w] += 1;
                    let (key, value) = (format!("w{w}k{}", n % KEYS), (n / KEYS).to_string());
                    self.writers[w].write(EventTime(0), Some(key.as_bytes()), Some(value.as_bytes()), &[])?;
                }
                self.writers[w].flush()?;
                self.model.acked[w] = self.model.written[w];
                assert_eq!(self.writers[w].durable(), self.model.written[w]);
            }
            Step::Scale(count) => {
                let info = self.info()?;
                self.store.scale_stream(&info.name, &Scaling::to(&info, count)?)?;
            }
            Step::Split(part) => {
                let info = self.info()?;
                if let Ok(scaling) = Scaling::split_at(&info, f64::from(part) / 16.0) {
                    self.store.scale_stream(&info.name, &scaling)?;
                }
            }
            Step::Merge(n) => {
                let info = self.info()?;
                if let Some(pair) = info.segments.windows(2).nth(n % info.segments.len()) {
                    let scaling = Scaling::merge(&info, &[pair[0].id, pair[1].id])?;
                    let once = self.store.scale_stream(&info.name, &scaling)?;
                    assert_eq!(self.store.scale_stream(&info.name, &scaling)?.epoch, once.epoch);
                }
            }
            Step::Truncate(reads) => {
                let mut reader = self.store.reader(&name("t/s"), ReadFrom::Head, None)?;
                let mut passed = Vec::new();
                for _ in 0..reads {
                    match reader.read(1)? {
                        StreamRead::Events { segment, first, batch } => tell(&mut passed, segment, first, &batch),
                        StreamRead::CaughtUp => break,
                        other => panic!("{other:?}"),
                    }
                }
                for (key, numbers) in by_key(&passed) {
                    let from = self.model.kept_from.entry(key).or_default();
                    *from = (*from).max(numbers.last().map_or(0, |n| n + 1));
                }
                let info = self.store.truncate_stream(&name("t/s"), &reader.cut())?;
                let (head, cut) = (info.head_cut(), reader.cut());
                assert!(head.is_at_or_after(&cut)?, "{head} is before {cut}: {info:?}");
            }
            Step::Open(w) => {
                self.writers[w] = writer(&self.store, w)?;
                assert_eq!(self.writers[w].durable(), self.model.acked[w]);
            }
            Step::Move => drop(self.store.seal(0)?),
            Step::Maintain => drop(self.store.maintain()?),
            Step::Reopen => {
                self.store.close();
                self.restart()?;
            }
            Step::Crash(syncs) => self.disk.crash_at_sync(self.disk.syncs() + syncs),
        }
        Ok(())
    }

    /// A new process: the writers go on after what is there.
    fn restart(&mut self) -> Result<()> {
        self.store = Store::open_with(self.disk.clone(), options())?;
        for w in 0..WRITERS {
            self.writers[w] = writer(&self.store, w)?;
            let there = self.writers[w].durable();
            assert!(
                (self.model.acked[w]..=self.model.written[w]).contains(&there),
                "writer {w}: {there}, {:?}",
                self.model
            );
            (self.model.written[w], self.model.acked[w]) = (there, there);
        }
        Ok(())
    }

    fn check(&self) {
        let info = self.info().unwrap();
        let ranges: Vec<(u64, u64)> = info.segments.iter().map(|s| s.range).collect();
        assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, u64::MAX));
        assert!(ranges.windows(2).all(|w| w[0].1 + 1 == w[1].0), "{ranges:?}");
        let read = by_key(&read_stream(&self.store, &name("t/s")));
        for w in 0..WRITERS as u64 {
            for key in 0..KEYS {
                let name = format!("w{w}k{key}");
                let written = (self.model.written[w as usize] + KEYS - 1 - key) / KEYS;
                let numbers = read.get(&name).cloned().unwrap_or_default();
                let first = numbers.first().copied().unwrap_or(written);
                assert!(numbers.iter().copied().eq(first..written), "{name}: {numbers:?} of {written}");
                let kept_from = self.model.kept_from.get(&name).copied().unwrap_or(0);
                assert!(first <= kept_from.max(0).min(written), "{name}: {first} is the first, {kept_from} was kept");
            }
        }
        assert_whole(&self.store, "the model holds");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_keeps_its_promises_whatever_happens(steps in prop::collection::vec(step(), 1..40), seed: u64) {
        let mut run = Run::new(seed);
        for step in &steps {
            if let Err(e) = run.step(step) {
                prop_assert!(run.disk.crashed(), "{step:?}: {e}");
                run.store.close();
                run.disk.reboot();
                run.restart().unwrap();
                run.check();
            }
        }
        run.disk.crash_at_sync(u64::MAX);
        run.check();
    }
}
