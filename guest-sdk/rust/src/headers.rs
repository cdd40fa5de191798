//! The headers column of a batch (wit/README.md): `output` writes entries, `batch` walks them.

use crate::column::push_u32;

/// Most headers of one event.
pub const HEADERS_PER_EVENT_MAX: u32 = 1_024;

/// The headers of one event, in order: names and values.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: u32,
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*head), rest))
}

fn take_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = take_u32(bytes)?;
    rest.split_at_checked(len as usize)
}

impl<'a> Headers<'a> {
    /// Those of an entry; none where the bytes are empty.
    pub fn of_entry(entry: &'a [u8]) -> Headers<'a> {
        let (left, rest) = take_u32(entry).unwrap_or((0, &[]));
        Headers { rest, left }
    }

    /// The value of the first header of this name.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.clone().find(|(n, _)| *n == name).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (name, rest) = take_bytes(self.rest)?;
        let (value, rest) = take_bytes(rest)?;
        self.rest = rest;
        Some((std::str::from_utf8(name).ok()?, value))
    }
}

/// Splits a column into one entry per event. The host has checked it; should it be cut short, what is left is empty.
pub(crate) fn entry_ends(column: &[u8], events: usize) -> Vec<u32> {
    let mut rest = column;
    let mut ends = Vec::with_capacity(events);
    for _ in 0..events {
        let (count, mut after) = take_u32(rest).unwrap_or((0, &[]));
        for _ in 0..u64::from(count) * 2 {
            after = take_bytes(after).map_or(&[], |(_, after)| after);
        }
        rest = after;
        ends.push((column.len() - rest.len()) as u32);
    }
    ends
}

/// Appends one event's entry.
pub(crate) fn push_entry(column: &mut Vec<u8>, headers: &[(&str, &[u8])]) {
    push_u32(column, headers.len() as u32);
    for (name, value) in headers {
        for bytes in [name.as_bytes(), value] {
            push_u32(column, bytes.len() as u32);
            column.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_those_of_the_wit_readme_and_come_back() {
        let mut column = Vec::new();
        push_entry(&mut column, &[]);
        push_entry(&mut column, &[("a", b"x")]);
        assert_eq!(column, [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, b'a', 1, 0, 0, 0, b'x']);
        assert_eq!(entry_ends(&column, 2), [4, 18]);
        assert_eq!(Headers::of_entry(&column[..4]).count(), 0);
        let headers = Headers::of_entry(&column[4..]);
        assert_eq!(headers.get("a"), Some(&b"x"[..]));
        assert_eq!(headers.collect::<Vec<_>>(), [("a", &b"x"[..])]);
    }

    #[test]
    fn a_column_that_is_cut_short_gives_what_there_is() {
        let mut column = Vec::new();
        push_entry(&mut column, &[("name", b"value")]);
        for cut in 0..column.len() {
            assert_eq!(Headers::of_entry(&column[..cut]).count(), 0, "cut at {cut}");
            assert_eq!(entry_ends(&column[..cut], 2).len(), 2);
        }
        assert_eq!(Headers::of_entry(&[255; 9]).count(), 0);
    }
}
