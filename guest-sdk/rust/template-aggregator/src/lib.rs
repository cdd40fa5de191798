//! {{name}}: how many events a window has, and how long the longest is.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

/// What is kept of the events of a window.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Lengths {
    events: u64,
    longest: u64,
}

/// The fields may be configuration and metrics; the accumulator is all that lasts.
#[derive(Declare)]
pub struct Longest {}

impl Aggregator for Longest {
    type Accumulator = Lengths;

    fn add(&mut self, lengths: &mut Lengths, event: &Event<'_>) -> Result<()> {
        lengths.events += 1;
        lengths.longest = lengths.longest.max(event.text()?.len() as u64);
        Ok(())
    }

    fn merge(&mut self, lengths: &mut Lengths, later: Lengths) -> Result<()> {
        lengths.events += later.events;
        lengths.longest = lengths.longest.max(later.longest);
        Ok(())
    }

    fn finish(&mut self, _window: &Window<'_>, lengths: Lengths, rows: &mut Rows) -> Result<()> {
        rows.emit_json(&lengths)
    }
}

tidemill_sdk::export_aggregator!(Longest);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{AggregateHarness, Record};

    #[test]
    fn a_window_gives_one_result_per_key() {
        let mut harness = AggregateHarness::<Longest>::tumbling(10).unwrap();
        let events = [("a", "tide", 1), ("b", "mill", 2), ("a", "sea", 9), ("a", "flood", 12)];
        harness.send(events.map(|(key, text, time)| Record::new(key, text).at(time))).unwrap();
        harness.send([Record::new("a", [0xff]).at(3)]).unwrap();
        harness.end().unwrap();
        let out: Vec<_> = harness.results().iter().map(Record::text).collect();
        assert_eq!(out[0], r#"{"events":2,"longest":4}"#);
        assert_eq!(out.len(), 3);
        assert_eq!(harness.dead_letters().len(), 1, "what is no text is refused and does not count");
    }
}
