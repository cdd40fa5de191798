//! Borrowed columns: what state calls take. Host functions build them from guest buffers, tests and built-ins from
//! [`Column`]s; `KeyedState` checks them before it reads a value.

use super::StateError;
use tidemill_storage::{Column, OptionalColumn};

/// Byte strings, none absent: value i is `data[ends[i-1]..ends[i]]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ColumnView<'a> {
    /// The values, end to end.
    pub data: &'a [u8],
    /// Where each ends.
    pub ends: &'a [u32],
}

/// Byte strings that may be absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct OptionalColumnView<'a> {
    /// The values, end to end; an absent one takes no bytes.
    pub data: &'a [u8],
    /// Where each ends.
    pub ends: &'a [u32],
    /// One byte per value, 0 = absent; empty = all present.
    pub present: &'a [u8],
}

impl<'a> ColumnView<'a> {
    /// How many values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Value i of a checked view. Panics past the end, like a slice.
    #[inline]
    pub fn get(&self, i: usize) -> &'a [u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.data[start..self.ends[i] as usize]
    }

    /// That ends never decrease and finish at the length of data.
    pub fn check(&self, what: &str) -> Result<(), StateError> {
        if !self.ends.is_sorted() || self.ends.last().map_or(0, |end| *end as usize) != self.data.len() {
            return Err(StateError::Malformed(format!(
                "{what}: ends must never decrease and must finish at the length of data ({} bytes)",
                self.data.len()
            )));
        }
        Ok(())
    }
}

impl<'a> OptionalColumnView<'a> {
    /// How many values, absent ones included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Value i of a checked view, if present. Panics past the end, like a slice.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&'a [u8]> {
        if !self.present.is_empty() && self.present[i] == 0 {
            return None;
        }
        Some(ColumnView { data: self.data, ends: self.ends }.get(i))
    }

    /// As [`ColumnView::check`]; and that `present` is empty or has one byte per value, and absent ones no bytes.
    pub fn check(&self, what: &str) -> Result<(), StateError> {
        let values = ColumnView { data: self.data, ends: self.ends };
        values.check(what)?;
        if self.present.is_empty() {
            return Ok(());
        }
        if self.present.len() != self.ends.len() {
            return Err(StateError::Malformed(format!(
                "{what}: present must be empty or have one byte per value, but has {} for {} values",
                self.present.len(),
                self.ends.len()
            )));
        }
        match (0..self.len()).find(|i| self.present[*i] == 0 && !values.get(*i).is_empty()) {
            Some(i) => Err(StateError::Malformed(format!("{what}: value {i} is absent but has bytes"))),
            None => Ok(()),
        }
    }
}

impl<'a> From<&'a Column> for ColumnView<'a> {
    fn from(column: &'a Column) -> ColumnView<'a> {
        ColumnView { data: &column.data, ends: &column.ends }
    }
}

impl<'a> From<&'a OptionalColumn> for OptionalColumnView<'a> {
    fn from(column: &'a OptionalColumn) -> OptionalColumnView<'a> {
        OptionalColumnView { data: &column.data, ends: &column.ends, present: &column.present }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_would_read_out_of_bounds_are_refused() {
        let bad: [(&[u8], &[u32]); 5] =
            [(b"abc", &[4]), (b"abc", &[2]), (b"abc", &[2, 1, 3]), (b"abc", &[]), (b"", &[0, 1])];
        for (data, ends) in bad {
            let error = ColumnView { data, ends }.check("keys").unwrap_err();
            assert!(error.to_string().starts_with("keys: ends"), "{error}");
        }
        ColumnView { data: b"abc", ends: &[0, 2, 2, 3] }.check("keys").unwrap();
    }

    #[test]
    fn presence_must_match_the_values() {
        let view = |present| OptionalColumnView { data: b"ab", ends: &[1, 1, 2], present };
        view(&[]).check("values").unwrap();
        view(&[1, 0, 1]).check("values").unwrap();
        assert_eq!(view(&[1, 0, 1]).get(1), None);
        assert_eq!(view(&[1, 1, 1]).get(1), Some(&b""[..]));
        view(&[1, 0]).check("values").unwrap_err();
        view(&[0, 0, 1]).check("values").unwrap_err();
    }
}
