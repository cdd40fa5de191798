//! Reads streams: what there is of one, and the events from a position on. `store.rs` hands in one snapshot per call.

use super::{ReadChunk, SegmentInfo, StreamInfo, StreamRef, decode_chunk};
use crate::codec::chunk::decode_header;
use crate::error::{Error, Kind, Result};
use crate::ids::{Offset, Position, StreamId, StreamName};
use crate::overlay::Snapshot;
use crate::redb_io::RedbSnapshot;
use crate::row::{ChunkKey, IndexEntry, SegmentKey};

/// A stream by name.
pub(crate) fn info(snapshot: &RedbSnapshot, name: &StreamName) -> Result<Option<StreamInfo>> {
    snapshot.stream_id(name)?.map(|id| info_of(snapshot, name, id)).transpose()
}

/// All streams, by name.
pub(crate) fn list(snapshot: &RedbSnapshot) -> Result<Vec<StreamInfo>> {
    snapshot.stream_names()?.into_iter().map(|(name, id)| info_of(snapshot, &name, id)).collect()
}

fn info_of(snapshot: &RedbSnapshot, name: &StreamName, id: StreamId) -> Result<StreamInfo> {
    let missing = |what: &str| Error::corrupt(format!("stream {name}: {what} is missing; restore a backup"));
    let row = snapshot.stream(id)?.ok_or_else(|| missing("its row"))?;
    let mut segments = Vec::with_capacity(row.segments.len());
    for range in &row.segments {
        let key = SegmentKey { stream: id, segment: range.id };
        let segment = snapshot.segment(key)?.ok_or_else(|| missing("the row of a segment"))?;
        segments.push(SegmentInfo {
            id: range.id,
            range: (range.low, range.high),
            head: segment.head,
            tail: segment.tail,
            chunks: segment.chunks,
            bytes: segment.bytes,
            raw_bytes: segment.raw_bytes,
        });
    }
    if segments.is_empty() {
        return Err(missing("every segment"));
    }
    Ok(StreamInfo {
        name: row.name,
        stream: StreamRef { id, generation: row.generation },
        created_at_ms: row.created_at_ms,
        segments,
        watermark: row.watermark,
    })
}

/// The events from a position on: the rest of the chunk that holds it, and the chunks after that while all of them
/// together keep below `max_bytes`.
pub(crate) fn read(snapshot: &RedbSnapshot, position: Position, max_bytes: usize) -> Result<ReadChunk> {
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
    let key = SegmentKey { stream, segment };
    let bounds =
        snapshot.segment(key)?.ok_or_else(|| Error::not_found(format!("stream {name} has no segment {segment}")))?;
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
    let mut out = ReadChunk { first: offset, next: offset, tail, ..ReadChunk::default() };
    if offset == tail {
        return Ok(out);
    }
    snapshot.chunks_from(key, offset, |key, entry| {
        if !out.batch.is_empty() && out.batch.bytes().saturating_add(entry.raw_bytes as usize) > max_bytes {
            return Ok(false);
        }
        match add_chunk(snapshot, key, &entry, &mut out) {
            Ok(()) => Ok(out.next < tail),
            // What came before is good: the next read, at the bad chunk, tells.
            Err(_) if !out.batch.is_empty() => Ok(false),
            Err(e) => {
                Err(damaged(e).context(format!("stream {name}, segment {segment}, chunk at offset {}", key.first)))
            }
        }
    })?;
    if out.batch.is_empty() {
        return Err(Error::corrupt(format!(
            "stream {name}, segment {segment}, offset {offset}: no chunk holds it, though the tail is {tail}; \
             keep the files and restore a backup"
        )));
    }
    Ok(out)
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

fn add_chunk(snapshot: &RedbSnapshot, key: ChunkKey, entry: &IndexEntry, out: &mut ReadChunk) -> Result<()> {
    let skip = out.next.0.checked_sub(key.first.0).filter(|skip| *skip < u64::from(entry.events));
    let skip = skip.ok_or_else(|| Error::corrupt(format!("the index has a hole at offset {}", out.next)))?;
    let bytes = snapshot.chunk(key, entry)?;
    let header = decode_header(&bytes)?;
    if (header.crc, header.events) != (entry.crc, entry.events) {
        return Err(Error::corrupt("the chunk is not the one that the index describes"));
    }
    let batch = decode_chunk(&bytes)?;
    let events = batch.len();
    if out.batch.is_empty() && skip == 0 {
        out.batch = batch;
    } else {
        out.batch.extend_from(&batch, skip as usize..events)?;
    }
    out.next = Offset(key.first.0 + events as u64);
    Ok(())
}
