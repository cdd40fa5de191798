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

/// How many of these chunks of the file the index names from now on. `more`: others were switched over before.
pub(super) fn seal(o: &mut Overlay<'_>, file: u64, row: &FileRow, groups: &[Group], more: bool) -> Result<u64> {
    let mut row = match o.file(file)? {
        None if more => return Ok(0), // all that was switched over was truncated: the file is about to go
        None => FileRow { live_chunks: 0, live_bytes: 0, ..row.clone() },
        Some(known) if more && known.name == row.name => known,
        Some(_) => return Err(Error::fenced(format!("sealed file {file}: the number was used meanwhile; plan anew"))),
    };
    let before = row.live_chunks;
    // Past a group that stays hot, the rest of its segment stays hot: sealed chunks are a prefix.
    let mut stays = BTreeSet::new();
    for group in groups {
        if stays.contains(&group.segment) || !switch(o, &mut row, group)? {
            stays.insert(group.segment);
        }
    }
    if row.live_chunks > before {
        o.changes.next_file = Some(o.next_file()?.max(file + 1));
        o.changes.files.insert(file, row.clone());
    }
    Ok(row.live_chunks - before)
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

/// Switches chunks over from files that are mostly dead; how many went in. One that is no longer just there stays where it is.
pub(super) fn rewrite(o: &mut Overlay<'_>, file: u64, row: &FileRow, groups: &[Group]) -> Result<u64> {
    if o.file(file)?.is_some() {
        return Err(Error::fenced(format!("sealed file {file}: the number was used meanwhile; plan anew")));
    }
    let mut row = FileRow { live_chunks: 0, live_bytes: 0, ..row.clone() };
    for group in groups {
        let ([(first, old)], [(_, new)]) = (&group.old[..], &group.new[..]) else { continue };
        let key = ChunkKey { segment: group.segment, first: *first };
        let Location::Sealed { file: from, len, .. } = old.location else { continue };
        if o.index_entry(key)? != Some(*old) {
            continue;
        }
        o.changes.chunks.insert(key, (*new, None));
        row.live_chunks += 1;
        row.live_bytes += sealed_len(new);
        one_less(o, from, len)?;
    }
    if row.live_chunks > 0 {
        o.changes.next_file = Some(o.next_file()?.max(file + 1));
        o.changes.files.insert(file, row.clone());
    }
    Ok(row.live_chunks)
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
    one_less(o, file, len)
}

/// A file is named by one chunk or run less, of so many bytes. With the last one its row goes.
pub(super) fn one_less(o: &mut Overlay<'_>, file: u64, bytes: u64) -> Result<()> {
    // No row: `check` tells of it; truncation goes on.
    let Some(mut row) = o.file(file)? else { return Ok(()) };
    row.live_chunks = row.live_chunks.saturating_sub(1);
    row.live_bytes = row.live_bytes.saturating_sub(bytes);
    if row.live_chunks == 0 {
        o.changes.files.remove(&file);
        o.changes.dropped_files.insert(file, row.name);
    } else {
        o.changes.files.insert(file, row);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::{Append, Part};
    use crate::decide::tests::{Nothing, SEGMENT, append_of, create, truncate_at};
    use crate::decide::{Outcome, Work, decide_group};
    use crate::error::Kind;
    use crate::overlay::Changes;

    fn append(events: i64) -> Work {
        Work::Part(Part::Append(append_of(events)))
    }

    /// The index entry of such an append, and its first offset.
    fn hot(first: u64, events: i64) -> (Offset, IndexEntry) {
        let Append { chunks, .. } = append_of(events);
        let header = crate::codec::chunk::decode_header(&chunks[0].bytes).unwrap();
        let entry = IndexEntry {
            location: Location::Hot,
            events: header.events,
            bytes: chunks[0].bytes.len() as u32,
            raw_bytes: header.raw_bytes,
            min_time: header.min_time,
            max_time: header.max_time,
            crc: header.crc,
        };
        (Offset(first), entry)
    }

    fn sealed(first: u64, events: u32) -> (Offset, IndexEntry) {
        let location = Location::Sealed { file: 1, start: 20, len: 100 };
        (Offset(first), IndexEntry { location, events, bytes: 100, ..hot(first, 1).1 })
    }

    fn seal(file: u64, groups: Vec<Group>) -> Work {
        let row = FileRow { name: format!("f{file}"), bytes: 500, crc: 1, live_chunks: 9, live_bytes: 9 };
        Work::Seal { file, row, groups, more: false }
    }

    fn group(old: &[(Offset, IndexEntry)], new: &[(Offset, IndexEntry)]) -> Group {
        Group { segment: SEGMENT, old: old.to_vec(), new: new.to_vec() }
    }

    fn run(works: &[Work]) -> (Changes, Vec<Result<Outcome>>) {
        decide_group(&Nothing, works, &crate::terms::Terms::default()).unwrap()
    }

    fn index(changes: &Changes) -> Vec<(u64, u32, bool)> {
        let entry = |(k, (e, bytes)): (&ChunkKey, &(IndexEntry, Option<_>))| (k.first.0, e.events, bytes.is_some());
        changes.chunks.iter().map(entry).collect()
    }

    #[test]
    fn a_group_takes_the_place_of_its_chunks_and_the_file_counts_it() {
        let old = [hot(0, 2), hot(2, 3)];
        let (changes, answers) =
            run(&[create(), append(2), append(3), append(4), seal(1, vec![group(&old, &[sealed(0, 5)])])]);
        assert!(matches!(answers[4], Ok(Outcome::Sealed(1))), "{answers:?}");
        assert_eq!(index(&changes), [(0, 5, false), (5, 4, true)]);
        let last = u64::from(hot(5, 4).1.bytes);
        assert_eq!(changes.hot_bytes, last as i64);
        assert_eq!((changes.segments[&SEGMENT].chunks, changes.segments[&SEGMENT].bytes), (2, 100 + last));
        assert_eq!((changes.files[&1].live_chunks, changes.files[&1].live_bytes), (1, 100));
        assert_eq!(changes.sealed_segments[&SEGMENT].until, Offset(5));
        assert_eq!(changes.next_file, Some(2));
    }

    #[test]
    fn what_was_truncated_since_the_plan_is_no_obstacle() {
        let old = [hot(0, 2), hot(2, 3)];
        let works = |head| {
            [create(), append(2), append(3), truncate_at("m", head), seal(1, vec![group(&old, &[sealed(0, 5)])])]
        };
        let (changes, _) = run(&works(3));
        assert_eq!(index(&changes), [(0, 5, false)], "half of it can be read");
        assert_eq!((changes.segments[&SEGMENT].head, changes.segments[&SEGMENT].chunks), (Offset(3), 1));
        let (changes, answers) = run(&works(5));
        assert!(matches!(answers[4], Ok(Outcome::Sealed(0))), "{answers:?}");
        assert_eq!((index(&changes), changes.files.len(), changes.next_file), (Vec::new(), 0, None));
        assert_eq!(changes.hot_bytes, 0);
    }

    #[test]
    fn a_chunk_that_is_another_stays_hot_and_so_does_the_rest_of_its_segment() {
        let other = (Offset(0), IndexEntry { crc: 7, ..hot(0, 2).1 });
        let groups = vec![group(&[other], &[sealed(0, 2)]), group(&[hot(2, 3)], &[sealed(2, 3)])];
        let (changes, answers) = run(&[create(), append(2), append(3), seal(1, groups)]);
        assert!(matches!(answers[3], Ok(Outcome::Sealed(0))), "{answers:?}");
        assert_eq!(index(&changes), [(0, 2, true), (2, 3, true)]);
    }

    #[test]
    fn a_file_goes_with_its_last_chunk() {
        let groups = vec![group(&[hot(0, 2)], &[sealed(0, 2)]), group(&[hot(2, 3)], &[sealed(2, 3)])];
        let mut works = vec![create(), append(2), append(3), seal(1, groups), truncate_at("a", 4)];
        let (changes, _) = run(&works);
        assert_eq!((changes.files[&1].live_chunks, changes.dropped_files.len()), (1, 0));
        works.push(truncate_at("b", 5));
        let (changes, _) = run(&works);
        assert_eq!(changes.dropped_files[&1], "f1");
        assert_eq!((changes.files.len(), changes.next_file), (0, Some(2)));
        let dropped: Vec<u64> = changes.dropped_chunks.iter().map(|k| k.first.0).collect();
        assert_eq!(dropped, [0, 2], "hot bytes that may lie there go, too");
        assert_eq!(changes.sealed_segments[&SEGMENT].chunks, 0);
    }

    #[test]
    fn a_file_is_switched_over_to_in_several_steps_until_it_goes() {
        let more = |first: u64, events: u32| {
            let row = FileRow { name: "f1".into(), bytes: 500, crc: 1, live_chunks: 9, live_bytes: 9 };
            let groups = vec![group(&[hot(first, i64::from(events))], &[sealed(first, events)])];
            Work::Seal { file: 1, row, groups, more: true }
        };
        let first = || seal(1, vec![group(&[hot(0, 2)], &[sealed(0, 2)])]);
        let (changes, answers) = run(&[create(), append(2), append(3), first(), more(2, 3)]);
        assert!(matches!(answers[4], Ok(Outcome::Sealed(1))), "{answers:?}");
        assert_eq!((changes.files[&1].live_chunks, changes.files[&1].live_bytes), (2, 200));

        // What a truncation let go must not come back: its bytes are about to be deleted.
        let (changes, answers) = run(&[create(), append(2), append(3), first(), truncate_at("a", 2), more(2, 3)]);
        assert!(matches!(answers[5], Ok(Outcome::Sealed(0))), "{answers:?}");
        assert_eq!((changes.files.len(), index(&changes)), (0, vec![(2, 3, true)]));
    }

    #[test]
    fn a_number_that_names_a_file_is_refused_and_a_smaller_one_that_was_reserved_is_not() {
        let groups = |first: u64, events: u32| vec![group(&[hot(first, i64::from(events))], &[sealed(first, events)])];
        let works = [
            create(),
            append(2),
            append(1),
            append(1),
            seal(3, groups(0, 2)),
            seal(3, groups(2, 1)),
            seal(2, groups(2, 1)),
        ];
        let (changes, answers) = run(&works);
        assert_eq!(answers[5].as_ref().unwrap_err().kind(), Kind::Fenced);
        assert!(matches!(answers[6], Ok(Outcome::Sealed(1))), "{:?}", answers[6]);
        assert_eq!((changes.files.len(), changes.next_file), (2, Some(4)));
    }
}
