//! Keys of tables' and logs' entries. `redb_io/scoped.rs` and the tables' own files use them.
//!
//! An entry of a table is keyed `u64 id | primary, escaped | 00 01 | secondary`: 00 in the primary key is written 00 FF, so
//! that keys sort by primary key, then by secondary key, whatever bytes these hold. A log's: `u64 id | u64 revision`.

use crate::error::{Error, Result};
use crate::row::ScopedId;

const ESCAPE: u8 = 0;
const ESCAPED_ZERO: u8 = 0xFF;
const END: u8 = 1;

/// A primary key or the beginning of one, as it lies in a key.
pub(crate) fn escape_primary(primary: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(primary.len() + 2);
    for &byte in primary {
        out.push(byte);
        if byte == ESCAPE {
            out.push(ESCAPED_ZERO);
        }
    }
    out
}

/// What all entries of a primary key begin with.
pub(crate) fn primary_key(primary: &[u8]) -> Vec<u8> {
    let mut out = escape_primary(primary);
    out.extend_from_slice(&[ESCAPE, END]);
    out
}

/// Primary and secondary key, without the table's id.
pub(crate) fn entry_key(primary: &[u8], secondary: &[u8]) -> Vec<u8> {
    let mut out = primary_key(primary);
    out.extend_from_slice(secondary);
    out
}

/// The keys of [`entry_key`].
pub(crate) fn decode_entry_key(key: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut primary = Vec::with_capacity(key.len());
    let mut rest = key;
    loop {
        match rest {
            [ESCAPE, END, secondary @ ..] => return Ok((primary, secondary.to_vec())),
            [ESCAPE, ESCAPED_ZERO, tail @ ..] => {
                primary.push(ESCAPE);
                rest = tail;
            }
            [ESCAPE, ..] | [] => return Err(Error::corrupt("the key of a table's entry cannot be read")),
            [byte, tail @ ..] => {
                primary.push(*byte);
                rest = tail;
            }
        }
    }
}

/// What all entries of a table or log begin with.
pub(crate) fn scoped_prefix(id: ScopedId) -> [u8; 8] {
    id.0.to_be_bytes()
}

/// The whole key of a table's entry.
pub(crate) fn table_entry_key(id: ScopedId, key: &[u8]) -> Vec<u8> {
    let mut out = scoped_prefix(id).to_vec();
    out.extend_from_slice(key);
    out
}

/// The whole key of a log's entry.
pub(crate) fn log_entry_key(id: ScopedId, revision: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&scoped_prefix(id));
    out[8..].copy_from_slice(&revision.to_be_bytes());
    out
}

/// Id and rest of a key.
pub(crate) fn split_scoped_key(key: &[u8]) -> Result<(ScopedId, &[u8])> {
    let (id, rest) = key
        .split_first_chunk::<8>()
        .ok_or_else(|| Error::corrupt("the key of an entry of a table or log is too short"))?;
    Ok((ScopedId(u64::from_be_bytes(*id)), rest))
}

/// The revision of a log's entry, from the rest of its key.
pub(crate) fn decode_revision(rest: &[u8]) -> Result<u64> {
    let rest = rest.try_into().map_err(|_| Error::corrupt("the key of a log's entry has not 16 bytes"))?;
    Ok(u64::from_be_bytes(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_come_back_and_sort_by_primary_then_secondary(
            a in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..5),
            b in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..5),
            x in prop::collection::vec(any::<u8>(), 0..3),
            y in prop::collection::vec(any::<u8>(), 0..3),
        ) {
            let key = entry_key(&a, &x);
            prop_assert_eq!(decode_entry_key(&key).unwrap(), (a.clone(), x.clone()));
            prop_assert_eq!(key.cmp(&entry_key(&b, &y)), (&a, &x).cmp(&(&b, &y)));
            prop_assert_eq!(key.starts_with(&escape_primary(&b)), a.starts_with(&b));
        }
    }

    #[test]
    fn a_broken_key_is_an_error() {
        for bad in [&[][..], &[1], &[0], &[0, 0], &[1, 0, 2, 0, 1]] {
            assert!(decode_entry_key(bad).is_err(), "{bad:?}");
        }
    }
}
