//! Rows that a window keeps: top-n, distinct, or all. A row is the fields that results show, as they are written.
//!
//! Rows lie in their final order, best first and then by their bytes, so that the order in which events came, and in
//! which panes are merged, changes nothing.

use super::super::state_access::damaged;
use super::cells::{decode_bytes, decode_decimal, encode_bytes, encode_decimal, take};
use crate::config::builtin::Rows as Spec;
use crate::config::decimal::Decimal;
use crate::operator::Failure;
use std::cmp::Ordering;

/// Most bytes of rows in one window.
pub(super) const ROWS_BYTES_MAX: usize = 1 << 20;
const NULL: u32 = u32::MAX;

/// The rows of one accumulator.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    rows: Vec<(Decimal, Vec<u8>)>,
    bytes: usize,
}

/// Appends a row's next field.
pub(in crate::operator::builtin) fn push_field(raw: Option<&[u8]>, row: &mut Vec<u8>) {
    match raw {
        Some(raw) => encode_bytes(raw, row),
        None => row.extend_from_slice(&NULL.to_le_bytes()),
    }
}

/// Takes a row's next field.
pub(in crate::operator::builtin) fn take_field<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Failure> {
    if rest.starts_with(&NULL.to_le_bytes()) {
        *rest = &rest[size_of::<u32>()..];
        return Ok(None);
    }
    decode_bytes(rest).map(Some)
}

impl Kept {
    /// Keeps a row if it belongs to the best; `false` when the window's rows are too many.
    pub(super) fn insert(&mut self, spec: &Spec, rank: Decimal, row: &[u8]) -> bool {
        if spec.distinct
            && let Some(same) = self.rows.iter().position(|(_, kept)| kept == row)
        {
            if order(spec, (self.rows[same].0, row), (rank, row)) != Ordering::Greater {
                return true;
            }
            self.bytes -= self.rows.remove(same).1.len();
        }
        let at =
            self.rows.partition_point(|(kept, bytes)| order(spec, (*kept, bytes), (rank, row)) != Ordering::Greater);
        let limit = spec.top.as_ref().map(|top| top.n as usize);
        if let (Some(limit), Some(top)) = (limit, &spec.top)
            && at >= limit
            && !(top.ties && self.rows.get(limit - 1).is_some_and(|(last, _)| *last == rank))
        {
            return true;
        }
        if self.bytes + row.len() > ROWS_BYTES_MAX {
            return false;
        }
        self.rows.insert(at, (rank, row.to_vec()));
        self.bytes += row.len();
        if let (Some(limit), Some(top)) = (limit, &spec.top)
            && self.rows.len() > limit
        {
            let last = self.rows[limit - 1].0;
            let keep = |(i, (rank, _)): (usize, &(Decimal, Vec<u8>))| i < limit || (top.ties && *rank == last);
            let kept = self.rows.iter().enumerate().take_while(|row| keep(*row)).count();
            self.bytes -= self.rows.drain(kept..).map(|(_, row)| row.len()).sum::<usize>();
        }
        true
    }

    /// Keeps another accumulator's rows.
    pub(super) fn merge(&mut self, spec: &Spec, other: Kept) -> Result<(), Failure> {
        let fits = other.rows.into_iter().all(|(rank, row)| self.insert(spec, rank, &row));
        if fits { Ok(()) } else { Err(Failure::Fatal(too_many())) }
    }

    /// Rows in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.rows.iter().map(|(_, row)| &row[..])
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
        for (rank, row) in &self.rows {
            encode_decimal(*rank, out);
            encode_bytes(row, out);
        }
    }

    pub(super) fn decode(rest: &mut &[u8]) -> Result<Kept, Failure> {
        let count = u32::from_le_bytes(take(rest)?);
        let mut kept = Kept::default();
        for _ in 0..count {
            let rank = decode_decimal(rest)?;
            let row = decode_bytes(rest)?.to_vec();
            kept.bytes += row.len();
            kept.rows.push((rank, row));
        }
        if kept.bytes > ROWS_BYTES_MAX {
            return Err(damaged("more rows than a window may keep"));
        }
        Ok(kept)
    }
}

/// What to say when a window's rows are too many.
pub(super) fn too_many() -> String {
    format!(
        "the window would keep more than {} KiB of rows; keep fewer with top, or shorter windows",
        ROWS_BYTES_MAX >> 10
    )
}

fn order(spec: &Spec, (rank, row): (Decimal, &[u8]), (other_rank, other_row): (Decimal, &[u8])) -> Ordering {
    let by_rank = match &spec.top {
        Some(top) if top.least => rank.cmp(&other_rank),
        Some(_) => other_rank.cmp(&rank),
        None => Ordering::Equal,
    };
    by_rank.then_with(|| row.cmp(other_row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::builtin::Top;
    use proptest::prelude::*;

    fn spec(n: u32, least: bool, ties: bool, distinct: bool) -> Spec {
        Spec { top: Some(Top { n, by: "/n".into(), least, ties }), distinct, conditions: Vec::new() }
    }

    proptest! {
        #[test]
        fn the_best_rows_stay_whatever_the_order_they_came_in(
            rows in prop::collection::vec((0i128..6, 0u8..4), 0..30), n in 1u32..6, least: bool, ties: bool,
            distinct: bool, split in 0usize..30,
        ) {
            let spec = spec(n, least, ties, distinct);
            // The model: sort everything, cut.
            let mut all: Vec<(i128, u8)> = rows.clone();
            all.sort_by_key(|(rank, row)| (if least { *rank } else { -*rank }, *row));
            if distinct {
                let mut seen = std::collections::BTreeSet::new();
                all.retain(|(_, row)| seen.insert(*row));
            }
            let last = all.get(n as usize - 1).map(|row| row.0);
            let cut = all.iter().enumerate().filter(|(i, row)| *i < n as usize || (ties && Some(row.0) == last));
            let expected: Vec<Vec<u8>> = cut.map(|(_, row)| vec![row.1]).collect();
            let fold = |rows: &[(i128, u8)]| {
                let mut kept = Kept::default();
                rows.iter().for_each(|(rank, row)| assert!(kept.insert(&spec, Decimal::new(*rank, 0).unwrap(), &[*row])));
                kept
            };
            let split = split.min(rows.len());
            let mut merged = fold(&rows[..split]);
            merged.merge(&spec, fold(&rows[split..])).unwrap();
            let mut bytes = Vec::new();
            merged.encode(&mut bytes);
            let back = Kept::decode(&mut &bytes[..]).unwrap();
            for kept in [fold(&rows), merged, back] {
                prop_assert_eq!(kept.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), expected.clone());
            }
        }
    }

    #[test]
    fn a_window_keeps_a_bounded_amount() {
        let spec = Spec { top: None, distinct: false, conditions: Vec::new() };
        let (mut kept, row) = (Kept::default(), vec![7; 1 << 19]);
        assert!(kept.insert(&spec, Decimal::default(), &row));
        assert!(kept.insert(&spec, Decimal::default(), &row));
        assert!(!kept.insert(&spec, Decimal::default(), &[1]));
    }
}
