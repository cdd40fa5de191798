//! What the author of a window aggregate writes, and what `finish` is given. `aggregate_runner` calls it.

use crate::codec::{Codec, Postcard};
use crate::column::{BatchColumns, push_i64, push_u32};
use crate::declare::Declare;
use crate::error::{Error, Result};
use crate::output::Bytes;
use crate::{Event, batch::text};
use serde::{Serialize, de::DeserializeOwned};

/// A window aggregate: the host keeps windows and accumulators, the aggregate folds, merges and finishes.
///
/// `add`, `merge` and `finish` must depend on what they are given and on the configuration alone: the host calls them again
/// after a failure, and on another instance. Fields may be `Config`, `Context` and metrics; there is no state besides the
/// accumulator.
#[allow(unused_variables)]
pub trait Aggregator: Declare + 'static {
    /// What is kept of the events of one window (or a piece of one) and key.
    type Accumulator: Default + Clone + Serialize + DeserializeOwned;

    /// Folds an event in. An error that refuses the event leaves the accumulator as it was, whatever was done to it.
    fn add(&mut self, accumulator: &mut Self::Accumulator, event: &Event<'_>) -> Result<()>;

    /// Folds in what a later piece of the same window gathered: panes of overlapping windows, sessions that became one.
    fn merge(&mut self, accumulator: &mut Self::Accumulator, later: Self::Accumulator) -> Result<()>;

    /// A window gives its result: any number of rows. A window cannot be refused, so that any error here stops the pipeline.
    fn finish(&mut self, window: &Window<'_>, accumulator: Self::Accumulator, rows: &mut Rows) -> Result<()>;

    /// Appends an accumulator's bytes; postcard unless implemented.
    fn encode(accumulator: &Self::Accumulator, out: &mut Vec<u8>) -> Result<(), String> {
        Postcard::encode(accumulator, out)
    }

    /// Reads them back.
    fn decode(bytes: &[u8]) -> Result<Self::Accumulator, String> {
        Postcard::decode(bytes)
    }

    /// Once per instance, when the fields are ready.
    fn open(&mut self) -> Result<()> {
        Ok(())
    }

    /// When the pipeline ends or drains.
    fn close(&mut self) -> Result<()> {
        Ok(())
    }

    /// JSON Schema of the configuration, for tools.
    fn config_schema() -> Option<serde_json::Value> {
        None
    }
}

/// A window of a key that gives a result.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) firing: u32,
}

impl<'a> Window<'a> {
    /// The key.
    pub fn key(&self) -> &'a [u8] {
        self.key
    }

    /// The key as text.
    pub fn key_text(&self) -> Result<&'a str> {
        text(Some(self.key), "key")
    }

    /// First time in it, ms; the least number for a global window.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// First time after it, ms; the greatest number for a global window.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// How often it gave results before.
    pub fn firing(&self) -> u32 {
        self.firing
    }
}

/// The rows that windows give. The host sets their times; without a key of their own they have the window's.
#[derive(Debug, Default)]
pub struct Rows {
    pub(crate) columns: BatchColumns,
    pub(crate) window_of: Vec<u8>,
    pub(crate) window: u32,
}

impl Rows {
    /// Adds a row.
    pub fn emit(&mut self, value: impl Bytes) {
        self.emit_keyed((), value);
    }

    /// Adds a row with a key of its own.
    pub fn emit_keyed(&mut self, key: impl Bytes, value: impl Bytes) {
        self.columns.values.push(value.bytes());
        self.end_row(key);
    }

    /// Adds a row, as JSON.
    pub fn emit_json<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let before = self.columns.values.data.len();
        if let Err(e) = serde_json::to_writer(&mut self.columns.values.data, value) {
            self.columns.values.data.truncate(before);
            return Err(Error::fatal(format!("the row cannot be written as JSON: {e}")));
        }
        self.columns.values.end_value();
        self.end_row(());
        Ok(())
    }

    fn end_row(&mut self, key: impl Bytes) {
        push_i64(&mut self.columns.timestamps, 0);
        self.columns.keys.push(key.bytes());
        push_u32(&mut self.window_of, self.window);
    }
}
