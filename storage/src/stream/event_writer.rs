//! Writes events to a stream: batches them, routes them by key, keeps several parts under way and follows scalings. Clients push
//! events in, the committer gets [`Write`]s and answers; [`crate::Store::writer`] makes it.
//!
//! Order: parts are committed in the order of their making, and the committer leads events that were routed before a scaling on to the
//! successors. So no part ever overtakes another one, and neither a split nor a merge needs the writer to stop or to flush its other
//! segments first (the alternative: refuse the part, and route, flush and resend here).
//!
//! A writer with an id numbers its events from 1. The numbers are kept with the stream: after a crash or a lost answer the writer
//! sends again what it does not know to be there, and nothing is there twice.

use super::{Appender, StreamInfo};
use crate::batch::Batch;
use crate::commit::{Accepted, Numbered, Part, Write};
use crate::error::{Error, Kind, Result};
use crate::hash::hash_key;
use crate::headers::{self, Header};
use crate::ids::{Offset, Position, StreamName};
use crate::store::Store;
use crate::time::EventTime;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::VecDeque;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Most bytes of one event, key and value and headers together.
pub const EVENT_BYTES_MAX: usize = 8 << 20;
/// Most bytes of events that are written at once.
pub const ATOMIC_BYTES_MAX: usize = 32 << 20;

/// How a writer works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// Makes it idempotent: the numbers of its events are kept under this id, 1 to 255 bytes. None = it has no memory.
    pub id: Option<String>,
    /// The caller starts with its first event again: what is there already is passed over, and compared. Needs an id.
    pub from_the_start: bool,
    /// Events that make a part.
    pub batch_events: usize,
    /// Bytes that make a part.
    pub batch_bytes: usize,
    /// Most parts under way; a writer without an id has one, for it could not tell which of several are there after an error.
    pub parts_in_flight: usize,
}

impl Default for WriterOptions {
    fn default() -> WriterOptions {
        WriterOptions { id: None, from_the_start: false, batch_events: 8_192, batch_bytes: 1 << 20, parts_in_flight: 4 }
    }
}

/// What is kept of an idempotent writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterState {
    /// Counts the openings; only the newest handle may add events.
    pub handle: u64,
    /// Number of its last event that is there; 0 = none.
    pub last_number: u64,
    /// The digest of all events up to it.
    pub digest: u64,
    /// Its last sign of life, ms since the Unix epoch, by the store's clock.
    pub at_ms: i64,
}

/// One event more, in the digest of all before it. The time is left out: it may be that of the writing.
fn digest(before: u64, key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
    let kind = u64::from(key.is_some()) | u64::from(value.is_some()) << 1;
    let value = xxh3_64_with_seed(value.unwrap_or_default(), before.wrapping_add(kind));
    xxh3_64_with_seed(key.unwrap_or_default(), value)
}

#[derive(Debug)]
struct Identity {
    id: String,
    handle: u64,
    /// Of the events pushed so far.
    last: u64,
    digest: u64,
    /// Events that are there and are passed over: up to this number, with this digest.
    known: Option<(u64, u64)>,
}

/// A writer of one stream. What was not flushed is lost with it.
#[derive(Debug)]
pub struct EventWriter {
    store: Store,
    info: StreamInfo,
    appender: Appender,
    options: WriterOptions,
    identity: Option<Identity>,
    pending: Batch,
    /// Parts without an answer, oldest first.
    in_flight: VecDeque<Write>,
    /// How many of them were handed in since the last trouble.
    asked: usize,
    answers: Receiver<Result<Accepted>>,
    answer: Sender<Result<Accepted>>,
    durable: u64,
    /// The stream was scaled since it was looked up.
    stale: bool,
    failed: Option<Error>,
}

impl EventWriter {
    pub(crate) fn new(store: &Store, info: StreamInfo, options: WriterOptions) -> Result<EventWriter> {
        let identity = match &options.id {
            None if options.from_the_start => {
                return Err(Error::invalid(format!("a writer of stream {} needs an id to start again", info.name)));
            }
            None => None,
            Some(id) => {
                let WriterState { handle, last_number, digest, .. } = store.open_writer(&info.name, id)?;
                let known = (options.from_the_start && last_number > 0).then_some((last_number, digest));
                let (last, digest) = if known.is_some() { (0, 0) } else { (last_number, digest) };
                Some(Identity { id: id.clone(), handle, last, digest, known })
            }
        };
        let (answer, answers) = unbounded();
        let durable = identity.as_ref().map_or(0, |i| i.known.map_or(i.last, |known| known.0));
        Ok(EventWriter {
            store: store.clone(),
            appender: Appender::new(&info),
            info,
            options,
            identity,
            pending: Batch::default(),
            in_flight: VecDeque::new(),
            asked: 0,
            answers,
            answer,
            durable,
            stale: false,
            failed: None,
        })
    }

    /// The stream that it writes.
    pub fn stream(&self) -> &StreamName {
        &self.info.name
    }

    /// How many events are known to be there: of a writer with an id the number of the last one, of another one the count since it
    /// was opened.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Writes an event. It is there once [`EventWriter::flush`] has returned `Ok`; full batches go out on the way. False = it is
    /// there from an earlier run of this writer, and was passed over.
    pub fn write(
        &mut self,
        time: EventTime,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<bool> {
        self.check()?;
        let header_bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + header_bytes;
        if bytes > EVENT_BYTES_MAX {
            return Err(Error::invalid(format!(
                "stream {}: an event of {bytes} bytes is too large, the most is {EVENT_BYTES_MAX}: split it, or store a reference",
                self.info.name
            )));
        }
        if !time.is_real() {
            return Err(Error::invalid(format!("stream {}: {} is no event time", self.info.name, time.0)));
        }
        if let Some(identity) = &mut self.identity
            && identity.pass(key, value, &self.info.name)?
        {
            return Ok(false);
        }
        if headers.is_empty() {
            self.pending.push(time, key, value);
        } else {
            headers::push_event(&mut self.pending, time, key, value, headers);
        }
        if self.pending.len() >= self.options.batch_events || self.pending.bytes() >= self.options.batch_bytes {
            self.send()?;
        }
        Ok(true)
    }

    /// Writes events of one key that appear together or not at all, side by side in their segment. Waits for nothing.
    pub fn write_together(&mut self, key: &[u8], events: &[(EventTime, Option<&[u8]>)]) -> Result<()> {
        self.check()?;
        let too_large = events.iter().any(|(_, v)| key.len() + v.map_or(0, <[u8]>::len) > EVENT_BYTES_MAX);
        let bytes: usize = events.iter().map(|(_, value)| key.len() + value.map_or(0, <[u8]>::len) + 16).sum();
        if too_large || bytes > ATOMIC_BYTES_MAX {
            return Err(Error::invalid(format!(
                "stream {}: {} events of {bytes} bytes cannot be written at once: an event has at most {EVENT_BYTES_MAX}, all of them \
                 {ATOMIC_BYTES_MAX}; use a transaction for more",
                self.info.name,
                events.len()
            )));
        }
        if let Some((time, _)) = events.iter().find(|(time, _)| !time.is_real()) {
            return Err(Error::invalid(format!("stream {}: {} is no event time", self.info.name, time.0)));
        }
        // What waits goes out first when both would make too large a part; never between two of these.
        if self.pending.bytes() + bytes > ATOMIC_BYTES_MAX {
            self.send()?;
        }
        for (time, value) in events {
            if let Some(identity) = &mut self.identity
                && identity.pass(Some(key), *value, &self.info.name)?
            {
                continue;
            }
            self.pending.push(*time, Some(key), *value);
        }
        if self.pending.len() >= self.options.batch_events || self.pending.bytes() >= self.options.batch_bytes {
            self.send()?;
        }
        Ok(())
    }

    /// Writes events of one key only if the tail of its segment is as expected; answers the first offset. `Conflict` when somebody else
    /// was first, or when the segment is another one since a scaling. Everything written before is flushed first.
    pub fn write_if_tail(
        &mut self,
        key: &[u8],
        events: &[(EventTime, Option<&[u8]>)],
        expected: Position,
    ) -> Result<Offset> {
        if self.options.from_the_start {
            return Err(Error::invalid(format!(
                "stream {}: a writer that starts again cannot expect a tail: open it without from_the_start",
                self.info.name
            )));
        }
        self.flush()?;
        self.look_again()?;
        let segment = self.info.segment_of(hash_key(key));
        let told = (expected.stream, expected.generation, expected.segment);
        if told != (self.info.stream.id, self.info.stream.generation, segment) {
            return Err(Error::conflict(format!(
                "stream {}: the key belongs to segment {segment} now, not to {}: read its tail again, then decide anew",
                self.info.name, expected.segment
            )));
        }
        self.write_together(key, events)?;
        let mut write = self.part()?;
        write.expected_tails.push((segment, expected.offset));
        let answer = self.store.commit(Part::Write(Box::new(write.clone())));
        match answer {
            Ok(accepted) => {
                self.settle(&write, &accepted);
                Ok(accepted.first_offsets.first().copied().unwrap_or(expected.offset))
            }
            Err(e) => {
                if matches!(e.kind(), Kind::Unavailable | Kind::Full) {
                    // It may be there: a writer with an id finds out when it sends it again.
                    self.keep_failed(write, e.clone());
                } else if let (Some(identity), Some(numbered)) = (&mut self.identity, &write.numbered) {
                    (identity.last, identity.digest) =
                        (numbered.first - 1, identity.before(numbered.first - 1, &self.store, &self.info)?);
                }
                Err(if e.kind() == Kind::Sealed { Error::conflict(e) } else { e })
            }
        }
    }

    /// Where the next event of a key would go, as the stream is now.
    pub fn tail_of(&mut self, key: &[u8]) -> Result<Position> {
        self.look_again()?;
        let segment = self.info.segment_of(hash_key(key));
        let offset = self.info.segment(segment).map_or(Offset(0), |s| s.tail);
        Ok(Position { stream: self.info.stream.id, generation: self.info.stream.generation, segment, offset })
    }

    /// Makes everything durable that was written. After `Unavailable` or `Full` a writer with an id sends again, at the next call, what
    /// it does not know to be there; one without an id cannot tell, and has given those events up.
    pub fn flush(&mut self) -> Result<()> {
        self.check()?;
        if self.asked < self.in_flight.len() {
            self.send_again()?;
        }
        self.send()?;
        while !self.in_flight.is_empty() {
            self.hear()?;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        match &self.failed {
            Some(e) => Err(e.clone()),
            None => Ok(()),
        }
    }

    /// The pending events as a part.
    fn part(&mut self) -> Result<Write> {
        if self.stale {
            self.look_again()?;
        }
        let events = self.pending.len() as u64;
        let appends = self.appender.append(&std::mem::take(&mut self.pending))?;
        let numbered = self.identity.as_ref().map(|identity| Numbered {
            writer: identity.id.clone(),
            handle: identity.handle,
            first: identity.last + 1 - events,
            last: identity.last,
            digest: identity.digest,
            at_ms: self.store.now_ms(),
        });
        Ok(Write { stream: self.info.stream, numbered, appends, expected_tails: Vec::new() })
    }

    /// Hands the pending events in.
    fn send(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.asked < self.in_flight.len() {
            self.send_again()?;
        }
        let limit = if self.identity.is_some() { self.options.parts_in_flight.max(1) } else { 1 };
        while self.in_flight.len() >= limit {
            self.hear()?;
        }
        let write = self.part()?;
        self.hand_in(&write);
        self.in_flight.push_back(write);
        self.asked += 1;
        Ok(())
    }

    fn hand_in(&self, write: &Write) {
        let answer = self.answer.clone();
        let tell = move |outcome| drop(answer.send(outcome));
        self.store.submit(Part::Write(Box::new(write.clone())), Box::new(tell));
    }

    /// Waits for the answer to the oldest part.
    fn hear(&mut self) -> Result<()> {
        let answer = self.answers.recv().unwrap_or_else(|_| Err(crate::queue::closed()));
        match answer {
            Ok(accepted) => {
                if let Some(write) = self.in_flight.pop_front() {
                    self.asked = self.asked.saturating_sub(1);
                    self.settle(&write, &accepted);
                }
                Ok(())
            }
            Err(e) => {
                // Those behind it left a gap, or are as unknown: all are asked anew, or given up.
                for _ in 1..self.asked {
                    let _ = self.answers.recv();
                }
                self.asked = 0;
                self.give_up(&e);
                Err(e)
            }
        }
    }

    fn give_up(&mut self, e: &Error) {
        let passing = matches!(e.kind(), Kind::Unavailable | Kind::Full);
        if self.identity.is_none() {
            self.in_flight.clear();
        }
        if !passing {
            self.failed = Some(e.clone());
        }
    }

    fn keep_failed(&mut self, write: Write, e: Error) {
        self.in_flight.push_back(write);
        self.give_up(&e);
    }

    fn settle(&mut self, write: &Write, accepted: &Accepted) {
        self.stale |= accepted.epoch != self.info.epoch;
        match &write.numbered {
            Some(numbered) => self.durable = self.durable.max(numbered.last),
            None => {
                let events = |a: &crate::commit::Append| a.chunks.iter().map(|c| u64::from(c.events)).sum::<u64>();
                self.durable += write.appends.iter().map(events).sum::<u64>();
            }
        }
    }

    /// After trouble: looks what is there, and hands the rest in again, in order. A repeated part adds nothing, so those whose
    /// answer was lost do no harm.
    fn send_again(&mut self) -> Result<()> {
        while self.asked < self.in_flight.len() {
            let write = self.in_flight[self.asked].clone();
            self.hand_in(&write);
            self.asked += 1;
        }
        Ok(())
    }

    /// Looks the stream up and routes by what it is now.
    fn look_again(&mut self) -> Result<()> {
        let now = self.store.stream(&self.info.name)?;
        let now = now.filter(|now| now.stream == self.info.stream).ok_or_else(|| {
            Error::not_found(format!("stream {} was deleted, or created anew: open the writer again", self.info.name))
        })?;
        if now.epoch != self.info.epoch {
            self.appender = Appender::new(&now);
        }
        self.info = now;
        self.stale = false;
        Ok(())
    }
}

impl Identity {
    /// Numbers an event. True: it is there already.
    fn pass(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, stream: &StreamName) -> Result<bool> {
        self.last += 1;
        self.digest = digest(self.digest, key, value);
        let Some((last, known)) = self.known else { return Ok(false) };
        if self.last < last {
            return Ok(true);
        }
        self.known = None;
        if self.digest != known {
            return Err(Error::invalid(format!(
                "stream {stream}, writer {}: the first {last} events are not those that it wrote before: take the same input, or another id",
                self.id
            )));
        }
        Ok(true)
    }

    /// The digest as it was after an event that is the last one there.
    fn before(&self, number: u64, store: &Store, info: &StreamInfo) -> Result<u64> {
        let state = store.writer_state(&info.name, &self.id)?.unwrap_or_default();
        if state.last_number != number {
            return Err(Error::fenced(format!(
                "stream {}, writer {}: another handle writes, too; open it again",
                info.name, self.id
            )));
        }
        Ok(state.digest)
    }
}
