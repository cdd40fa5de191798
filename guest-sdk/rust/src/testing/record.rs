//! Events and dead letters as a test writes and reads them.

use crate::batch::Event;
use crate::column::{BatchColumns, BatchRef, Columns, push_i64, read_i64};
use crate::headers::{Headers, entry_ends, push_entry};
use crate::output::Bytes;
use std::fmt;

/// An event: what a test sends, and what it gets.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Its time, ms.
    pub time: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// An event (or timer, without a value) that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// What was refused.
    pub record: Record,
    /// Why.
    pub reason: String,
}

impl Record {
    /// At time 0, without headers.
    pub fn new(key: impl Bytes, value: impl Bytes) -> Record {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        Record { key: owned(key.bytes()), value: owned(value.bytes()), ..Record::default() }
    }

    /// At this time, ms.
    #[must_use]
    pub fn at(mut self, time_ms: i64) -> Record {
        self.time = time_ms;
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Bytes) -> Record {
        self.headers.push((name.to_string(), value.bytes().unwrap_or_default().to_vec()));
        self
    }

    /// The value as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }

    /// The value as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.value.as_deref().unwrap_or_default()).unwrap_or_default()
    }
}

impl From<&Event<'_>> for Record {
    fn from(event: &Event<'_>) -> Record {
        let headers = event.headers().map(|(name, value)| (name.to_string(), value.to_vec())).collect();
        Record { headers, ..Record::new(event.key(), event.value()).at(event.timestamp()) }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|b| String::from_utf8_lossy(b).into_owned());
        write!(f, "Record({} ms, {:?}, {:?}", self.time, text(&self.key), text(&self.value))?;
        for (name, value) in &self.headers {
            write!(f, ", {name}={:?}", String::from_utf8_lossy(value))?;
        }
        f.write_str(")")
    }
}

pub(super) fn to_columns(records: &[Record]) -> BatchColumns {
    let mut columns = BatchColumns::default();
    for record in records {
        push_i64(&mut columns.timestamps, record.time);
        columns.keys.push(record.key.as_deref());
        columns.values.push(record.value.as_deref());
    }
    if records.iter().any(|record| !record.headers.is_empty()) {
        for record in records {
            let headers: Vec<_> = record.headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
            push_entry(&mut columns.headers, &headers);
        }
    }
    columns
}

pub(super) fn of_columns(columns: BatchRef<'_>) -> Vec<Record> {
    let ends = entry_ends(columns.headers, columns.len());
    let mut start = 0;
    let mut records = Vec::with_capacity(columns.len());
    for (i, end) in ends.into_iter().enumerate() {
        let entry = &columns.headers[start..end as usize];
        start = end as usize;
        let headers = Headers::of_entry(entry).map(|(name, value)| (name.to_string(), value.to_vec())).collect();
        let record = Record::new(columns.keys.get(i), columns.values.get(i)).at(read_i64(columns.timestamps, i));
        records.push(Record { headers, ..record });
    }
    records
}

pub(super) fn of_timers(keys: &Columns, times: &[u8]) -> Vec<Record> {
    let keys = keys.view();
    (0..keys.len()).map(|i| Record::new(keys.get(i), ()).at(read_i64(times, i))).collect()
}
