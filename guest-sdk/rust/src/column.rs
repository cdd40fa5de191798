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
        self.data.extend_from_slice(value);
        push_u32(&mut self.ends, self.data.len() as u32);
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
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
                self.data.extend_from_slice(bytes);
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
        for column in [&mut self.keys, &mut self.values] {
            column.data.clear();
            column.ends.clear();
            column.present.clear();
        }
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
