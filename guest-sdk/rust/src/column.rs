//! Columns as they cross the boundary: little-endian buffers, read in place and built in place. The host fills the ones
//! that `batch` and `state` read; `output`, `state` and `timer` build the ones that it gets.

/// Appends a u32 to a buffer.
#[inline]
pub fn push_u32(buffer: &mut Vec<u8>, n: u32) {
    buffer.extend_from_slice(&n.to_le_bytes());
}

/// Appends an i64 to a buffer.
#[inline]
pub fn push_i64(buffer: &mut Vec<u8>, n: i64) {
    buffer.extend_from_slice(&n.to_le_bytes());
}

/// Appends bytes. Short ones go in as two words that may overlap: a copy whose length is not a constant is a call out of
/// the guest's code, which costs many times the copy.
#[inline]
pub fn append(buffer: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len() {
        0 => {}
        1 => buffer.push(bytes[0]),
        2..=4 => overlapping::<2>(buffer, bytes),
        5..=8 => overlapping::<4>(buffer, bytes),
        9..=16 => overlapping::<8>(buffer, bytes),
        17..=32 => overlapping::<16>(buffer, bytes),
        33..=64 => overlapping::<32>(buffer, bytes),
        _ => buffer.extend_from_slice(bytes),
    }
}

/// Appends N to 2N bytes: the first N, then the last N over what the first left.
#[inline]
fn overlapping<const N: usize>(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else {
        return buffer.extend_from_slice(bytes);
    };
    let last_at = buffer.len() + bytes.len() - N;
    buffer.extend_from_slice(first);
    buffer.truncate(last_at);
    buffer.extend_from_slice(last);
}

/// Whether two byte strings are equal; in place, word by word, for the same reason as [`append`].
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (a_words, a_rest) = a.as_chunks::<8>();
    let (b_words, b_rest) = b.as_chunks::<8>();
    let words = a_words.iter().zip(b_words).all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b));
    words && a_rest.iter().zip(b_rest).all(|(a, b)| a == b)
}

/// Number `i` of a u32 buffer. Panics past the end, like a slice.
#[inline]
pub fn read_u32(buffer: &[u8], i: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&buffer[i * 4..i * 4 + 4]);
    u32::from_le_bytes(bytes)
}

/// Number `i` of an i64 buffer. Panics past the end, like a slice.
#[inline]
pub fn read_i64(buffer: &[u8], i: usize) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&buffer[i * 8..i * 8 + 8]);
    i64::from_le_bytes(bytes)
}

#[inline]
fn value<'a>(data: &'a [u8], ends: &[u8], i: usize) -> &'a [u8] {
    let start = if i == 0 { 0 } else { read_u32(ends, i - 1) as usize };
    &data[start..read_u32(ends, i) as usize]
}

/// Byte strings, none absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The values, end to end.
    pub data: Vec<u8>,
    /// Where each ends, u32 each.
    pub ends: Vec<u8>,
}

/// Borrowed [`Columns`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnsRef<'a> {
    /// The values, end to end.
    pub data: &'a [u8],
    /// Where each ends, u32 each.
    pub ends: &'a [u8],
}

/// Byte strings that may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionalColumns {
    /// The values, end to end.
    pub data: Vec<u8>,
    /// Where each ends, u32 each.
    pub ends: Vec<u8>,
    /// One byte each, 0 = absent; empty = all present.
    pub present: Vec<u8>,
}

/// Borrowed [`OptionalColumns`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionalColumnsRef<'a> {
    /// The values, end to end.
    pub data: &'a [u8],
    /// Where each ends, u32 each.
    pub ends: &'a [u8],
    /// One byte each, 0 = absent; empty = all present.
    pub present: &'a [u8],
}

/// Events as columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchColumns {
    /// Event times, i64 each, ms.
    pub timestamps: Vec<u8>,
    /// Routing keys.
    pub keys: OptionalColumns,
    /// Payloads.
    pub values: OptionalColumns,
    /// Empty, or one entry per event (see [`crate::headers`]).
    pub headers: Vec<u8>,
}

/// Borrowed [`BatchColumns`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchRef<'a> {
    /// Event times, i64 each, ms.
    pub timestamps: &'a [u8],
    /// Routing keys.
    pub keys: OptionalColumnsRef<'a>,
    /// Payloads.
    pub values: OptionalColumnsRef<'a>,
    /// Empty, or one entry per event (see [`crate::headers`]).
    pub headers: &'a [u8],
}

impl Columns {
    /// Adds a value.
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        append(&mut self.data, value);
        push_u32(&mut self.ends, self.data.len() as u32);
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
    }

    /// Borrows it.
    pub fn view(&self) -> ColumnsRef<'_> {
        ColumnsRef { data: &self.data, ends: &self.ends }
    }
}

impl<'a> ColumnsRef<'a> {
    /// How many values.
    pub fn len(&self) -> usize {
        self.ends.len() / 4
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Value `i`. Panics past the end, like a slice.
    #[inline]
    pub fn get(&self, i: usize) -> &'a [u8] {
        value(self.data, self.ends, i)
    }
}

impl OptionalColumns {
    /// How many values.
    pub fn len(&self) -> usize {
        self.ends.len() / 4
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds a value.
    #[inline]
    pub fn push(&mut self, value: Option<&[u8]>) {
        match value {
            Some(bytes) => {
                append(&mut self.data, bytes);
                self.end_value();
            }
            None => {
                if self.present.is_empty() {
                    self.present.resize(self.len(), 1);
                }
                self.present.push(0);
                push_u32(&mut self.ends, self.data.len() as u32);
            }
        }
    }

    /// Ends a value whose bytes were appended to `data`.
    #[inline]
    pub fn end_value(&mut self) {
        if !self.present.is_empty() {
            self.present.push(1);
        }
        push_u32(&mut self.ends, self.data.len() as u32);
    }

    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
        self.present.clear();
    }

    /// Borrows it.
    pub fn view(&self) -> OptionalColumnsRef<'_> {
        OptionalColumnsRef { data: &self.data, ends: &self.ends, present: &self.present }
    }
}

impl<'a> OptionalColumnsRef<'a> {
    /// How many values.
    pub fn len(&self) -> usize {
        self.ends.len() / 4
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Value `i`, if present. Panics past the end, like a slice.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        if !self.present.is_empty() && self.present[i] == 0 {
            return None;
        }
        Some(value(self.data, self.ends, i))
    }
}

impl BatchColumns {
    /// How many events.
    pub fn len(&self) -> usize {
        self.timestamps.len() / 8
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.timestamps.len() + self.keys.data.len() + self.values.data.len() + self.headers.len()
    }

    /// Borrows it.
    pub fn view(&self) -> BatchRef<'_> {
        BatchRef {
            timestamps: &self.timestamps,
            keys: self.keys.view(),
            values: self.values.view(),
            headers: &self.headers,
        }
    }

    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.keys.clear();
        self.values.clear();
        self.headers.clear();
    }
}

impl BatchRef<'_> {
    /// How many events.
    pub fn len(&self) -> usize {
        self.timestamps.len() / 8
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_are_appended_and_compared_whole() {
        let bytes: Vec<u8> = (1..=80).collect();
        for len in 0..bytes.len() {
            let mut buffer = b"before".to_vec();
            append(&mut buffer, &bytes[..len]);
            assert_eq!(buffer, [b"before", &bytes[..len]].concat());
            assert!(same(&bytes[..len], &bytes[..len].to_vec()));
            assert!(!same(&bytes[..len], &bytes[..len + 1]));
            for wrong in 0..len {
                let mut other = bytes[..len].to_vec();
                other[wrong] ^= 1;
                assert!(!same(&bytes[..len], &other), "{wrong} of {len}");
            }
        }
    }

    #[test]
    fn absent_and_empty_values_differ_and_come_back() {
        let mut column = OptionalColumns::default();
        column.push(Some(b"ab"));
        assert!(column.present.is_empty(), "nothing absent yet");
        column.push(None);
        column.push(Some(b""));
        let view = column.view();
        assert_eq!((view.get(0), view.get(1), view.get(2)), (Some(&b"ab"[..]), None, Some(&b""[..])));
        assert_eq!(column.present, [1, 0, 1]);
    }
}
