//! Makes a sealed file of hot chunks, in memory: small ones that lie side by side are joined, full ones copied. The
//! mover feeds it in order, puts the bytes into the tier and hands the groups to the committer.

use super::layout::{FooterEntry, HEADER_BYTES, push_footer, push_header};
use super::{Holds, file_name, layout};
use crate::batch::Batch;
use crate::codec::chunk;
use crate::error::Result;
use crate::ids::Offset;
use crate::manifest::Location;
use crate::row::{ChunkKey, FileRow, IndexEntry, SegmentKey};
use crate::stream::{CHUNK_TARGET_BYTES, ChunkFiller, EncodedChunk, decode_chunk};
use bytes::Bytes;

/// A chunk of fewer bytes, encoded and decoded, is joined with its neighbours.
const SMALL_BYTES: u32 = CHUNK_TARGET_BYTES as u32 / 2;
const SMALL_RAW_BYTES: u32 = 128 << 10;

/// Hot chunks and what takes their place: the same events at the same offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) segment: SegmentKey,
    /// As the index had them; end to end.
    pub(crate) old: Vec<(Offset, IndexEntry)>,
    /// Sealed ones; end to end.
    pub(crate) new: Vec<(Offset, IndexEntry)>,
}

/// A file ready to be put.
#[derive(Clone, Debug)]
pub(crate) struct SealedFile {
    pub(crate) number: u64,
    /// Its row if every chunk goes in.
    pub(crate) row: FileRow,
    pub(crate) bytes: Bytes,
    pub(crate) groups: Vec<Group>,
}

/// A file in the making.
#[derive(Debug)]
pub(crate) struct FileWriter {
    number: u64,
    bytes: Vec<u8>,
    entries: Vec<FooterEntry>,
    groups: Vec<Group>,
    /// Small chunks that wait to be joined, decoded.
    pending: Batch,
    pending_old: Vec<(ChunkKey, IndexEntry)>,
    /// The first of them as it was: alone, it is copied.
    pending_first: Bytes,
    filler: ChunkFiller,
}

impl FileWriter {
    pub(crate) fn new(number: u64) -> FileWriter {
        FileWriter::within(number, Vec::new())
    }

    /// The same in memory that was used before: fresh pages for a whole file cost more than filling them.
    pub(crate) fn within(number: u64, mut bytes: Vec<u8>) -> FileWriter {
        bytes.clear();
        push_header(&mut bytes, number, Holds::Chunks);
        FileWriter {
            number,
            bytes,
            entries: Vec::new(),
            groups: Vec::new(),
            pending: Batch::default(),
            pending_old: Vec::new(),
            pending_first: Bytes::new(),
            filler: ChunkFiller::default(),
        }
    }

    /// Bytes of the chunks so far.
    pub(crate) fn len(&self) -> u64 {
        (self.bytes.len() - HEADER_BYTES + self.pending.bytes()) as u64
    }

    /// Takes in a hot chunk; those of a segment in the order of their offsets.
    pub(crate) fn add(&mut self, key: ChunkKey, entry: IndexEntry, bytes: Bytes) -> Result<()> {
        let small = entry.bytes < SMALL_BYTES && entry.raw_bytes < SMALL_RAW_BYTES;
        let is_told = |batch: &Batch| {
            batch.len() == entry.events as usize
                && chunk::decode_header(&bytes).is_ok_and(|h| h.crc == entry.crc && bytes.len() == entry.bytes as usize)
        };
        // A chunk that cannot be read goes as it is: the reader that needs it must hear of the damage, not lose track.
        let Some(batch) = small.then(|| decode_chunk(&bytes).ok()).flatten().filter(is_told) else {
            self.flush()?;
            self.copy(key, entry, &bytes);
            return Ok(());
        };
        let follows = self
            .pending_old
            .last()
            .is_none_or(|(last, e)| (last.segment, last.first.plus(u64::from(e.events))) == (key.segment, key.first));
        if !follows {
            self.flush()?;
        }
        if self.pending_old.is_empty() {
            self.pending_first = bytes;
        }
        let events = batch.len();
        self.pending.extend_from(&batch, 0..events)?;
        self.pending_old.push((key, entry));
        if self.filler.is_full(&self.pending) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let old = std::mem::take(&mut self.pending_old);
        let pending = std::mem::take(&mut self.pending);
        let first_bytes = std::mem::take(&mut self.pending_first);
        let Some((first, entry)) = old.first().copied() else { return Ok(()) };
        if old.len() == 1 {
            self.copy(first, entry, &first_bytes);
            return Ok(());
        }
        let mut new = Vec::new();
        let mut at = first;
        self.filler.encode(&pending)?;
        for chunk in self.filler.take() {
            let header = chunk::decode_header(&chunk.bytes)?;
            let EncodedChunk { bytes, events, raw_bytes, min_time, max_time } = chunk;
            let entry = IndexEntry {
                location: self.push(at, header.crc, &bytes),
                events,
                bytes: bytes.len() as u32,
                raw_bytes,
                min_time,
                max_time,
                crc: header.crc,
            };
            new.push((at.first, entry));
            at.first = at.first.plus(u64::from(events));
        }
        let old = old.into_iter().map(|(key, entry)| (key.first, entry)).collect();
        self.groups.push(Group { segment: first.segment, old, new });
        Ok(())
    }

    /// Takes a chunk over as it is.
    pub(crate) fn copy(&mut self, key: ChunkKey, entry: IndexEntry, bytes: &[u8]) {
        let location = self.push(key, entry.crc, bytes);
        let new = vec![(key.first, IndexEntry { location, ..entry })];
        self.groups.push(Group { segment: key.segment, old: vec![(key.first, entry)], new });
    }

    fn push(&mut self, key: ChunkKey, crc: u32, bytes: &[u8]) -> Location {
        let start = self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        self.entries.push(FooterEntry { key, start, len: bytes.len() as u32, crc });
        Location::Sealed { file: self.number, start, len: bytes.len() as u64 }
    }

    /// The whole file; none when nothing was added.
    pub(crate) fn finish(mut self) -> Result<Option<SealedFile>> {
        self.flush()?;
        if self.entries.is_empty() {
            return Ok(None);
        }
        let live_bytes = (self.bytes.len() - HEADER_BYTES) as u64;
        push_footer(&mut self.bytes, &self.entries);
        debug_assert!(layout::entries(&self.bytes, self.number).is_ok_and(|entries| entries == self.entries));
        let crc = crc32c::crc32c(&self.bytes);
        let row = FileRow {
            name: file_name(self.number, crc, Holds::Chunks),
            bytes: self.bytes.len() as u64,
            crc,
            live_chunks: self.entries.len() as u64,
            live_bytes,
        };
        Ok(Some(SealedFile { number: self.number, row, bytes: self.bytes.into(), groups: self.groups }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::hash_key;
    use crate::ids::{SegmentId, StreamId};
    use crate::stream::encode_chunk;
    use crate::time::EventTime;

    fn segment(n: u64) -> SegmentKey {
        SegmentKey { stream: StreamId(1), segment: SegmentId(n) }
    }

    fn noise(n: u64, bytes: usize) -> Vec<u8> {
        (0..bytes as u64 / 8).flat_map(|i| hash_key(&(n << 32 | i).to_le_bytes()).to_le_bytes()).collect()
    }

    /// A chunk of events numbered from `first`.
    fn hot(n: u64, first: u64, events: u64, value_bytes: usize) -> (ChunkKey, IndexEntry, Bytes) {
        let mut batch = Batch::default();
        for i in first..first + events {
            batch.push(EventTime(i as i64), Some(&i.to_le_bytes()), Some(&noise(i, value_bytes)));
        }
        let EncodedChunk { bytes, events, raw_bytes, min_time, max_time } = encode_chunk(&batch).unwrap();
        let crc = chunk::decode_header(&bytes).unwrap().crc;
        let len = bytes.len() as u32;
        let entry = IndexEntry { location: Location::Hot, events, bytes: len, raw_bytes, min_time, max_time, crc };
        (ChunkKey { segment: segment(n), first: Offset(first) }, entry, bytes)
    }

    fn events_of(file: &SealedFile, segment: SegmentKey) -> Vec<i64> {
        let mut out = Vec::new();
        for group in file.groups.iter().filter(|g| g.segment == segment) {
            for (first, entry) in &group.new {
                let Location::Sealed { start, len, .. } = entry.location else { panic!("not sealed") };
                let batch = decode_chunk(&file.bytes[start as usize..(start + len) as usize]).unwrap();
                assert_eq!(batch.timestamps[0], first.0 as i64, "the offset of the first event stays");
                out.extend(batch.timestamps);
            }
        }
        out
    }

    #[test]
    fn small_chunks_are_joined_up_to_the_target_and_every_event_keeps_its_offset() {
        let mut writer = FileWriter::new(7);
        for n in 0..400 {
            let (key, entry, bytes) = hot(0, n * 3, 3, 200);
            writer.add(key, entry, bytes).unwrap();
        }
        for n in 0..4 {
            let (key, entry, bytes) = hot(1, n * 5, 5, 8);
            writer.add(key, entry, bytes).unwrap();
        }
        let file = writer.finish().unwrap().unwrap();
        assert_eq!(events_of(&file, segment(0)), (0..1_200).collect::<Vec<_>>());
        assert_eq!(events_of(&file, segment(1)), (0..20).collect::<Vec<_>>());
        let new: Vec<_> = file.groups.iter().flat_map(|g| &g.new).collect();
        assert!(new.len() <= 10, "{} chunks", new.len());
        assert!(new.iter().all(|(_, e)| e.bytes as usize <= CHUNK_TARGET_BYTES));
        assert_eq!(layout::entries(&file.bytes, 7).unwrap().len(), new.len());
        assert_eq!((file.row.bytes, file.row.crc), (file.bytes.len() as u64, crc32c::crc32c(&file.bytes)));
    }

    #[test]
    fn full_chunks_lone_ones_and_damaged_ones_are_copied_as_they_are() {
        let (full, lone) = (hot(0, 0, 50, 1_000), hot(0, 50, 2, 8));
        let mut damaged = hot(0, 52, 2, 8);
        damaged.2 = damaged.2.iter().map(|b| b ^ 1).collect();
        let mut writer = FileWriter::new(1);
        for (key, entry, bytes) in [&full, &lone, &damaged] {
            writer.add(*key, *entry, bytes.clone()).unwrap();
        }
        let file = writer.finish().unwrap().unwrap();
        assert_eq!(file.groups.len(), 3);
        for (group, (key, entry, bytes)) in file.groups.iter().zip([&full, &lone, &damaged]) {
            let (first, new) = group.new[0];
            let Location::Sealed { file: 1, start, len } = new.location else { panic!("{new:?}") };
            assert_eq!(&file.bytes[start as usize..(start + len) as usize], &bytes[..]);
            assert_eq!((first, IndexEntry { location: Location::Hot, ..new }), (key.first, *entry));
        }
    }

    #[test]
    fn chunks_with_a_gap_between_them_are_not_joined() {
        let mut writer = FileWriter::new(1);
        for first in [0, 2, 10, 12] {
            let (key, entry, bytes) = hot(0, first, 2, 8);
            writer.add(key, entry, bytes).unwrap();
        }
        let file = writer.finish().unwrap().unwrap();
        let firsts: Vec<_> = file.groups.iter().map(|g| (g.old.len(), g.new[0].0.0)).collect();
        assert_eq!(firsts, [(2, 0), (2, 10)]);
        assert!(FileWriter::new(2).finish().unwrap().is_none());
    }
}
