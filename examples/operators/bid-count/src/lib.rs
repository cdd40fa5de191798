//! Counts the events of a window: the aggregate of Nexmark q11 (sessions) and q12 (tumbling windows) as a component, beside
//! which `tidemill bench nexmark` runs the built-in one.

use serde::Serialize;
use tidemill_sdk::prelude::*;

/// The aggregate; the accumulator is the count.
#[derive(Declare)]
pub struct BidCount {}

#[derive(Serialize)]
struct Row<'a> {
    window_start: i64,
    window_end: i64,
    bidder: &'a str,
    bid_count: u64,
}

impl Aggregator for BidCount {
    type Accumulator = u64;

    fn add(&mut self, count: &mut u64, _bid: &Event<'_>) -> Result<()> {
        *count += 1;
        Ok(())
    }

    fn merge(&mut self, count: &mut u64, later: u64) -> Result<()> {
        *count += later;
        Ok(())
    }

    fn finish(&mut self, window: &Window<'_>, bid_count: u64, rows: &mut Rows) -> Result<()> {
        let (window_start, window_end) = (window.start(), window.end());
        rows.emit_json(&Row { window_start, window_end, bidder: window.key_text()?, bid_count })
    }
}

tidemill_sdk::export_aggregator!(BidCount);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{AggregateHarness, Record};

    #[test]
    fn bids_are_counted_by_bidder_and_window() {
        let mut harness = AggregateHarness::<BidCount>::tumbling(10).unwrap();
        harness.send([("7", 1), ("8", 2), ("7", 9), ("7", 10)].map(|(key, at)| Record::new(key, "{}").at(at))).unwrap();
        harness.end().unwrap();
        let out: Vec<_> = harness.results().iter().map(Record::text).collect();
        assert_eq!(out[0], r#"{"window_start":0,"window_end":10,"bidder":"7","bid_count":2}"#);
        assert_eq!(out.len(), 3);
    }
}
