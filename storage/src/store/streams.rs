//! The store's door to streams as a whole: scaling, sealing, deletion. Parts for the committer, like all writes.

use super::{Store, wrong_answer};
use crate::decide::{Outcome, StreamWork, Work};
use crate::error::{Error, Result};
use crate::ids::StreamName;
use crate::overlay::Snapshot;
use crate::stream::{EventWriter, Scaling, StreamInfo, WriterOptions, WriterState};

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

    /// Deletes a stream with all its events. Its name may be used again, for a stream of the next generation.
    pub fn delete_stream(&self, name: &StreamName) -> Result<()> {
        let stream = self.existing(name)?.stream;
        self.ask(Work::Stream(StreamWork::Delete { stream })).map(drop)
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
}
