//! How often each key came: emits the count so far, as decimal text, for every event.

use tidemill_sdk::prelude::*;

/// A count per key.
#[derive(Declare)]
pub struct Count {
    seen: Value<u64>,
    counts: Output,
}

impl Operator for Count {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        let n = self.seen.update(|n| n + 1)?;
        self.counts.emit(event.key(), n.to_string())
    }
}

tidemill_sdk::export!(Count);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Harness, Record};

    #[test]
    fn counts_go_on_when_the_instance_is_replaced() {
        let mut harness = Harness::<Count>::open().unwrap();
        harness.send(["a", "b", "a"].map(|key| Record::new(key, ""))).unwrap();
        harness.replace_instance().unwrap();
        harness.send([Record::new("a", "")]).unwrap();
        assert_eq!(
            harness.output("counts"),
            [("a", "1"), ("b", "1"), ("a", "2"), ("a", "3")].map(|(key, n)| Record::new(key, n))
        );
    }

    #[test]
    fn an_event_without_a_key_is_refused() {
        let mut harness = Harness::<Count>::open().unwrap();
        harness.send([Record::new((), "x"), Record::new("a", "")]).unwrap();
        assert_eq!(
            harness.dead_letters()[0].reason,
            "seen: the event has no key; give the source or the upstream operator one"
        );
        assert_eq!(harness.output("counts").len(), 1);
    }
}
