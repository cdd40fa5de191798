//! Keys of numbered things: transactions, and what a stream or a transaction has many of. `redb_io/{time,transaction}.rs` use them.
//!
//! A number alone, or of an owner and within it, u64 each; a writer's mark is keyed by the stream and the writer's name.

use crate::error::{Error, Result};
use crate::ids::StreamId;

pub(crate) fn number_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(crate) fn decode_number_key(bytes: &[u8]) -> Result<u64> {
    let key = bytes.try_into().map_err(|_| Error::corrupt("a key that is a number has not 8 bytes"))?;
    Ok(u64::from_be_bytes(key))
}

/// Of an owner, and within it.
pub(crate) fn numbered_key(owner: u64, number: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&owner.to_be_bytes());
    out[8..].copy_from_slice(&number.to_be_bytes());
    out
}

pub(crate) fn decode_numbered_key(bytes: &[u8]) -> Result<(u64, u64)> {
    match bytes.as_chunks::<8>() {
        ([owner, number], []) => Ok((u64::from_be_bytes(*owner), u64::from_be_bytes(*number))),
        _ => Err(Error::corrupt(format!("a key of two numbers has {} bytes instead of 16", bytes.len()))),
    }
}

pub(crate) fn mark_key(stream: StreamId, writer: &str) -> Vec<u8> {
    let mut out = stream.0.to_be_bytes().to_vec();
    out.extend_from_slice(writer.as_bytes());
    out
}

pub(crate) fn decode_mark_key(bytes: &[u8]) -> Result<(StreamId, String)> {
    let bad = || Error::corrupt("the key of a writer's mark cannot be read");
    let (stream, writer) = bytes.split_first_chunk::<8>().ok_or_else(bad)?;
    let writer = std::str::from_utf8(writer).map_err(|_| bad())?;
    Ok((StreamId(u64::from_be_bytes(*stream)), writer.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_and_sort_by_their_parts() {
        assert!(numbered_key(1, u64::MAX) < numbered_key(2, 0));
        assert_eq!(decode_numbered_key(&numbered_key(7, 9)).unwrap(), (7, 9));
        assert_eq!(decode_number_key(&number_key(300)).unwrap(), 300);
        assert!(mark_key(StreamId(1), "z") < mark_key(StreamId(2), "a"));
        assert_eq!(decode_mark_key(&mark_key(StreamId(3), "w\u{e4}")).unwrap(), (StreamId(3), "w\u{e4}".to_string()));
        for bad in [&[][..], &[0; 7], &[0; 17]] {
            assert!(decode_numbered_key(bad).is_err() && decode_number_key(bad).is_err());
        }
        assert!(decode_mark_key(&[0, 0, 0, 0, 0, 0, 0, 1, 0xFF]).is_err());
    }
}
