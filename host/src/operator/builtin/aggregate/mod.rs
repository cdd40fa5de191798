//! The interface of window aggregates: what the window operator asks, whoever answers (built-in columns, or a guest of the
//! `aggregator` world). It mirrors `wit/aggregator.wit`: the host owns windows, the aggregate folds, merges and finishes.

mod cells;
mod columns;
mod pairs;
mod rows;

pub use columns::Columns;
pub use pairs::Pairs;

pub(super) use rows::{push_field, take_field};

use crate::operator::{Context, Descriptor, Failure, Rejection};
use std::sync::Arc;
use tidemill_storage::{Batch, Column, OptionalColumn};

/// A window that gives a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First time in it, ms; `i64::MIN` for a global one.
    pub start: i64,
    /// First time after it, ms; `i64::MAX` for a global one.
    pub end: i64,
    /// How often it gave results before.
    pub firing: u32,
}

/// What an aggregate thinks of the events of a call, before any is folded.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// Event i takes part; empty = all do.
    pub taken: Vec<bool>,
    /// Events refused; they do not take part.
    pub rejections: Vec<Rejection>,
}

/// What folding gave.
#[derive(Clone, Debug, Default)]
pub struct Accumulated {
    /// One per accumulator handed in, in order.
    pub accumulators: Column,
    /// Events refused, by their index in the call's batch; each left its accumulator as it was.
    pub rejections: Vec<Rejection>,
}

/// Rows of finished windows.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// Their times are the window operator's to set; an absent key stands for the window's.
    pub rows: Batch,
    /// Row j belongs to window `window_of[j]`; never decreases.
    pub window_of: Vec<u32>,
}

/// Folds events. Accumulators are opaque bytes, kept by the window operator. The context takes metrics and log lines, by the
/// aggregate's own indexes, and nothing else.
pub trait Aggregate: Send {
    /// Looks at the events of a call, of one input, which the next `accumulate` calls are about.
    fn admit(&mut self, _input: u32, _events: &Batch) -> Result<Admission, Failure> {
        Ok(Admission::default())
    }

    /// Event `indexes[i]` folds into accumulator `groups[i]` (absent = new).
    fn accumulate(
        &mut self,
        events: &Batch,
        indexes: &[u32],
        groups: &[u32],
        accumulators: &OptionalColumn,
        context: &mut Context,
    ) -> Result<Accumulated, Failure>;

    /// Accumulators with the same group fold into one, in time order. Groups are 0..n without gaps, in order; n results.
    /// `name` says which group it is, for failures.
    fn merge(
        &mut self,
        groups: &[u32],
        accumulators: &Column,
        name: &dyn Fn(u32) -> String,
        context: &mut Context,
    ) -> Result<Column, Failure>;

    /// `keys[i]`, `windows[i]` and `accumulators[i]` go together.
    fn finish(
        &mut self,
        keys: &Column,
        windows: &[Window],
        accumulators: &Column,
        context: &mut Context,
    ) -> Result<Finished, Failure>;

    /// The pipeline ends or drains.
    fn close(&mut self, _context: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}

/// Makes aggregates: one per subtask, a fresh one after a failure.
pub trait AggregateFactory: Send + Sync {
    /// What the aggregate says of itself: its name, version and metrics.
    fn descriptor(&self) -> &Descriptor;

    /// A new, opened aggregate. `context` takes the log lines of `open`.
    fn create(&self, context: &mut Context) -> Result<Box<dyn Aggregate>, Failure>;
}

/// A factory that can be kept and shared.
pub type SharedAggregates = Arc<dyn AggregateFactory>;
