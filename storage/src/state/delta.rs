//! A delta: one epoch's changes to one subtask's keyed state as one sorted, checked blob. The host's sealed overlays and
//! [`merge`](super::merge()) write it; [`Memory`](super::Memory) and `merge` read it.
//!
//! ```text
//! blob   | "TMSD" | version u8 = 1 | codec u8 | 0 u16 | entries u64 | raw length u64 | crc32c u32 | body |
//!        0        4                5          6       8             16               24           28
//! body   entries end to end; codec 0: as they are, codec 1: one lz4 block of `raw length` bytes
//! crc    over bytes 0..24 and the body as stored
//! entry  | kind u8 | state u32 | key group u32 | key length | sub-key length | value length | key | sub-key | value |
//! kind   0 ClearKey (no sub-key, no value), 1 Put, 2 Delete (no value)
//! ```
//!
//! Fixed-width numbers are little-endian; the three lengths are LEB128 varints in their shortest form. Invariants, each
//! checked on decoding (a violation is `Corrupt`, never a panic):
//! 1. entries ascend strictly by (state, key group, key, ClearKey first, sub-key);
//! 2. a ClearKey has neither sub-key nor value, a Delete has no value;
//! 3. the body holds exactly `entries` entries in `raw length` bytes, which lz4 could have made of the stored ones.
//!
//! No prefix compression: lz4 takes what prefixes would, and an entry can be read without its predecessor.

use crate::error::{Error, Result};
use crate::ids::KeyGroup;
use bytes::Bytes;
use std::borrow::Cow;

const MAGIC: [u8; 4] = *b"TMSD";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 28;
const CRC_AT: usize = 24;
const CODEC_RAW: u8 = 0;
const CODEC_LZ4: u8 = 1;
/// Below this, compression cannot win enough to matter.
const LZ4_RAW_MIN: usize = 128;
/// lz4 blocks count in 32 bits; larger bodies stay raw.
const LZ4_RAW_MAX: usize = 1 << 30;
/// An lz4 block grows by at most this factor when decoded: the guard of the allocation.
const LZ4_RATIO_MAX: u64 = 255;

/// What happened to a key or an entry of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Everything committed under the key before this delta is removed; the delta's own entries of the key stay.
    ClearKey,
    /// The entry has this value.
    Put(&'a [u8]),
    /// The entry is removed.
    Delete,
}

/// One change, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Index of the state in the operator's descriptor, or a reserved state of [`crate::timer`].
    pub state: u32,
    /// The key's group.
    pub key_group: KeyGroup,
    /// The key.
    pub key: &'a [u8],
    /// The sub-key; empty for value state and for a ClearKey.
    pub sub_key: &'a [u8],
    /// The change.
    pub change: Change<'a>,
}

impl<'a> Entry<'a> {
    /// The place in a blob.
    pub(crate) fn order(&self) -> (u32, KeyGroup, &'a [u8], bool, &'a [u8]) {
        (self.state, self.key_group, self.key, self.change != Change::ClearKey, self.sub_key)
    }

    /// The place alone, for an index.
    pub(super) fn without_value(&self) -> Entry<'a> {
        Entry { change: if let Change::Put(_) = self.change { Change::Put(&[]) } else { self.change }, ..*self }
    }
}

/// Collects changes in any order and sorts them into a blob. Of two changes of one entry the later pushed one stays.
#[derive(Debug, Default)]
pub struct DeltaBuilder<'a> {
    entries: Vec<Entry<'a>>,
}

impl<'a> DeltaBuilder<'a> {
    /// An empty one with room for this many changes.
    pub fn with_capacity(changes: usize) -> DeltaBuilder<'a> {
        DeltaBuilder { entries: Vec::with_capacity(changes) }
    }

    /// Adds a change. A ClearKey has an empty sub-key.
    pub fn push(&mut self, state: u32, key_group: KeyGroup, key: &'a [u8], sub_key: &'a [u8], change: Change<'a>) {
        let sub_key = if change == Change::ClearKey { &[] } else { sub_key };
        self.entries.push(Entry { state, key_group, key, sub_key, change });
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The blob.
    pub fn finish(mut self) -> Bytes {
        self.entries.sort_by(|a, b| a.order().cmp(&b.order()));
        let mut encoder = Encoder::new();
        for (i, entry) in self.entries.iter().enumerate() {
            if self.entries.get(i + 1).is_some_and(|next| next.order() == entry.order()) {
                continue;
            }
            encoder.push(entry);
        }
        encoder.finish()
    }
}

/// Writes entries that come in order.
pub(super) struct Encoder {
    /// The header's place, then the raw body.
    blob: Vec<u8>,
    entries: u64,
}

impl Encoder {
    pub(super) fn new() -> Encoder {
        Encoder { blob: vec![0; HEADER_BYTES], entries: 0 }
    }

    pub(super) fn push(&mut self, entry: &Entry<'_>) {
        push_entry(&mut self.blob, entry);
        self.entries += 1;
    }

    pub(super) fn finish(mut self) -> Bytes {
        let raw = self.blob.len() - HEADER_BYTES;
        let codec = match compress(&self.blob[HEADER_BYTES..]) {
            Some(packed) => {
                self.blob = packed;
                CODEC_LZ4
            }
            None => CODEC_RAW,
        };
        let blob = &mut self.blob;
        blob[0..4].copy_from_slice(&MAGIC);
        blob[4] = VERSION;
        blob[5] = codec;
        blob[8..16].copy_from_slice(&self.entries.to_le_bytes());
        blob[16..24].copy_from_slice(&(raw as u64).to_le_bytes());
        let crc = checksum(blob);
        blob[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        Bytes::from(self.blob)
    }
}

/// The stored form of an entry, in blobs and runs.
pub(super) fn push_entry(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let (kind, value) = match entry.change {
        Change::ClearKey => (0, &[][..]),
        Change::Put(value) => (1, value),
        Change::Delete => (2, &[][..]),
    };
    out.push(kind);
    out.extend_from_slice(&entry.state.to_le_bytes());
    out.extend_from_slice(&entry.key_group.0.to_le_bytes());
    for part in [entry.key, entry.sub_key, value] {
        push_varint(out, part.len() as u64);
    }
    for part in [entry.key, entry.sub_key, value] {
        out.extend_from_slice(part);
    }
}

/// Header's place and lz4 body, when that saves at least an eighth.
fn compress(raw: &[u8]) -> Option<Vec<u8>> {
    if !(LZ4_RAW_MIN..=LZ4_RAW_MAX).contains(&raw.len()) {
        return None;
    }
    let mut packed = vec![0; HEADER_BYTES + lz4_flex::block::get_maximum_output_size(raw.len())];
    let stored = lz4_flex::block::compress_into(raw, &mut packed[HEADER_BYTES..]).ok()?;
    if stored > raw.len() - raw.len() / 8 {
        return None;
    }
    packed.truncate(HEADER_BYTES + stored);
    packed.shrink_to_fit();
    Some(packed)
}

fn checksum(blob: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&blob[..CRC_AT]), &blob[HEADER_BYTES..])
}

fn push_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A decoded, checked blob.
#[derive(Debug)]
pub struct Delta<'a> {
    body: Cow<'a, [u8]>,
    entries: u64,
}

impl<'a> Delta<'a> {
    /// Checks every byte and decompresses. `Corrupt` when anything is off.
    pub fn decode(blob: &'a [u8]) -> Result<Delta<'a>> {
        let corrupt = |what: &str| Error::corrupt(format!("state delta of {} bytes: {what}", blob.len()));
        let Some((header, stored)) = blob.split_first_chunk::<HEADER_BYTES>() else {
            return Err(corrupt("shorter than its header"));
        };
        if header[0..4] != MAGIC {
            return Err(corrupt("does not begin with TMSD"));
        }
        if header[4] != VERSION {
            return Err(corrupt(&format!("version {} is not known here", header[4])));
        }
        if u32::from_le_bytes(number(header, CRC_AT)) != checksum(blob) {
            return Err(corrupt("checksum does not match"));
        }
        if header[6..8] != [0, 0] {
            return Err(corrupt("reserved bytes are not zero"));
        }
        let entries = u64::from_le_bytes(number(header, 8));
        let raw = u64::from_le_bytes(number(header, 16));
        let body = match header[5] {
            CODEC_RAW if raw == stored.len() as u64 => Cow::Borrowed(stored),
            CODEC_RAW => return Err(corrupt("raw length is not that of the body")),
            CODEC_LZ4 if raw <= (stored.len() as u64).saturating_mul(LZ4_RATIO_MAX) && raw <= LZ4_RAW_MAX as u64 => {
                let mut body = vec![0; raw as usize];
                match lz4_flex::block::decompress_into(stored, &mut body) {
                    Ok(n) if n == body.len() => Cow::Owned(body),
                    _ => return Err(corrupt("lz4 body does not decode to its raw length")),
                }
            }
            CODEC_LZ4 => return Err(corrupt("raw length is beyond what lz4 could have made of the body")),
            other => return Err(corrupt(&format!("codec {other} is not known here"))),
        };
        let delta = Delta { body, entries };
        delta.check().map_err(|what| corrupt(&what))?;
        Ok(delta)
    }

    /// Invariants 1 to 3.
    fn check(&self) -> Result<(), String> {
        let mut rest = &self.body[..];
        let mut before: Option<Entry<'_>> = None;
        let mut seen = 0u64;
        while !rest.is_empty() {
            let at = self.body.len() - rest.len();
            let entry = parse(&mut rest).ok_or_else(|| format!("entry at byte {at} is malformed"))?;
            if before.is_some_and(|before| before.order() >= entry.order()) {
                return Err(format!("entry at byte {at} is out of order"));
            }
            before = Some(entry);
            seen += 1;
        }
        if seen != self.entries {
            return Err(format!("{seen} entries where the header says {}", self.entries));
        }
        Ok(())
    }

    /// How many changes.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Whether there is no change.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The changes, in order.
    pub fn iter(&self) -> Entries<'_> {
        Entries { rest: &self.body }
    }
}

impl<'d> IntoIterator for &'d Delta<'_> {
    type Item = Entry<'d>;
    type IntoIter = Entries<'d>;

    fn into_iter(self) -> Entries<'d> {
        self.iter()
    }
}

/// The changes of a checked [`Delta`], in order.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        // `decode` has parsed all of it once, so that None is the end and nothing else.
        parse(&mut self.rest)
    }
}

fn number<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

/// Takes an entry off; none when it is malformed.
pub(super) fn parse<'a>(rest: &mut &'a [u8]) -> Option<Entry<'a>> {
    let mut at = *rest;
    let kind = *at.split_off_first()?;
    let state = u32::from_le_bytes(*at.split_off(..4)?.first_chunk()?);
    let key_group = KeyGroup(u32::from_le_bytes(*at.split_off(..4)?.first_chunk()?));
    let lengths = [varint(&mut at)?, varint(&mut at)?, varint(&mut at)?];
    let mut take = |length: u64| at.split_off(..usize::try_from(length).ok()?);
    let (key, sub_key, value) = (take(lengths[0])?, take(lengths[1])?, take(lengths[2])?);
    let change = match kind {
        0 if sub_key.is_empty() && value.is_empty() => Change::ClearKey,
        1 => Change::Put(value),
        2 if value.is_empty() => Change::Delete,
        _ => return None,
    };
    *rest = at;
    Some(Entry { state, key_group, key, sub_key, change })
}

fn varint(at: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *at.split_off_first()?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        n |= bits << shift;
        if byte & 0x80 == 0 {
            return (byte != 0 || shift == 0).then_some(n);
        }
    }
    None
}
