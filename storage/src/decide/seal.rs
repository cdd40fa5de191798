//! Decides the switch-over to a sealed file, and keeps the counts of files when their chunks are dropped.
//!
//! The mover planned on an older snapshot: since then chunks may have been truncated, nothing else. A group goes in when each
//! of its old chunks is still as it was, or was freed below the head.

use crate::error::{Error, Result};
use crate::ids::Offset;
use crate::manifest::Location;
use crate::overlay::{Overlay, Snapshot};
use crate::row::{ChunkKey, FileRow, IndexEntry, SegmentKey};
use crate::sealed::writer::Group;
use std::collections::BTreeSet;

fn end(first: Offset, entry: &IndexEntry) -> Offset {
    first.plus(u64::from(entry.events))
}

/// How many chunks of the file the index names from now on.
pub(super) fn seal(o: &mut Overlay<'_>, file: u64, row: &FileRow, groups: &[Group]) -> Result<u64> {
    let next = o.next_file()?;
    if file < next {
        return Err(Error::fenced(format!("sealed file {file}: the number was used meanwhile; plan anew")));
    }
    let mut row = FileRow { live_chunks: 0, live_bytes: 0, ..row.clone() };
    // Past a group that stays hot, the rest of its segment stays hot: sealed chunks are a prefix.
    let mut stays = BTreeSet::new();
    for group in groups {
        if stays.contains(&group.segment) || !switch(o, &mut row, group)? {
            stays.insert(group.segment);
        }
    }
    if row.live_chunks > 0 {
        o.changes.next_file = Some(file + 1);
        o.changes.files.insert(file, row.clone());
    }
    Ok(row.live_chunks)
}

/// Puts a group's new chunks in the place of its old ones; false when it does not fit.
fn switch(o: &mut Overlay<'_>, file: &mut FileRow, group: &Group) -> Result<bool> {
    let Some(mut segment) = o.segment(group.segment)? else { return Ok(false) };
    let mut sealed = o.sealed_segment(group.segment)?.unwrap_or_default();
    let key = |first: Offset| ChunkKey { segment: group.segment, first };
    let (Some((from, _)), Some((last, last_entry))) = (group.old.first(), group.old.last()) else { return Ok(false) };
    if *from < sealed.until {
        return Ok(false);
    }
    let mut there = Vec::with_capacity(group.old.len());
    for (first, old) in &group.old {
        match o.index_entry(key(*first))? {
            Some(now) if now == *old && now.location == Location::Hot => there.push((*first, *old)),
            None if end(*first, old) <= segment.head => {}
            _ => return Ok(false),
        }
    }
    for (first, old) in there {
        o.changes.chunks.remove(&key(first));
        o.changes.dropped_chunks.insert(key(first));
        o.changes.hot_bytes -= i64::from(old.bytes);
        segment.chunks = segment.chunks.saturating_sub(1);
        segment.bytes = segment.bytes.saturating_sub(u64::from(old.bytes));
        segment.raw_bytes = segment.raw_bytes.saturating_sub(u64::from(old.raw_bytes));
    }
    for (first, new) in group.new.iter().filter(|(first, new)| end(*first, new) > segment.head) {
        o.changes.dropped_chunks.remove(&key(*first));
        o.changes.chunks.insert(key(*first), (*new, None));
        segment.chunks += 1;
        segment.bytes += u64::from(new.bytes);
        segment.raw_bytes += u64::from(new.raw_bytes);
        sealed.chunks += 1;
        sealed.bytes += u64::from(new.bytes);
        file.live_chunks += 1;
        file.live_bytes += sealed_len(new);
    }
    sealed.until = end(*last, last_entry);
    o.changes.segments.insert(group.segment, segment);
    o.changes.sealed_segments.insert(group.segment, sealed);
    Ok(true)
}

fn sealed_len(entry: &IndexEntry) -> u64 {
    match entry.location {
        Location::Hot => 0,
        Location::Sealed { len, .. } => len,
    }
}

/// Counts a chunk that was taken out of the index. With its last chunk the file's row goes.
pub(super) fn dropped(o: &mut Overlay<'_>, segment: SegmentKey, entry: &IndexEntry) -> Result<()> {
    let Location::Sealed { file, len, .. } = entry.location else {
        o.changes.hot_bytes -= i64::from(entry.bytes);
        return Ok(());
    };
    if let Some(mut sealed) = o.sealed_segment(segment)? {
        sealed.chunks = sealed.chunks.saturating_sub(1);
        sealed.bytes = sealed.bytes.saturating_sub(u64::from(entry.bytes));
        o.changes.sealed_segments.insert(segment, sealed);
    }
    // No row: `check` tells of it; truncation goes on.
    let Some(mut row) = o.file(file)? else { return Ok(()) };
    row.live_chunks = row.live_chunks.saturating_sub(1);
    row.live_bytes = row.live_bytes.saturating_sub(len);
    if row.live_chunks == 0 {
        o.changes.files.remove(&file);
        o.changes.dropped_files.insert(file, row.name);
    } else {
        o.changes.files.insert(file, row);
    }
    Ok(())
}
