//! Decides appends: gives chunks their offsets in a segment that takes events, and leads those of a sealed one on to its
//! successors for parts that cannot route again themselves.

use crate::codec::chunk;
use crate::commit::Append;
use crate::error::{Error, Result};
use crate::ids::{Offset, SegmentId};
use crate::manifest::Location;
use crate::overlay::{Overlay, Snapshot};
use crate::row::{ChunkKey, IndexEntry, SegmentKey, SegmentRow, StreamRow};
use crate::stream::{Appender, EncodedChunk, StreamRef, StreamState};

/// A stream that is there, sealed or not.
pub(super) fn stream_row(o: &Overlay<'_>, stream: StreamRef) -> Result<StreamRow> {
    let row = o
        .stream(stream.id)?
        .ok_or_else(|| Error::invalid(format!("stream {} does not exist here: look it up by name again", stream.id)))?;
    if row.generation != stream.generation {
        return Err(Error::truncated(format!(
            "stream {} is in generation {}, not {}: it was created anew; look it up by name again",
            row.name, row.generation, stream.generation
        )));
    }
    if row.state == StreamState::Deleted {
        return Err(Error::not_found(format!(
            "stream {} was deleted: create it anew, or look it up by name",
            row.name
        )));
    }
    Ok(row)
}

/// A stream that takes events.
pub(super) fn open_stream_row(o: &Overlay<'_>, stream: StreamRef) -> Result<StreamRow> {
    let row = stream_row(o, stream)?;
    if row.state == StreamState::Sealed {
        return Err(Error::invalid(format!("stream {} is sealed: it takes no more events, use another one", row.name)));
    }
    Ok(row)
}

pub(super) fn segment_row(o: &Overlay<'_>, stream: &StreamRow, key: SegmentKey) -> Result<SegmentRow> {
    o.segment(key)?.ok_or_else(|| Error::invalid(format!("stream {} has no segment {}", stream.name, key.segment)))
}

pub(super) fn index_entry(stream: &StreamRow, chunk: &EncodedChunk) -> Result<IndexEntry> {
    let header = chunk::decode_header(&chunk.bytes)
        .map_err(|e| Error::invalid(format!("append to stream {}: {e}; use encode_chunk", stream.name)))?;
    let told = (chunk.events, chunk.raw_bytes, chunk.min_time, chunk.max_time);
    if told != (header.events, header.raw_bytes, header.min_time, header.max_time) {
        return Err(Error::invalid(format!(
            "append to stream {}: a chunk says otherwise than its header; use encode_chunk",
            stream.name
        )));
    }
    Ok(IndexEntry {
        location: Location::Hot,
        events: header.events,
        bytes: chunk.bytes.len() as u32,
        raw_bytes: header.raw_bytes,
        min_time: header.min_time,
        max_time: header.max_time,
        crc: header.crc,
    })
}

/// Gives the chunks their offsets; answers the first. A sealed segment refuses them and names its successors.
pub(super) fn append(o: &mut Overlay<'_>, append: &Append) -> Result<Offset> {
    let stream = open_stream_row(o, append.stream)?;
    check_active(o, &stream, append.stream, append.segment)?;
    place(o, &stream, append)
}

/// Refuses a segment that takes no events.
pub(super) fn check_active(o: &Overlay<'_>, stream: &StreamRow, at: StreamRef, segment: SegmentId) -> Result<()> {
    if stream.is_active(segment) {
        return Ok(());
    }
    if !stream.was_made(segment) {
        return Err(Error::invalid(format!(
            "stream {} has no segment {segment}: look the stream up again",
            stream.name
        )));
    }
    let past = o.past_segment(SegmentKey { stream: at.id, segment })?;
    let successors = past.map(|past| past.successors).unwrap_or_default();
    let to = match &successors[..] {
        [] => String::new(),
        ids => format!(", its successors are {}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    Err(Error::sealed(format!(
        "stream {}, segment {segment} was sealed by scaling{to}: look the stream up again and route by key",
        stream.name
    )))
}

/// The same for a part that was routed before a scaling and cannot be routed again by who made it (a checkpoint): the
/// events of a sealed segment go to the active segments of their keys, in their order; key-less ones stay together.
/// Answers the first offset in the first segment that got any.
pub(super) fn follow(o: &mut Overlay<'_>, append: &Append) -> Result<Offset> {
    let stream = open_stream_row(o, append.stream)?;
    let mut first = None;
    for append in routed(o, &stream, append)? {
        first = first.or(Some(place(o, &stream, &append)?));
    }
    Ok(first.unwrap_or_default())
}

/// An append as the active segments take it: itself, or its events by their keys.
pub(super) fn routed(o: &Overlay<'_>, stream: &StreamRow, append: &Append) -> Result<Vec<Append>> {
    if stream.is_active(append.segment) {
        return Ok(vec![append.clone()]);
    }
    if !stream.was_made(append.segment) {
        return Err(Error::invalid(format!(
            "stream {} has no segment {}: look the stream up again",
            stream.name, append.segment
        )));
    }
    let past = o.past_segment(SegmentKey { stream: append.stream.id, segment: append.segment })?;
    let mut appender = Appender::over(append.stream, &stream.segments, past.map(|past| past.low));
    for chunk in &append.chunks {
        index_entry(stream, chunk)?;
        let batch = chunk::decode_chunk(&chunk.bytes)
            .map_err(|e| Error::invalid(format!("append to stream {}: {e}; use encode_chunk", stream.name)))?;
        appender.push(&batch)?;
    }
    appender.finish()
}

/// Puts the chunks at the tail of a segment that takes them; answers the first offset.
pub(super) fn place(o: &mut Overlay<'_>, stream: &StreamRow, append: &Append) -> Result<Offset> {
    let segment = SegmentKey { stream: append.stream.id, segment: append.segment };
    let mut row = segment_row(o, stream, segment)?;
    let first = row.tail;
    for chunk in &append.chunks {
        let entry = index_entry(stream, chunk)?;
        o.changes.chunks.insert(ChunkKey { segment, first: row.tail }, (entry, Some(chunk.bytes.clone())));
        o.changes.hot_bytes += i64::from(entry.bytes);
        row.tail = row.tail.plus(u64::from(entry.events));
        row.chunks += 1;
        row.bytes += u64::from(entry.bytes);
        row.raw_bytes += u64::from(entry.raw_bytes);
    }
    if !append.chunks.is_empty() {
        o.changes.segments.insert(segment, row);
    }
    Ok(first)
}
