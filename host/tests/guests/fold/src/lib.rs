//! The aggregate that the host's model of windows computes, as a component: what built-in columns give in
//! host/tests/support/windows.rs, so that one model holds both.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

#[derive(Deserialize)]
struct Row {
    v: i64,
}

/// Of equal times the first one folded is first and the last one last.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Folded {
    n: u64,
    sum: i64,
    min: Option<i64>,
    max: Option<i64>,
    first: Option<(i64, i64)>,
    last: Option<(i64, i64)>,
}

#[derive(Serialize)]
struct Given {
    s: Option<i64>,
    e: Option<i64>,
    f: u32,
    n: u64,
    sum: i64,
    min: Option<i64>,
    max: Option<i64>,
    first: Option<i64>,
    last: Option<i64>,
}

/// The aggregate.
#[derive(Declare)]
pub struct Fold {}

impl Aggregator for Fold {
    type Accumulator = Folded;

    fn add(&mut self, folded: &mut Folded, event: &Event<'_>) -> Result<()> {
        let (time, Row { v }) = (event.timestamp(), event.json()?);
        let one = Folded { n: 1, sum: v, min: Some(v), max: Some(v), first: Some((time, v)), last: Some((time, v)) };
        self.merge(folded, one)
    }

    fn merge(&mut self, folded: &mut Folded, later: Folded) -> Result<()> {
        folded.n += later.n;
        folded.sum += later.sum;
        folded.min = folded.min.into_iter().chain(later.min).min();
        folded.max = folded.max.max(later.max);
        if folded.first.is_none_or(|first| later.first.is_some_and(|other| other.0 < first.0)) {
            folded.first = later.first;
        }
        if folded.last.is_none_or(|last| later.last.is_some_and(|other| other.0 >= last.0)) {
            folded.last = later.last;
        }
        Ok(())
    }

    fn finish(&mut self, window: &Window<'_>, folded: Folded, rows: &mut Rows) -> Result<()> {
        let Folded { n, sum, min, max, first, last } = folded;
        rows.emit_json(&Given {
            s: (window.start() != i64::MIN).then(|| window.start()),
            e: (window.end() != i64::MAX).then(|| window.end()),
            f: window.firing(),
            n,
            sum,
            min,
            max,
            first: first.map(|first| first.1),
            last: last.map(|last| last.1),
        })
    }
}

tidemill_sdk::export_aggregator!(Fold);
