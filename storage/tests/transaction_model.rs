//! Transactions, notes of time, appends, scaling, truncation, moves, restarts and crashes in random order, against a plain model. What is visible is always the
//! list of what was committed, whole and in the order of the commits (invariants I-2, I-11); what is not committed is nowhere; watermarks
//! strictly ascend, their cuts never go back, and behind a cut no well-behaved writer has an event at or below its bound (I-5, I-6; W-10: a crash
//! between a mark and its watermark leaves both or none).
//!
//! The model keeps, for an operation that a crash interrupted, what may be there instead; the store must show one of the two.

mod support;

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use support::clock::HandClock;
use support::{assert_whole, name, read_segment};
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

const WRITERS: [&str; 3] = ["a", "b", "c"];
const LEASE_MS: i64 = 10_000;
const IDLE_MS: u64 = 5_000;

#[derive(Clone, Debug)]
enum Step {
    /// So many events of a writer, plain.
    Append(usize, u64),
    Begin(usize),
    /// The nth transaction that is open: so many events; flush or keep them in the handle.
    Write(usize, u64, bool),
    Prepare(usize),
    /// With its writer's time, or without.
    Commit(usize, bool),
    /// The nth transaction that was ever begun, by its id.
    CommitAgain(usize),
    Abort(usize),
    /// A second handle on the nth open one; the first goes on, too.
    Attach(usize),
    Note(usize),
    Close(usize),
    Turn(i64),
    Sweep,
    Scale(u32),
    /// Where a reader stands after so many reads.
    Truncate(usize),
    Seal(u64),
    Reopen,
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0usize..8;
    prop_oneof![
        5 => (0usize..3, 1u64..12).prop_map(|(w, n)| Step::Append(w, n)),
        5 => (0usize..3).prop_map(Step::Begin),
        8 => (which.clone(), 1u64..12, any::<bool>()).prop_map(|(t, n, flush)| Step::Write(t, n, flush)),
        2 => which.clone().prop_map(Step::Prepare),
        5 => (which.clone(), any::<bool>()).prop_map(|(t, timed)| Step::Commit(t, timed)),
        1 => (0usize..20).prop_map(Step::CommitAgain),
        2 => which.clone().prop_map(Step::Abort),
        1 => which.prop_map(Step::Attach),
        5 => (0usize..3).prop_map(Step::Note),
        1 => (0usize..3).prop_map(Step::Close),
        2 => (1i64..9_000).prop_map(Step::Turn),
        2 => Just(Step::Sweep),
        1 => (1u32..4).prop_map(Step::Scale),
        2 => (0usize..12).prop_map(Step::Truncate),
        1 => (0u64..4).prop_map(Step::Seal),
        1 => Just(Step::Reopen),
        3 => (1u64..10).prop_map(Step::Crash),
    ]
}

/// What is known of a transaction.
#[derive(Clone, Debug)]
struct Open {
    id: TransactionId,
    writer: usize,
    staged: Vec<u64>,
    /// In the handle only.
    written: Vec<u64>,
    prepared: bool,
}

/// What the store must show.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    /// Blocks in the order of their commits; the events of a key in a block are in order.
    visible: Vec<Vec<u64>>,
    /// How each transaction ended.
    ended: BTreeMap<TransactionId, bool>,
    /// Staged events of those that have not.
    staged: BTreeMap<TransactionId, Vec<u64>>,
    /// Visible once, truncated since.
    truncated: BTreeSet<u64>,
}

struct Run {
    disk: FaultDisk,
    clock: HandClock,
    store: Store,
    info: StreamInfo,
    model: Model,
    maybe: Model,
    open: Vec<(Transaction, Open)>,
    /// With their writers.
    begun: BTreeMap<TransactionId, usize>,
    /// The next event; its number is its time, and its key.
    next: u64,
    /// All that were ever seen.
    watermarks: Vec<Watermark>,
}

fn batch(writer: usize, values: &[u64]) -> Batch {
    let mut batch = Batch::default();
    for value in values {
        let key = format!("{}{}", WRITERS[writer], value % 3);
        batch.push(EventTime(*value as i64), Some(key.as_bytes()), Some(value.to_string().as_bytes()));
    }
    batch
}

impl Run {
    fn new(seed: u64) -> Run {
        let (disk, clock) = (FaultDisk::new(seed), HandClock::at(0));
        let store = clock.open(&disk);
        let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
        store.configure_time(info.stream, TimeConfig { idle_timeout_ms: Some(IDLE_MS) }).unwrap();
        let (model, maybe) = Default::default();
        Run {
            disk,
            clock,
            store,
            info,
            model,
            maybe,
            open: Vec::new(),
            begun: BTreeMap::new(),
            next: 1,
            watermarks: Vec::new(),
        }
    }

    fn values(&mut self, count: u64) -> Vec<u64> {
        let from = self.next;
        self.next += count;
        (from..self.next).collect()
    }

    /// A time below every event of the writer that is not visible yet: what a well-behaved writer may say.
    fn safe_time(&self, writer: usize) -> i64 {
        let held =
            self.open.iter().filter(|(_, o)| o.writer == writer).flat_map(|(_, o)| o.staged.iter().chain(&o.written));
        held.copied().min().unwrap_or(self.next) as i64 - 1
    }

    fn at(&self, which: usize) -> Option<usize> {
        (!self.open.is_empty()).then(|| which % self.open.len())
    }

    /// One whose lease is over is refused, and gone.
    fn drop_refused(&mut self, at: usize, error: Error) -> Result<()> {
        if self.disk.crashed() {
            return Err(error);
        }
        assert!(matches!(error.kind(), Kind::Invalid | Kind::Fenced | Kind::NotFound), "{error}");
        if error.kind() == Kind::Fenced {
            // Superseded: it can change nothing any more, and what it held was its own.
            let (_, lost) = self.open.remove(at);
            assert!(self.open.iter().any(|(_, o)| o.id == lost.id), "only one that another handle writes to: {error}");
            return Ok(());
        }
        let id = self.open[at].1.id;
        match self.store.transaction_info(id)?.unwrap().state {
            // By another handle; what this one has in hand comes too late.
            TransactionState::Prepared => drop(self.open.remove(at)),
            state => {
                assert_eq!(state, TransactionState::Aborted, "{error}");
                self.end(id, false);
            }
        }
        Ok(())
    }

    fn end(&mut self, id: TransactionId, committed: bool) {
        self.open.retain(|(_, o)| o.id != id);
        self.model.staged.remove(&id);
        self.model.ended.insert(id, committed);
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        self.maybe = self.model.clone();
        match *step {
            Step::Append(writer, count) => {
                let values = self.values(count);
                let info = self.store.stream(&self.info.name)?.unwrap();
                let appends = Appender::new(&info).append(&batch(writer, &values))?;
                let write = Write { stream: info.stream, numbered: None, appends, expected_tails: Vec::new() };
                self.maybe.visible.push(values);
                self.store.commit(Part::Write(Box::new(write)))?;
                self.model = self.maybe.clone();
            }
            Step::Begin(writer) => {
                let options = TransactionOptions { lease_ms: LEASE_MS as u64, writer: Some(WRITERS[writer].into()) };
                let transaction = self.store.begin_transaction(self.info.stream, options)?;
                let id = transaction.id();
                assert_eq!(self.begun.insert(id, writer), None, "an id is given once");
                self.model.staged.insert(id, Vec::new());
                let open = Open { id, writer, staged: Vec::new(), written: Vec::new(), prepared: false };
                self.open.push((transaction, open));
            }
            Step::Write(which, count, flush) => {
                let Some(at) = self.at(which) else { return Ok(()) };
                if self.open[at].1.prepared {
                    return Ok(());
                }
                let values = self.values(count);
                let (transaction, open) = &mut self.open[at];
                transaction.write(&batch(open.writer, &values))?;
                open.written.extend(values);
                if flush {
                    self.stage(at, false)?;
                }
            }
            Step::Prepare(which) => {
                if let Some(at) = self.at(which) {
                    self.stage(at, true)?;
                }
            }
            Step::Commit(which, timed) => {
                let Some(at) = self.at(which) else { return Ok(()) };
                let (id, writer) = (self.open[at].1.id, self.open[at].1.writer);
                // What it holds itself is visible by then.
                let others = self.open.iter().filter(|(_, o)| o.writer == writer && o.id != id);
                let held = others.flat_map(|(_, o)| o.staged.iter().chain(&o.written)).copied().min();
                let time = timed.then(|| EventTime(held.unwrap_or(self.next) as i64 - 1));
                let mut events = self.model.staged[&id].clone();
                let known = self.open[at].1.staged.len();
                events.extend(&self.open[at].1.written);
                if known < self.model.staged[&id].len() && self.open[at].1.written.is_empty() {
                    events = self.model.staged[&id].clone();
                }
                self.maybe.visible.push(events);
                self.maybe.staged.remove(&id);
                self.maybe.ended.insert(id, true);
                match self.open[at].0.commit(time).map(|info| info.state) {
                    Ok(state) => {
                        assert_eq!(state, TransactionState::Committed);
                        self.model = self.maybe.clone();
                        self.end(id, true);
                    }
                    Err(e) => self.drop_refused(at, e)?,
                }
            }
            Step::CommitAgain(which) => {
                let ended: Vec<_> = self.model.ended.iter().map(|(id, committed)| (*id, *committed)).collect();
                if let Some((id, committed)) = ended.get(which % ended.len().max(1)) {
                    let answer = self.store.commit_transaction(*id, None);
                    if self.disk.crashed() {
                        return answer.map(drop);
                    }
                    assert_eq!(answer.is_ok(), *committed);
                }
            }
            Step::Abort(which) => {
                let Some(at) = self.at(which) else { return Ok(()) };
                let id = self.open[at].1.id;
                self.maybe.staged.remove(&id);
                self.maybe.ended.insert(id, false);
                self.open[at].0.abort()?;
                self.end(id, false);
            }
            Step::Attach(which) => {
                let Some(at) = self.at(which) else { return Ok(()) };
                let open = self.open[at].1.clone();
                let transaction = self.store.transaction(open.id)?;
                if matches!(transaction.info().state, TransactionState::Open | TransactionState::Prepared) {
                    assert_eq!(transaction.info().events as usize, self.model.staged[&open.id].len());
                    let staged = self.model.staged[&open.id].clone();
                    self.open.push((transaction, Open { staged, written: Vec::new(), ..open }));
                }
            }
            Step::Note(writer) => {
                let time = self.safe_time(writer);
                self.store.note_time(self.info.stream, WRITERS[writer], EventTime(time))?;
            }
            Step::Close(writer) => self.store.close_time_writer(self.info.stream, WRITERS[writer])?,
            Step::Turn(ms) => self.clock.turn(ms),
            Step::Sweep => {
                let before: Vec<TransactionId> = self.model.staged.keys().copied().collect();
                for id in &before {
                    if self.store.transaction_info(*id)?.unwrap().state == TransactionState::Aborting {
                        self.maybe.staged.remove(id);
                        self.maybe.ended.insert(*id, false);
                    }
                }
                self.store.sweep()?;
                let gone: Vec<_> = before.into_iter().filter(|id| !self.maybe.staged.contains_key(id)).collect();
                gone.into_iter().for_each(|id| self.end(id, false));
            }
            Step::Scale(segments) => {
                let info = self.store.stream(&self.info.name)?.unwrap();
                self.store.scale_stream(&info.name, &Scaling::to(&info, segments)?)?;
            }
            Step::Truncate(reads) => {
                let mut reader = self.store.reader(&self.info.name, ReadFrom::Head, None)?;
                for _ in 0..reads {
                    match reader.read(1)? {
                        StreamRead::Events { batch, .. } => {
                            self.maybe.truncated.extend(batch.timestamps.iter().map(|time| *time as u64));
                        }
                        StreamRead::CaughtUp => break,
                        other => panic!("{other:?}"),
                    }
                }
                self.store.truncate_stream(&self.info.name, &reader.cut())?;
                self.model = self.maybe.clone();
            }
            Step::Seal(eighths) => {
                let hot = self.store.describe()?.hot_chunk_bytes;
                self.store.seal(hot * eighths / 4)?;
            }
            Step::Reopen => {
                self.store.close();
                self.store = Store::open_with(self.disk.clone(), self.clock.options())?;
                self.attach_all();
            }
            Step::Crash(syncs) => self.disk.crash_at_sync(self.disk.syncs() + syncs),
        }
        Ok(())
    }

    fn stage(&mut self, at: usize, prepare: bool) -> Result<()> {
        let (transaction, open) = &mut self.open[at];
        let id = open.id;
        let mut events = open.staged.clone();
        events.extend(&open.written);
        if !(open.written.is_empty() && self.model.staged[&id].len() != open.staged.len()) {
            self.maybe.staged.insert(id, events.clone());
        }
        match if prepare { transaction.prepare() } else { transaction.flush() } {
            Ok(()) => {
                self.model = self.maybe.clone();
                open.staged = events;
                open.written.clear();
                open.prepared |= prepare;
                if prepare {
                    self.open.iter_mut().filter(|(_, o)| o.id == id).for_each(|(_, o)| o.prepared = true);
                }
                Ok(())
            }
            Err(e) => self.drop_refused(at, e),
        }
    }

    /// The process is another one: it knows ids, and what was staged.
    fn attach_all(&mut self) {
        self.open.clear();
        for (id, events) in &self.model.staged {
            let info = self.store.transaction_info(*id).unwrap().unwrap();
            if matches!(info.state, TransactionState::Open | TransactionState::Prepared) {
                let prepared = info.state == TransactionState::Prepared;
                let (id, writer, staged) = (*id, self.begun[id], events.clone());
                let open = Open { id, writer, staged, written: Vec::new(), prepared };
                self.open.push((self.store.transaction(id).unwrap(), open));
            }
        }
    }

    /// What is visible, staged and ended, as the store shows it.
    fn shown(&self, of: &Model) -> bool {
        let info = self.store.stream(&self.info.name).unwrap().unwrap();
        let mut per_key: BTreeMap<Vec<u8>, Vec<u64>> = BTreeMap::new();
        let mut segments: Vec<SegmentId> = info.all_segments().map(|s| s.id).collect();
        segments.sort_unstable();
        for segment in segments {
            let head = info.all_segments().find(|s| s.id == segment).unwrap().head;
            let mut at = support::position(&info, segment, head.0);
            loop {
                let read = self.store.read(at, 1 << 20).unwrap();
                if read.batch.is_empty() {
                    break;
                }
                for (key, time) in read.batch.keys.iter().zip(&read.batch.timestamps) {
                    per_key.entry(key.unwrap().to_vec()).or_default().push(*time as u64);
                }
                at.offset = read.next;
            }
        }
        // The order of commits shows within a key.
        let mut all: Vec<u64> = per_key.values().flatten().copied().collect();
        all.sort_unstable();
        let mut expected: Vec<u64> = of.visible.iter().flatten().copied().collect();
        let order: BTreeMap<u64, usize> = expected.iter().enumerate().map(|(at, value)| (*value, at)).collect();
        expected.retain(|value| !of.truncated.contains(value));
        expected.sort_unstable();
        let in_order = |values: &Vec<u64>| values.iter().map(|v| order.get(v)).collect::<Vec<_>>().is_sorted();
        let ended = of.ended.iter().all(|(id, committed)| {
            let state = self.store.transaction_info(*id).unwrap().unwrap().state;
            (state == TransactionState::Committed) == *committed && state != TransactionState::Open
        });
        let staged = of.staged.iter().all(|(id, events)| {
            let info = self.store.transaction_info(*id).unwrap().unwrap();
            info.events as usize == events.len() && info.state != TransactionState::Committed
        });
        all == expected && per_key.values().all(in_order) && ended && staged
    }

    fn recover(&mut self) {
        self.store.close();
        self.disk.reboot();
        self.store = self.clock.open(&self.disk);
        if !self.shown(&self.model) {
            assert!(self.shown(&self.maybe), "neither {:?}\nnor {:?}", self.model, self.maybe);
            self.model = self.maybe.clone();
        }
        self.adopt_unheard();
        self.attach_all();
        self.check_time();
        assert_whole(&self.store, "after a crash");
    }

    /// A begin or a refusal that the crash kept from being heard.
    fn adopt_unheard(&mut self) {
        for info in self.store.list_transactions(None, true).unwrap() {
            if let std::collections::btree_map::Entry::Vacant(begun) = self.begun.entry(info.id) {
                begun.insert(0);
                let _ = self.store.abort_transaction(info.id).unwrap();
                self.model.ended.insert(info.id, false);
            } else if info.state == TransactionState::Aborted && self.model.staged.contains_key(&info.id) {
                self.end(info.id, false);
            }
        }
    }

    fn check_time(&mut self) {
        let now = self.store.stream_time(self.info.stream, usize::MAX).unwrap().watermarks;
        // One that was emitted stays as it was, until every place that is left has passed it.
        let head = self.store.stream(&self.info.name).unwrap().unwrap().head_cut();
        let known = &self.watermarks;
        let kept_from = now.first().map_or(known.len(), |first| known.partition_point(|w| w.lower < first.lower));
        assert!(now.starts_with(&known[kept_from..]), "a watermark stays as it was emitted");
        for gone in &known[..kept_from] {
            assert!(head.is_at_or_after(&gone.cut).unwrap(), "{gone:?} is gone, and the head is at {head}");
        }
        for pair in now.windows(2) {
            assert!(pair[0].lower < pair[1].lower);
            assert!(pair[1].cut.is_at_or_after(&pair[0].cut).unwrap());
        }
        self.watermarks.truncate(kept_from);
        self.watermarks.extend(now);
        let told = self.store.stream(&self.info.name).unwrap().unwrap().watermark;
        assert_eq!(told, self.watermarks.last().map(|w| w.lower));
    }

    /// Whoever noted a time while it took part: its events behind a cut are later. Here everybody is well-behaved, but those that were idle or
    /// closed, or joined late, may be behind: they are left out.
    fn check_well_behaved(&self, behaved: &[usize]) {
        let info = self.store.stream(&self.info.name).unwrap().unwrap();
        for watermark in &self.watermarks {
            for segment in info.all_segments() {
                let tile = watermark.cut.tiles().iter().find(|tile| tile.segment == segment.id);
                let newer =
                    watermark.cut.tiles().iter().all(|tile| {
                        tile.segment < segment.id || tile.high < segment.range.0 || tile.low > segment.range.1
                    });
                let from = match (tile, newer) {
                    (Some(tile), _) => tile.offset.0,
                    (None, true) => 0,
                    (None, false) => continue,
                };
                let all = read_segment(&self.store, &info, segment.id).unwrap();
                let head = segment.head.0;
                let batch = self.store.read(support::position(&info, segment.id, head), usize::MAX).unwrap().batch;
                for (at, value) in all.iter().enumerate().skip(from.saturating_sub(head) as usize) {
                    let writer =
                        WRITERS.iter().position(|w| batch.keys.get(at).unwrap().starts_with(w.as_bytes())).unwrap();
                    if behaved.contains(&writer) {
                        assert!(
                            *value as i64 > watermark.lower.0,
                            "{value} of {writer} at {at} of {}, {watermark:?}",
                            segment.id
                        );
                    }
                }
            }
        }
    }
}

/// Writers that neither closed nor fell behind: with no turn of the clock and a first note before any watermark.
fn behaved(steps: &[Step]) -> Vec<usize> {
    let turned = steps.iter().any(|s| matches!(s, Step::Turn(_)));
    (0..3).filter(|w| !turned && !steps.iter().any(|s| matches!(s, Step::Close(c) if c == w))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn what_is_committed_is_visible_and_nothing_else(steps in prop::collection::vec(step(), 1..60), seed: u64) {
        let mut run = Run::new(seed);
        // All take part from the beginning.
        let first = WRITERS.map(|w| TimeNote::time(run.info.stream, w, EventTime(0)));
        run.store.note_times(first.into()).unwrap();
        for step in &steps {
            if let Err(e) = run.step(step) {
                prop_assert!(run.disk.crashed(), "{:?}: {}", step, e);
                run.recover();
            } else if !run.disk.crashed() {
                run.check_time();
            }
        }
        run.maybe = run.model.clone();
        run.recover();
        prop_assert!(run.shown(&run.model));
        run.check_well_behaved(&behaved(&steps));
        run.store.seal(0).unwrap();
        prop_assert!(run.shown(&run.model), "from sealed files");
        assert_whole(&run.store, "at the end");
    }
}
