//! A chunk: the stored form of a batch. Made by [`crate::stream::Appender`] or a sink before the commit, read by
//! [`crate::Store::read`].
//!
//! ```text
//! header, 44 bytes, integers little-endian
//!  0  [u8; 4]  magic "TMCK"
//!  4  u8       version, 1
//!  5  u8       codec of the body: 0 raw, 1 lz4 block
//!  6  u16      zero
//!  8  u32      events, at least 1
//! 12  u32      schema id, 0 = opaque values
//! 16  i64      least event time, ms
//! 24  i64      greatest event time, ms
//! 32  u32      raw length: bytes of the body before compression
//! 36  u32      length of the body as stored
//! 40  u32      crc32c over bytes 0..40 and the body as stored
//! body, decompressed: eight sections, each a u32 length and that many bytes
//!     timestamps     i64 per event
//!     key ends       u32 per event: where the key ends in key data
//!     key present    empty = every event has a key; else a byte per event, 0 = none
//!     key data
//!     value ends     u32 per event
//!     value present  empty = every event has a value; else a byte per event, 0 = none
//!     value data
//!     headers        empty, or one entry per event (crate::headers)
//! ```
//!
//! Invariants, checked on every read: the lengths fit the bytes that are there and [`CHUNK_RAW_BYTES_MAX`] before
//! anything is allocated; crc; counts agree; [`Batch::check`]; the times in the header are those of the events.

use crate::batch::{Batch, OptionalColumn};
use crate::error::{Error, Result};
use crate::time::EventTime;
use bytes::Bytes;

/// Bytes of the header.
pub const CHUNK_HEADER_BYTES: usize = 44;
/// Most bytes of columns in one chunk. A reader refuses more, so one event is a little smaller.
pub const CHUNK_RAW_BYTES_MAX: usize = 64 << 20;
/// What a full chunk aims at: redb allocates powers of two, and a value just over 64 KiB would take 128 KiB.
pub const CHUNK_TARGET_BYTES: usize = (64 << 10) - 64;

const MAGIC: [u8; 4] = *b"TMCK";
const VERSION: u8 = 1;
const CODEC_RAW: u8 = 0;
const CODEC_LZ4: u8 = 1;
const CRC_AT: usize = 40;
const SECTIONS: usize = 8;
/// lz4 cannot expand by more than this.
const LZ4_RATIO_MAX: usize = 256;

/// A chunk ready to be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedChunk {
    /// Header and body.
    pub bytes: Bytes,
    /// How many events.
    pub events: u32,
    /// Bytes of the columns before compression.
    pub raw_bytes: u32,
    /// Least event time.
    pub min_time: EventTime,
    /// Greatest event time.
    pub max_time: EventTime,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    codec: u8,
    pub(crate) events: u32,
    pub(crate) min_time: EventTime,
    pub(crate) max_time: EventTime,
    pub(crate) raw_bytes: u32,
    body_bytes: u32,
    pub(crate) crc: u32,
}

fn bad(why: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("chunk: {why}"))
}

fn push_section(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    body.extend_from_slice(bytes);
}

/// A column of fixed-width numbers as little-endian bytes: a cast where the machine is little-endian.
macro_rules! little_endian {
    ($push:ident, $take:ident, $number:ty) => {
        fn $push(body: &mut Vec<u8>, column: &[$number]) {
            if cfg!(target_endian = "little") {
                push_section(body, bytemuck::cast_slice(column));
            } else {
                body.extend_from_slice(&(size_of_val(column) as u32).to_le_bytes());
                column.iter().for_each(|n| body.extend_from_slice(&n.to_le_bytes()));
            }
        }

        fn $take(bytes: &[u8]) -> Vec<$number> {
            let mut column = vec![0; bytes.len() / size_of::<$number>()];
            bytemuck::cast_slice_mut::<$number, u8>(&mut column).copy_from_slice(bytes);
            if cfg!(target_endian = "big") {
                column.iter_mut().for_each(|n| *n = <$number>::from_le(*n));
            }
            column
        }
    };
}

little_endian!(push_i64s, take_i64s, i64);
little_endian!(push_u32s, take_u32s, u32);

fn raw_body(batch: &Batch) -> Vec<u8> {
    let present = batch.keys.present.len() + batch.values.present.len();
    let mut body = Vec::with_capacity(batch.bytes() + present + 4 * SECTIONS);
    push_i64s(&mut body, &batch.timestamps);
    for column in [&batch.keys, &batch.values] {
        push_u32s(&mut body, &column.ends);
        push_section(&mut body, &column.present);
        push_section(&mut body, &column.data);
    }
    push_section(&mut body, &batch.headers);
    body
}

/// Encodes a batch of at least one event, compressed when that saves an eighth.
pub fn encode_chunk(batch: &Batch) -> Result<EncodedChunk> {
    batch.check("chunk")?;
    let Some((min_time, max_time)) = batch.time_range() else {
        return Err(Error::invalid("a chunk holds at least one event"));
    };
    let body = raw_body(batch);
    let raw_len = body.len();
    if raw_len > CHUNK_RAW_BYTES_MAX {
        return Err(Error::invalid(format!(
            "{} events take {raw_len} bytes; a chunk holds at most {CHUNK_RAW_BYTES_MAX}: split the batch, shrink the events",
            batch.len()
        )));
    }
    let mut out = vec![0; CHUNK_HEADER_BYTES + lz4_flex::block::get_maximum_output_size(raw_len)];
    let compressed = lz4_flex::block::compress_into(&body, &mut out[CHUNK_HEADER_BYTES..])
        .map_err(|e| Error::bug(format!("lz4 refused a chunk: {e}")))?;
    let (codec, body_len) =
        if compressed <= raw_len - raw_len / 8 { (CODEC_LZ4, compressed) } else { (CODEC_RAW, raw_len) };
    if codec == CODEC_RAW {
        out[CHUNK_HEADER_BYTES..][..raw_len].copy_from_slice(&body);
    }
    out.truncate(CHUNK_HEADER_BYTES + body_len);
    out.shrink_to_fit();
    let events = batch.len() as u32;
    out[..4].copy_from_slice(&MAGIC);
    out[4] = VERSION;
    out[5] = codec;
    out[8..12].copy_from_slice(&events.to_le_bytes());
    out[16..24].copy_from_slice(&min_time.0.to_le_bytes());
    out[24..32].copy_from_slice(&max_time.0.to_le_bytes());
    out[32..36].copy_from_slice(&(raw_len as u32).to_le_bytes());
    out[36..40].copy_from_slice(&(body_len as u32).to_le_bytes());
    let crc = chunk_crc(&out);
    out[CRC_AT..CHUNK_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    Ok(EncodedChunk { bytes: out.into(), events, raw_bytes: raw_len as u32, min_time, max_time })
}

fn chunk_crc(chunk: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&chunk[..CRC_AT]), &chunk[CHUNK_HEADER_BYTES..])
}

fn u32_at(header: &[u8; CHUNK_HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn time_at(header: &[u8; CHUNK_HEADER_BYTES], at: usize) -> EventTime {
    EventTime(i64::from(u32_at(header, at)) | (i64::from(u32_at(header, at + 4)) << 32))
}

/// Reads the header and checks it against the length, not the crc.
pub(crate) fn decode_header(chunk: &[u8]) -> Result<Header> {
    let header =
        chunk.first_chunk::<CHUNK_HEADER_BYTES>().ok_or_else(|| bad(format!("{} bytes are too few", chunk.len())))?;
    if header[..4] != MAGIC {
        return Err(bad("no chunk starts like this"));
    }
    if header[4] != VERSION {
        return Err(bad(format!("version {} is unknown, this program knows version {VERSION}", header[4])));
    }
    if header[5] > CODEC_LZ4 || header[6..8] != [0, 0] || u32_at(header, 12) != 0 {
        return Err(bad(format!("codec {}, schema {}: unknown", header[5], u32_at(header, 12))));
    }
    let decoded = Header {
        codec: header[5],
        events: u32_at(header, 8),
        min_time: time_at(header, 16),
        max_time: time_at(header, 24),
        raw_bytes: u32_at(header, 32),
        body_bytes: u32_at(header, 36),
        crc: u32_at(header, CRC_AT),
    };
    let body = chunk.len() - CHUNK_HEADER_BYTES;
    let raw = decoded.raw_bytes as usize;
    if decoded.body_bytes as usize != body {
        return Err(bad(format!("the header says {} bytes of body, there are {body}", decoded.body_bytes)));
    }
    let raw_max = if decoded.codec == CODEC_RAW { body } else { body.saturating_mul(LZ4_RATIO_MAX) };
    if raw > CHUNK_RAW_BYTES_MAX || raw > raw_max || (decoded.codec == CODEC_RAW && raw != body) {
        return Err(bad(format!("{raw} raw bytes cannot come from {body}")));
    }
    if decoded.events == 0 || decoded.events as usize > raw / 8 {
        return Err(bad(format!("{} events cannot lie in {raw} bytes", decoded.events)));
    }
    Ok(decoded)
}

/// Reads a chunk back. Everything is checked: bad bytes are an error of kind `Corrupt`.
pub fn decode_chunk(chunk: &[u8]) -> Result<Batch> {
    let header = decode_header(chunk)?;
    if chunk_crc(chunk) != header.crc {
        return Err(bad("the checksum does not match"));
    }
    let body = &chunk[CHUNK_HEADER_BYTES..];
    let batch = if header.codec == CODEC_RAW {
        decode_body(body, header.events as usize)?
    } else {
        let mut raw = vec![0; header.raw_bytes as usize];
        let len = lz4_flex::block::decompress_into(body, &mut raw).map_err(|e| bad(format!("lz4: {e}")))?;
        if len != raw.len() {
            return Err(bad(format!("{len} bytes came out of lz4 instead of {}", raw.len())));
        }
        decode_body(&raw, header.events as usize)?
    };
    batch.check("chunk").map_err(|e| Error::corrupt(e.to_string()))?;
    if batch.time_range() != Some((header.min_time, header.max_time)) {
        return Err(bad("the times in the header are not those of the events"));
    }
    Ok(batch)
}

fn take_section<'a>(rest: &mut &'a [u8], name: &str) -> Result<&'a [u8]> {
    let short = || bad(format!("section {name} ends early"));
    let (len, tail) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (section, tail) = tail.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(short)?;
    *rest = tail;
    Ok(section)
}

fn take_numbers<'a>(rest: &mut &'a [u8], name: &str, bytes: usize) -> Result<&'a [u8]> {
    let section = take_section(rest, name)?;
    if section.len() != bytes {
        return Err(bad(format!("section {name} has {} bytes instead of {bytes}", section.len())));
    }
    Ok(section)
}

fn take_column(rest: &mut &[u8], name: &str, events: usize) -> Result<OptionalColumn> {
    Ok(OptionalColumn {
        ends: take_u32s(take_numbers(rest, name, events * 4)?),
        present: take_section(rest, name)?.to_vec(),
        data: take_section(rest, name)?.to_vec(),
    })
}

fn decode_body(mut rest: &[u8], events: usize) -> Result<Batch> {
    let batch = Batch {
        timestamps: take_i64s(take_numbers(&mut rest, "timestamps", events * 8)?),
        keys: take_column(&mut rest, "keys", events)?,
        values: take_column(&mut rest, "values", events)?,
        headers: take_section(&mut rest, "headers")?.to_vec(),
    };
    if rest.is_empty() { Ok(batch) } else { Err(bad(format!("{} bytes after the last section", rest.len()))) }
}
