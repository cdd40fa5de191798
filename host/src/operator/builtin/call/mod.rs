//! `call`: sends each event to an HTTP service and gives out the answer (docs/calls.md). Its task never waits: requests run
//! on a thread of their own (`service.rs`), and answers come as calls of their own.
//!
//! ```text
//! state calls       key, number u64 BE -> event (kept.rs); from the call that takes it to the one that gives its result
//! timer in-flight   processing time, never due: the keys that have such entries, found again at a start
//! ```
//!
//! Invariants:
//! 1. `taken` holds exactly the entries of the state, in the order in which results may go out; the watermarks at which they
//!    came never descend in it, also where entries of several old subtasks were joined: at a barrier all of them had the
//!    watermark that the sources will say again, so that none of theirs is beyond it;
//! 2. entries are issued from the front; at most `capacity` are issued and not given out;
//! 3. one call gives results of events that came under one watermark only.

mod kept;
mod request;
mod service;

use super::state_access::{Puts, damaged, scan};
use crate::config::builtin::{CallSpec, OnError};
use crate::operator::descriptor::{Descriptor, StateKind};
use crate::operator::{
    Context, Failure, MetricOp, Operator, Outside, Refused, Rejection, TimeDomain, TimerBatch, TimerOp, Wake,
};
use crate::state::ScanRange;
use kept::Kept;
use request::Requests;
use service::{Answer, Line, Outcome};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tidemill_storage::headers::{Entries, push_entry};
use tidemill_storage::{Batch, Column, EventTime};

const CALLS: u32 = 0;
const IN_FLIGHT: u32 = 0;
const ANSWERED: u32 = 0;
const FAILED: u32 = 1;
const RETRIED: u32 = 2;
/// With so much in memory it takes no more, however few events that is.
const TAKEN_BYTES: usize = 64 << 20;
/// Results of one call at most.
const RESULTS_MAX: usize = 2_048;
/// A call gives no more results past this size.
const RESULT_BYTES: usize = 1 << 20;

/// The operator.
pub(super) struct Call {
    spec: CallSpec,
    requests: Requests,
    line: Line,
    taken: BTreeMap<u64, Taken>,
    /// Of `taken`, bytes.
    taken_bytes: usize,
    /// Of `taken`: those with an outcome.
    answered: BTreeSet<u64>,
    /// Of `taken`: how many are issued. They are the first ones.
    issued: usize,
    /// The first of `taken` that is not issued, or what the next event gets.
    next_issued: u64,
    next: u64,
    /// The number in the state that the next event gets.
    next_number: u64,
    /// Entries by key.
    counts: HashMap<Box<[u8]>, u32>,
    arrived: Vec<Answer>,
}

/// An event under way.
struct Taken {
    number: u64,
    event: Kept,
    /// Its address; an error when it cannot be made any more, since the pipeline file has changed.
    url: Result<String, String>,
    outcome: Option<Outcome>,
}

pub(super) fn describe() -> Descriptor {
    let metrics = ["answered", "failed", "retried"];
    super::describe("call", &["in"], &["out"], &[("calls", StateKind::Map)], &["in-flight"], &metrics)
}

impl Call {
    /// With a thread for its requests.
    pub(super) fn new(spec: &CallSpec) -> Result<Call, Failure> {
        Ok(Call {
            requests: Requests::new(spec),
            line: Line::open(spec)?,
            spec: spec.clone(),
            taken: BTreeMap::new(),
            taken_bytes: 0,
            answered: BTreeSet::new(),
            issued: 0,
            next_issued: 0,
            next: 0,
            next_number: 0,
            counts: HashMap::new(),
            arrived: Vec::new(),
        })
    }

    fn add(&mut self, number: u64, event: Kept, url: Result<String, String>) {
        self.taken_bytes += event.bytes();
        self.taken.insert(self.next, Taken { number, event, url, outcome: None });
        self.next += 1;
    }

    /// Sends what there is room for.
    fn issue(&mut self) {
        while self.issued < self.spec.capacity as usize
            && let Some((id, taken)) = self.taken.range_mut(self.next_issued..).next()
        {
            match &taken.url {
                Ok(url) => self.line.send(*id, url, taken.event.value.as_ref()),
                Err(why) => {
                    taken.outcome = Some(Outcome::Failed(why.clone()));
                    self.answered.insert(*id);
                }
            }
            self.issued += 1;
            self.next_issued = id + 1;
        }
    }

    /// The next event whose result may go out, if it came under this watermark.
    fn next_result(&self, watermark: i64) -> Option<u64> {
        let id = *match self.spec.ordered {
            true => self.taken.keys().next().filter(|first| self.answered.contains(first))?,
            false => self.answered.first()?,
        };
        self.taken.get(&id).filter(|taken| taken.event.watermark == watermark).map(|_| id)
    }

    /// Counts an entry of a key out; the key's timer goes with the last one.
    fn count_out(&mut self, key: &[u8], context: &mut Context) {
        let Some(count) = self.counts.get_mut(key) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(key);
            context.timers.push(in_flight(key, false));
        }
    }
}

/// The timer that leads to a key's entries. It is never due.
fn in_flight(key: &[u8], register: bool) -> TimerOp {
    let (domain, timer, time) = (TimeDomain::ProcessingTime, IN_FLIGHT, EventTime::LIMIT_MS);
    TimerOp { register, domain, timer, key: key.to_vec(), time }
}

/// Adds an event, or its result, to a batch whose headers may still be none.
fn push(batch: &mut Batch, event: &Kept, value: Option<&[u8]>) {
    if !event.headers.is_empty() {
        tidemill_storage::headers::materialise(batch);
        batch.headers.extend_from_slice(&event.headers);
    } else if !batch.headers.is_empty() {
        push_entry(&mut batch.headers, &[]);
    }
    batch.timestamps.push(event.time);
    batch.keys.push(event.key.as_deref());
    batch.values.push(value);
}

impl Operator for Call {
    fn process(
        &mut self,
        _input: u32,
        watermark: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let (mut puts, mut rejections) = (Puts::default(), Vec::new());
        let last = self.taken.last_key_value().map_or(i64::MIN, |(_, last)| last.event.watermark);
        let watermark = watermark.0.max(last);
        let (mut headers, mut bytes) = (Entries::new(&events.headers), Vec::new());
        for i in 0..events.len() {
            let headers = headers.next_raw().map_err(|e| Failure::Bug(e.to_string()))?;
            let (key, value) = (events.keys.get(i), events.values.get(i));
            let url = match self.requests.check(key, value) {
                Ok(url) => url,
                Err(reason) => {
                    rejections.push(Rejection { index: i as u32, reason });
                    continue;
                }
            };
            let event = Kept::new(events.timestamps[i], watermark, key, value, headers);
            event.encode(&mut bytes);
            let (key, number) = (key.unwrap_or_default(), self.next_number);
            puts.push(key, &number.to_be_bytes(), Some(&bytes));
            let count = self.counts.entry(key.into()).or_default();
            if *count == 0 {
                context.timers.push(in_flight(key, true));
            }
            *count += 1;
            self.next_number += 1;
            self.add(number, event, Ok(url));
        }
        puts.write(context, CALLS)?;
        self.issue();
        Ok(rejections)
    }

    fn on_timers(&mut self, _: &TimerBatch, _: EventTime, _: &mut Context) -> Result<Vec<Rejection>, Failure> {
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _: EventTime, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn resume(&mut self, wake: Wake, keys: &Column, context: &mut Context) -> Result<bool, Failure> {
        self.line.set_wake(wake);
        let ranges: Vec<ScanRange<'_>> = keys.iter().map(|key| ScanRange { key, start: None, end: None }).collect();
        let found = scan(context, CALLS, &ranges)?;
        let mut entries: Vec<(u64, Kept)> = Vec::with_capacity(found.range_of.len());
        for (i, of) in found.range_of.iter().enumerate() {
            let key = keys.get(*of as usize);
            let number = found.sub_keys.get(i).try_into().map(u64::from_be_bytes);
            let number = number.map_err(|_| damaged("calls under sub-keys that are no numbers"))?;
            let event = Kept::decode(key, found.values.get(i)).ok_or_else(|| damaged("a call that is cut short"))?;
            *self.counts.entry(key.into()).or_default() += 1;
            entries.push((number, event));
        }
        // Several subtasks' entries: each one's order, and no watermark goes back.
        entries.sort_by_key(|(number, event)| (event.watermark, *number));
        self.next_number = entries.iter().map(|(number, _)| number + 1).max().unwrap_or(0);
        for (number, event) in entries {
            let url = self.requests.check(event.key.as_deref(), event.value.as_deref());
            self.add(number, event, url);
        }
        self.issue();
        Ok(true)
    }

    fn outside(&self) -> Outside {
        let front = self.taken.first_key_value();
        let ready =
            !self.line.is_quiet() || front.is_some_and(|(_, front)| self.next_result(front.event.watermark).is_some());
        Outside {
            ready,
            full: self.taken.len() >= self.spec.capacity as usize || self.taken_bytes >= TAKEN_BYTES,
            waiting: front.map(|(_, front)| EventTime(front.event.watermark)),
        }
    }

    fn on_answers(&mut self, context: &mut Context) -> Result<Refused, Failure> {
        self.line.take(&mut self.arrived)?;
        let mut retried = 0;
        for answer in self.arrived.drain(..) {
            retried += u64::from(answer.attempts.saturating_sub(1));
            if let Some(taken) = self.taken.get_mut(&answer.id) {
                taken.outcome = Some(answer.outcome);
                self.answered.insert(answer.id);
            }
        }
        let (mut out, mut refused, mut puts) = (Batch::default(), Refused::default(), Puts::default());
        let (mut value, mut bytes, mut answered) = (Vec::new(), 0, 0);
        let front = self.taken.first_key_value().map_or(i64::MIN, |(_, front)| front.event.watermark);
        while out.len() + refused.events.len() < RESULTS_MAX
            && bytes < RESULT_BYTES
            && let Some(id) = self.next_result(front)
            && let Some(Taken { number, event, outcome: Some(outcome), .. }) = self.taken.remove(&id)
        {
            self.answered.remove(&id);
            self.issued -= 1;
            self.taken_bytes -= event.bytes();
            let key = event.key.as_deref().unwrap_or_default();
            puts.push(key, &number.to_be_bytes(), None);
            self.count_out(key, context);
            let result = match outcome {
                Outcome::Answered(answer) => self.requests.result(event.value.as_deref(), &answer, &mut value),
                Outcome::Failed(reason) => Err(reason),
            };
            match (result, self.spec.on_error) {
                (Ok(()), _) => {
                    answered += 1;
                    bytes += value.len();
                    push(&mut out, &event, Some(&value));
                }
                (Err(reason), OnError::DeadLetter) => {
                    refused.rejections.push(Rejection { index: refused.events.len() as u32, reason });
                    push(&mut refused.events, &event, event.value.as_deref());
                }
                (Err(reason), OnError::Restart) => {
                    let at = EventTime(event.time);
                    let key = event.key.as_deref().map_or("none".into(), String::from_utf8_lossy);
                    let message = format!("the event at {at} with key {key} has no answer: {reason}");
                    return Err(Failure::Trap { message, backtrace: String::new() });
                }
            }
        }
        puts.write(context, CALLS)?;
        for (metric, amount) in [(ANSWERED, answered), (FAILED, refused.rejections.len() as u64), (RETRIED, retried)] {
            if amount > 0 {
                context.metrics.push(MetricOp::Add(metric, amount));
            }
        }
        if !out.is_empty() {
            context.output.push((0, out));
        }
        self.issue();
        Ok(refused)
    }
}
