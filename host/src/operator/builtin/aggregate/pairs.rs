//! The aggregate of a join in windows: it keeps the rows of both sides, and its results are the pairs, in the order of the
//! rows' bytes, so that the order in which events came changes nothing.
//!
//! ```text
//! accumulator   u32 bytes of left rows | left rows | right rows      a row: u32 length | fields, as sides.rs writes them
//! ```

use super::super::kept::{rows_in, side_of};
use super::super::sides::{Halves, Pair, PairTests, Row, Shown};
use super::super::state_access::damaged;
use super::rows::push_field;
use super::{Accumulated, Admission, Aggregate, Finished, Window};
use crate::config::builtin::{Side, WindowJoinSpec};
use crate::operator::{Context, Failure, Rejection};
use tidemill_storage::{Batch, Column, OptionalColumn};

/// Most bytes of rows that a window of a key takes.
const ROWS_BYTES_MAX: usize = 1 << 20;
/// Most bytes of rows of one window of a key, panes or sessions merged, and most bytes of its results.
const WINDOW_BYTES_MAX: usize = 64 << 20;
/// Most bytes of results of one call.
const CALL_BYTES_MAX: usize = 1 << 30;

/// See the module's words.
pub struct Pairs {
    sides: Halves,
    tests: PairTests,
    shown: Shown,
    keep_left: bool,
    keep_right: bool,
    /// Of the events of the call.
    side: Side,
    rows: Column,
}

/// An accumulator in memory.
#[derive(Clone, Default)]
struct Kept {
    left: Vec<u8>,
    right: Vec<u8>,
}

impl Kept {
    fn decode(bytes: &[u8]) -> Result<Kept, Failure> {
        let cut_off = || damaged("rows that are cut off");
        let (length, rest) = bytes.split_first_chunk().ok_or_else(cut_off)?;
        let (left, right) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut_off)?;
        Ok(Kept { left: left.to_vec(), right: right.to_vec() })
    }

    fn push(&self, out: &mut Column) {
        out.push(&[&(self.left.len() as u32).to_le_bytes(), &self.left[..], &self.right].concat());
    }
}

impl Pairs {
    /// The join of a pipeline file.
    pub fn new(spec: &WindowJoinSpec) -> Pairs {
        let mut sides = Halves::default();
        let tests = sides.tests(&spec.conditions);
        let shown = sides.shown_in_windows(&spec.output);
        let (keep_left, keep_right) = (spec.keep_left, spec.keep_right);
        Pairs { sides, tests, shown, keep_left, keep_right, side: Side::Left, rows: Column::default() }
    }

    fn decoded<'a>(&self, side: Side, rows: &'a [u8]) -> Result<Vec<Row<'a>>, Failure> {
        let mut rows = rows_in(rows).collect::<Result<Vec<_>, _>>()?;
        rows.sort_unstable();
        rows.into_iter().map(|row| self.sides.of(side).decode(row)).collect()
    }

    /// Gives each result of a window to `write`: pairs by their left row, and what has no partner where it is asked for.
    fn results(&self, kept: &Kept, mut write: impl FnMut(Pair<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        let (lefts, rights) = (self.decoded(Side::Left, &kept.left)?, self.decoded(Side::Right, &kept.right)?);
        let mut met = vec![false; rights.len()];
        for left in &lefts {
            let mut alone = true;
            for (right, met) in rights.iter().zip(&mut met) {
                let pair = Pair { left: Some(left), right: Some(right) };
                if self.tests.hold(pair) {
                    (alone, *met) = (false, true);
                    write(pair)?;
                }
            }
            if alone && self.keep_left {
                write(Pair { left: Some(left), right: None })?;
            }
        }
        let unmet = rights.iter().zip(met).filter(|(_, met)| !met && self.keep_right);
        unmet.map(|(right, _)| right).try_for_each(|right| write(Pair { left: None, right: Some(right) }))
    }
}

fn name(key: &[u8], window: &Window) -> String {
    format!("the window [{}, {}) of key {:?}", window.start, window.end, String::from_utf8_lossy(key))
}

impl Aggregate for Pairs {
    fn admit(&mut self, input: u32, events: &Batch) -> Result<Admission, Failure> {
        self.side = side_of(input);
        self.rows = Column::default();
        let half = self.sides.of_mut(self.side);
        let (mut admission, mut row) = (Admission::default(), Vec::new());
        for i in 0..events.len() {
            row.clear();
            // Without a key there is no partner.
            let read = events.keys.get(i).map(|_| half.row(events.values.get(i), &mut row));
            admission.taken.push(matches!(read, Some(Ok(()))));
            self.rows.push(&row);
            if let Some(Err(reason)) = read {
                admission.rejections.push(Rejection { index: i as u32, reason });
            }
        }
        Ok(admission)
    }

    fn accumulate(
        &mut self,
        _events: &Batch,
        indexes: &[u32],
        groups: &[u32],
        accumulators: &OptionalColumn,
        _context: &mut Context,
    ) -> Result<Accumulated, Failure> {
        let decode = |bytes: Option<&[u8]>| bytes.map_or_else(|| Ok(Kept::default()), Kept::decode);
        let mut all = accumulators.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let mut rejections = Vec::new();
        for (event, group) in indexes.iter().zip(groups) {
            let (kept, row) = (&mut all[*group as usize], self.rows.get(*event as usize));
            if kept.left.len() + kept.right.len() + row.len() > ROWS_BYTES_MAX {
                let reason = format!(
                    "its window would keep more than {} KiB of rows; use shorter windows or a finer key",
                    ROWS_BYTES_MAX >> 10
                );
                rejections.push(Rejection { index: *event, reason });
                continue;
            }
            push_field(Some(row), if self.side == Side::Left { &mut kept.left } else { &mut kept.right });
        }
        let mut out = Column::default();
        all.iter().for_each(|kept| kept.push(&mut out));
        Ok(Accumulated { accumulators: out, rejections })
    }

    fn merge(
        &mut self,
        groups: &[u32],
        accumulators: &Column,
        name: &dyn Fn(u32) -> String,
        _context: &mut Context,
    ) -> Result<Column, Failure> {
        let mut merged: Vec<Kept> = Vec::new();
        for (group, bytes) in groups.iter().zip(accumulators.iter()) {
            let kept = Kept::decode(bytes)?;
            match merged.get_mut(*group as usize) {
                Some(into) => {
                    into.left.extend_from_slice(&kept.left);
                    into.right.extend_from_slice(&kept.right);
                    if into.left.len() + into.right.len() > WINDOW_BYTES_MAX {
                        return Err(Failure::Fatal(format!(
                            "{} hold more than {} MiB of rows; use shorter windows or a finer key",
                            name(*group),
                            WINDOW_BYTES_MAX >> 20
                        )));
                    }
                }
                None => merged.push(kept),
            }
        }
        let mut out = Column::default();
        merged.iter().for_each(|kept| kept.push(&mut out));
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
            let (kept, key, values) = (Kept::decode(accumulators.get(i))?, keys.get(i), &mut finished.rows.values);
            let before = values.data.len();
            self.results(&kept, |pair| {
                self.shown.push(pair, Some((key, window)), &mut values.data);
                if values.data.len() - before > WINDOW_BYTES_MAX || values.data.len() > CALL_BYTES_MAX {
                    return Err(Failure::Fatal(format!(
                        "{} has more than {} MiB of pairs, or comes after {} MiB of them; use shorter windows, a finer key, \
                         or fewer members of output",
                        name(key, window),
                        WINDOW_BYTES_MAX >> 20,
                        CALL_BYTES_MAX >> 20
                    )));
                }
                values.ends.push(values.data.len() as u32);
                finished.window_of.push(i as u32);
                Ok(())
            })?;
        }
        let rows = finished.window_of.len();
        finished.rows.timestamps.resize(rows, 0);
        finished.rows.keys.ends.resize(rows, 0);
        finished.rows.keys.present.resize(rows, 0);
        Ok(finished)
    }
}
