//! An event under way, as keyed state keeps it. Written and read by `call/mod.rs` only.
//!
//! ```text
//! flags u8 (1: has a key, 2: has a value) | time i64 | watermark i64 | value's length u32 | value | headers entry
//! ```
//! Little endian. The key is that of the state; flag 1 tells an empty key from none.

use bytes::Bytes;

const HAS_KEY: u8 = 1;
const HAS_VALUE: u8 = 2;

/// An event under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Event time, ms.
    pub(super) time: i64,
    /// The operator's watermark when the event came, ms.
    pub(super) watermark: i64,
    pub(super) key: Option<Box<[u8]>>,
    pub(super) value: Option<Bytes>,
    /// Its entry of the headers column; empty: none.
    pub(super) headers: Box<[u8]>,
}

impl Kept {
    pub(super) fn new(time: i64, watermark: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[u8]) -> Kept {
        Kept {
            time,
            watermark,
            key: key.map(Box::from),
            value: value.map(Bytes::copy_from_slice),
            headers: headers.into(),
        }
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let length = |bytes: Option<usize>| bytes.unwrap_or(0);
        length(self.key.as_ref().map(|key| key.len()))
            + length(self.value.as_ref().map(Bytes::len))
            + self.headers.len()
    }

    /// Writes it over what `out` holds.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        let flag = |is_so: bool, flag: u8| if is_so { flag } else { 0 };
        out.push(flag(self.key.is_some(), HAS_KEY) | flag(self.value.is_some(), HAS_VALUE));
        out.extend_from_slice(&self.time.to_le_bytes());
        out.extend_from_slice(&self.watermark.to_le_bytes());
        let value = self.value.as_deref().unwrap_or_default();
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(value);
        out.extend_from_slice(&self.headers);
    }

    /// Reads it; `None` when it is damaged.
    pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Option<Kept> {
        let (flags, rest) = bytes.split_first()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (watermark, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (value, headers) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        if *flags > (HAS_KEY | HAS_VALUE) {
            return None;
        }
        let has = |flag: u8| flags & flag != 0;
        let (time, watermark) = (i64::from_le_bytes(*time), i64::from_le_bytes(*watermark));
        Some(Kept::new(time, watermark, has(HAS_KEY).then_some(key), has(HAS_VALUE).then_some(value), headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_and_cut_ones_are_refused() {
        for (key, value, headers) in
            [(None, None, &b""[..]), (Some(&b""[..]), Some(&b""[..]), b"h"), (Some(b"k"), Some(b"{}"), b"")]
        {
            let event = Kept::new(-5, i64::MIN, key, value, headers);
            let mut bytes = b"old".to_vec();
            event.encode(&mut bytes);
            assert_eq!(Kept::decode(key.unwrap_or_default(), &bytes), Some(event));
            let fixed = bytes.len() - headers.len();
            (0..fixed).for_each(|cut| assert_eq!(Kept::decode(b"", &bytes[..cut]), None, "cut at {cut}"));
            bytes[0] = 4;
            assert_eq!(Kept::decode(b"", &bytes), None);
        }
    }
}
