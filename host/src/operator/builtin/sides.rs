//! Two sides of an operator with two inputs: which of their fields are kept, as rows, what pairs must fulfil, and what
//! results show of a pair. Joins and lookups keep and write with it.

use super::aggregate::{Window, push_field, take_field};
use super::fields::Fields;
use super::row::{Members, push_of_window, push_raw};
use super::state_access::damaged;
use crate::config::builtin::{PairColumn, PairCondition, Pointer, Side, WindowColumn};
use crate::config::decimal::Decimal;
use crate::operator::Failure;

/// What is kept of one side's events.
#[derive(Default)]
pub(super) struct Half {
    fields: Fields,
    count: usize,
}

/// Both sides.
#[derive(Default)]
pub(super) struct Halves {
    left: Half,
    right: Half,
}

/// A field of a side.
#[derive(Clone, Copy)]
pub(super) struct Place {
    side: Side,
    field: usize,
}

/// Fields of a row, taken apart; absent ones are null.
pub(super) type Row<'a> = Vec<Option<&'a [u8]>>;

/// A left and a right row; `None`: every field of it is null.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) left: Option<&'a Row<'a>>,
    pub(super) right: Option<&'a Row<'a>>,
}

/// How results show pairs.
pub(super) struct Shown {
    members: Members,
    columns: Vec<Column>,
}

enum Column {
    Field(Place),
    Window(WindowColumn),
}

/// What pairs must fulfil: numbers of the one side between numbers of the other.
pub(super) struct PairTests(Vec<PairTest>);

struct PairTest {
    field: Place,
    at_least: Option<Place>,
    at_most: Option<Place>,
}

impl Half {
    /// Writes an event's row; the error says what is wrong with its value.
    pub(super) fn row(&mut self, value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), String> {
        let count = self.count;
        let record = self.fields.read(value)?;
        out.clear();
        (0..count).for_each(|field| push_field(record.raw(field), out));
        Ok(())
    }

    /// Takes a row apart.
    pub(super) fn decode<'a>(&self, mut row: &'a [u8]) -> Result<Row<'a>, Failure> {
        let fields = (0..self.count).map(|_| take_field(&mut row)).collect::<Result<_, _>>()?;
        if row.is_empty() { Ok(fields) } else { Err(damaged("rows with other fields")) }
    }
}

impl Halves {
    /// A side that keeps a field, from now on.
    pub(super) fn place(&mut self, side: Side, pointer: &Pointer) -> Place {
        let half = self.of_mut(side);
        let field = half.fields.add(pointer);
        half.count = half.count.max(field + 1);
        Place { side, field }
    }

    /// One side.
    pub(super) fn of(&self, side: Side) -> &Half {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// One side, to read events with.
    pub(super) fn of_mut(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }

    /// The members of results, in order.
    pub(super) fn shown(&mut self, output: &[(String, Side, Pointer)]) -> Shown {
        let members = Members::new(output.iter().map(|(name, ..)| name.as_str()));
        let field = |(_, side, pointer): &(String, Side, Pointer)| Column::Field(self.place(*side, pointer));
        Shown { members, columns: output.iter().map(field).collect() }
    }

    /// The members of results about pairs in windows, in order.
    pub(super) fn shown_in_windows(&mut self, output: &[(String, PairColumn)]) -> Shown {
        let members = Members::new(output.iter().map(|(name, _)| name.as_str()));
        let column = |(_, column): &(String, PairColumn)| match column {
            PairColumn::Field(side, pointer) => Column::Field(self.place(*side, pointer)),
            PairColumn::Window(column) => Column::Window(column.clone()),
        };
        Shown { members, columns: output.iter().map(column).collect() }
    }

    /// What pairs must fulfil.
    pub(super) fn tests(&mut self, conditions: &[PairCondition]) -> PairTests {
        let mut place = |(side, pointer): &(Side, Pointer)| self.place(*side, pointer);
        let test = |condition: &PairCondition| PairTest {
            field: place(&condition.field),
            at_least: condition.at_least.as_ref().map(&mut place),
            at_most: condition.at_most.as_ref().map(&mut place),
        };
        PairTests(conditions.iter().map(test).collect())
    }
}

impl PairTests {
    /// Whether a pair fulfils all.
    pub(super) fn hold(&self, pair: Pair<'_>) -> bool {
        let number = |place: Place| pair.raw(place).and_then(Decimal::parse);
        self.0.iter().all(|test| {
            let Some(value) = number(test.field) else { return false };
            test.at_least.is_none_or(|least| number(least).is_some_and(|least| value >= least))
                && test.at_most.is_none_or(|most| number(most).is_some_and(|most| value <= most))
        })
    }
}

impl<'a> Pair<'a> {
    /// A field of one of the two.
    pub(super) fn raw(&self, place: Place) -> Option<&'a [u8]> {
        let row = if place.side == Side::Left { self.left } else { self.right };
        row.and_then(|row| row[place.field])
    }
}

impl Shown {
    /// Writes a result in the place of what is in `value`.
    pub(super) fn write(&self, pair: Pair<'_>, value: &mut Vec<u8>) {
        value.clear();
        self.push(pair, None, value);
    }

    /// Appends a result about a pair in a window of a key.
    pub(super) fn push(&self, pair: Pair<'_>, of: Option<(&[u8], &Window)>, out: &mut Vec<u8>) {
        for (member, column) in self.columns.iter().enumerate() {
            self.members.begin(member, out);
            match (column, of) {
                (Column::Field(place), _) => push_raw(pair.raw(*place), out),
                (Column::Window(column), Some((key, window))) => push_of_window(column, key, window, out),
                (Column::Window(_), None) => push_raw(None, out),
            }
        }
        self.members.end(out);
    }
}
