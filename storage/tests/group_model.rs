//! Invariant I-7: each segment has at most one reader, and what is delivered since the last checkpoint covers the streams
//! without gaps. Random readers join, leave, die, stall, are taken over; checkpoints and cuts are begun and cancelled;
//! segments split and merge, heads move up; the process restarts, the disk crashes at any sync.
//!
//! The model knows, per segment, up to where it was ever delivered since the last reset, what its predecessors are, and which
//! events may come again: those that a lost reader had been given.

#[path = "support/group.rs"]
mod group;
mod support;

use group::{READ, group_name, numbers, stream};
use proptest::prelude::*;
use std::collections::BTreeMap;
use support::assert_whole;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::stream::reader_group::*;
use tidemill_storage::stream::{Scaling, StreamCut};
use tidemill_storage::*;

const READERS: usize = 4;
const KEYS: u64 = 11;

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Split(usize),
    Merge(usize),
    /// Move the head of some segment up by so many parts of 8.
    Truncate(usize, u64),
    Read(usize),
    Close(usize),
    /// The handle is dropped, and the reader declared offline, with where it stood or not.
    Die(usize, bool),
    TakeOver(usize),
    Checkpoint,
    Cuts,
    Cancel,
    ResetToCheckpoint,
    Reopen,
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1u64..30).prop_map(Step::Append),
        2 => (0usize..8).prop_map(Step::Split),
        2 => (0usize..8).prop_map(Step::Merge),
        1 => (0usize..8, 0u64..=8).prop_map(|(s, to)| Step::Truncate(s, to)),
        24 => (0usize..READERS).prop_map(Step::Read),
        2 => (0usize..READERS).prop_map(Step::Close),
        2 => (0usize..READERS, any::<bool>()).prop_map(|(r, at)| Step::Die(r, at)),
        1 => (0usize..READERS).prop_map(Step::TakeOver),
        3 => Just(Step::Checkpoint),
        1 => Just(Step::Cuts),
        1 => Just(Step::Cancel),
        1 => Just(Step::ResetToCheckpoint),
        1 => Just(Step::Reopen),
        1 => (1u64..20).prop_map(Step::Crash),
    ]
}

struct Run {
    disk: FaultDisk,
    store: Store,
    group: ReaderGroup,
    readers: Vec<Option<GroupReader>>,
    next: u64,
    checkpoints: u64,
    /// Up to where a segment was delivered since the last reset.
    high: BTreeMap<SegmentId, u64>,
    /// Whether some reader was lost, so that events may come again.
    again: bool,
    /// Everything before it was reported: it never comes again.
    reported: Option<StreamCut>,
    predecessors: BTreeMap<SegmentId, Vec<SegmentId>>,
    ranges: BTreeMap<SegmentId, (u64, u64)>,
    /// Last number that was delivered for the first time, per key.
    last: BTreeMap<u64, u64>,
}

fn open(disk: &FaultDisk) -> Result<(Store, ReaderGroup)> {
    let store = Store::open_with(disk.clone(), StoreOptions::default())?;
    store.ensure_stream(&stream(), StreamConfig { segments: 2 })?;
    let group = match store.reader_group(&group_name())? {
        Some(group) => group,
        None => store.create_reader_group(&group_name(), &GroupConfig::new([GroupStream::from_head(stream())]))?,
    };
    Ok((store, group))
}

impl Run {
    fn new(seed: u64) -> Run {
        let disk = FaultDisk::new(seed);
        let (store, group) = open(&disk).unwrap();
        let mut run = Run {
            disk,
            store,
            group,
            readers: (0..READERS).map(|_| None).collect(),
            next: 0,
            checkpoints: 0,
            high: BTreeMap::new(),
            again: false,
            reported: None,
            predecessors: BTreeMap::new(),
            ranges: BTreeMap::new(),
            last: BTreeMap::new(),
        };
        run.note_segments().unwrap();
        run
    }

    fn info(&self) -> Result<StreamInfo> {
        self.store.stream(&stream())?.ok_or_else(|| Error::bug("the stream is gone"))
    }

    fn scale(&mut self, scaling: Result<Scaling>) -> Result<()> {
        // Too small to split, or alone: nothing to do.
        let Ok(scaling) = scaling else { return Ok(()) };
        if self.info()?.segments.len() - scaling.seal.len() + scaling.ranges.len() > 12 {
            return Ok(());
        }
        self.store.scale_stream(&stream(), &scaling)?;
        self.note_segments()
    }

    /// What came before what: asked while it is there, since truncation forgets it.
    fn note_segments(&mut self) -> Result<()> {
        let info = self.info()?;
        for segment in info.all_segments() {
            let before: Vec<SegmentId> = info.predecessors(segment.id).collect();
            self.predecessors.entry(segment.id).or_insert(before);
            self.ranges.insert(segment.id, segment.range);
        }
        Ok(())
    }

    fn name(at: usize) -> String {
        format!("r{at}")
    }

    fn deliver(&mut self, events: &GroupEvents) -> Result<()> {
        let (segment, first) = (events.segment, events.first.0);
        let info = self.info()?;
        let head = info.segment(segment).map_or(0, |s| s.head.0);
        let high = self.high.get(&segment).copied().unwrap_or(0);
        assert!(first <= high.max(head), "segment {segment}: {first} comes after {high}, events were left out");
        assert!(first >= high || self.again, "segment {segment}: {first} again, though nobody was lost");
        if let Some(tile) = self.reported.iter().flat_map(StreamCut::tiles).find(|t| t.segment == segment) {
            assert!(first >= tile.offset.0, "segment {segment}: {first} again, though {} was reported", tile.offset);
        }
        for before in self.predecessors.get(&segment).into_iter().flatten() {
            let done = self.high.get(before).copied().unwrap_or(0);
            let tail = info.segment(*before).map_or(0, |s| s.tail.0);
            let head = info.segment(*before).map_or(0, |s| s.head.0);
            assert!(done.max(head) >= tail, "segment {segment} before {before}, read to {done} of {tail}");
        }
        // What was read is what lies there.
        let there = self.store.read(events.pointer(0), READ)?;
        assert_eq!(there.batch.slice(0..events.batch.len())?, events.batch);
        for (i, number) in numbers(&events.batch).into_iter().enumerate() {
            if first + i as u64 >= high {
                let before = self.last.insert(number % KEYS, number);
                assert!(
                    before.is_none_or(|before| before < number),
                    "key {}: {number} after {before:?}",
                    number % KEYS
                );
            }
        }
        let to = first + events.batch.len() as u64;
        self.high.entry(segment).and_modify(|high| *high = (*high).max(to)).or_insert(to);
        Ok(())
    }

    fn read(&mut self, at: usize) -> Result<Option<GroupRead>> {
        if self.readers[at].is_none() {
            self.readers[at] = Some(self.group.take_over(&Run::name(at))?);
        }
        let Some(reader) = &mut self.readers[at] else { return Ok(None) };
        match reader.read(READ) {
            Ok(read) => {
                if let GroupRead::Events(events) = &read {
                    let events = events.clone();
                    self.deliver(&events)?;
                }
                Ok(Some(read))
            }
            Err(e) if e.kind() == Kind::Truncated => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match *step {
            Step::Append(count) => {
                let mut batch = Batch::default();
                for number in self.next..self.next + count {
                    let key = [(number % KEYS) as u8];
                    batch.push(EventTime(0), Some(&key), Some(number.to_string().as_bytes()));
                }
                self.next += count;
                for append in Appender::new(&self.info()?).append(&batch)? {
                    self.store.commit(Part::Append(append))?;
                }
            }
            Step::Split(at) => {
                let info = self.info()?;
                let scaling = Scaling::split(&info, info.segments[at % info.segments.len()].id, 2);
                self.scale(scaling)?;
            }
            Step::Merge(at) => {
                let info = self.info()?;
                let ids: Vec<SegmentId> = info.segments.iter().map(|s| s.id).collect();
                let at = at % ids.len();
                self.scale(Scaling::merge(&info, &ids[at..(at + 2).min(ids.len())]))?;
            }
            Step::Truncate(at, part) => {
                let info = self.info()?;
                // Of the oldest ones, as retention does: nothing before it must be left.
                let all: Vec<_> = info.all_segments().filter(|s| info.predecessors(s.id).next().is_none()).collect();
                let segment = all[at % all.len()];
                let to = segment.head.0 + (segment.tail.0 - segment.head.0) * part / 8;
                support::truncate(&self.store, &info, segment.id, to)?;
            }
            Step::Read(at) => drop(self.read(at)?),
            Step::Close(at) => {
                if let Some(reader) = self.readers[at].take() {
                    // A failed one may have left or not: then it is lost.
                    reader.close().inspect_err(|_| self.again = true)?;
                }
            }
            Step::Die(at, with_position) => {
                if let Some(reader) = self.readers[at].take() {
                    self.again |= !with_position;
                    let position = reader.position();
                    self.group.reader_offline(&Run::name(at), with_position.then_some(&position[..]))?;
                }
            }
            Step::TakeOver(at) => {
                self.again |= self.readers[at].is_some();
                let old = self.readers[at].take();
                self.readers[at] = Some(self.group.take_over(&Run::name(at))?);
                if let Some(mut old) = old {
                    assert_eq!(old.read(READ).map(drop).map_err(|e| e.kind()), Err(Kind::Fenced));
                }
            }
            Step::Checkpoint => {
                self.checkpoints += 1;
                match self.group.begin_checkpoint(&format!("cp{}", self.checkpoints)) {
                    Err(e) if e.kind() == Kind::Conflict => {
                        assert_eq!(self.group.info()?.open.iter().filter(|o| !o.silent).count(), 3)
                    }
                    other => other?,
                }
            }
            Step::Cuts => match self.group.generate_stream_cuts() {
                Err(e) if e.kind() == Kind::Conflict => {}
                other => drop(other?),
            },
            Step::Cancel => self.group.cancel_checkpoints()?,
            Step::ResetToCheckpoint => {
                let Some((_, cut)) = self.group.last_checkpoint()? else { return Ok(()) };
                self.group.reset_to_checkpoint()?;
                self.reset_to(&cut[&stream()]);
            }
            Step::Reopen => {
                self.store.close();
                self.restart()?;
            }
            Step::Crash(syncs) => self.disk.crash_at_sync(self.disk.syncs() + syncs),
        }
        self.check()
    }

    /// What lies at or after the cut comes again, in order.
    fn reset_to(&mut self, cut: &StreamCut) {
        self.readers.iter_mut().for_each(|reader| *reader = None);
        self.reported = Some(cut.clone());
        let ranges = &self.ranges;
        self.high.retain(|segment, _| {
            let (low, high) = ranges.get(segment).copied().unwrap_or((0, u64::MAX));
            let oldest = cut.tiles().iter().filter(|t| t.low <= high && t.high >= low).map(|t| t.segment).min();
            oldest.is_some_and(|oldest| *segment < oldest)
        });
        for tile in cut.tiles() {
            self.high.insert(tile.segment, tile.offset.0);
        }
        self.last.clear();
        self.again = true;
    }

    fn restart(&mut self) -> Result<()> {
        self.again = true;
        self.readers.iter_mut().for_each(|reader| *reader = None);
        (self.store, self.group) = open(&self.disk)?;
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        let info = self.group.info()?;
        let mut owned: Vec<SegmentId> =
            info.readers.iter().flat_map(|r| r.segments.iter().map(|p| p.segment)).collect();
        owned.extend(info.unassigned.iter().map(|p| p.segment));
        owned.sort_unstable();
        assert!(owned.windows(2).all(|w| w[0] != w[1]), "a segment has two readers: {owned:?}");
        if let Some((_, cut)) = &info.last_checkpoint {
            let cut = &cut[&stream()];
            for tile in cut.tiles() {
                let head = self.info()?.segment(tile.segment).map_or(u64::MAX, |s| s.head.0);
                let high = self.high.get(&tile.segment).copied().unwrap_or(0);
                assert!(tile.offset.0 <= high.max(head), "{cut} says more than was read");
            }
            if let Some(before) = &self.reported {
                assert!(cut.is_at_or_after(before)?, "{cut} lies before {before}");
            }
            self.reported = Some(cut.clone());
        }
        Ok(())
    }

    fn recover(&mut self) {
        self.store.close();
        self.disk.reboot();
        self.restart().unwrap();
        self.note_segments().unwrap();
        assert_whole(&self.store, "after a crash");
        self.check().unwrap();
    }

    /// In the end everything that is there was delivered, and shares differ by one at most.
    fn finish(&mut self) {
        self.recover();
        // Segments change hands between calls: it is over when nobody got anything for some rounds.
        let mut quiet = 0;
        for _ in 0..400 {
            quiet += 1;
            for at in 0..READERS {
                if !matches!(self.read(at).unwrap(), Some(GroupRead::Idle | GroupRead::EndOfStream)) {
                    quiet = 0;
                }
            }
            if quiet == 8 {
                break;
            }
        }
        assert_eq!(quiet, 8, "it does not come to rest");
        self.check().unwrap();
        for segment in self.info().unwrap().all_segments().filter(|s| s.head < s.tail) {
            let high = self.high.get(&segment.id).copied().unwrap_or(0);
            assert_eq!(high, segment.tail.0, "segment {} was not read to its end", segment.id);
        }
        let info = self.group.info().unwrap();
        assert_eq!((info.unassigned.len(), info.readers.len()), (0, READERS));
        let shares: Vec<usize> = info.readers.iter().map(|reader| reader.segments.len()).collect();
        assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
        let unread = unread_events(&self.info().unwrap(), &self.group.stream_cuts().unwrap()[&stream()]);
        assert!(unread as usize <= self.next as usize);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_group_leaves_nothing_out_and_repeats_only_what_was_lost(
        steps in prop::collection::vec(step(), 1..120),
        seed: u64,
    ) {
        let mut run = Run::new(seed);
        for step in &steps {
            if let Err(e) = run.step(step) {
                prop_assert!(run.disk.crashed(), "{step:?}: {e}");
                run.recover();
            }
        }
        run.finish();
    }
}
