//! The store's door to time on streams: notes of writers, settings, marks and watermarks as they are, windows of positions, and the
//! sweep by which the clock works.

use super::{Store, accepted};
use crate::commit::Part;
use crate::decide::Work;
use crate::error::{Error, Result};
use crate::overlay::{Snapshot, TimeSnapshot};
use crate::redb_io::{RedbSnapshot, StreamWatermarks};
use crate::row::StreamRow;
use crate::stream::time::{
    Noted, StreamTime, TimeConfig, TimeNote, TimeWindow, Watermark, WriterMark, check_writer, window,
};
use crate::stream::{StreamCut, StreamRef, StreamState};
use crate::sweeper::{AutoWriter, SweepReport};
use crate::time::EventTime;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

/// A writer whose time is the wall clock: as long as this is held, the store notes it every so often. It can note nothing itself.
#[derive(Debug)]
pub struct AutoTimeWriter {
    store: Store,
    writer: Arc<AutoWriter>,
}

impl AutoTimeWriter {
    /// The writer is done: it holds nothing up any more. Dropping it instead leaves that to the idle time-out.
    pub fn close(self) -> Result<()> {
        let AutoWriter { stream, writer, .. } = &*self.writer;
        self.store.close_time_writer(*stream, writer)
    }
}

/// The stream of this life.
fn stream_row(snapshot: &RedbSnapshot, stream: StreamRef) -> Result<StreamRow> {
    let row = snapshot.stream(stream.id)?.filter(|row| row.state != StreamState::Deleted);
    let row =
        row.ok_or_else(|| Error::not_found(format!("there is no stream {} any more: look it up by name", stream.id)))?;
    if row.generation != stream.generation {
        return Err(Error::truncated(format!(
            "stream {} is in generation {}, not {}: it was created anew; look it up by name again",
            row.name, row.generation, stream.generation
        )));
    }
    Ok(row)
}

impl Store {
    /// A writer's time: its events after those that the store was given before, by [`Store::submit`] too, are later. A time or a position
    /// that goes back is ignored, and told.
    pub fn note_time(&self, stream: StreamRef, writer: &str, time: EventTime) -> Result<Noted> {
        let noted = self.note_times(vec![TimeNote::time(stream, writer, time)])?;
        noted.first().copied().ok_or_else(|| Error::bug("a note was not answered"))
    }

    /// Several notes in one commit, each answered: no watermark is made of one before the others are heard.
    pub fn note_times(&self, notes: Vec<TimeNote>) -> Result<Vec<Noted>> {
        Ok(self.ask(Work::Part(Part::Time(notes))).and_then(accepted)?.noted)
    }

    /// A writer is done: it holds the stream's time up no more. Its last mark still counts until the watermark has reached it. Closes the writer
    /// of a pipeline that will not run again, too.
    pub fn close_time_writer(&self, stream: StreamRef, writer: &str) -> Result<()> {
        self.note_times(vec![TimeNote::closed(stream, writer)]).map(drop)
    }

    /// Notes the wall clock for a writer, now and every `every_ms` of the store's clock, as long as the answer is held.
    pub fn auto_time_writer(&self, stream: StreamRef, writer: &str, every_ms: u64) -> Result<AutoTimeWriter> {
        check_writer(writer)?;
        let now_ms = self.inner.terms.now().now_ms;
        self.note_times(vec![TimeNote::auto(stream, writer, EventTime(now_ms))])?;
        let noted_at_ms = AtomicI64::new(now_ms);
        let writer =
            Arc::new(AutoWriter { stream, writer: writer.to_string(), every_ms: every_ms.max(1), noted_at_ms });
        self.inner.sweeper.add(&writer);
        Ok(AutoTimeWriter { store: self.clone(), writer })
    }

    /// Sets how a stream treats silent writers.
    pub fn configure_time(&self, stream: StreamRef, config: TimeConfig) -> Result<()> {
        self.ask(Work::ConfigureTime { stream, config }).map(drop)
    }

    /// Marks, settings and the newest watermarks of a stream, at most `watermarks` of them.
    pub fn stream_time(&self, stream: StreamRef, watermarks: usize) -> Result<StreamTime> {
        self.inner.shared.read(|snapshot| {
            stream_row(snapshot, stream)?;
            let config = match snapshot.time_config(stream.id)? {
                Some(row) => TimeConfig { idle_timeout_ms: row.idle_timeout_ms },
                None => TimeConfig::default(),
            };
            let mark = |(writer, row): (String, crate::row::MarkRow)| WriterMark {
                writer,
                time: row.time,
                position: row.position.iter().map(|tile| (tile.segment, tile.offset)).collect(),
                alive: row.alive,
                auto: row.auto,
                silent_since_ms: row.silent_since_ms,
            };
            let watermark = |(_, row): (u64, crate::row::WatermarkRow)| Watermark {
                lower: row.lower,
                upper: row.upper,
                cut: row.cut,
                emitted_at_ms: row.emitted_at_ms,
            };
            Ok(StreamTime {
                config,
                marks: snapshot.marks(stream.id)?.into_iter().map(mark).collect(),
                watermarks_kept: snapshot.last_watermark(stream.id)?.map_or(0, |(_, newest)| newest.kept),
                watermarks: snapshot.newest_watermarks(stream.id, watermarks)?.into_iter().map(watermark).collect(),
            })
        })
    }

    /// Between which times a position stands, as the watermarks are now. The same for the same position, whoever asks: only a newer
    /// watermark can narrow it, and thinning (of very many, and very old ones) widen it. Each stream has its own.
    pub fn time_window(&self, position: &StreamCut) -> Result<TimeWindow> {
        self.inner.shared.read(|snapshot| {
            let stream = position.stream();
            stream_row(snapshot, stream)?;
            window::window(&StreamWatermarks { snapshot, stream: stream.id }, position)
        })
    }

    /// Lets the clock work now, as the background does every [`super::StoreOptions::sweep_interval_ms`].
    pub fn sweep(&self) -> Result<SweepReport> {
        if self.inner.queue.is_taker() {
            return Err(Error::bug("a commit callback waits for the store, which waits for the callback"));
        }
        self.inner.sweeper.sweep()
    }
}
