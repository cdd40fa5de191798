//! The only door between WIT types and Tidemill's: `instance.rs` and `host_functions` pass through it, and nothing else
//! in Tidemill sees a WIT type.
//!
//! To a guest, columns are lent: a `Vec<i64>` is its own little-endian buffer. From a guest, byte columns are moved;
//! number columns are copied once, because memory that was allocated as bytes may not be handed on as a `Vec<u32>`. What
//! is only looked at (state keys) is viewed in place if it happens to be aligned, as it is with every usual allocator.
//! Everything from a guest is checked here.

use super::bindings::aggregator::wit as aggregate;
use super::bindings::wit;
use super::bindings::wit::types::{
    BatchParam, BatchResult, ColumnsParam, ColumnsResult, OptionalColumnsParam, OptionalColumnsResult,
};
use crate::operator::builtin::aggregate::Window;
use crate::operator::{Failure, LogLevel, Rejection, TimeDomain, TimerBatch};
use bytemuck::Pod;
use std::borrow::Cow;
use tidemill_storage::{Batch, Column, OptionalColumn};

#[cfg(target_endian = "big")]
compile_error!("columns cross the boundary as they lie in memory, and the contract says little-endian");

/// Why a value from a guest is refused; the host function puts its own name in front.
pub(super) type Refused = String;

/// Lends a batch to a guest.
pub(super) fn batch_param(batch: &Batch) -> BatchParam<'_> {
    BatchParam {
        timestamps: bytemuck::cast_slice(&batch.timestamps),
        keys: optional_columns_param(&batch.keys),
        values: optional_columns_param(&batch.values),
        headers: &batch.headers,
    }
}

/// Lends values that may be absent to a guest.
pub(super) fn optional_columns_param(column: &OptionalColumn) -> OptionalColumnsParam<'_> {
    OptionalColumnsParam { data: &column.data, ends: bytemuck::cast_slice(&column.ends), present: &column.present }
}

/// Lends values to a guest.
pub(super) fn columns_param(column: &Column) -> ColumnsParam<'_> {
    ColumnsParam { data: &column.data, ends: bytemuck::cast_slice(&column.ends) }
}

/// A window for a guest.
pub(super) fn window_param(window: &Window) -> wit::types::Window {
    wit::types::Window { start: window.start, end: window.end, firing: window.firing }
}

/// Lends due timers to a guest.
pub(super) fn timers_param(fired: &TimerBatch) -> wit::types::TimerBatch<'_> {
    wit::types::TimerBatch {
        domain: match fired.domain {
            TimeDomain::EventTime => wit::types::TimeDomain::EventTime,
            TimeDomain::ProcessingTime => wit::types::TimeDomain::ProcessingTime,
        },
        timer: fired.timer,
        keys: columns_param(&fired.keys),
        times: bytemuck::cast_slice(&fired.times),
    }
}

/// Bytes of what a guest emits, as the quota counts them.
pub(super) fn batch_bytes(batch: &BatchResult) -> usize {
    batch.timestamps.len() + optional_bytes(&batch.keys) + optional_bytes(&batch.values) + batch.headers.len()
}

pub(super) fn optional_bytes(column: &OptionalColumnsResult) -> usize {
    column.data.len() + column.ends.len() + column.present.len()
}

pub(super) fn column_bytes(column: &ColumnsResult) -> usize {
    column.data.len() + column.ends.len()
}

/// Takes a batch from a guest.
pub(super) fn batch(from: BatchResult) -> Result<Batch, Refused> {
    let batch = Batch {
        timestamps: numbers(&from.timestamps, "timestamps")?,
        keys: optional_column(from.keys, "keys")?,
        values: optional_column(from.values, "values")?,
        headers: from.headers,
    };
    batch.check("the batch").map_err(|e| e.to_string())?;
    Ok(batch)
}

/// Takes values from a guest, which owes `count` of them.
pub(super) fn column(from: ColumnsResult, what: &str, count: usize) -> Result<Column, Refused> {
    let ends = ends(&from.data, &from.ends, what)?.into_owned();
    if ends.len() != count {
        return Err(format!("{what}: it gave {} for {count}", ends.len()));
    }
    Ok(Column { ends, data: from.data })
}

/// Takes the rows of `windows` windows from a guest, in the order of the windows, and their bytes. Their times are the
/// host's to set.
pub(super) fn finished(from: aggregate::Finished, windows: usize) -> Result<((Batch, Vec<u32>), usize), Refused> {
    let bytes = batch_bytes(&from.rows) + from.window_of.len();
    let window_of: Vec<u32> = numbers(&from.window_of, "window-of")?;
    let rows = batch(from.rows)?;
    if rows.len() != window_of.len() {
        return Err(format!("it gave {} rows and {} entries in window-of", rows.len(), window_of.len()));
    }
    if let Some(beyond) = window_of.iter().find(|window| **window as usize >= windows) {
        return Err(format!("window-of names window {beyond} of a call with {windows}"));
    }
    if window_of.is_sorted() {
        return Ok(((rows, window_of), bytes));
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row| window_of[*row]);
    let mut sorted = Batch::default();
    for row in &order {
        sorted.extend_from(&rows, *row..*row + 1).map_err(|e| e.to_string())?;
    }
    Ok(((sorted, order.into_iter().map(|row| window_of[row]).collect()), bytes))
}

fn optional_column(from: OptionalColumnsResult, what: &str) -> Result<OptionalColumn, Refused> {
    Ok(OptionalColumn { ends: numbers(&from.ends, what)?, data: from.data, present: from.present })
}

/// A buffer of little-endian numbers, copied.
fn numbers<T: Pod>(bytes: &[u8], what: &str) -> Result<Vec<T>, Refused> {
    let count = whole::<T>(bytes, what)?;
    let mut out = vec![T::zeroed(); count];
    bytemuck::cast_slice_mut::<T, u8>(&mut out).copy_from_slice(bytes);
    Ok(out)
}

/// A buffer of little-endian numbers, viewed in place where it is aligned.
pub(super) fn view<'a, T: Pod>(bytes: &'a [u8], what: &str) -> Result<Cow<'a, [T]>, Refused> {
    whole::<T>(bytes, what)?;
    match bytemuck::try_cast_slice(bytes) {
        Ok(numbers) => Ok(Cow::Borrowed(numbers)),
        Err(_) => numbers(bytes, what).map(Cow::Owned),
    }
}

fn whole<T>(bytes: &[u8], what: &str) -> Result<usize, Refused> {
    let width = size_of::<T>();
    if !bytes.len().is_multiple_of(width) {
        return Err(format!("{what}: a buffer of {} bytes is no multiple of {width} bytes per number", bytes.len()));
    }
    Ok(bytes.len() / width)
}

/// Ends that never decrease and finish at the length of the data.
pub(super) fn ends<'a>(data: &[u8], ends: &'a [u8], what: &str) -> Result<Cow<'a, [u32]>, Refused> {
    let ends = view::<u32>(ends, what)?;
    if !ends.is_sorted() || ends.last().map_or(0, |end| *end as usize) != data.len() {
        return Err(format!("{what}: ends must never decrease and must finish at the length of data ({})", data.len()));
    }
    Ok(ends)
}

/// Hands found values to a guest. `ends` is scratch of the host's and stays.
pub(super) fn found(column: &mut OptionalColumn) -> OptionalColumnsResult {
    OptionalColumnsResult {
        data: std::mem::take(&mut column.data),
        ends: bytemuck::cast_slice(&column.ends).to_vec(),
        present: std::mem::take(&mut column.present),
    }
}

/// Hands a column to a guest.
pub(super) fn columns(column: Column) -> ColumnsResult {
    ColumnsResult { data: column.data, ends: bytemuck::cast_slice(&column.ends).to_vec() }
}

/// What the guest says of the call.
pub(super) fn failure(from: wit::types::Failure) -> Failure {
    match from {
        wit::types::Failure::Retry(after_ms) => Failure::Retry(after_ms),
        wit::types::Failure::Fatal(why) => Failure::Fatal(why),
    }
}

/// Rejections of a call with `count` events or timers: each index in range and at most once.
pub(super) fn rejections(from: Vec<wit::types::Rejection>, count: usize) -> Result<Vec<Rejection>, Refused> {
    if let Some(beyond) = from.iter().find(|r| r.index as usize >= count) {
        return Err(format!("it rejected index {} of a call with {count} events or timers", beyond.index));
    }
    if !from.is_sorted_by(|a, b| a.index < b.index) {
        let mut seen = vec![false; count];
        for rejection in &from {
            if std::mem::replace(&mut seen[rejection.index as usize], true) {
                return Err(format!("it rejected index {} twice; at most once is allowed", rejection.index));
            }
        }
    }
    Ok(from.into_iter().map(|r| Rejection { index: r.index, reason: r.reason }).collect())
}

pub(super) fn domain(from: wit::types::TimeDomain) -> TimeDomain {
    match from {
        wit::types::TimeDomain::EventTime => TimeDomain::EventTime,
        wit::types::TimeDomain::ProcessingTime => TimeDomain::ProcessingTime,
    }
}

pub(super) fn level(from: wit::log::Level) -> LogLevel {
    match from {
        wit::log::Level::Trace => LogLevel::Trace,
        wit::log::Level::Debug => LogLevel::Debug,
        wit::log::Level::Info => LogLevel::Info,
        wit::log::Level::Warn => LogLevel::Warn,
        wit::log::Level::Error => LogLevel::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_storage::EventTime;

    fn from_guest(batch: &Batch) -> BatchResult {
        let column = |c: &OptionalColumn| OptionalColumnsResult {
            data: c.data.clone(),
            ends: bytemuck::cast_slice(&c.ends).to_vec(),
            present: c.present.clone(),
        };
        BatchResult {
            timestamps: bytemuck::cast_slice(&batch.timestamps).to_vec(),
            keys: column(&batch.keys),
            values: column(&batch.values),
            headers: batch.headers.clone(),
        }
    }

    #[test]
    fn a_batch_survives_the_boundary_and_faults_are_named() {
        let mut good = Batch::default();
        good.push(EventTime(-5), Some(b"k"), None);
        good.push(EventTime(7), None, Some(b""));
        assert_eq!(batch(from_guest(&good)).unwrap(), good);

        let mut bad = from_guest(&good);
        bad.values.ends.pop();
        assert!(batch(bad).unwrap_err().contains("values: a buffer of 7 bytes"));
        let mut bad = from_guest(&good);
        bad.keys.ends = vec![9, 0, 0, 0, 1, 0, 0, 0];
        assert!(batch(bad).unwrap_err().contains("keys: ends must never decrease"));
        let mut bad = from_guest(&good);
        bad.timestamps.truncate(8);
        assert!(batch(bad).unwrap_err().contains("columns of one batch have one length"));
        let mut bad = from_guest(&good);
        bad.timestamps[..8].copy_from_slice(&i64::MIN.to_le_bytes());
        assert!(batch(bad).unwrap_err().contains("outside +-(2^53 - 1)"));
    }

    #[test]
    fn unaligned_numbers_are_read_all_the_same() {
        let bytes: Vec<u8> = [0u8].into_iter().chain(7u32.to_le_bytes()).chain(8u32.to_le_bytes()).collect();
        assert_eq!(&*view::<u32>(&bytes[1..], "x").unwrap(), [7, 8]);
        assert_eq!(&*ends(&[1, 2], &[1, 0, 0, 0, 2, 0, 0, 0], "x").unwrap(), [1, 2]);
        assert!(ends(&[1], &[], "x").is_err());
    }

    #[test]
    fn rejections_are_in_range_and_at_most_one_each() {
        let wit = |indexes: &[u32]| {
            indexes.iter().map(|i| wit::types::Rejection { index: *i, reason: "r".into() }).collect::<Vec<_>>()
        };
        assert_eq!(rejections(wit(&[2, 0]), 3).unwrap().len(), 2);
        assert!(rejections(wit(&[3]), 3).unwrap_err().contains("index 3 of a call with 3"));
        assert!(rejections(wit(&[1, 0, 1]), 3).unwrap_err().contains("index 1 twice"));
    }
}
