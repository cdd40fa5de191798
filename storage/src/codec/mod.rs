//! Bytes on disk: ordered keys, checked and versioned rows, and the chunk layout in [`chunk`]. `redb_io.rs` calls this
//! on everything it writes and reads.
//!
//! Row (every value but chunks, state blobs and `meta`):
//!
//! ```text
//! 0  u8   version, 1
//! 1  u32  crc32c over version and payload, LE
//! 5  ..   payload: postcard of the row's struct, fields in order
//! ```
//!
//! Keys sort as bytes in the order of their parts: numbers are big-endian, texts are a u16 BE length and the bytes.

pub(crate) mod chunk;
pub(crate) mod numbered;
mod scoped;

pub(crate) use scoped::*;

use crate::error::{Error, Result};
use crate::ids::{Epoch, Offset, SegmentId, StreamId};
use crate::manifest::BlobId;
use crate::row::{ChunkKey, SegmentKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

const ROW_VERSION: u8 = 1;
const ROW_HEADER: usize = 5;

/// The stored form of a row.
pub(crate) fn encode_row<T: Serialize>(row: &T) -> Result<Vec<u8>> {
    let mut out = postcard::to_extend(row, vec![0; ROW_HEADER])
        .map_err(|e| Error::bug(format!("a row cannot be encoded: {e}")))?;
    out[0] = ROW_VERSION;
    let crc = row_crc(&out);
    out[1..ROW_HEADER].copy_from_slice(&crc.to_le_bytes());
    Ok(out)
}

fn row_crc(row: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&row[..1]), &row[ROW_HEADER..])
}

/// Reads a row; `what` names it in the error.
pub(crate) fn decode_row<T: DeserializeOwned>(bytes: &[u8], what: impl FnOnce() -> String) -> Result<T> {
    let why = if bytes.len() < ROW_HEADER {
        format!("{} bytes are too few", bytes.len())
    } else if bytes[0] != ROW_VERSION {
        format!("version {} is unknown, this program knows version {ROW_VERSION}", bytes[0])
    } else if row_crc(bytes).to_le_bytes() != bytes[1..ROW_HEADER] {
        "the checksum does not match".to_string()
    } else {
        match postcard::take_from_bytes(&bytes[ROW_HEADER..]) {
            Ok((row, [])) => return Ok(row),
            Ok((_, rest)) => format!("{} bytes too many", rest.len()),
            Err(e) => e.to_string(),
        }
    };
    Err(Error::corrupt(format!("{}: {why}; keep the files and restore a backup", what())))
}

fn push_text(key: &mut Vec<u8>, text: &str) {
    // Names are checked to be short before they come here (see decide::check_name).
    key.extend_from_slice(&(text.len() as u16).to_be_bytes());
    key.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (len, tail) = rest.split_first_chunk::<2>()?;
    let (text, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}

pub(crate) fn stream_key(id: StreamId) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// A stream, then a text to the end.
pub(crate) fn writer_key(stream: StreamId, writer: &str) -> Vec<u8> {
    [&stream_key(stream)[..], writer.as_bytes()].concat()
}

pub(crate) fn retention_key(stream: StreamId, number: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&stream_key(stream));
    out[8..].copy_from_slice(&number.to_be_bytes());
    out
}

pub(crate) fn blob_key(id: BlobId) -> [u8; 8] {
    id.0.to_be_bytes()
}

pub(crate) fn file_key(file: u64) -> [u8; 8] {
    file.to_be_bytes()
}

pub(crate) fn decode_file_key(bytes: &[u8]) -> Result<u64> {
    let key = bytes.try_into().map_err(|_| Error::corrupt("the key of a sealed file has not 8 bytes"))?;
    Ok(u64::from_be_bytes(key))
}

pub(crate) fn decode_blob_key(bytes: &[u8]) -> Result<BlobId> {
    let key = bytes.try_into().map_err(|_| Error::corrupt("the key of a state blob has not 8 bytes"))?;
    Ok(BlobId(u64::from_be_bytes(key)))
}

pub(crate) fn segment_key(key: SegmentKey) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&key.stream.0.to_be_bytes());
    out[8..].copy_from_slice(&key.segment.0.to_be_bytes());
    out
}

pub(crate) fn chunk_key(key: ChunkKey) -> [u8; 24] {
    let mut out = [0; 24];
    out[..16].copy_from_slice(&segment_key(key.segment));
    out[16..].copy_from_slice(&key.first.0.to_be_bytes());
    out
}

pub(crate) fn decode_segment_key(bytes: &[u8]) -> Result<SegmentKey> {
    let bad = || Error::corrupt(format!("a segment key has {} bytes instead of 16", bytes.len()));
    let (stream, segment) = bytes.split_first_chunk::<8>().ok_or_else(bad)?;
    let segment: &[u8; 8] = segment.try_into().map_err(|_| bad())?;
    let (stream, segment) = (u64::from_be_bytes(*stream), u64::from_be_bytes(*segment));
    Ok(SegmentKey { stream: StreamId(stream), segment: SegmentId(segment) })
}

pub(crate) fn decode_chunk_key(bytes: &[u8]) -> Result<ChunkKey> {
    let bad = || Error::corrupt(format!("a chunk key has {} bytes instead of 24", bytes.len()));
    let (stream, rest) = bytes.split_first_chunk::<8>().ok_or_else(bad)?;
    let (segment, rest) = rest.split_first_chunk::<8>().ok_or_else(bad)?;
    let first: &[u8; 8] = rest.try_into().map_err(|_| bad())?;
    Ok(ChunkKey {
        segment: SegmentKey {
            stream: StreamId(u64::from_be_bytes(*stream)),
            segment: SegmentId(u64::from_be_bytes(*segment)),
        },
        first: Offset(u64::from_be_bytes(*first)),
    })
}

/// A key made of one text.
pub(crate) fn text_key(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// Reads a key made of one text.
pub(crate) fn decode_text_key(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::corrupt("a name used as a key is not UTF-8"))
}

/// The prefix of everything kept under (text, ..).
pub(crate) fn text_prefix(text: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(text.len() + 18);
    push_text(&mut key, text);
    key
}

pub(crate) fn checkpoint_key(pipeline: &str, epoch: Epoch) -> Vec<u8> {
    let mut key = text_prefix(pipeline);
    key.extend_from_slice(&epoch.0.to_be_bytes());
    key
}

/// The epoch at the end of a checkpoint key.
pub(crate) fn checkpoint_key_epoch(key: &[u8]) -> Result<Epoch> {
    let epoch = key.last_chunk::<8>().ok_or_else(|| Error::corrupt("a checkpoint key is too short"))?;
    Ok(Epoch(u64::from_be_bytes(*epoch)))
}

pub(crate) fn manifest_key(pipeline: &str, operator: &str) -> Vec<u8> {
    let mut key = text_prefix(pipeline);
    push_text(&mut key, operator);
    key
}

/// The pipeline of a manifest key.
pub(crate) fn manifest_key_pipeline(mut key: &[u8]) -> Result<String> {
    let pipeline = take_text(&mut key).map(str::to_string);
    pipeline.ok_or_else(|| Error::corrupt("the key of a manifest cannot be read"))
}

/// The operator of a manifest key that starts with `prefix`.
pub(crate) fn manifest_key_operator(key: &[u8], prefix: &[u8]) -> Result<String> {
    let parse = || {
        let mut rest = key.strip_prefix(prefix)?;
        let operator = take_text(&mut rest)?;
        rest.is_empty().then(|| operator.to_string())
    };
    parse().ok_or_else(|| Error::corrupt("the key of a manifest cannot be read"))
}

pub(crate) fn schedule_key(pipeline: &str, epoch: Epoch, operator: &str, subtask: u32) -> Vec<u8> {
    let mut key = checkpoint_key(pipeline, epoch);
    push_text(&mut key, operator);
    key.extend_from_slice(&subtask.to_be_bytes());
    key
}

/// Operator and subtask of a schedule key that starts with `prefix`.
pub(crate) fn schedule_key_owner(key: &[u8], prefix: &[u8]) -> Result<(String, u32)> {
    let parse = || {
        let mut rest = key.strip_prefix(prefix)?;
        let operator = take_text(&mut rest)?;
        Some((operator.to_string(), u32::from_be_bytes(rest.try_into().ok()?)))
    };
    parse().ok_or_else(|| Error::corrupt("the key of an input schedule cannot be read"))
}

/// The least key above every key that starts with `prefix`; none when there is no such key.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::SegmentRow;

    #[test]
    fn a_row_comes_back_and_every_flipped_bit_is_found() {
        let row = SegmentRow { head: Offset(1), tail: Offset(300), chunks: 2, bytes: 70_000, raw_bytes: 9 };
        let bytes = encode_row(&row).unwrap();
        assert_eq!(decode_row::<SegmentRow>(&bytes, || "row".into()).unwrap(), row);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let error = decode_row::<SegmentRow>(&bad, || "the row".into()).unwrap_err();
            assert_eq!(error.kind(), crate::Kind::Corrupt);
            assert!(error.to_string().contains("the row"), "{error}");
        }
        for cut in 0..bytes.len() {
            assert!(decode_row::<SegmentRow>(&bytes[..cut], || "row".into()).is_err());
        }
    }

    #[test]
    fn keys_sort_by_their_parts() {
        let key = |segment, first| {
            chunk_key(ChunkKey {
                segment: SegmentKey { stream: StreamId(1), segment: SegmentId(segment) },
                first: Offset(first),
            })
        };
        assert!(key(0, 255) < key(0, 256) && key(0, u64::MAX) < key(1, 0));
        assert_eq!(decode_chunk_key(&key(7, 9)).unwrap().first, Offset(9));
        assert!(checkpoint_key("a", Epoch(255)) < checkpoint_key("a", Epoch(256)));
        assert!(!checkpoint_key("ab", Epoch(1)).starts_with(&text_prefix("a")));
        let prefix = checkpoint_key("p", Epoch(3));
        let (operator, subtask) = schedule_key_owner(&schedule_key("p", Epoch(3), "count", 2), &prefix).unwrap();
        assert_eq!((operator.as_str(), subtask), ("count", 2));
        assert_eq!(after_prefix(&[1, 255]), Some(vec![2]));
        assert_eq!(after_prefix(&[255]), None);
    }
}
