//! Ports, timers, metrics and logs: built during the call, undone with a refused event, handed over once.

use tidemill_sdk::host::TimeDomain;
use tidemill_sdk::log::Level;
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Harness, Record};

#[derive(Declare)]
#[declare(watermarks)]
struct Effects {
    left: Input,
    #[allow(dead_code)] // declared, and reached by its index
    right: Input,
    soon: EventTimer,
    at_clock: ProcessingTimer,
    seen: Counter,
    level: Gauge,
    sizes: Histogram,
    main: Output,
    #[declare(name = "by_side")]
    side: Output,
    context: Context,
    #[declare(skip)]
    in_memory: u32,
}

impl Operator for Effects {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        self.in_memory += 1;
        self.seen.add(1);
        self.level.set(event.timestamp() as f64);
        self.sizes.observe(event.text()?.len() as f64);
        self.main.emit(event.key(), event.value())?;
        self.side.emit_with_headers(event.timestamp(), (), "side", &[("input", event.key().unwrap_or_default())])?;
        match event.text()? {
            "timer" => self.soon.register(event.timestamp() + 10)?,
            "cancel" => self.soon.cancel(event.timestamp() + 10)?,
            "clock" => {
                self.at_clock.register_in(100)?;
            }
            "forward" => self.side.forward(event)?,
            "too-late" => self.main.emit_at(i64::MAX, "k", "")?,
            "reject" => {
                self.soon.register(1)?;
                tidemill_sdk::warn!("refusing {}", event.timestamp());
                reject!("told to, {}", if event.is_from(&self.left) { "on the left" } else { "on the right" })
            }
            _ => {}
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: &Timer<'_>) -> Result<()> {
        if timer.key_text()? == "bad" {
            self.main.emit(timer.key(), "never seen")?;
            reject!("a bad key")
        }
        let text = format!("{} {} {}", timer.name(), timer.is(&self.at_clock), self.context.now_ms());
        self.main.emit(timer.key(), text)?;
        // A chain: the next one is due at once.
        if timer.is(&self.soon) && timer.time() < 13 { self.soon.register(timer.time() + 1) } else { Ok(()) }
    }

    fn on_watermark(&mut self, watermark: i64) -> Result<()> {
        if watermark == tidemill_sdk::END_OF_INPUT { Ok(()) } else { self.side.emit_at(watermark, (), "watermark") }
    }

    fn close(&mut self) -> Result<()> {
        self.side.emit_at(0, (), "closed")
    }
}

fn texts(records: Vec<Record>) -> Vec<String> {
    records.iter().map(Record::text).collect()
}

#[test]
fn a_refused_event_takes_its_output_timers_and_metrics_with_it() {
    let mut harness = Harness::<Effects>::open().unwrap();
    let events = [("a", "x", 1), ("b", "reject", 2), ("c", "yy", 3)].map(|(k, v, t)| Record::new(k, v).at(t));
    harness.send_to(1, events).unwrap();
    assert_eq!(harness.output("main"), [Record::new("a", "x").at(1), Record::new("c", "yy").at(3)]);
    let side = harness.output("by_side");
    assert_eq!(side.len(), 2);
    assert_eq!(side[1], Record::new((), "side").at(3).header("input", "c"));
    assert_eq!(harness.timers(), []);
    assert_eq!((harness.metric("seen"), harness.metric("level"), harness.metric("sizes")), (2.0, 3.0, 3.0));
    let letters = harness.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].record.time, letters[0].reason.as_str()), (2, "told to, on the right"));
    assert_eq!(harness.log(), [(Level::Warn, "refusing 2".to_string())], "log lines survive");
    assert_eq!(harness.calls().emit, 2, "once per port");
}

#[test]
fn a_refused_first_event_leaves_no_trace_in_headers_or_absent_columns() {
    let mut harness = Harness::<Effects>::open().unwrap();
    harness.send([Record::new("a", "reject"), Record::new("b", "forward").header("h", "1")]).unwrap();
    let expected = [Record::new((), "side").header("input", "b"), Record::new("b", "forward").header("h", "1")];
    assert_eq!(harness.output("by_side"), expected);
}

#[test]
fn timers_fire_by_watermark_earliest_first_and_what_they_register_fires_too() {
    let mut harness = Harness::<Effects>::open().unwrap();
    harness
        .send([("b", "timer", 1), ("a", "timer", 0), ("a", "timer", 0)].map(|(k, v, t)| Record::new(k, v).at(t)))
        .unwrap();
    assert_eq!(harness.timers().len(), 2, "the same timer twice is one");
    harness.output("main");
    harness.watermark(9).unwrap();
    assert_eq!(harness.output("main"), []);
    harness.watermark(20).unwrap();
    let fired = harness.output("main");
    let times_of = |key: &[u8]| {
        let of_key = fired.iter().filter(|r| r.key.as_deref() == Some(key));
        of_key.map(|r| r.time).collect::<Vec<_>>()
    };
    // Between keys nothing is promised: a batch holds one timer per key.
    assert_eq!((times_of(b"a"), times_of(b"b")), (vec![10, 11, 12, 13], vec![11, 12, 13]));
    assert_eq!(harness.timers(), []);
}

#[test]
fn a_timer_taken_back_does_not_fire() {
    let mut harness = Harness::<Effects>::open().unwrap();
    harness.send([Record::new("a", "timer"), Record::new("b", "timer"), Record::new("b", "cancel")]).unwrap();
    assert_eq!(harness.timers(), [(TimeDomain::EventTime, "soon".to_string(), b"a".to_vec(), 10)]);
    harness.send([Record::new("a", "cancel")]).unwrap();
    assert_eq!(harness.timers(), []);
}

#[test]
fn a_refused_timer_goes_to_the_dead_letters_and_the_others_fire() {
    let mut harness = Harness::<Effects>::open().unwrap();
    harness.send([Record::new("bad", "timer").at(5), Record::new("good", "timer").at(5)]).unwrap();
    harness.output("main");
    harness.end().unwrap();
    assert_eq!(texts(harness.output("main")), ["soon false 0"]);
    let letters = harness.dead_letters();
    assert_eq!((letters.len(), letters[0].reason.as_str(), letters[0].record.time), (1, "a bad key", 15));
}

#[test]
fn processing_time_timers_follow_the_clock_alone() {
    let mut harness = Harness::<Effects>::open().unwrap();
    harness.clock(1_000).unwrap();
    harness.send([Record::new("a", "clock")]).unwrap();
    harness.output("main");
    harness.watermark(1_000_000).unwrap();
    harness.clock(1_099).unwrap();
    assert_eq!(harness.output("main"), []);
    harness.clock(1_100).unwrap();
    assert_eq!(texts(harness.output("main")), ["at-clock true 1100"]);
}

#[test]
fn watermarks_and_the_end_reach_the_operator() {
    let mut harness = Harness::<Effects>::open().unwrap();
    harness.watermark(5).unwrap();
    harness.watermark(4).unwrap();
    harness.end().unwrap();
    assert_eq!(texts(harness.output("by_side")), ["watermark", "closed"]);
}

#[test]
fn a_time_outside_the_range_refuses_the_event() {
    let mut harness = Harness::<Effects>::open().unwrap();
    harness.send([Record::new("a", "too-late"), Record::new("a", "x")]).unwrap();
    assert!(harness.dead_letters()[0].reason.contains("port `main`: 9223372036854775807 ms is no time"));
    assert_eq!(texts(harness.output("main")), ["x"]);
}

#[test]
fn much_output_is_emitted_in_pieces_and_in_order() {
    let mut harness = Harness::<Effects>::open().unwrap();
    let big = "x".repeat(100_000);
    harness.send((0..10).map(|t| Record::new("k", &big).at(t))).unwrap();
    let times: Vec<_> = harness.output("main").iter().map(|r| r.time).collect();
    assert_eq!(times, (0..10).collect::<Vec<_>>());
    assert_eq!(harness.calls().emit, 4 + 1, "1 MB in pieces of 256 KiB, and the other port");
}
