//! Cells of an accumulator: one aggregate each, folded in memory, kept as bytes.
//!
//! ```text
//! count      u64
//! sum, avg   u64 count | i128 units | u8 scale
//! min, max   u8 there | i128 units | u8 scale
//! first/last u8 there | i64 time | u32 length | bytes
//! ```

use super::super::state_access::damaged;
use crate::config::builtin::Function;
use crate::config::decimal::Decimal;
use crate::operator::Failure;

/// What one event gives to one cell.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand<'a> {
    /// Nothing: filtered out, absent or null.
    Skip,
    /// It counts.
    One,
    /// A number.
    Number(Decimal),
    /// A value as it is written, with its event's time.
    Raw(i64, &'a [u8]),
}

/// One aggregate of one accumulator.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Count(u64),
    Sum(u64, Decimal),
    Extreme(Option<Decimal>),
    Pick(Option<(i64, Vec<u8>)>),
}

impl Cell {
    pub(super) fn empty(function: Function) -> Cell {
        match function {
            Function::Count => Cell::Count(0),
            Function::Sum | Function::Avg { .. } => Cell::Sum(0, Decimal::default()),
            Function::Min | Function::Max => Cell::Extreme(None),
            Function::First | Function::Last => Cell::Pick(None),
        }
    }

    /// Whether a sum with this number fits; everything else always does.
    pub(super) fn takes(&self, operand: Operand<'_>) -> bool {
        match (self, operand) {
            (Cell::Sum(_, sum), Operand::Number(number)) => sum.plus(number).is_some(),
            _ => true,
        }
    }

    /// Folds an event in.
    pub(super) fn fold(&mut self, function: Function, operand: Operand<'_>) {
        match (self, operand) {
            (_, Operand::Skip) => {}
            (Cell::Count(n), _) => *n += 1,
            (Cell::Sum(n, sum), Operand::Number(number)) => {
                if let Some(next) = sum.plus(number) {
                    (*n, *sum) = (*n + 1, next);
                }
            }
            (Cell::Extreme(extreme), Operand::Number(number)) => keep_extreme(function, extreme, number),
            (Cell::Pick(pick), Operand::Raw(time, raw)) if picks(function, pick.as_ref().map(|p| p.0), time) => {
                *pick = Some((time, raw.to_vec()));
            }
            _ => {}
        }
    }

    /// Folds a later accumulator's cell in; an error when the sums do not fit together.
    pub(super) fn merge(&mut self, function: Function, later: Cell) -> Result<(), Failure> {
        match (self, later) {
            (Cell::Count(a), Cell::Count(b)) => *a += b,
            (Cell::Sum(n, sum), Cell::Sum(m, other)) => {
                let Some(both) = sum.plus(other) else {
                    return Err(Failure::Fatal("a window's sum has more than 38 digits; sum smaller numbers".into()));
                };
                (*n, *sum) = (*n + m, both);
            }
            (Cell::Extreme(extreme), Cell::Extreme(Some(number))) => keep_extreme(function, extreme, number),
            (Cell::Pick(pick), Cell::Pick(Some((time, raw)))) if picks(function, pick.as_ref().map(|p| p.0), time) => {
                *pick = Some((time, raw));
            }
            _ => {}
        }
        Ok(())
    }

    /// The result as JSON.
    pub(super) fn finish(&self, function: Function, out: &mut Vec<u8>) {
        use super::super::row::{push_number, push_raw};
        match (self, function) {
            (Cell::Count(n), _) => push_number(n, out),
            (Cell::Sum(n, sum), Function::Avg { decimals }) => match sum.divided(*n, decimals) {
                Some(average) => push_number(average, out),
                None => push_raw(None, out),
            },
            (Cell::Sum(0, _), _) => push_raw(None, out),
            (Cell::Sum(_, sum), _) => push_number(sum, out),
            (Cell::Extreme(extreme), _) => match extreme {
                Some(number) => push_number(number, out),
                None => push_raw(None, out),
            },
            (Cell::Pick(pick), _) => push_raw(pick.as_ref().map(|p| &p.1[..]), out),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Cell::Count(n) => out.extend_from_slice(&n.to_le_bytes()),
            Cell::Sum(n, sum) => {
                out.extend_from_slice(&n.to_le_bytes());
                encode_decimal(*sum, out);
            }
            Cell::Extreme(extreme) => {
                out.push(u8::from(extreme.is_some()));
                encode_decimal(extreme.unwrap_or_default(), out);
            }
            Cell::Pick(None) => out.push(0),
            Cell::Pick(Some((time, raw))) => {
                out.push(1);
                out.extend_from_slice(&time.to_le_bytes());
                encode_bytes(raw, out);
            }
        }
    }

    pub(super) fn decode(function: Function, rest: &mut &[u8]) -> Result<Cell, Failure> {
        Ok(match Cell::empty(function) {
            Cell::Count(_) => Cell::Count(u64::from_le_bytes(take(rest)?)),
            Cell::Sum(..) => Cell::Sum(u64::from_le_bytes(take(rest)?), decode_decimal(rest)?),
            Cell::Extreme(_) => {
                let [there] = take(rest)?;
                let number = decode_decimal(rest)?;
                Cell::Extreme((there == 1).then_some(number))
            }
            Cell::Pick(_) => match take(rest)? {
                [0] => Cell::Pick(None),
                _ => {
                    let time = i64::from_le_bytes(take(rest)?);
                    Cell::Pick(Some((time, decode_bytes(rest)?.to_vec())))
                }
            },
        })
    }
}

/// Of equal times the first one folded counts as first, the last one as last.
fn picks(function: Function, kept: Option<i64>, time: i64) -> bool {
    match (function, kept) {
        (_, None) => true,
        (Function::Last, Some(kept)) => time >= kept,
        (_, Some(kept)) => time < kept,
    }
}

fn keep_extreme(function: Function, extreme: &mut Option<Decimal>, number: Decimal) {
    let better = match *extreme {
        None => true,
        Some(kept) if function == Function::Min => number < kept,
        Some(kept) => number > kept,
    };
    if better {
        *extreme = Some(number);
    }
}

pub(super) fn encode_decimal(number: Decimal, out: &mut Vec<u8>) {
    let (units, scale) = number.parts();
    out.extend_from_slice(&units.to_le_bytes());
    out.push(scale);
}

pub(super) fn decode_decimal(rest: &mut &[u8]) -> Result<Decimal, Failure> {
    let units = i128::from_le_bytes(take(rest)?);
    let [scale] = take(rest)?;
    Decimal::new(units, scale).ok_or_else(|| damaged("a number with too many digits"))
}

pub(super) fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn decode_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Failure> {
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let (bytes, tail) = rest.split_at_checked(length).ok_or_else(|| damaged("an accumulator that is cut off"))?;
    *rest = tail;
    Ok(bytes)
}

pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Failure> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or_else(|| damaged("an accumulator that is cut off"))?;
    *rest = tail;
    Ok(*head)
}
