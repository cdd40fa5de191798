//! {{name}}: gives out each value that is longer than all before it of the same key.

use tidemill_sdk::prelude::*;

/// The fields declare what the operator keeps and where it emits.
#[derive(Declare)]
pub struct Longest {
    longest: Value<u64>,
    lines: Output,
}

impl Operator for Longest {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        let line = event.text()?;
        let length = line.len() as u64;
        if length > self.longest.get_or_default()? {
            self.longest.set(&length)?;
            self.lines.emit(event.key(), line)?;
        }
        Ok(())
    }
}

tidemill_sdk::export!(Longest);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Harness, Record};

    #[test]
    fn only_a_longer_value_of_the_same_key_comes_out() {
        let mut harness = Harness::<Longest>::open().unwrap();
        let lines = [("a", "tide"), ("b", "mill"), ("a", "sea"), ("a", "flood")];
        harness.send(lines.map(|(key, line)| Record::new(key, line))).unwrap();
        let out: Vec<_> = harness.output("lines").iter().map(Record::text).collect();
        assert_eq!(out, ["tide", "mill", "flood"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let mut harness = Harness::<Longest>::open().unwrap();
        harness.send([Record::new("a", [0xff])]).unwrap();
        assert_eq!(harness.dead_letters().len(), 1);
    }
}
