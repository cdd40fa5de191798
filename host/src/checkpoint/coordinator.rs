//! Runs the checkpoint protocol of one run: starts barriers, gathers handovers, builds each epoch's commit and sends
//! it to the store's committer. It sits between the tasks (`dataflow/control.rs`) and `storage/src/commit.rs`.

use super::outbox::Outbox;
use super::protocol::{Complete, Pace, Protocol, Situation};
use crate::clock::Clock;
use crate::dataflow::control::{Handover, RunControl, TaskEvent};
use crate::dataflow::task::{FailureKind, TaskFailure};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;
use tidemill_storage::checkpoint::CheckpointRecord;
use tidemill_storage::commit::{EpochCommit, Part, StateDelta};
use tidemill_storage::stream::StreamRef;
use tidemill_storage::{Epoch, Error, EventTime, Incarnation, Kind, Store};

/// Longest wait between looks at the clock, ms.
const TICK_MS: i64 = 50;

/// What reaches the coordinator.
pub enum Event {
    /// A task handed over.
    Task(TaskEvent),
    /// A task failed.
    Failed(TaskFailure),
    /// The store answered to an epoch.
    Committed(Epoch, Result<(), Error>),
    /// There is something to commit again.
    Dirty,
    /// The user wants to stop at a checkpoint.
    Stop,
}

/// How a run ended without failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// All input was read and everything is committed.
    Finished,
    /// Stopped at a checkpoint on request.
    Stopped,
}

/// What the coordinator works with.
pub struct Coordinator {
    /// The store.
    pub store: Store,
    /// The pipeline's name.
    pub pipeline: String,
    /// This run.
    pub incarnation: Incarnation,
    /// Key groups.
    pub max_parallelism: u32,
    /// The record that this run went on from.
    pub base: CheckpointRecord,
    /// Shared with the tasks.
    pub control: Arc<RunControl>,
    /// Wakes all tasks.
    pub wake_all: Box<dyn Fn() + Send>,
    /// Events in.
    pub events: Receiver<Event>,
    /// For the store's answers.
    pub answers: Sender<Event>,
    /// The clock.
    pub clock: Clock,
    /// Told after each commit: the record that is durable now.
    pub on_commit: Box<dyn FnMut(&CheckpointRecord) + Send>,
    /// Told when epochs begin to wait for room on the disk, and when none does any more.
    pub on_wait: Box<dyn FnMut(bool) + Send>,
}

struct InFlight {
    record: CheckpointRecord,
    staged_bytes: u64,
    finished: bool,
}

impl Coordinator {
    /// Runs until the end, a stop or a failure. `tasks` = how many tasks take part.
    pub fn run(mut self, pace: Pace, tasks: usize) -> Result<RunEnd, TaskFailure> {
        let mut protocol = Protocol::new(pace, tasks, self.base.epoch, self.clock.now_ms());
        let mut handovers: Vec<Handover> = Vec::with_capacity(tasks);
        let mut in_flight: BTreeMap<Epoch, InFlight> = BTreeMap::new();
        let mut handed_over_bytes = 0;
        let mut outbox = Outbox::new(self.store.clone());
        let (mut waits, mut stop) = (false, false);
        loop {
            let must_wait = outbox.hand_on();
            if std::mem::replace(&mut waits, must_wait) != must_wait {
                (self.on_wait)(must_wait);
            }
            if stop && must_wait {
                // Nobody knows when there will be room: what is not committed is done again by the next run.
                return Ok(RunEnd::Stopped);
            }
            let now_ms = self.clock.now_ms();
            let staged_bytes = self.control.staged_bytes().saturating_sub(handed_over_bytes);
            let situation = Situation { now_ms, dirty: self.control.is_dirty(), staged_bytes };
            if let Some(epoch) = protocol.begin(situation) {
                self.control.clear_dirty();
                self.control.request_barrier(epoch);
                (self.wake_all)();
            }
            let wait_ms = if protocol.is_aligning() || !self.control.is_dirty() {
                TICK_MS
            } else {
                protocol.wait_ms(now_ms).clamp(1, TICK_MS)
            };
            let event = match self.events.recv_timeout(Duration::from_millis(wait_ms as u64)) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(TaskFailure::new(FailureKind::Bug, "the run lost its event channel"));
                }
            };
            match event {
                Event::Dirty => {}
                Event::Stop => {
                    stop = true;
                    protocol.stop();
                }
                Event::Failed(failure) => return Err(failure),
                Event::Task(TaskEvent::HandedOver { task, handover }) => {
                    let complete = protocol
                        .handed_over(task, handover.epoch, handover.ended)
                        .map_err(|e| TaskFailure::new(FailureKind::Bug, e))?;
                    handovers.push(*handover);
                    if let Some(complete) = complete {
                        let sent = self.send(complete, std::mem::take(&mut handovers), &mut outbox)?;
                        handed_over_bytes += sent.staged_bytes;
                        in_flight.insert(complete.epoch, sent);
                    }
                }
                Event::Committed(epoch, answer) => {
                    answer.map_err(|e| commit_failure(epoch, &e))?;
                    let last = protocol.committed(epoch, self.clock.now_ms());
                    self.control.set_committed(epoch);
                    if let Some(done) = in_flight.remove(&epoch) {
                        self.control.sub_staged(done.staged_bytes);
                        handed_over_bytes = handed_over_bytes.saturating_sub(done.staged_bytes);
                        (self.on_commit)(&done.record);
                        if last {
                            return Ok(if done.finished { RunEnd::Finished } else { RunEnd::Stopped });
                        }
                    }
                    (self.wake_all)();
                }
            }
        }
    }

    /// Builds the commit of a complete epoch and puts it into the outbox. Encoding happens here, off the tasks' threads.
    fn send(
        &mut self,
        complete: Complete,
        handovers: Vec<Handover>,
        outbox: &mut Outbox,
    ) -> Result<InFlight, TaskFailure> {
        let mut record = CheckpointRecord {
            epoch: complete.epoch,
            incarnation: self.incarnation,
            taken_at_ms: self.clock.now_ms(),
            max_parallelism: self.max_parallelism,
            finished: complete.finished,
            counters: std::mem::take(&mut self.base.counters),
            ..CheckpointRecord::default()
        };
        let mut commit = EpochCommit {
            pipeline: self.pipeline.clone(),
            incarnation: self.incarnation,
            epoch: complete.epoch,
            record: CheckpointRecord::default(),
            state: Vec::new(),
            outputs: Vec::new(),
            stream_watermarks: Vec::new(),
            schedules: Vec::new(),
        };
        let mut stream_watermarks: Vec<(StreamRef, EventTime)> = Vec::new();
        let mut staged_bytes = 0;
        for handover in handovers {
            staged_bytes += handover.staged_bytes;
            for (source, partition, position) in handover.positions {
                record.sources.entry(source.to_string()).or_default().insert(partition, position);
            }
            for (uid, watermark) in handover.watermarks {
                least(record.watermarks.entry(uid.to_string()), watermark);
            }
            for (stream, watermark) in handover.stream_watermarks {
                match stream_watermarks.iter_mut().find(|(s, _)| *s == stream) {
                    Some((_, least)) => *least = watermark.min(*least),
                    None => stream_watermarks.push((stream, watermark)),
                }
            }
            for (name, amount) in handover.counters {
                *record.counters.entry(name).or_default() += amount;
            }
            for (uid, sealed) in handover.state {
                commit.state.push(StateDelta { operator: uid.to_string(), blob: sealed.encode() });
            }
            for (uid, subtask, schedule) in handover.schedules {
                if !schedule.calls.is_empty() {
                    let encoded = schedule.encode()?;
                    commit.schedules.push((uid.to_string(), subtask, encoded));
                }
            }
            for staged in handover.staged {
                commit.outputs.extend(staged.take(complete.epoch)?);
            }
            commit.outputs.extend(handover.appends);
        }
        commit.stream_watermarks = stream_watermarks.into_iter().filter(|(_, w)| *w != EventTime::MIN).collect();
        self.base.counters = record.counters.clone();
        commit.record = record.clone();
        let (answers, epoch) = (self.answers.clone(), complete.epoch);
        let on_done = Box::new(move |answer: Result<_, Error>| {
            // The run may be gone already; then nobody needs the answer.
            let _ = answers.send(Event::Committed(epoch, answer.map(|_| ())));
        });
        outbox.add(Part::Epoch(Box::new(commit)), on_done);
        Ok(InFlight { record, staged_bytes, finished: complete.finished })
    }
}

fn least(entry: Entry<'_, String, EventTime>, watermark: EventTime) {
    entry.and_modify(|w| *w = watermark.min(*w)).or_insert(watermark);
}

fn commit_failure(epoch: Epoch, error: &Error) -> TaskFailure {
    let kind = match error.kind() {
        Kind::Full => FailureKind::Full,
        Kind::Unavailable => FailureKind::Unavailable,
        Kind::Bug => FailureKind::Bug,
        _ => FailureKind::Invalid,
    };
    TaskFailure::new(kind, format!("epoch {epoch} was not committed: {error}"))
}
