//! Interface `state`: keyed state of the subtask, a batch of keys per call. `KeyedState` checks columns, kinds, key
//! groups and sizes; the quota is counted here.

use super::{Answer, HostState, answer};
use crate::state::{ColumnView, OptionalColumnView};
use crate::wasm::bindings::wit::state::{Columns, Host, OptionalColumns, Page, ScanRange};
use crate::wasm::convert;
use std::borrow::Cow;

impl Host for HostState {
    fn get(&mut self, state: u32, keys: Columns, subkeys: Option<Columns>) -> wasmtime::Result<OptionalColumns> {
        answer("state.get", self.get_values(state, &keys, subkeys.as_ref()))
    }

    fn put(
        &mut self,
        state: u32,
        keys: Columns,
        subkeys: Option<Columns>,
        values: OptionalColumns,
    ) -> wasmtime::Result<()> {
        answer("state.put", self.put_values(state, &keys, subkeys.as_ref(), &values))
    }

    fn append(&mut self, state: u32, keys: Columns, values: Columns) -> wasmtime::Result<()> {
        answer("state.append", self.append_values(state, &keys, &values))
    }

    fn clear(&mut self, state: u32, keys: Columns) -> wasmtime::Result<()> {
        answer("state.clear", self.clear_keys(state, &keys))
    }

    fn scan(
        &mut self,
        state: u32,
        ranges: Vec<ScanRange>,
        limit: u32,
        cursor: Option<Vec<u8>>,
    ) -> wasmtime::Result<Page> {
        answer("state.scan", self.scan_ranges(state, &ranges, limit, cursor.as_deref()))
    }
}

/// A guest's column, its ends as numbers. `KeyedState` checks it before it reads a value.
struct Numbered<'a> {
    data: &'a [u8],
    ends: Cow<'a, [u32]>,
}

impl Numbered<'_> {
    fn view(&self) -> ColumnView<'_> {
        ColumnView { data: self.data, ends: &self.ends }
    }
}

fn numbered<'a>(column: &'a Columns, what: &str) -> Answer<Numbered<'a>> {
    Ok(Numbered { data: &column.data, ends: convert::view(&column.ends, what)? })
}

fn numbered_subkeys(subkeys: Option<&Columns>) -> Answer<Option<Numbered<'_>>> {
    subkeys.map(|subkeys| numbered(subkeys, "subkeys")).transpose()
}

impl HostState {
    fn get_values(&mut self, state: u32, keys: &Columns, subkeys: Option<&Columns>) -> Answer<OptionalColumns> {
        self.needs_run()?;
        let keys = numbered(keys, "keys")?;
        let subkeys = numbered_subkeys(subkeys)?;
        self.context
            .state
            .get(state, keys.view(), subkeys.as_ref().map(Numbered::view), &mut self.found)
            .map_err(|e| e.to_string())?;
        Ok(convert::found(&mut self.found))
    }

    fn put_values(
        &mut self,
        state: u32,
        keys: &Columns,
        subkeys: Option<&Columns>,
        values: &OptionalColumns,
    ) -> Answer<()> {
        self.needs_run()?;
        let bytes =
            convert::column_bytes(keys) + subkeys.map_or(0, convert::column_bytes) + convert::optional_bytes(values);
        let keys = numbered(keys, "keys")?;
        let subkeys = numbered_subkeys(subkeys)?;
        let ends = convert::view(&values.ends, "values")?;
        self.budget.take_output(bytes)?;
        let values = OptionalColumnView { data: &values.data, ends: &ends, present: &values.present };
        self.context
            .state
            .put(state, keys.view(), subkeys.as_ref().map(Numbered::view), values)
            .map_err(|e| e.to_string())
    }

    fn append_values(&mut self, state: u32, keys: &Columns, values: &Columns) -> Answer<()> {
        self.needs_run()?;
        let bytes = convert::column_bytes(keys) + convert::column_bytes(values);
        let keys = numbered(keys, "keys")?;
        let values = numbered(values, "values")?;
        self.budget.take_output(bytes)?;
        self.context.state.append(state, keys.view(), values.view()).map_err(|e| e.to_string())
    }

    fn clear_keys(&mut self, state: u32, keys: &Columns) -> Answer<()> {
        self.needs_run()?;
        let bytes = convert::column_bytes(keys);
        let keys = numbered(keys, "keys")?;
        self.budget.take_output(bytes)?;
        self.context.state.clear(state, keys.view()).map_err(|e| e.to_string())
    }

    fn scan_ranges(&mut self, state: u32, ranges: &[ScanRange], limit: u32, cursor: Option<&[u8]>) -> Answer<Page> {
        self.needs_run()?;
        let ranges: Vec<crate::state::ScanRange<'_>> = ranges
            .iter()
            .map(|r| crate::state::ScanRange { key: &r.key, start: r.start.as_deref(), end: r.end.as_deref() })
            .collect();
        let page = self.context.state.scan(state, &ranges, limit, cursor).map_err(|e| e.to_string())?;
        Ok(Page {
            range_of: bytemuck::cast_slice(&page.range_of).to_vec(),
            subkeys: convert::columns(page.subkeys),
            values: convert::columns(page.values),
            cursor: page.cursor,
        })
    }
}
