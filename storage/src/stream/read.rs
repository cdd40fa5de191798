//! Reads streams: what there is of one, and the events from a position on. `store.rs` hands in one snapshot per call;
//! what lies in sealed files is fetched, and everything decoded, after it.

use super::{PastSegment, ReadChunk, SegmentInfo, StreamInfo, StreamRef, StreamState, decode_chunk};
use crate::batch::Batch;
use crate::codec::chunk::decode_header;
use crate::error::{Error, Kind, Result};
use crate::ids::{Offset, Position, SegmentId, StreamId, StreamName};
use crate::manifest::Location;
use crate::overlay::Snapshot;
use crate::redb_io::RedbSnapshot;
use crate::row::{ChunkKey, FileRow, IndexEntry, PastRow, SegmentKey, StreamRow};
use crate::sealed::reader::{self, Failure};
use crate::sealed::{SEALED_FOLDER, Tier};
use bytes::Bytes;

/// A stream by name.
pub(crate) fn info(snapshot: &RedbSnapshot, name: &StreamName) -> Result<Option<StreamInfo>> {
    match snapshot.stream_id(name)? {
        Some(id) => named(snapshot, name, id),
        None => not_lost(snapshot, name).map(|()| None),
    }
}

/// Keys have no checksum: a name that is not found may be one that damage has changed, and then its row is still there.
fn not_lost(snapshot: &RedbSnapshot, name: &StreamName) -> Result<()> {
    let lost = |(_, row): &(StreamId, Result<StreamRow>)| {
        row.as_ref().is_ok_and(|row| row.name == *name && row.state != StreamState::Deleted)
    };
    match snapshot.stream_rows()?.iter().any(lost) {
        true => Err(Error::corrupt(format!("stream {name}: it has a row but no name; restore a backup"))),
        false => Ok(()),
    }
}

/// All streams, by name.
pub(crate) fn list(snapshot: &RedbSnapshot) -> Result<Vec<StreamInfo>> {
    snapshot.stream_names()?.into_iter().filter_map(|(name, id)| named(snapshot, &name, id).transpose()).collect()
}

fn named(snapshot: &RedbSnapshot, name: &StreamName, id: StreamId) -> Result<Option<StreamInfo>> {
    if snapshot.stream(id)?.is_none() {
        return Err(Error::corrupt(format!("stream {name}: its row is missing; restore a backup")));
    }
    info_of(snapshot, id)
}

/// None when it was deleted.
pub(crate) fn info_of(snapshot: &RedbSnapshot, id: StreamId) -> Result<Option<StreamInfo>> {
    let Some(row) = snapshot.stream(id)? else { return Ok(None) };
    let name = &row.name;
    let missing = |what: &str| Error::corrupt(format!("stream {name}: {what} is missing; restore a backup"));
    if row.state == StreamState::Deleted {
        return Ok(None);
    }
    let info = |segment: SegmentId, range: (u64, u64)| {
        let bounds = snapshot.segment(SegmentKey { stream: id, segment })?;
        let bounds = bounds.ok_or_else(|| missing("the row of a segment"))?;
        Ok::<_, Error>(SegmentInfo {
            id: segment,
            range,
            head: bounds.head,
            tail: bounds.tail,
            chunks: bounds.chunks,
            bytes: bounds.bytes,
            raw_bytes: bounds.raw_bytes,
        })
    };
    let segments: Vec<SegmentInfo> =
        row.segments.iter().map(|range| info(range.id, (range.low, range.high))).collect::<Result<_>>()?;
    if segments.is_empty() {
        return Err(missing("every segment"));
    }
    let mut past = Vec::new();
    for (segment, row) in snapshot.past_segments(id)? {
        let PastRow { low, high, sealed_in, sealed_at_ms, successors } = row;
        past.push(PastSegment { segment: info(segment, (low, high))?, sealed_in, sealed_at_ms, successors });
    }
    Ok(Some(StreamInfo {
        name: row.name,
        stream: StreamRef { id, generation: row.generation },
        created_at_ms: row.created_at_ms,
        state: row.state,
        epoch: row.epoch,
        segments,
        past,
        watermark: row.watermark,
    }))
}

/// What a read needs, looked up in one snapshot; the bytes of sealed chunks are fetched after it.
#[derive(Debug)]
pub(crate) struct Plan {
    name: StreamName,
    segment: SegmentKey,
    out: ReadChunk,
    chunks: Vec<(ChunkKey, IndexEntry, Place)>,
    /// Why it ends before `max_bytes`.
    end: Option<Error>,
}

/// Where a chunk was found.
#[derive(Debug)]
pub(crate) enum Place {
    Hot(Bytes),
    Sealed { row: FileRow, start: u64, len: u64 },
}

/// Where a chunk lies, with its bytes if it is hot.
pub(crate) fn locate(snapshot: &RedbSnapshot, key: ChunkKey, entry: &IndexEntry) -> Result<Place> {
    match entry.location {
        Location::Hot => {
            let bytes = snapshot.hot_chunk(key)?;
            bytes.map(Place::Hot).ok_or_else(|| Error::corrupt("the index names a chunk that is not there"))
        }
        Location::Sealed { file, start, len } => {
            let row = snapshot.file(file)?;
            let row =
                row.ok_or_else(|| Error::corrupt(format!("the index names sealed file {file}, which has no row")))?;
            Ok(Place::Sealed { row, start, len })
        }
    }
}

/// Looks up the events from a position on: the rest of the chunk that holds it, and the chunks after that while all of
/// them together keep below `max_bytes`.
pub(crate) fn plan(snapshot: &RedbSnapshot, position: Position, max_bytes: usize) -> Result<Plan> {
    let Position { stream, generation, segment, offset } = position;
    let row = snapshot
        .stream(stream)?
        .ok_or_else(|| Error::not_found(format!("stream {stream} does not exist here: look it up by name again")))?;
    let name = &row.name;
    if row.generation != generation {
        return Err(Error::truncated(format!(
            "stream {name} is in generation {}, the position in {generation}: the stream was created anew, \
             the position stands for nothing; read from its head",
            row.generation
        )));
    }
    if row.state == StreamState::Deleted {
        return Err(Error::not_found(format!("stream {name} was deleted: nothing of it can be read any more")));
    }
    let key = SegmentKey { stream, segment };
    let bounds = snapshot.segment(key)?.ok_or_else(|| {
        if row.was_made(segment) {
            return Error::truncated(format!(
                "stream {name}, segment {segment}: all of it was truncated; read on from the head of the stream"
            ));
        }
        Error::not_found(format!("stream {name} has no segment {segment}"))
    })?;
    let sealed = row.state == StreamState::Sealed || !row.is_active(segment);
    let (head, tail) = (bounds.head, bounds.tail);
    if offset < head {
        return Err(Error::truncated(format!(
            "stream {name}, segment {segment}: offset {offset} was truncated, the head is {head}; read from there"
        )));
    }
    if offset > tail {
        return Err(Error::invalid(format!(
            "stream {name}, segment {segment}: offset {offset} is beyond the tail {tail}"
        )));
    }
    let out = ReadChunk { first: offset, next: offset, tail, sealed, ..ReadChunk::default() };
    let mut plan = Plan { name: row.name, segment: key, out, chunks: Vec::new(), end: None };
    if offset == tail {
        return Ok(plan);
    }
    let mut raw_bytes = 0u64;
    let Some(start) = snapshot.holder(key, offset)? else { return Ok(plan) };
    snapshot.chunks_starting_at(key, start, |key, entry| {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                plan.end = Some(damaged(e).context(chunk_name(&plan.name, key)));
                return Ok(false);
            }
        };
        // Of the first chunk only what comes from the position on counts.
        let skipped = offset.0.saturating_sub(key.first.0).min(u64::from(entry.events));
        let events = u64::from(entry.events).max(1);
        raw_bytes += u64::from(entry.raw_bytes) * (events - skipped.min(events)) / events;
        if !plan.chunks.is_empty() && raw_bytes > max_bytes as u64 {
            return Ok(false);
        }
        match locate(snapshot, key, &entry) {
            Ok(place) => plan.chunks.push((key, entry, place)),
            Err(e) if matches!(e.kind(), Kind::Unavailable | Kind::Full) => return Err(e),
            Err(e) => {
                plan.end = Some(damaged(e).context(chunk_name(&plan.name, key)));
                return Ok(false);
            }
        }
        Ok(key.first.plus(u64::from(entry.events)) < tail)
    })?;
    Ok(plan)
}

fn chunk_name(name: &StreamName, key: ChunkKey) -> String {
    format!("stream {name}, segment {}, chunk at offset {}", key.segment.segment, key.first)
}

/// Looks up and fetches. A sealed file that is gone may have been unlinked since the look-up: then a new one says so.
pub(crate) fn read(tier: &dyn Tier, look_up: impl Fn() -> Result<Plan>) -> Result<ReadChunk> {
    let mut gone = None;
    loop {
        let plan = look_up()?;
        let first = plan.chunks.first().map(|(key, entry, _)| (*key, *entry));
        match plan.fetch(tier) {
            Err(Failure::Missing(e)) if gone == first => return Err(e),
            Err(Failure::Missing(_)) => gone = first,
            other => return other.map_err(Failure::into_error),
        }
    }
}

/// Bytes that fail a check are said together with what is still good.
fn damaged(error: Error) -> Error {
    match error.kind() {
        Kind::Corrupt => Error::corrupt(format!(
            "{error}; keep the files and restore a backup: what lies before this chunk and in other segments can be read"
        )),
        _ => error,
    }
}

/// A chunk's bytes, checked against its index entry.
pub(crate) fn fetch_chunk(tier: &dyn Tier, entry: &IndexEntry, place: &Place) -> Result<Batch, Failure> {
    let corrupt = |why: String| Failure::Other(Error::corrupt(why));
    let (bytes, file) = match place {
        Place::Hot(bytes) => (bytes.clone(), None),
        Place::Sealed { row, start, len } => (reader::fetch(tier, row, *start, *len)?, Some(&row.name)),
    };
    let check = || {
        if bytes.len() != entry.bytes as usize {
            let (is, told) = (bytes.len(), entry.bytes);
            return Err(Error::corrupt(format!("the chunk has {is} bytes, the index says {told}")));
        }
        let header = decode_header(&bytes)?;
        if (header.crc, header.events) != (entry.crc, entry.events) {
            return Err(Error::corrupt("the chunk is not the one that the index describes"));
        }
        decode_chunk(&bytes)
    };
    check().map_err(|e| match file {
        Some(name) => corrupt(format!("{e}, in the sealed file {SEALED_FOLDER}/{name}")),
        None => Failure::Other(e),
    })
}

impl Plan {
    fn fetch(self, tier: &dyn Tier) -> Result<ReadChunk, Failure> {
        let Plan { name, segment, mut out, chunks, end } = self;
        for (key, entry, place) in &chunks {
            match add_chunk(tier, *key, entry, place, &mut out) {
                Ok(()) => {}
                // What came before is good: the next read, at the bad chunk, tells.
                Err(_) if !out.batch.is_empty() => return Ok(out),
                Err(Failure::Missing(e)) => {
                    return Err(Failure::Missing(damaged(e).context(chunk_name(&name, *key))));
                }
                Err(Failure::Other(e)) => return Err(Failure::Other(damaged(e).context(chunk_name(&name, *key)))),
            }
        }
        match end {
            Some(e) if out.batch.is_empty() => Err(Failure::Other(e)),
            None if out.batch.is_empty() && out.next < out.tail => Err(Failure::Other(Error::corrupt(format!(
                "stream {name}, segment {}, offset {}: no chunk holds it, though the tail is {}; \
                 keep the files and restore a backup",
                segment.segment, out.next, out.tail
            )))),
            _ => Ok(out),
        }
    }
}

fn add_chunk(
    tier: &dyn Tier,
    key: ChunkKey,
    entry: &IndexEntry,
    place: &Place,
    out: &mut ReadChunk,
) -> Result<(), Failure> {
    let skip = out.next.0.checked_sub(key.first.0).filter(|skip| *skip < u64::from(entry.events));
    let hole = || Error::corrupt(format!("the index has a hole at offset {}", out.next));
    let skip = skip.ok_or_else(hole).map_err(Failure::Other)?;
    let batch = fetch_chunk(tier, entry, place)?;
    let events = batch.len();
    if out.batch.is_empty() && skip == 0 {
        out.batch = batch;
    } else {
        out.batch.extend_from(&batch, skip as usize..events).map_err(Failure::Other)?;
    }
    out.next = Offset(key.first.0 + events as u64);
    Ok(())
}
