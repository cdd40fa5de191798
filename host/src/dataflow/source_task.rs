//! The head of a source task: reads its partitions in turn, makes their watermarks, and puts barriers between reads.
//! Chains poll it; readers (`connector/source`) feed it.
//!
//! Invariants:
//! 1. a position handed over at a barrier lies exactly between the last event before and the first event after it;
//! 2. idleness counts only time in which the partition was asked and had nothing: back-pressure is not idleness;
//! 3. after the end, barriers still pass.

use crate::config::pipeline::{Emit, WatermarkSpec};
use crate::connector::{PartitionReader, ReadStatus, SourceBatch, SourceRejection};
use crate::dataflow::alignment::{AlignmentGroup, Member};
use crate::dataflow::control::{Handover, Pressure, RunControl, SharedCounters};
use crate::dataflow::element::{EventBatch, Origin};
use crate::dataflow::task::TaskFailure;
use crate::dataflow::watermark::{Generator, Valve, ValveChange};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidemill_storage::checkpoint::PartitionPosition;
use tidemill_storage::{Epoch, EventTime};

/// How long a source with nothing to read waits before it asks again, ms.
const POLL_MS: i64 = 2;

/// How much one read takes.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Events.
    pub events: usize,
    /// Bytes, about.
    pub bytes: usize,
}

/// One partition of a source subtask.
pub struct SourcePartition {
    id: String,
    origin: Arc<str>,
    reader: Box<dyn PartitionReader>,
    generator: Generator,
    ended: bool,
    events: u64,
    silent_since_ms: Option<i64>,
    idle: bool,
    member: Option<Member>,
    progress: Arc<PartitionProgress>,
}

/// How far a partition is, shared with whoever shows it. `total` 0 = unknown.
#[derive(Debug, Default)]
pub struct PartitionProgress {
    /// Done.
    pub done: AtomicU64,
    /// Of so much.
    pub total: AtomicU64,
}

impl SourcePartition {
    /// A partition with an open reader, going on from `restored` if given.
    pub fn new(
        source: &str,
        id: String,
        reader: Box<dyn PartitionReader>,
        kind: crate::config::pipeline::WatermarkKind,
        restored: Option<&PartitionPosition>,
        progress: Arc<PartitionProgress>,
    ) -> SourcePartition {
        let (max_time, watermark) = restored.map_or((i64::MIN, i64::MIN), |p| (p.max_time, p.watermark));
        SourcePartition {
            origin: format!("{source}[{id}]").into(),
            id,
            reader,
            generator: Generator::restore(kind, EventTime(max_time), EventTime(watermark)),
            ended: restored.is_some_and(|p| p.ended),
            events: restored.map_or(0, |p| p.events),
            silent_since_ms: None,
            idle: false,
            member: None,
            progress,
        }
    }

    fn pause(&mut self) {
        if !self.idle {
            self.silent_since_ms = None;
        }
    }

    fn show_progress(&self) {
        let progress = self.reader.progress();
        self.progress.done.store(progress.done, Ordering::Relaxed);
        self.progress.total.store(progress.total.unwrap_or(0), Ordering::Relaxed);
    }
}

/// What a poll of the head gave.
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one step: a box would cost an allocation per batch"
)]
pub enum SourceEvent {
    /// Events.
    Batch(EventBatch),
    /// The source's watermark moved.
    Watermark(EventTime),
    /// All partitions are silent.
    Idle,
    /// One speaks again.
    Active,
    /// The requested barrier.
    Barrier(Epoch),
    /// Everything was read.
    End,
    /// Nothing now; ask again at this clock time, ms. `None` = only a barrier can come.
    Nothing(Option<i64>),
}

/// The head.
pub struct SourceHead {
    name: Arc<str>,
    partitions: Vec<SourcePartition>,
    valve: Valve,
    idle_after_ms: Option<u64>,
    emit: Emit,
    /// The group that partitions align in, and how far ahead they may be, ms.
    align: Option<(Arc<AlignmentGroup>, u64)>,
    limits: ReadLimits,
    epoch: Epoch,
    next: usize,
    ended: bool,
    ready: VecDeque<SourceEvent>,
    read: SourceBatch,
    rejected: Vec<SourceRejection>,
    epoch_events: u64,
    epoch_rejected: u64,
    counters: SharedCounters,
    /// Of operators that this source feeds.
    pressures: Vec<Arc<Pressure>>,
}

impl SourceHead {
    /// A source subtask over these partitions; `epoch` = the epoch that runs now.
    pub fn new(
        name: Arc<str>,
        partitions: Vec<SourcePartition>,
        watermark: &WatermarkSpec,
        group: Option<Arc<AlignmentGroup>>,
        limits: ReadLimits,
        epoch: Epoch,
        counters: SharedCounters,
    ) -> SourceHead {
        let valve = Valve::new(partitions.len(), EventTime::MIN);
        let mut head = SourceHead {
            name,
            partitions,
            valve,
            idle_after_ms: watermark.idle_after_ms,
            emit: watermark.emit,
            align: group.zip(watermark.align.as_ref().map(|align| align.drift_ms)),
            limits,
            epoch,
            next: 0,
            ended: false,
            ready: VecDeque::new(),
            read: SourceBatch::default(),
            rejected: Vec::new(),
            epoch_events: 0,
            epoch_rejected: 0,
            counters,
            pressures: Vec::new(),
        };
        // Watermarks of the checkpoint go out again at once: what was late before the restart stays late.
        for index in 0..head.partitions.len() {
            head.partitions[index].member = head.align.as_ref().map(|(group, _)| group.join());
            head.note_aligned(index);
            let change = head.valve.advance(index, head.partitions[index].generator.watermark());
            head.announce(change);
            if head.partitions[index].ended {
                let change = head.valve.end(index);
                head.announce(change);
            }
        }
        head
    }

    /// Pauses while one of these is high.
    #[must_use]
    pub fn with_pressures(mut self, pressures: Vec<Arc<Pressure>>) -> SourceHead {
        self.pressures = pressures;
        self
    }

    /// The epoch that runs now.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The requested barrier, if nothing that was read is in front of it.
    pub fn poll_barrier(&mut self, control: &RunControl) -> Option<Epoch> {
        if !self.ready.is_empty() || control.barrier() < self.epoch {
            return None;
        }
        let epoch = self.epoch;
        self.epoch = epoch.next();
        Some(epoch)
    }

    /// Events that the last poll refused; the chain sends them to the dead letters.
    pub fn take_rejected(&mut self) -> std::vec::Drain<'_, SourceRejection> {
        self.rejected.drain(..)
    }

    /// The source's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The next thing.
    pub fn poll(&mut self, control: &RunControl, now_ms: i64) -> Result<SourceEvent, TaskFailure> {
        if let Some(event) = self.ready.pop_front() {
            return Ok(event);
        }
        if let Some(epoch) = self.poll_barrier(control) {
            return Ok(SourceEvent::Barrier(epoch));
        }
        if self.ended {
            return Ok(SourceEvent::Nothing(None));
        }
        if self.partitions.iter().all(|p| p.ended) {
            self.ended = true;
            control.mark_dirty();
            return Ok(SourceEvent::End);
        }
        if control.is_full() || self.pressures.iter().any(|pressure| pressure.is_high()) {
            self.pause();
            return Ok(SourceEvent::Nothing(Some(now_ms + POLL_MS)));
        }
        let count = self.partitions.len();
        for step in 0..count {
            let index = (self.next + step) % count;
            if self.partitions[index].ended {
                continue;
            }
            if self.is_ahead(index) {
                self.partitions[index].pause();
                continue;
            }
            self.read(index, control, now_ms)?;
            if let Some(event) = self.ready.pop_front() {
                self.next = (index + 1) % count;
                return Ok(event);
            }
        }
        let all_ended = self.partitions.iter().all(|p| p.ended);
        Ok(SourceEvent::Nothing(Some(if all_ended { now_ms } else { now_ms + POLL_MS })))
    }

    /// Nobody asks for a while: that is no silence of the partitions (W-15), so what there was of it does not count.
    pub fn pause(&mut self) {
        self.partitions.iter_mut().for_each(SourcePartition::pause);
    }

    /// Reads from a partition and puts what comes of it in line.
    fn read(&mut self, index: usize, control: &RunControl, now_ms: i64) -> Result<(), TaskFailure> {
        let partition = &mut self.partitions[index];
        let status = partition.reader.read(self.limits.events, self.limits.bytes, &mut self.read)?;
        let read = &mut self.read;
        let (events, refused) = (read.events.len() as u64, read.rejected.len() as u64);
        let first = partition.events;
        partition.events += events + refused;
        let newest = read.events.timestamps.iter().max().map(|t| EventTime(*t));
        let own = read.watermark.take();
        let before = partition.generator.clone();
        let mut watermark = partition.generator.observe(newest, own);
        if status == ReadStatus::End {
            partition.ended = true;
            partition.generator.end();
            watermark = EventTime::MAX;
            control.mark_dirty();
        }
        if std::mem::take(&mut read.moved) || events + refused > 0 || watermark > before.watermark() {
            control.mark_dirty();
        }
        self.rejected.append(&mut read.rejected);
        self.epoch_events += events;
        self.epoch_rejected += refused;
        self.counters.events_out.fetch_add(events, Ordering::Relaxed);
        self.counters.rejected.fetch_add(refused, Ordering::Relaxed);
        let origin = Origin { partition: partition.origin.clone(), first, end: partition.events };
        let batch = EventBatch { events: std::mem::take(&mut read.events), origin: Some(origin) };
        partition.show_progress();
        let spoke = events + refused > 0 || status != ReadStatus::CaughtUp;
        self.note_silence(index, spoke, now_ms);
        match self.emit {
            Emit::PerBatch => self.line_up(batch),
            Emit::EveryEvent => self.line_up_by_event(index, before, batch)?,
        }
        let change =
            if status == ReadStatus::End { self.valve.end(index) } else { self.valve.advance(index, watermark) };
        self.announce(change);
        self.note_aligned(index);
        Ok(())
    }

    /// Whether a partition waits for slower ones of its group. Waiting is not idleness: it is not asked meanwhile.
    fn is_ahead(&self, index: usize) -> bool {
        let watermark = self.partitions[index].generator.watermark();
        self.align.as_ref().is_some_and(|(group, drift)| !group.may_read(watermark, *drift))
    }

    fn note_aligned(&self, index: usize) {
        let partition = &self.partitions[index];
        if let (Some((group, _)), Some(member)) = (&self.align, partition.member) {
            group.note(member, partition.generator.watermark(), partition.idle || partition.ended);
        }
    }

    fn line_up(&mut self, batch: EventBatch) {
        if !batch.events.is_empty() {
            self.ready.push_back(SourceEvent::Batch(batch));
        }
    }

    /// Cuts a batch before every event that is at or behind the watermark of the events before it, and puts that watermark
    /// in between. Any other event is after that watermark and after all earlier ones: whoever judges lateness, or
    /// whether a session was over, comes to the same end under each of them. So no batch has to carry a watermark per
    /// event, and in order events are not cut at all. (+ 1: a session's last time is its end - 1, and touching merges.)
    fn line_up_by_event(&mut self, index: usize, mut before: Generator, batch: EventBatch) -> Result<(), TaskFailure> {
        let mut from = 0;
        for i in 0..batch.events.len() {
            let time = batch.events.timestamps[i];
            let watermark = before.watermark();
            before.observe(Some(EventTime(time)), None);
            if time > watermark.0.saturating_add(1) {
                continue;
            }
            let change = self.valve.advance(index, watermark);
            if change.watermark.is_some() {
                let events = batch.events.slice(from..i)?;
                self.line_up(EventBatch { events, origin: batch.origin.clone() });
                self.announce(change);
                from = i;
            }
        }
        if from == 0 {
            self.line_up(batch);
        } else {
            let events = batch.events.slice(from..batch.events.len())?;
            self.line_up(EventBatch { events, origin: batch.origin });
        }
        Ok(())
    }

    fn note_silence(&mut self, index: usize, spoke: bool, now_ms: i64) {
        let Some(limit) = self.idle_after_ms else { return };
        let partition = &mut self.partitions[index];
        let silent_ms = match (spoke, partition.silent_since_ms) {
            (true, None) => return,
            (true, Some(_)) => {
                partition.silent_since_ms = None;
                partition.idle = false;
                let change = self.valve.set_idle(index, false);
                return self.announce(change);
            }
            (false, None) => {
                partition.silent_since_ms = Some(now_ms);
                0
            }
            (false, Some(since)) => now_ms.saturating_sub(since),
        };
        if u64::try_from(silent_ms).is_ok_and(|ms| ms >= limit) {
            partition.idle = true;
            let change = self.valve.set_idle(index, true);
            self.announce(change);
        }
    }

    fn announce(&mut self, change: ValveChange) {
        if change.idle == Some(false) {
            self.ready.push_back(SourceEvent::Active);
        }
        if let Some(watermark) = change.watermark {
            self.counters.watermark.fetch_max(watermark.0, Ordering::Relaxed);
            self.ready.push_back(SourceEvent::Watermark(watermark));
        }
        if change.idle == Some(true) {
            self.ready.push_back(SourceEvent::Idle);
        }
    }

    /// Gives the positions at a barrier.
    pub fn hand_over(&mut self, handover: &mut Handover) {
        for partition in &mut self.partitions {
            let position = PartitionPosition {
                position: partition.reader.position(),
                max_time: partition.generator.max_time().0,
                watermark: partition.generator.watermark().0,
                ended: partition.ended,
                events: partition.events,
            };
            partition.reader.barrier();
            handover.positions.push((self.name.clone(), partition.id.clone(), position));
        }
        for (metric, amount) in [
            ("events_out", std::mem::take(&mut self.epoch_events)),
            ("rejected", std::mem::take(&mut self.epoch_rejected)),
        ] {
            *handover.counters.entry(format!("{}/{metric}", self.name)).or_default() += amount;
        }
    }
}
