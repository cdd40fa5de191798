//! Checks streams: rows, index without holes, every chunk decoded from wherever it lies, sums.

use super::{Checker, Fault, passing};
use crate::error::{Error, Result};
use crate::ids::{Offset, StreamId, StreamName};
use crate::manifest::Location;
use crate::overlay::Snapshot;
use crate::redb_io::RedbSnapshot;
use crate::row::{ChunkKey, IndexEntry, SegmentKey, SegmentRow, StreamRow};
use crate::sealed::SEALED_FOLDER;
use crate::sealed::reader::Failure;
use crate::stream::{self, Place, StreamState};
use std::collections::BTreeMap;

/// Index entries, and at most this much of their bytes, that one snapshot gives.
const ENTRIES_MAX: usize = 256;
const READ_BYTES_MAX: u64 = 4 << 20;
/// How often a piece that changes under the check is looked at again.
const TRIES_MAX: usize = 8;

/// A segment's bounds at one moment, and the sums of what its index held then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    chunks: u64,
    bytes: u64,
    raw_bytes: u64,
    sealed_chunks: u64,
    sealed_bytes: u64,
}

impl Checker<'_> {
    pub(super) fn streams(&mut self) -> Result<()> {
        let names = match self.shared.read(RedbSnapshot::stream_names) {
            Ok(names) => names,
            Err(e) if passing(&e) => return Err(e),
            Err(e) => {
                self.fault(Fault { what: e.to_string(), ..Fault::default() });
                Vec::new()
            }
        };
        let mut of_ids: BTreeMap<StreamId, StreamName> = BTreeMap::new();
        for (name, id) in names {
            self.report.streams += 1;
            let at = |what: String| Fault { stream: Some(name.to_string()), what, ..Fault::default() };
            match self.shared.read(|snapshot| snapshot.stream(id)) {
                Ok(Some(row)) => {
                    if let Some(why) = bad_stream(&row, &name) {
                        self.fault(at(why));
                    }
                    for range in row.segments.iter().filter(|_| row.state != StreamState::Deleted) {
                        self.segment(&name.to_string(), SegmentKey { stream: id, segment: range.id })?;
                    }
                    self.past_segments(&name, id, &row)?;
                }
                Ok(None) => self.fault(at("its row is missing; restore a backup".into())),
                Err(e) if passing(&e) => return Err(e),
                Err(e) => self.fault(at(e.to_string())),
            }
            of_ids.insert(id, name);
        }
        for (key, _) in self.shared.read(RedbSnapshot::segments)? {
            if !of_ids.contains_key(&key.stream)
                && self.shared.read(|s| s.stream(key.stream)).is_ok_and(|r| r.is_none())
            {
                let stream = Some(format!("#{}", key.stream));
                let what = "a segment of a stream that does not exist".to_string();
                self.fault(Fault { stream, segment: Some(key.segment), what, ..Fault::default() });
            }
        }
        Ok(())
    }

    /// Segments sealed by scalings: each range lies in those of its successors as far as these are there.
    fn past_segments(&mut self, name: &StreamName, id: StreamId, row: &StreamRow) -> Result<()> {
        let past = match self.shared.read(|snapshot| snapshot.past_segments(id)) {
            Ok(past) => past,
            Err(e) if passing(&e) => return Err(e),
            Err(e) => {
                self.fault(Fault { stream: Some(name.to_string()), what: e.to_string(), ..Fault::default() });
                return Ok(());
            }
        };
        for (segment, sealed) in past {
            let fits = sealed.low <= sealed.high
                && sealed.sealed_in <= row.epoch
                && segment.epoch() < sealed.sealed_in
                && !row.is_active(segment)
                && !sealed.successors.is_empty()
                && sealed.successors.iter().all(|s| s.epoch() == sealed.sealed_in && row.was_made(*s));
            if !fits {
                let what = "its successors are not those of a scaling; restore a backup".to_string();
                self.fault(Fault { stream: Some(name.to_string()), segment: Some(segment), what, ..Fault::default() });
            }
            if row.state != StreamState::Deleted {
                self.segment(&name.to_string(), SegmentKey { stream: id, segment })?;
            }
        }
        Ok(())
    }

    fn segment(&mut self, stream: &str, key: SegmentKey) -> Result<()> {
        let at = |what: String| Fault {
            stream: Some(stream.to_string()),
            segment: Some(key.segment),
            what,
            ..Fault::default()
        };
        let mut from = None;
        loop {
            let piece = match self.shared.read(|snapshot| piece(snapshot, key, from)) {
                Ok(piece) => piece,
                Err(e) if passing(&e) => return Err(e),
                Err(e) => {
                    self.fault(at(e.to_string()));
                    return Ok(());
                }
            };
            for (chunk, entry, place) in piece.chunks {
                self.chunk(stream, chunk, entry, place)?;
            }
            for (offset, what) in piece.faults {
                self.fault(Fault { offset: Some(offset), ..at(what) });
            }
            match piece.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        self.sums(key, &at)
    }

    /// The sums in the rows are those of the index.
    fn sums(&mut self, key: SegmentKey, at: &dyn Fn(String) -> Fault) -> Result<()> {
        let compared = self.shared.read(|snapshot| {
            let row = snapshot.segment(key)?.unwrap_or_default();
            let sealed = snapshot.sealed_segment(key)?.unwrap_or_default();
            let (mut sums, mut order, mut hot_seen) = (Sums::default(), None, false);
            snapshot.chunks_starting_at(key, Offset(0), |chunk, entry| {
                let Ok(entry) = entry else { return Ok(true) };
                sums.chunks += 1;
                sums.bytes += u64::from(entry.bytes);
                sums.raw_bytes += u64::from(entry.raw_bytes);
                match entry.location {
                    Location::Hot => hot_seen = true,
                    Location::Sealed { .. } => {
                        sums.sealed_chunks += 1;
                        sums.sealed_bytes += u64::from(entry.bytes);
                        if hot_seen || chunk.first >= sealed.until {
                            order = order.or(Some(chunk.first));
                        }
                    }
                }
                Ok(true)
            })?;
            let told = Sums {
                chunks: row.chunks,
                bytes: row.bytes,
                raw_bytes: row.raw_bytes,
                sealed_chunks: sealed.chunks,
                sealed_bytes: sealed.bytes,
            };
            Ok((sums, told, order))
        });
        match compared {
            Ok((is, told, order)) => {
                if is != told {
                    self.fault(at(format!("its rows count {told:?}, its index {is:?}; reading is not harmed")));
                }
                if let Some(offset) = order {
                    let what = "a sealed chunk lies past the segment's sealed part".to_string();
                    self.fault(Fault { offset: Some(offset), ..at(what) });
                }
            }
            Err(e) if passing(&e) => return Err(e),
            Err(e) => self.fault(at(e.to_string())),
        }
        Ok(())
    }

    fn chunk(&mut self, stream: &str, key: ChunkKey, entry: IndexEntry, place: Result<Place>) -> Result<()> {
        let mut looked = Ok((entry, place));
        for _ in 0..TRIES_MAX {
            let (entry, place) = match looked {
                Ok((entry, Ok(place))) => (entry, place),
                Ok((_, Err(e))) | Err(e) if passing(&e) => return Err(e),
                Ok((_, Err(e))) | Err(e) => {
                    self.chunk_fault(stream, key, None, e);
                    return Ok(());
                }
            };
            let file = match &place {
                Place::Hot(_) => None,
                Place::Sealed { row, .. } => Some(row.name.clone()),
            };
            let error = match stream::fetch_chunk(&*self.shared.tier, &entry, &place) {
                Ok(batch) => {
                    self.report.chunks += 1;
                    self.report.events += batch.len() as u64;
                    self.report.chunk_bytes += u64::from(entry.bytes);
                    return Ok(());
                }
                Err(Failure::Missing(e) | Failure::Other(e)) => e,
            };
            if passing(&error) {
                return Err(error);
            }
            // Truncated since the look-up? Then nothing is wrong.
            let again = self.shared.read(|snapshot| {
                let now = snapshot.index_entry(key)?;
                now.map(|entry| Ok((entry, stream::locate(snapshot, key, &entry)))).transpose()
            });
            looked = match again {
                Ok(None) => return Ok(()),
                Ok(Some((now, _))) if now == entry => {
                    self.chunk_fault(stream, key, file, error);
                    return Ok(());
                }
                Ok(Some(other)) => Ok(other),
                Err(e) => Err(e),
            };
        }
        Ok(())
    }

    fn chunk_fault(&mut self, stream: &str, key: ChunkKey, file: Option<String>, error: Error) {
        self.fault(Fault {
            stream: Some(stream.to_string()),
            segment: Some(key.segment.segment),
            offset: Some(key.first),
            file: file.map(|name| format!("{SEALED_FOLDER}/{name}")),
            what: error.to_string(),
            pipeline: None,
        });
    }
}

fn bad_stream(row: &StreamRow, name: &StreamName) -> Option<String> {
    if row.name != *name {
        return Some(format!("its row is that of stream {}; restore a backup", row.name));
    }
    let tiles = row.segments.first().is_some_and(|s| s.low == 0)
        && row.segments.last().is_some_and(|s| s.high == u64::MAX)
        && row.segments.windows(2).all(|w| w[0].high.checked_add(1) == Some(w[1].low));
    let deleted = row.state == StreamState::Deleted && row.segments.is_empty();
    (!tiles && !deleted).then(|| "its segments do not tile the hash space; restore a backup".to_string())
}

/// Part of a segment, looked up in one snapshot.
struct Piece {
    chunks: Vec<(ChunkKey, IndexEntry, Result<Place>)>,
    faults: Vec<(Offset, String)>,
    /// Where the next piece starts.
    next: Option<Offset>,
}

fn piece(snapshot: &RedbSnapshot, key: SegmentKey, from: Option<Offset>) -> Result<Piece> {
    let row: SegmentRow =
        snapshot.segment(key)?.ok_or_else(|| Error::corrupt("its row is missing; restore a backup"))?;
    let mut piece = Piece { chunks: Vec::new(), faults: Vec::new(), next: None };
    if row.head > row.tail {
        piece.faults.push((row.head, format!("its head lies past its tail {}", row.tail)));
    }
    // What lies wholly below the head may be freed at any time.
    let mut at = from.unwrap_or(Offset(0)).max(row.head);
    let start = match from {
        Some(_) => snapshot.holder(key, at)?.unwrap_or(at),
        None => Offset(0),
    };
    let (mut bytes, mut cut, mut first) = (0, false, true);
    let mut look = |chunk: ChunkKey, entry: Result<IndexEntry>| {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                piece.faults.push((chunk.first, e.to_string()));
                return Ok(true);
            }
        };
        let end = chunk.first.plus(u64::from(entry.events));
        // Chunks may have been joined since the last piece: the first one may start before it.
        if end <= row.head || (first && end <= at) {
            return Ok(true);
        }
        if chunk.first > at {
            piece.faults.push((at, format!("no chunk holds the events from here to {}", chunk.first)));
        } else if chunk.first < at && !first {
            piece.faults.push((chunk.first, "the chunk overlaps the one before it".to_string()));
        }
        first = false;
        at = at.max(end);
        bytes += u64::from(entry.bytes);
        piece.chunks.push((chunk, entry, stream::locate(snapshot, chunk, &entry)));
        cut = piece.chunks.len() >= ENTRIES_MAX || bytes >= READ_BYTES_MAX;
        Ok(!cut)
    };
    snapshot.chunks_starting_at(key, start, &mut look)?;
    if cut {
        piece.next = Some(at);
    } else if at < row.tail {
        piece.faults.push((at, format!("no chunk holds the events from here to the tail {}", row.tail)));
    } else if at > row.tail {
        piece.faults.push((row.tail, format!("chunks lie past the tail, up to {at}")));
    }
    Ok(piece)
}
