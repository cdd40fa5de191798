//! Time to live under the native harness: entries age on both clocks as under the real host.

use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Harness, Record};

/// Notes the event's value in each state, and emits what it finds: count, the map's sub-keys, the list.
#[derive(Declare)]
struct Aging {
    #[declare(ttl = "100ms")]
    brief: Value<u64>,
    #[declare(ttl = "100ms", clock = "event", refresh = "read-and-write")]
    fresh: Map<String, u64>,
    #[declare(ttl = "100ms", clock = "event")]
    recent: List<String>,
    kept: Value<u64>,
    out: Output,
}

impl Operator for Aging {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        let text = event.text()?.to_owned();
        if let Some(sub_key) = text.strip_prefix("read ") {
            return self.out.emit(event.key(), self.fresh.get(&sub_key.to_owned())?.map_or("-", |_| "there"));
        }
        self.kept.update(|n| n + 1)?;
        self.fresh.insert(&text, &1)?;
        self.recent.push(&text)?;
        let brief = self.brief.update(|n| n + 1)?;
        self.out.emit(event.key(), format!("{brief} {}", self.recent.get()?.join(",")))
    }
}

fn ask(harness: &mut Harness<Aging>, text: &str, time: i64) -> String {
    harness.send([Record::new("k", text).at(time)]).unwrap();
    harness.output("out")[0].text()
}

#[test]
fn entries_age_on_the_clock_and_in_event_time() {
    let mut harness = Harness::<Aging>::open().unwrap();
    harness.clock(1_000).unwrap();
    assert_eq!(ask(&mut harness, "a", 5_000), "1 a");
    harness.clock(1_099).unwrap();
    harness.replace_instance().unwrap();
    assert_eq!(ask(&mut harness, "b", 5_050), "2 a,b", "a millisecond before it is over");
    harness.clock(1_199).unwrap();
    assert_eq!(harness.state_entries("brief"), 0, "100 ms after it was written last");
    harness.watermark(5_099).unwrap();
    assert_eq!(ask(&mut harness, "read a", 0), "there", "a read counts from the watermark");
    harness.watermark(5_150).unwrap();
    assert_eq!(ask(&mut harness, "read b", 0), "-", "nobody read it");
    assert_eq!(ask(&mut harness, "read a", 0), "there");
    assert_eq!(ask(&mut harness, "c", 5_160), "1 c");
    harness.watermark(6_000).unwrap();
    let left = ["fresh", "recent", "kept"].map(|state| harness.state_entries(state));
    assert_eq!(left, [0, 0, 1], "what is over is freed, what has no time to live stays");
    assert!(harness.timers().is_empty(), "the operator sees no timer of it");
}
