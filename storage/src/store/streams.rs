//! The store's door to streams as a whole: scaling, sealing, deletion. Parts for the committer, like all writes.

use super::{Store, wrong_answer};
use crate::batch::Batch;
use crate::decide::{Outcome, StreamWork, Work};
use crate::error::{Error, Kind, Result};
use crate::ids::Position;
use crate::ids::StreamName;
use crate::maintain::Memory;
use crate::overlay::Snapshot;
use crate::shared::Shared;
use crate::store::StoreOptions;
use crate::stream::{
    EventWriter, ReadFrom, Scaling, StreamCut, StreamInfo, StreamPolicy, StreamReader, WriterOptions, WriterState,
    check_cut,
};
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

impl Store {
    fn existing(&self, name: &StreamName) -> Result<StreamInfo> {
        self.stream(name)?
            .ok_or_else(|| Error::not_found(format!("there is no stream {name}: create it, or check the name")))
    }

    /// Seals segments of a stream and puts others in their place, in one commit: [`Scaling`] says which. The same request again is
    /// answered as the first; `Sealed` when another scaling has sealed the segments.
    pub fn scale_stream(&self, name: &StreamName, scaling: &Scaling) -> Result<StreamInfo> {
        let stream = self.existing(name)?.stream;
        let now_ms = self.now_ms();
        self.ask(Work::Stream(StreamWork::Scale { stream, scaling: scaling.clone(), now_ms }))?;
        self.existing(name)
    }

    /// Lets a stream take no more events; what is there can be read, and then it ends. Sealing it again changes nothing.
    pub fn seal_stream(&self, name: &StreamName) -> Result<StreamInfo> {
        let stream = self.existing(name)?.stream;
        self.ask(Work::Stream(StreamWork::Seal { stream }))?;
        self.existing(name)
    }

    /// Deletes a stream with all its events, which are gone when this returns; the space of many may take until a later
    /// [`Store::maintain`]. Its name may be used again, for a stream of the next generation.
    pub fn delete_stream(&self, name: &StreamName) -> Result<()> {
        let stream = self.existing(name)?.stream;
        self.ask(Work::Stream(StreamWork::Delete { stream }))?;
        self.sweep_stream(stream.id).map(drop)
    }

    /// Makes a cut the head of its stream: what lies before it cannot be read any more, and its space is freed. Where the head is past the
    /// cut already, nothing changes. `Invalid` for a cut of another stream or one past the tail.
    pub fn truncate_stream(&self, name: &StreamName, cut: &StreamCut) -> Result<StreamInfo> {
        let info = self.existing(name)?;
        check_cut(&info, cut)?;
        let truncate = || self.ask(Work::Stream(StreamWork::Truncate { cut: cut.clone() }));
        truncate()?;
        if self.sweep_stream(info.stream.id)? > 0 {
            // Of sealed segments that needed more than one commit, the rows go now.
            truncate()?;
        }
        self.existing(name)
    }

    /// A reader of a stream as a whole, from a place on, up to another one if given.
    pub fn reader(&self, name: &StreamName, from: ReadFrom, end: Option<StreamCut>) -> Result<StreamReader> {
        StreamReader::new(self, &self.existing(name)?, from, end)
    }

    /// The event at a position: a pointer that was kept with something else. `NotFound` when it was truncated or is not there yet.
    pub fn event(&self, pointer: Position) -> Result<Batch> {
        let gone = |e: Error| match e.kind() {
            Kind::Truncated => Error::not_found(format!("there is no such event any more: {e}")),
            _ => e,
        };
        let read = self.read(pointer, 1).map_err(gone)?;
        if read.batch.is_empty() {
            return Err(Error::not_found(format!(
                "there is no event at offset {} of segment {} yet: the tail is {}",
                pointer.offset, pointer.segment, read.tail
            )));
        }
        read.batch.slice(0..1)
    }

    /// Sets the policies of a stream; the default ones leave it alone.
    pub fn set_stream_policy(&self, name: &StreamName, policy: StreamPolicy) -> Result<()> {
        let stream = self.existing(name)?.stream;
        self.ask(Work::Stream(StreamWork::SetPolicy { stream, policy })).map(drop)
    }

    /// The policies of a stream.
    pub fn stream_policy(&self, name: &StreamName) -> Result<StreamPolicy> {
        let stream = self.existing(name)?.stream;
        Ok(self.inner.shared.read(|snapshot| snapshot.policy(stream.id))?.unwrap_or_default())
    }

    /// Notes that a subscriber has read a stream up to a cut for good: retention waits for it, as far as its limits allow.
    pub fn acknowledge(&self, subscriber: &str, cut: &StreamCut) -> Result<()> {
        let (subscriber, cut, now_ms) = (subscriber.to_string(), cut.clone(), self.now_ms());
        self.ask(Work::Stream(StreamWork::Acknowledge { subscriber, cut, now_ms })).map(drop)
    }

    /// Retention waits no more for a subscriber.
    pub fn unsubscribe(&self, name: &StreamName, subscriber: &str) -> Result<()> {
        let stream = self.existing(name)?.stream;
        self.ask(Work::Stream(StreamWork::Unsubscribe { stream, subscriber: subscriber.to_string() })).map(drop)
    }

    /// The subscribers of a stream and how far they have read.
    pub fn subscribers(&self, name: &StreamName) -> Result<BTreeMap<String, StreamCut>> {
        let stream = self.existing(name)?.stream;
        let rows = self.inner.shared.read(|snapshot| snapshot.subscribers(stream.id))?;
        Ok(rows.into_iter().map(|(name, row)| (name, row.cut)).collect())
    }

    /// The places that retention cycles have noted, with their times, ms since the Unix epoch; oldest first.
    pub fn retention_cuts(&self, name: &StreamName) -> Result<Vec<(i64, StreamCut)>> {
        let stream = self.existing(name)?.stream;
        let rows = self.inner.shared.read(|snapshot| snapshot.retention_cuts(stream.id))?;
        Ok(rows.into_iter().map(|(_, row)| (row.at_ms, row.cut)).collect())
    }

    /// A writer of a stream that is there. With an id it takes the next handle, which fences older ones.
    pub fn writer(&self, name: &StreamName, options: WriterOptions) -> Result<EventWriter> {
        EventWriter::new(self, self.existing(name)?, options)
    }

    /// Takes the next handle of an idempotent writer durably: parts of older handles are `Fenced` from now on.
    pub fn open_writer(&self, name: &StreamName, writer: &str) -> Result<WriterState> {
        let stream = self.existing(name)?.stream;
        match self.ask(Work::Stream(StreamWork::OpenWriter { stream, writer: writer.into(), now_ms: self.now_ms() }))? {
            Outcome::Writer(state) => Ok(state),
            other => Err(wrong_answer(&other)),
        }
    }

    /// What is kept of an idempotent writer; none when it never was, or was silent for too long.
    pub fn writer_state(&self, name: &StreamName, writer: &str) -> Result<Option<WriterState>> {
        let stream = self.existing(name)?.stream;
        let row = self.inner.shared.read(|snapshot| snapshot.writer(stream.id, writer))?;
        Ok(row.map(|row| WriterState {
            handle: row.handle,
            last_number: row.last,
            digest: row.digest,
            at_ms: row.at_ms,
        }))
    }

    /// Now, by the store's clock, ms since the Unix epoch.
    pub(crate) fn now_ms(&self) -> i64 {
        (self.inner.options.clock)()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    pub(crate) fn options(&self) -> &StoreOptions {
        &self.inner.options
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.inner.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn rewrite_files(&self) -> Result<u64> {
        self.inner.mover.rewrite()
    }

    pub(crate) fn must_not_wait(&self) -> Result<()> {
        if self.inner.queue.is_taker() {
            return Err(Error::bug("a commit callback waits for the store, which waits for the callback"));
        }
        Ok(())
    }
}
