//! Batched access to keyed state for built-in operators: columns are collected, then one call reads or writes them all.

use crate::operator::{Context, Failure};
use crate::state::{ColumnView, OptionalColumnView, ScanRange, StateError};
use tidemill_storage::{Column, OptionalColumn};

/// A refused state call: built-ins name states and keys that exist, so that what is left is size.
pub(super) fn refused(error: StateError) -> Failure {
    Failure::Trap { message: error.to_string(), backtrace: String::new() }
}

/// State that does not decode.
pub(super) fn damaged(what: &str) -> Failure {
    Failure::Fatal(format!(
        "the operator's state holds {what}; it was written with other settings of this operator. Undo the change, or give \
         the operator another name to start empty"
    ))
}

/// A time as a sub-key, in the order of times.
pub(super) fn time_key(time: i64) -> [u8; 8] {
    ((time as u64) ^ (1 << 63)).to_be_bytes()
}

/// The time of such a sub-key.
pub(super) fn time_of(sub_key: &[u8]) -> Result<i64, Failure> {
    let bytes = sub_key.try_into().map_err(|_| damaged("a sub-key that is not a time"))?;
    Ok((u64::from_be_bytes(bytes) ^ (1 << 63)) as i64)
}

/// Reads one entry of a map per key.
pub(super) fn get(
    context: &mut Context,
    state: u32,
    keys: &Column,
    sub_keys: &Column,
) -> Result<OptionalColumn, Failure> {
    let mut out = OptionalColumn::default();
    context.state.get(state, keys.into(), Some(sub_keys.into()), &mut out).map_err(refused)?;
    Ok(out)
}

/// Writes to a map, collected.
#[derive(Default)]
pub(super) struct Puts {
    keys: Column,
    sub_keys: Column,
    values: OptionalColumn,
}

impl Puts {
    /// Puts an entry, or deletes it.
    pub(super) fn push(&mut self, key: &[u8], sub_key: &[u8], value: Option<&[u8]>) {
        self.keys.push(key);
        self.sub_keys.push(sub_key);
        self.values.push(value);
    }

    /// Writes all.
    pub(super) fn write(self, context: &mut Context, state: u32) -> Result<(), Failure> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let (keys, sub_keys, values): (ColumnView<'_>, ColumnView<'_>, OptionalColumnView<'_>) =
            ((&self.keys).into(), (&self.sub_keys).into(), (&self.values).into());
        context.state.put(state, keys, Some(sub_keys), values).map_err(refused)
    }
}

/// Entries of some ranges, all pages of them.
#[derive(Default)]
pub(super) struct Scanned {
    /// Entry i belongs to range `range_of[i]`; never decreases.
    pub(super) range_of: Vec<u32>,
    pub(super) sub_keys: Column,
    pub(super) values: Column,
}

/// Reads whole ranges of a map or list.
pub(super) fn scan(context: &mut Context, state: u32, ranges: &[ScanRange<'_>]) -> Result<Scanned, Failure> {
    let mut all = Scanned::default();
    let mut cursor: Option<Vec<u8>> = None;
    loop {
        let page = context.state.scan(state, ranges, 0, cursor.as_deref()).map_err(refused)?;
        if all.range_of.is_empty() && page.cursor.is_none() {
            return Ok(Scanned { range_of: page.range_of, sub_keys: page.subkeys, values: page.values });
        }
        all.range_of.extend_from_slice(&page.range_of);
        page.subkeys.iter().for_each(|sub_key| all.sub_keys.push(sub_key));
        page.values.iter().for_each(|value| all.values.push(value));
        match page.cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(all),
        }
    }
}
