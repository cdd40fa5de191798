//! Hands every batch on as it came, columns and all: the benchmark of the boundary between host and guest.

use tidemill_sdk::prelude::*;

/// One output port.
#[derive(Declare)]
pub struct PassThrough {
    out: Output,
}

impl Operator for PassThrough {
    fn process_batch(&mut self, batch: &Batch<'_>) -> Result<Vec<Rejection>> {
        self.out.forward_batch(batch)?;
        Ok(Vec::new())
    }
}

tidemill_sdk::export!(PassThrough);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Harness, Record};

    #[test]
    fn events_come_out_as_they_went_in() {
        let events = [
            Record::new("key", "value").at(-5).header("trace", "1"),
            Record::new((), ()).at(0),
            Record::new("", "").at(9).header("a", "").header("a", "again"),
        ];
        let mut harness = Harness::<PassThrough>::open().unwrap();
        harness.send(events.clone()).unwrap();
        harness.send([]).unwrap();
        assert_eq!(harness.output("out"), events);
        assert_eq!(harness.calls().emit, 1);
    }
}
