//! Built-in aggregates over JSON fields: count, sum, min, max, avg, first, last, and the rows that a window keeps. A call's
//! events are read once, then folded by index.
//!
//! ```text
//! accumulator   u16 layout | cells in the order of the file | the having count, if any | rows, if any
//! ```
//!
//! `layout` is a hash of the functions: an accumulator of other settings is refused, not misread.

use super::super::condition::Conditions;
use super::super::fields::Fields;
use super::super::row::{Members, push_of_window, push_raw};
use super::super::state_access::damaged;
use super::cells::{Cell, Operand, take};
use super::rows::{Kept, push_field, take_field, too_many};
use super::{Accumulated, Admission, Aggregate, Finished, Window};
use crate::config::builtin::{Aggregate as Spec, Function, Rows, WindowColumn, WindowSpec};
use crate::config::decimal::Decimal;
use crate::operator::{Context, Failure, Rejection};
use std::ops::Range;
use tidemill_storage::hash::hash_key;
use tidemill_storage::{Batch, Column, OptionalColumn};

/// See the module's words.
pub struct Columns {
    fields: Fields,
    conditions: Conditions,
    cells: Vec<CellSpec>,
    having: Option<(u64, usize)>,
    rows: Option<RowsSpec>,
    members: Members,
    output: Vec<Out>,
    layout: u16,
    read: ReadEvents,
}

struct CellSpec {
    function: Function,
    field: Option<usize>,
    conditions: Conditions,
}

struct RowsSpec {
    spec: Rows,
    conditions: Conditions,
    by: Option<usize>,
    shown: Vec<usize>,
}

enum Out {
    Window(WindowColumn),
    Cell(usize),
    /// The next field of the row.
    Shown,
}

/// What the events of the current call give, in columns.
#[derive(Default)]
struct ReadEvents {
    /// One per event and cell.
    operands: Vec<Given>,
    /// One per event: its rank and where its row lies in `row_bytes`.
    rows: Vec<Option<(Decimal, Range<usize>)>>,
    row_bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Given {
    Skip,
    One,
    Number(Decimal),
    /// Where in the event's value.
    Raw(Range<usize>),
}

/// An accumulator in memory.
struct Acc {
    cells: Vec<Cell>,
    rows: Kept,
}

impl Columns {
    /// The aggregates of a window operator's pipeline file.
    pub fn new(spec: &WindowSpec) -> Columns {
        let mut fields = Fields::default();
        let conditions = Conditions::new(&spec.conditions, &mut fields);
        let mut cells = Vec::new();
        let mut cell = |aggregate: &Spec, fields: &mut Fields| {
            let field = aggregate.field.as_ref().map(|pointer| fields.add(pointer));
            let conditions = Conditions::new(&aggregate.conditions, fields);
            cells.push(CellSpec { function: aggregate.function, field, conditions });
            cells.len() - 1
        };
        let mut shown = Vec::new();
        let mut output = Vec::new();
        for (_, column) in &spec.output {
            output.push(match column {
                WindowColumn::Aggregate(aggregate) => Out::Cell(cell(aggregate, &mut fields)),
                WindowColumn::Field(pointer) => {
                    shown.push(fields.add(pointer));
                    Out::Shown
                }
                other => Out::Window(other.clone()),
            });
        }
        let having = spec.having.as_ref().map(|(least, conditions)| {
            let count = Spec { function: Function::Count, field: None, conditions: conditions.clone() };
            (*least, cell(&count, &mut fields))
        });
        let rows = spec.rows.as_ref().map(|rows| RowsSpec {
            conditions: Conditions::new(&rows.conditions, &mut fields),
            by: rows.top.as_ref().map(|top| fields.add(&top.by)),
            spec: rows.clone(),
            shown,
        });
        let layout = layout(&cells, having.is_some(), rows.as_ref());
        let members = Members::new(spec.output.iter().map(|(name, _)| name.as_str()));
        Columns { fields, conditions, cells, having, rows, members, output, layout, read: ReadEvents::default() }
    }

    fn empty(&self) -> Acc {
        Acc { cells: self.cells.iter().map(|c| Cell::empty(c.function)).collect(), rows: Kept::default() }
    }

    fn decode(&self, bytes: &[u8]) -> Result<Acc, Failure> {
        let mut rest = bytes;
        if u16::from_le_bytes(take(&mut rest)?) != self.layout {
            return Err(damaged("accumulators of other aggregates"));
        }
        let cells = self.cells.iter().map(|c| Cell::decode(c.function, &mut rest)).collect::<Result<_, _>>()?;
        let rows = if self.rows.is_some() { Kept::decode(&mut rest)? } else { Kept::default() };
        if rest.is_empty() { Ok(Acc { cells, rows }) } else { Err(damaged("an accumulator that is too long")) }
    }

    fn encode(&self, acc: &Acc, out: &mut Column) {
        out.data.extend_from_slice(&self.layout.to_le_bytes());
        acc.cells.iter().for_each(|cell| cell.encode(&mut out.data));
        if self.rows.is_some() {
            acc.rows.encode(&mut out.data);
        }
        out.ends.push(out.data.len() as u32);
    }

    /// Reads one event; `Ok(false)` when it is filtered out.
    fn read_event(&mut self, value: Option<&[u8]>) -> Result<bool, String> {
        let Columns { fields, conditions, cells, rows, read, .. } = self;
        let record = fields.read(value)?;
        if !conditions.hold(&record) {
            return Ok(false);
        }
        for cell in cells.iter() {
            let given = if !cell.conditions.hold(&record) {
                Given::Skip
            } else {
                match (cell.field, cell.function) {
                    (None, _) => Given::One,
                    (Some(field), Function::Count) => record.raw(field).map_or(Given::Skip, |_| Given::One),
                    (Some(field), Function::First | Function::Last) => {
                        record.range(field).map_or(Given::Skip, Given::Raw)
                    }
                    (Some(field), _) => match record.number(field) {
                        Ok(number) => number.map_or(Given::Skip, Given::Number),
                        Err(()) => return Err(not_a_number(record.raw(field))),
                    },
                }
            };
            read.operands.push(given);
        }
        if let Some(rows) = rows {
            let rank = match rows.by {
                None => Some(Decimal::default()),
                Some(by) => record.number(by).map_err(|()| not_a_number(record.raw(by)))?,
            };
            let row = rank.filter(|_| rows.conditions.hold(&record)).map(|rank| {
                let start = read.row_bytes.len();
                rows.shown.iter().for_each(|field| push_field(record.raw(*field), &mut read.row_bytes));
                (rank, start..read.row_bytes.len())
            });
            read.rows.push(row);
        }
        Ok(true)
    }

    /// Folds an event into an accumulator, or says why it cannot be, leaving it as it was.
    fn fold(&self, events: &Batch, event: usize, acc: &mut Acc) -> Result<(), String> {
        let value = events.values.get(event).unwrap_or_default();
        let operand = |given: &Given| match given {
            Given::Skip => Operand::Skip,
            Given::One => Operand::One,
            Given::Number(number) => Operand::Number(*number),
            Given::Raw(_) => Operand::Skip,
        };
        let given = &self.read.operands[event * self.cells.len()..][..self.cells.len()];
        if acc.cells.iter().zip(given).any(|(cell, given)| !cell.takes(operand(given))) {
            return Err("the window's sum would have more than 38 digits".into());
        }
        if let Some(rows) = &self.rows
            && let Some((rank, row)) = &self.read.rows[event]
            && !acc.rows.insert(&rows.spec, *rank, &self.read.row_bytes[row.clone()])
        {
            return Err(too_many());
        }
        for ((cell, spec), given) in acc.cells.iter_mut().zip(&self.cells).zip(given) {
            match given {
                Given::Raw(range) => {
                    cell.fold(spec.function, Operand::Raw(events.timestamps[event], &value[range.clone()]));
                }
                other => cell.fold(spec.function, operand(other)),
            }
        }
        Ok(())
    }

    fn write_row(
        &self,
        key: &[u8],
        window: &Window,
        acc: &Acc,
        mut row: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        for (member, column) in self.output.iter().enumerate() {
            self.members.begin(member, out);
            match column {
                Out::Cell(cell) => acc.cells[*cell].finish(self.cells[*cell].function, out),
                Out::Shown => push_raw(take_field(&mut row)?, out),
                Out::Window(column) => push_of_window(column, key, window, out),
            }
        }
        self.members.end(out);
        Ok(())
    }
}

fn not_a_number(raw: Option<&[u8]>) -> String {
    const SHOWN: usize = 40;
    let raw = raw.unwrap_or_default();
    let shown = String::from_utf8_lossy(&raw[..raw.len().min(SHOWN)]);
    format!("{shown} is not a number of at most 38 digits, and is to be aggregated")
}

fn layout(cells: &[CellSpec], having: bool, rows: Option<&RowsSpec>) -> u16 {
    let mut text = Vec::new();
    for cell in cells {
        text.push(match cell.function {
            Function::Count => b'c',
            Function::Sum | Function::Avg { .. } => b's',
            Function::Min => b'n',
            Function::Max => b'x',
            Function::First => b'f',
            Function::Last => b'l',
        });
    }
    text.push(u8::from(having));
    if let Some(rows) = rows {
        text.push(b'r');
        text.push(u8::from(rows.by.is_some()));
        text.push(rows.shown.len() as u8);
    }
    hash_key(&text) as u16
}

impl Aggregate for Columns {
    fn admit(&mut self, _input: u32, events: &Batch) -> Result<Admission, Failure> {
        self.read.operands.clear();
        self.read.rows.clear();
        self.read.row_bytes.clear();
        let mut admission = Admission::default();
        for i in 0..events.len() {
            let taken = self.read_event(events.values.get(i)).unwrap_or_else(|reason| {
                admission.rejections.push(Rejection { index: i as u32, reason });
                false
            });
            if !taken {
                if admission.taken.is_empty() {
                    admission.taken.resize(events.len(), true);
                }
                admission.taken[i] = false;
            }
            // An event that was left out half read leaves no trace, and keeps the columns' step.
            self.read.operands.resize((i + usize::from(taken)) * self.cells.len(), Given::Skip);
            self.read.operands.resize((i + 1) * self.cells.len(), Given::Skip);
            if self.rows.is_some() {
                self.read.rows.resize(i + 1, None);
            }
        }
        Ok(admission)
    }

    fn accumulate(
        &mut self,
        events: &Batch,
        indexes: &[u32],
        groups: &[u32],
        accumulators: &OptionalColumn,
        _context: &mut Context,
    ) -> Result<Accumulated, Failure> {
        let decode = |bytes: Option<&[u8]>| bytes.map_or_else(|| Ok(self.empty()), |bytes| self.decode(bytes));
        let mut accs = accumulators.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let mut rejections = Vec::new();
        for (event, group) in indexes.iter().zip(groups) {
            if let Err(reason) = self.fold(events, *event as usize, &mut accs[*group as usize]) {
                rejections.push(Rejection { index: *event, reason });
            }
        }
        let mut out = Column::default();
        accs.iter().for_each(|acc| self.encode(acc, &mut out));
        Ok(Accumulated { accumulators: out, rejections })
    }

    fn merge(
        &mut self,
        groups: &[u32],
        accumulators: &Column,
        _name: &dyn Fn(u32) -> String,
        _context: &mut Context,
    ) -> Result<Column, Failure> {
        let mut merged: Vec<Acc> = Vec::new();
        for (group, bytes) in groups.iter().zip(accumulators.iter()) {
            let acc = self.decode(bytes)?;
            if *group as usize == merged.len() {
                merged.push(acc);
                continue;
            }
            let into = merged.get_mut(*group as usize).ok_or_else(|| Failure::Bug("groups with gaps".into()))?;
            for ((cell, later), spec) in into.cells.iter_mut().zip(acc.cells).zip(&self.cells) {
                cell.merge(spec.function, later)?;
            }
            if let Some(rows) = &self.rows {
                into.rows.merge(&rows.spec, acc.rows)?;
            }
        }
        let mut out = Column::default();
        merged.iter().for_each(|acc| self.encode(acc, &mut out));
        Ok(out)
    }

    fn finish(
        &mut self,
        keys: &Column,
        windows: &[Window],
        accumulators: &Column,
        _context: &mut Context,
    ) -> Result<Finished, Failure> {
        let mut finished = Finished::default();
        for (i, window) in windows.iter().enumerate() {
            let acc = self.decode(accumulators.get(i))?;
            if let Some((least, cell)) = self.having
                && !matches!(acc.cells[cell], Cell::Count(n) if n >= least)
            {
                continue;
            }
            let mut write = |row: &[u8]| {
                let data = &mut finished.rows.values.data;
                self.write_row(keys.get(i), window, &acc, row, data)?;
                finished.rows.values.ends.push(data.len() as u32);
                finished.window_of.push(i as u32);
                Ok(())
            };
            match self.rows {
                None => write(&[])?,
                Some(_) => acc.rows.iter().try_for_each(write)?,
            }
        }
        let rows = finished.window_of.len();
        finished.rows.timestamps.resize(rows, 0);
        finished.rows.keys.ends.resize(rows, 0);
        finished.rows.keys.present.resize(rows, 0);
        Ok(finished)
    }
}
