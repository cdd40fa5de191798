//! The events of one call as the operator sees them: borrowed from the columns that the host handed over, never copied.
//! `runner` makes a [`Batch`]; the operator iterates it or reads its columns.

use crate::call::Call;
use crate::column::{BatchColumns, BatchRef, read_i64};
use crate::declare::Input;
use crate::error::{Error, Result};
use crate::headers::{Headers, entry_ends};
use serde::Deserialize;
use std::fmt;
use std::rc::Rc;

/// One event (or timer) that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its index in the batch.
    pub index: u32,
    /// Why, for people.
    pub reason: String,
}

/// The events of one call.
pub struct Batch<'a> {
    pub(crate) call: &'a Rc<Call>,
    pub(crate) columns: &'a BatchColumns,
    pub(crate) input: u32,
    pub(crate) watermark: i64,
}

impl<'a> Batch<'a> {
    /// How many events.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Index of the input that they came from.
    pub fn input(&self) -> u32 {
        self.input
    }

    /// The operator's watermark before this batch, ms.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The columns as they came.
    pub fn columns(&self) -> BatchRef<'a> {
        self.columns.view()
    }

    /// Hands the events to `handle` one by one, each a transaction of its own: one that is refused leaves nothing behind
    /// and is listed in the result; any other error ends the call.
    pub fn each(&self, mut handle: impl FnMut(&Event<'a>) -> Result<()>) -> Result<Vec<Rejection>> {
        let mut refused = Vec::new();
        for (i, event) in self.events().enumerate() {
            if let Some(reason) = self.call.event(i, || handle(&event))? {
                refused.push(Rejection { index: i as u32, reason });
            }
        }
        Ok(refused)
    }

    /// The events, in order.
    pub(crate) fn events(&self) -> impl Iterator<Item = Event<'a>> + use<'a> {
        let columns = self.columns.view();
        let header_ends = entry_ends(columns.headers, if columns.headers.is_empty() { 0 } else { self.len() });
        let (input, watermark) = (self.input, self.watermark);
        let mut header_start = 0;
        (0..self.len()).map(move |i| {
            let header_end = header_ends.get(i).map_or(0, |end| *end as usize);
            let headers = &columns.headers[header_start..header_end];
            header_start = header_end;
            let (key, value) = (columns.keys.get(i), columns.values.get(i));
            Event { key, value, timestamp: read_i64(columns.timestamps, i), headers, input, watermark }
        })
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("events", &self.len()).field("input", &self.input).finish_non_exhaustive()
    }
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    timestamp: i64,
    headers: &'a [u8],
    input: u32,
    watermark: i64,
}

impl<'a> Event<'a> {
    /// Its routing key, if it has one.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// Its payload; none = a tombstone.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// Its event time, ms.
    pub fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// The operator's watermark when it came, ms. An event below it is late.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Its headers, in order.
    pub fn headers(&self) -> Headers<'a> {
        Headers::of_entry(self.headers)
    }

    /// Index of the input that it came from.
    pub fn input(&self) -> u32 {
        self.input
    }

    /// Whether it came from this input.
    pub fn is_from(&self, input: &Input) -> bool {
        self.input == input.index()
    }

    /// Its key as text; refuses the event if that is not what it is.
    pub fn key_text(&self) -> Result<&'a str> {
        text(self.key, "key")
    }

    /// Its payload as text; refuses the event if that is not what it is.
    pub fn text(&self) -> Result<&'a str> {
        text(self.value, "value")
    }

    /// Its payload parsed as JSON, borrowing what it can; refuses the event if that fails.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T> {
        let bytes = self.value.ok_or_else(|| Error::reject("the event has no value (a tombstone); JSON is needed"))?;
        serde_json::from_slice(bytes)
            .map_err(|e| Error::reject(format!("the value is not the JSON that is needed: {e}")))
    }
}

pub(crate) fn text<'a>(bytes: Option<&'a [u8]>, what: &str) -> Result<&'a str> {
    let bytes = bytes.ok_or_else(|| Error::reject(format!("the event has no {what}; text is needed")))?;
    std::str::from_utf8(bytes).map_err(|e| Error::reject(format!("the {what} is not UTF-8 text: {e}")))
}
