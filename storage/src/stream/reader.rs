//! Reads a whole stream: follows its segments in order, over scalings, truncations and up to an end. `stream cat` and `tail` of the
//! command line read with it; [`crate::Store::reader`] makes it.
//!
//! Invariants:
//! 1. a successor's events come after all events of all of its predecessors;
//! 2. [`StreamReader::cut`] is where it stands: another reader goes on just there (`tiling.rs` keeps it);
//! 3. a truncation below the position is told once, then reading goes on at what is left.

use super::cut::StreamCut;
use super::tiling::Tiling;
use super::{SegmentInfo, StreamInfo, StreamRef, StreamState};
use crate::batch::Batch;
use crate::error::{Error, Kind, Result};
use crate::ids::{Offset, Position, SegmentId, StreamName};
use crate::store::Store;

/// Where a reader starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// With the oldest event there is.
    Head,
    /// With the next event that is appended.
    Tail,
    /// At a place in the stream.
    Cut(StreamCut),
}

/// What a read gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamRead {
    /// Events of one segment.
    Events {
        /// The segment.
        segment: SegmentId,
        /// Offset of the first of them.
        first: Offset,
        /// The events, at least one.
        batch: Batch,
    },
    /// Nothing for now: everything that is there was given.
    CaughtUp,
    /// Events that were to come next are gone; the next read goes on after them.
    Truncated {
        /// The segment.
        segment: SegmentId,
        /// The first one that is gone.
        from: Offset,
        /// Where it goes on in this segment; none = in its successors.
        to: Option<Offset>,
    },
    /// Nothing more ever: the stream is sealed and read, or the end was reached.
    End,
}

/// A reader of one stream.
#[derive(Debug)]
pub struct StreamReader {
    store: Store,
    name: StreamName,
    stream: StreamRef,
    tiling: Tiling,
    /// The segment that is read just now.
    current: Option<SegmentId>,
}

impl StreamReader {
    pub(crate) fn new(
        store: &Store,
        info: &StreamInfo,
        from: ReadFrom,
        end: Option<StreamCut>,
    ) -> Result<StreamReader> {
        let start = match from {
            ReadFrom::Head => info.head_cut(),
            ReadFrom::Tail => info.tail_cut(),
            ReadFrom::Cut(cut) => cut,
        };
        let cuts = std::iter::once(&start).chain(&end);
        for cut in cuts {
            check_cut(info, cut)?;
        }
        let tiling = Tiling::new(info, &start, end);
        Ok(StreamReader { store: store.clone(), name: info.name.clone(), stream: info.stream, tiling, current: None })
    }

    /// Where it stands: everything before it was given.
    pub fn cut(&self) -> StreamCut {
        self.tiling.cut()
    }

    /// The next events, about `max_bytes` of them. Of several segments one is read until it has no more for now; with an end
    /// given, the oldest first.
    pub fn read(&mut self, max_bytes: usize) -> Result<StreamRead> {
        let bounded = self.tiling.end().is_some();
        loop {
            // A segment may have come to its end in an earlier call.
            if self.tiling.has_finished() {
                let info = self.look()?;
                self.tiling.go_on(&info, |_, _| true);
            }
            let open = self.tiling.ready();
            let mut finished = false;
            // Start after the one that was read last, so that none starves; a bounded read takes each to its end.
            let first = open.iter().position(|id| Some(*id) >= self.current).unwrap_or(0);
            let first = if bounded { first } else { first % open.len().max(1) };
            for n in 0..open.len() {
                let segment = open[(first + n) % open.len()];
                match self.read_segment(segment, max_bytes)? {
                    // What comes after it may be older than the next one here.
                    Some(StreamRead::End) => {
                        finished = true;
                        break;
                    }
                    None => {}
                    Some(read) => {
                        self.current = Some(if bounded { segment } else { SegmentId(segment.0 + 1) });
                        return Ok(read);
                    }
                }
            }
            if finished {
                continue;
            }
            if self.tiling.is_over(false) || (self.tiling.is_over(true) && self.is_sealed()?) {
                return Ok(StreamRead::End);
            }
            return Ok(StreamRead::CaughtUp);
        }
    }

    /// `End` = the segment has no more, ever.
    fn read_segment(&mut self, segment: SegmentId, max_bytes: usize) -> Result<Option<StreamRead>> {
        let Some(from) = self.tiling.offset(segment) else { return Ok(None) };
        let StreamRef { id: stream, generation } = self.stream;
        match self.store.read(Position { stream, generation, segment, offset: from }, max_bytes) {
            Ok(mut read) if !read.batch.is_empty() => {
                let left = self.tiling.end_of(segment).map_or(u64::MAX, |end| end.0.saturating_sub(from.0));
                if (read.batch.len() as u64) > left {
                    read.batch = read.batch.slice(0..left as usize)?;
                }
                self.tiling.move_to(segment, from.plus(read.batch.len() as u64));
                Ok(Some(StreamRead::Events { segment, first: from, batch: read.batch }))
            }
            Ok(read) if read.sealed => {
                self.tiling.finish(segment);
                Ok(Some(StreamRead::End))
            }
            Ok(_) => Ok(None),
            Err(e) if e.kind() == Kind::Truncated => self.skip_truncated(segment, from, e).map(Some),
            Err(e) => Err(e),
        }
    }

    fn skip_truncated(&mut self, segment: SegmentId, from: Offset, why: Error) -> Result<StreamRead> {
        let info = self.look()?;
        match info.segment(segment) {
            Some(SegmentInfo { head, .. }) if *head > from => {
                self.tiling.move_to(segment, *head);
                Ok(StreamRead::Truncated { segment, from, to: Some(*head) })
            }
            None => {
                self.tiling.finish(segment);
                Ok(StreamRead::Truncated { segment, from, to: None })
            }
            Some(_) => Err(why),
        }
    }

    fn look(&self) -> Result<StreamInfo> {
        let info = self.store.stream(&self.name)?.filter(|info| info.stream == self.stream);
        info.ok_or_else(|| {
            Error::not_found(format!(
                "stream {} was deleted while it was read, or created anew: open a new reader",
                self.name
            ))
        })
    }

    fn is_sealed(&self) -> Result<bool> {
        Ok(self.look()?.state == StreamState::Sealed)
    }
}

/// A cut must be one of this stream, of segments that are or were there, and not past their tails.
pub(crate) fn check_cut(info: &StreamInfo, cut: &StreamCut) -> Result<()> {
    let bad = |why: String| Err(Error::invalid(format!("stream {}: {why}", info.name)));
    if cut.stream() != info.stream {
        return bad(format!(
            "the cut is one of stream {}, generation {}, this is {}, generation {}: take a cut of this stream",
            cut.stream().id,
            cut.stream().generation,
            info.stream.id,
            info.stream.generation
        ));
    }
    for tile in cut.tiles() {
        match info.segment(tile.segment) {
            Some(segment) if tile.offset > segment.tail => {
                return bad(format!(
                    "the cut stands at offset {} of segment {}, whose tail is {}",
                    tile.offset, segment.id, segment.tail
                ));
            }
            Some(segment) if tile.low < segment.range.0 || tile.high > segment.range.1 => {
                return bad(format!("the cut gives segment {} keys that it does not own", segment.id));
            }
            Some(_) => {}
            None if tile.segment.epoch() > info.epoch => return bad(format!("there is no segment {}", tile.segment)),
            // Truncated since.
            None => {}
        }
    }
    Ok(())
}
