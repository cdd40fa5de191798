//! Two sides of an operator with two inputs: which of their fields are kept, as rows, and what results show of a pair.
//! Joins and lookups keep and write with it.

use super::aggregate::{push_field, take_field};
use super::fields::Fields;
use super::row::{Members, push_raw};
use super::state_access::damaged;
use crate::config::builtin::{Pointer, Side};
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
    places: Vec<Place>,
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
        Shown { members, places: output.iter().map(|(_, side, pointer)| self.place(*side, pointer)).collect() }
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
    /// Writes a result.
    pub(super) fn write(&self, pair: Pair<'_>, value: &mut Vec<u8>) {
        value.clear();
        for (member, place) in self.places.iter().enumerate() {
            self.members.begin(member, value);
            push_raw(pair.raw(*place), value);
        }
        self.members.end(value);
    }
}

/// The side of an input.
pub(super) fn side_of(input: u32) -> Side {
    if input == 0 { Side::Left } else { Side::Right }
}

/// The state that keeps a side's rows.
pub(super) fn state_of(side: Side) -> u32 {
    match side {
        Side::Left => 0,
        Side::Right => 1,
    }
}
