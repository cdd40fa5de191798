//! The headers column of a batch: empty, or for each event in order a u32 count and that many headers, each a
//! u32 length + name (UTF-8) and a u32 length + value (bytes). All integers little-endian. The same bytes lie on
//! disk, in memory and in the WIT record `batch.headers`.

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::time::EventTime;

/// One header: a UTF-8 name and any bytes.
pub type Header<'a> = (&'a str, &'a [u8]);

/// Most headers of one event.
pub const HEADERS_PER_EVENT_MAX: u32 = 1_024;

/// Walks the entries of a headers column, one item per event.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

fn bad(why: &str) -> Error {
    Error::invalid(format!("headers: {why}"))
}

fn take<'a>(rest: &mut &'a [u8], n: usize) -> Result<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(n).ok_or_else(|| bad("an entry ends early"))?;
    *rest = tail;
    Ok(head)
}

fn take_u32(rest: &mut &[u8]) -> Result<u32> {
    let bytes = take(rest, 4)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

impl<'a> Entries<'a> {
    /// Over the column's bytes.
    pub fn new(column: &'a [u8]) -> Entries<'a> {
        Entries { rest: column }
    }

    /// The next event's headers. On an empty column every event has none.
    pub fn next_event(&mut self) -> Result<Vec<Header<'a>>> {
        if self.rest.is_empty() {
            return Ok(Vec::new());
        }
        let count = take_u32(&mut self.rest)?;
        if count > HEADERS_PER_EVENT_MAX {
            return Err(bad(&format!("{count} headers on one event, at most {HEADERS_PER_EVENT_MAX}")));
        }
        let mut out = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let len = take_u32(&mut self.rest)? as usize;
            let name = std::str::from_utf8(take(&mut self.rest, len)?).map_err(|_| bad("a name is not UTF-8"))?;
            let len = take_u32(&mut self.rest)? as usize;
            out.push((name, take(&mut self.rest, len)?));
        }
        Ok(out)
    }

    /// The next event's entry as raw bytes (to copy entries without decoding names). Empty on an empty column.
    pub fn next_raw(&mut self) -> Result<&'a [u8]> {
        let start = self.rest;
        self.next_event()?;
        Ok(&start[..start.len() - self.rest.len()])
    }
}

/// Checks that the column is empty or holds exactly `events` entries.
pub fn check(column: &[u8], events: usize) -> Result<()> {
    if column.is_empty() {
        return Ok(());
    }
    let mut entries = Entries::new(column);
    for _ in 0..events {
        if entries.rest.is_empty() {
            return Err(bad("fewer entries than events"));
        }
        entries.next_event()?;
    }
    if entries.rest.is_empty() { Ok(()) } else { Err(bad("more entries than events")) }
}

/// Appends one event's entry to a headers column.
pub fn push_entry(column: &mut Vec<u8>, headers: &[Header<'_>]) {
    column.extend_from_slice(&(headers.len() as u32).to_le_bytes());
    for (name, value) in headers {
        column.extend_from_slice(&(name.len() as u32).to_le_bytes());
        column.extend_from_slice(name.as_bytes());
        column.extend_from_slice(&(value.len() as u32).to_le_bytes());
        column.extend_from_slice(value);
    }
}

/// Makes sure that a batch with events but no headers column gets one (an empty entry per event), so that entries
/// may be appended.
pub fn materialise(batch: &mut Batch) {
    if batch.headers.is_empty() {
        for _ in 0..batch.timestamps.len() {
            push_entry(&mut batch.headers, &[]);
        }
    }
}

/// Adds an event with headers to a batch.
pub fn push_event(
    batch: &mut Batch,
    timestamp: EventTime,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header<'_>],
) {
    materialise(batch);
    batch.timestamps.push(timestamp.0);
    batch.keys.push(key);
    batch.values.push(value);
    push_entry(&mut batch.headers, headers);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_bad_bytes_are_refused() {
        let mut batch = Batch::default();
        batch.push(EventTime(1), None, Some(b"a"));
        push_event(&mut batch, EventTime(2), Some(b"k"), None, &[("reason", b"bad"), ("n", b"")]);
        batch.check("test").unwrap();
        let mut entries = Entries::new(&batch.headers);
        assert!(entries.next_event().unwrap().is_empty());
        assert_eq!(entries.next_event().unwrap(), vec![("reason", &b"bad"[..]), ("n", &b""[..])]);
        for cut in 1..batch.headers.len() {
            assert!(check(&batch.headers[..cut], 2).is_err(), "cut at {cut}");
        }
        assert!(check(&batch.headers, 1).is_err());
        assert!(check(&[255, 255, 255, 255], 1).is_err());
    }
}
