//! The door to the host: everything a call may ask of it. `wasm` passes it on to the component's imports,
//! `testing` keeps it in memory; `call` and the handles are the only callers.

use crate::column::{BatchRef, Columns, ColumnsRef, OptionalColumns, OptionalColumnsRef};

/// Which clock a timer follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeDomain {
    /// The operator's watermark.
    EventTime,
    /// The clock.
    ProcessingTime,
}

/// Which copy of the operator runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subtask {
    /// 0 to parallelism - 1.
    pub index: u32,
    /// How many copies there are.
    pub parallelism: u32,
    /// The most copies there can be.
    pub max_parallelism: u32,
}

/// Sub-keys in [start, end) of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRange {
    /// The key.
    pub key: Vec<u8>,
    /// First sub-key; none = from the beginning.
    pub start: Option<Vec<u8>>,
    /// First sub-key after the range; none = to the end.
    pub end: Option<Vec<u8>>,
}

/// Some entries of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Which range each entry belongs to, u32 each.
    pub range_of: Vec<u8>,
    /// Sub-keys; empty for lists.
    pub subkeys: Columns,
    /// Values.
    pub values: Columns,
    /// More to come.
    pub cursor: Option<Vec<u8>>,
}

/// What the host offers during a call. The shapes and rules are those of the WIT package.
pub trait Host {
    /// Reads values.
    fn get(&self, state: u32, keys: ColumnsRef<'_>, subkeys: Option<ColumnsRef<'_>>) -> OptionalColumns;
    /// Writes or deletes values.
    fn put(&self, state: u32, keys: ColumnsRef<'_>, subkeys: Option<ColumnsRef<'_>>, values: OptionalColumnsRef<'_>);
    /// Appends to lists.
    fn append(&self, state: u32, keys: ColumnsRef<'_>, values: ColumnsRef<'_>);
    /// Removes everything under keys.
    fn clear(&self, state: u32, keys: ColumnsRef<'_>);
    /// Reads entries in order.
    fn scan(&self, state: u32, ranges: &[ScanRange], limit: u32, cursor: Option<&[u8]>) -> Page;
    /// Registers timers.
    fn register(&self, domain: TimeDomain, timer: u32, keys: ColumnsRef<'_>, times: &[u8]);
    /// Takes timers back.
    fn cancel(&self, domain: TimeDomain, timer: u32, keys: ColumnsRef<'_>, times: &[u8]);
    /// Emits events.
    fn emit(&self, port: u32, events: BatchRef<'_>);
    /// Adds to a counter.
    fn add(&self, metric: u32, amount: u64);
    /// Sets a gauge.
    fn set(&self, metric: u32, value: f64);
    /// Notes values in a histogram.
    fn observe(&self, metric: u32, values: &[f64]);
    /// Which copy this is.
    fn subtask(&self) -> Subtask;
    /// The call's processing time, ms.
    fn now_ms(&self) -> i64;
}
