//! A batch of events as columns: one layout from disk to guest.
//!
//! Value i of a column is `data[ends[i-1]..ends[i]]` with `ends[-1] = 0`. Invariants, checked by [`Column::check`] and
//! [`Batch::check`] on everything that comes from disk or guests:
//! 1. `ends` never decreases, starts at or after 0, and its last entry equals `data.len()` (0 for no values);
//! 2. `present` is empty (all present) or has one byte per value; an absent value's range is empty;
//! 3. every column of a batch has one value per timestamp;
//! 4. timestamps are real times ([`EventTime::is_real`]);
//! 5. `headers` is empty (no event has any) or decodes to one entry per event (see [`crate::headers`]).

use crate::error::{Error, Result};
use crate::time::EventTime;

/// Byte strings, none absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// The values, end to end.
    pub data: Vec<u8>,
    /// Where each value ends in `data`.
    pub ends: Vec<u32>,
}

/// Byte strings that may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionalColumn {
    /// The values; an absent one takes no bytes.
    pub data: Vec<u8>,
    /// Where each value ends in `data`.
    pub ends: Vec<u32>,
    /// One byte per value, 0 = absent; empty = all present.
    pub present: Vec<u8>,
}

/// Events. `keys`: absent = no routing key. `values`: absent = tombstone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Event times, ms.
    pub timestamps: Vec<i64>,
    /// Routing keys.
    pub keys: OptionalColumn,
    /// Payloads.
    pub values: OptionalColumn,
    /// Empty, or one entry per event in the encoding of [`crate::headers`].
    pub headers: Vec<u8>,
}

#[inline]
fn range(ends: &[u32], i: usize) -> std::ops::Range<usize> {
    let start = if i == 0 { 0 } else { ends[i - 1] as usize };
    start..ends[i] as usize
}

fn check_ends(ends: &[u32], bytes: usize, what: &str) -> Result<()> {
    if !ends.is_sorted() || ends.last().map_or(0, |e| *e as usize) != bytes {
        return Err(Error::invalid(format!(
            "{what}: ends must never decrease and must finish at the length of data ({bytes} bytes)"
        )));
    }
    Ok(())
}

impl Column {
    /// How many values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Value i. Panics past the end, like a slice.
    #[inline]
    pub fn get(&self, i: usize) -> &[u8] {
        &self.data[range(&self.ends, i)]
    }

    /// Adds a value at the end.
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.ends.push(self.data.len() as u32);
    }

    /// All values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
    }

    /// Invariant 1.
    pub fn check(&self, what: &str) -> Result<()> {
        check_ends(&self.ends, self.data.len(), what)
    }
}

impl OptionalColumn {
    /// How many values, absent ones included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Value i, if present. Panics past the end, like a slice.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&[u8]> {
        if !self.present.is_empty() && self.present[i] == 0 {
            return None;
        }
        Some(&self.data[range(&self.ends, i)])
    }

    /// Adds a value at the end.
    #[inline]
    pub fn push(&mut self, value: Option<&[u8]>) {
        match value {
            Some(bytes) => {
                self.data.extend_from_slice(bytes);
                if !self.present.is_empty() {
                    self.present.push(1);
                }
            }
            None => {
                if self.present.is_empty() {
                    self.present.resize(self.ends.len(), 1);
                }
                self.present.push(0);
            }
        }
        self.ends.push(self.data.len() as u32);
    }

    /// All values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Adds values `range` of another column at the end. Panics past its end, like a slice.
    pub fn extend_from(&mut self, other: &OptionalColumn, events: std::ops::Range<usize>) {
        if !other.present.is_empty() && self.present.is_empty() {
            self.present.resize(self.ends.len(), 1);
        }
        if !other.present.is_empty() {
            self.present.extend_from_slice(&other.present[events.clone()]);
        } else if !self.present.is_empty() {
            self.present.resize(self.ends.len() + events.len(), 1);
        }
        let start = if events.start == 0 { 0 } else { other.ends[events.start - 1] };
        let end = if events.is_empty() { start } else { other.ends[events.end - 1] };
        let base = self.data.len() as u32;
        self.ends.extend(other.ends[events].iter().map(|e| e - start + base));
        self.data.extend_from_slice(&other.data[start as usize..end as usize]);
    }

    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
        self.present.clear();
    }

    /// Invariants 1 and 2.
    pub fn check(&self, what: &str) -> Result<()> {
        check_ends(&self.ends, self.data.len(), what)?;
        if self.present.is_empty() {
            return Ok(());
        }
        if self.present.len() != self.ends.len() {
            return Err(Error::invalid(format!("{what}: present must be empty or have one byte per value")));
        }
        let absent_with_bytes =
            (0..self.ends.len()).find(|&i| self.present[i] == 0 && !range(&self.ends, i).is_empty());
        match absent_with_bytes {
            Some(i) => Err(Error::invalid(format!("{what}: value {i} is absent but has bytes"))),
            None => Ok(()),
        }
    }
}

impl OptionalColumn {
    /// These values, in this order, in memory of exactly their size.
    fn gather(&self, values: &[u32]) -> OptionalColumn {
        let bytes = values.iter().map(|i| range(&self.ends, *i as usize).len()).sum();
        let mut data = Vec::with_capacity(bytes);
        let mut ends = Vec::with_capacity(values.len());
        for i in values {
            data.extend_from_slice(&self.data[range(&self.ends, *i as usize)]);
            ends.push(data.len() as u32);
        }
        let present = match self.present.is_empty() {
            true => Vec::new(),
            false => values.iter().map(|i| self.present[*i as usize]).collect(),
        };
        OptionalColumn { data, ends, present }
    }
}

impl Batch {
    /// How many events.
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Bytes held by the columns.
    pub fn bytes(&self) -> usize {
        self.timestamps.len() * 8
            + self.keys.data.len()
            + self.values.data.len()
            + (self.keys.ends.len() + self.values.ends.len()) * 4
            + self.headers.len()
    }

    /// Adds an event without headers. The batch must have none (see [`crate::headers`] for events with headers).
    #[inline]
    pub fn push(&mut self, timestamp: EventTime, key: Option<&[u8]>, value: Option<&[u8]>) {
        debug_assert!(self.headers.is_empty());
        self.timestamps.push(timestamp.0);
        self.keys.push(key);
        self.values.push(value);
    }

    /// Adds events `range` of another batch at the end, headers too. Panics past its end, like a slice; `Err` when the
    /// other batch's headers break invariant 5.
    pub fn extend_from(&mut self, other: &Batch, events: std::ops::Range<usize>) -> Result<()> {
        if !other.headers.is_empty() {
            crate::headers::materialise(self);
            let mut entries = crate::headers::Entries::new(&other.headers);
            for i in 0..events.end {
                let entry = entries.next_raw()?;
                if i >= events.start {
                    self.headers.extend_from_slice(entry);
                }
            }
        } else if !self.headers.is_empty() {
            for _ in events.clone() {
                crate::headers::push_entry(&mut self.headers, &[]);
            }
        }
        self.timestamps.extend_from_slice(&other.timestamps[events.clone()]);
        self.keys.extend_from(&other.keys, events.clone());
        self.values.extend_from(&other.values, events);
        Ok(())
    }

    /// A copy of these events, in this order. Panics past the end, like a slice; `Err` when headers break invariant 5.
    pub fn gather(&self, events: &[u32]) -> Result<Batch> {
        let mut headers = Vec::new();
        if !self.headers.is_empty() {
            let mut all = crate::headers::Entries::new(&self.headers);
            let entries = (0..self.len()).map(|_| all.next_raw()).collect::<Result<Vec<_>>>()?;
            events.iter().for_each(|i| headers.extend_from_slice(entries[*i as usize]));
        }
        Ok(Batch {
            timestamps: events.iter().map(|i| self.timestamps[*i as usize]).collect(),
            keys: self.keys.gather(events),
            values: self.values.gather(events),
            headers,
        })
    }

    /// A copy of events `range`.
    pub fn slice(&self, events: std::ops::Range<usize>) -> Result<Batch> {
        let mut out = Batch::default();
        out.extend_from(self, events)?;
        Ok(out)
    }

    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.keys.clear();
        self.values.clear();
        self.headers.clear();
    }

    /// Least and greatest time, if there is an event.
    pub fn time_range(&self) -> Option<(EventTime, EventTime)> {
        let min = self.timestamps.iter().min()?;
        let max = self.timestamps.iter().max()?;
        Some((EventTime(*min), EventTime(*max)))
    }

    /// Invariants 1 to 5.
    pub fn check(&self, what: &str) -> Result<()> {
        if self.keys.len() != self.len() || self.values.len() != self.len() {
            return Err(Error::invalid(format!(
                "{what}: {} timestamps, {} keys, {} values: columns of one batch have one length",
                self.len(),
                self.keys.len(),
                self.values.len()
            )));
        }
        self.keys.check(&format!("{what}, keys"))?;
        self.values.check(&format!("{what}, values"))?;
        if let Some(i) = self.timestamps.iter().position(|t| !EventTime(*t).is_real()) {
            return Err(Error::invalid(format!(
                "{what}: timestamp {} of event {i} is outside +-(2^53 - 1) ms",
                self.timestamps[i]
            )));
        }
        crate::headers::check(&self.headers, self.len()).map_err(|e| e.context(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::push_event;

    #[test]
    fn slices_and_joins_keep_every_event() {
        let mut plain = Batch::default();
        plain.push(EventTime(1), Some(b"a"), Some(b"one"));
        plain.push(EventTime(2), Some(b""), Some(b"two"));
        let mut rich = Batch::default();
        push_event(&mut rich, EventTime(3), None, Some(b"three"), &[("h", b"v")]);
        push_event(&mut rich, EventTime(4), Some(b"d"), None, &[]);
        for (first, second) in [(&plain, &rich), (&rich, &plain)] {
            let mut both = first.clone();
            both.extend_from(second, 0..2).unwrap();
            both.check("joined").unwrap();
            assert_eq!(
                both.keys.iter().collect::<Vec<_>>(),
                first.keys.iter().chain(second.keys.iter()).collect::<Vec<_>>()
            );
            for cut in 0..=4 {
                let mut again = both.slice(0..cut).unwrap();
                again.check("slice").unwrap();
                again.extend_from(&both, cut..4).unwrap();
                again.check("joined again").unwrap();
                assert_eq!(again.values.iter().collect::<Vec<_>>(), both.values.iter().collect::<Vec<_>>());
                assert_eq!((&again.timestamps, &again.headers), (&both.timestamps, &both.headers));
            }
            let mut turned = both.gather(&[3, 1, 0, 2]).unwrap();
            turned.check("gathered").unwrap();
            assert_eq!(turned.values.get(0), both.values.get(3));
            turned = turned.gather(&[2, 1, 3, 0]).unwrap();
            assert_eq!(turned.keys.iter().collect::<Vec<_>>(), both.keys.iter().collect::<Vec<_>>());
            assert_eq!((&turned.timestamps, &turned.headers), (&both.timestamps, &both.headers));
        }
    }
}
