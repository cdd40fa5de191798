//! Counts the events of each key and emits the count as eight little-endian bytes: the benchmark of keyed state.

use tidemill_sdk::prelude::*;

/// Keyed state and one output port, nothing else.
#[derive(Declare)]
pub struct KeyedCount {
    seen: Value<u64>,
    counts: Output,
}

impl Operator for KeyedCount {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        let n = self.seen.update(|n| n + 1)?;
        self.counts.emit(event.key(), n.to_le_bytes())
    }
}

tidemill_sdk::export!(KeyedCount);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Harness, Record};

    #[test]
    fn a_batch_is_counted_with_one_read_and_one_write() {
        let mut harness = Harness::<KeyedCount>::open().unwrap();
        harness.send((0..1_000u32).map(|i| Record::new((i % 10).to_le_bytes(), "x").at(7))).unwrap();
        let counts = harness.output("counts");
        assert_eq!(counts.len(), 1_000);
        assert_eq!(counts[999], Record::new(9u32.to_le_bytes(), 100u64.to_le_bytes()).at(7));
        let calls = harness.calls();
        assert_eq!((calls.get, calls.put, calls.emit), (1, 1, 1));
    }
}
