//! What an operator says of itself, and what it refuses: descriptor, configuration, mistakes of its author.

use serde::Deserialize;
use serde_json::json;
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Harness, Record, describe};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    limit: u32,
    #[serde(default)]
    prefix: String,
}

#[derive(Declare)]
#[declare(name = "everything", watermarks)]
struct Everything {
    config: Config<Settings>,
    orders: Input,
    payments: Input,
    last_seen: Value<u64>,
    by_day: Map<i64, u32>,
    open_items: List<String>,
    late_rows: Counter,
    size: Histogram,
    #[declare(name = "high_water")]
    high: Gauge,
    day_end: EventTimer,
    time_out: ProcessingTimer,
    out: Output,
}

impl Operator for Everything {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        self.last_seen.set(&1)?;
        self.by_day.insert(&1, &1)?;
        self.open_items.push(&String::new())?;
        self.day_end.register(1)?;
        self.time_out.register(1)?;
        self.late_rows.add(1);
        self.size.observe(1.0);
        self.high.set(1.0);
        let text = format!("{}{} {}", self.config.prefix, self.config.limit, event.is_from(&self.payments));
        self.out.emit(event.is_from(&self.orders).then_some("order"), text)
    }

    fn config_schema() -> Option<serde_json::Value> {
        Some(json!({ "type": "object" }))
    }
}

#[test]
fn fields_are_declared_by_type_name_and_order() {
    let expected = json!({
        "descriptor": 1,
        "name": "everything",
        "version": env!("CARGO_PKG_VERSION"),
        "inputs": [{ "name": "orders" }, { "name": "payments" }],
        "outputs": [{ "name": "out" }],
        "states": [
            { "name": "last-seen", "kind": "value" },
            { "name": "by-day", "kind": "map" },
            { "name": "open-items", "kind": "list" }
        ],
        "timers": [{ "name": "day-end" }, { "name": "time-out" }],
        "metrics": [
            { "name": "late-rows", "kind": "counter" },
            { "name": "size", "kind": "histogram" },
            { "name": "high_water", "kind": "gauge" }
        ],
        "wants": { "watermarks": true },
        "config": { "type": "object" }
    });
    assert_eq!(describe::<Everything>().unwrap(), expected);
}

#[test]
fn the_configuration_is_typed_and_inputs_are_told_apart() {
    let mut harness = Harness::<Everything>::with_config(&json!({ "limit": 3, "prefix": ">" })).unwrap();
    harness.send_to(0, [Record::new("k", "")]).unwrap();
    harness.send_to(1, [Record::new("k", "")]).unwrap();
    assert_eq!(harness.output("out"), [Record::new("order", ">3 false"), Record::new((), ">3 true")]);
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_by_name() {
    let cases = [
        (json!({}), "missing field `limit`"),
        (json!(null), "missing field `limit`"),
        (json!({ "limit": "three" }), "invalid type: string \"three\", expected u32"),
        (json!({ "limit": 3, "limits": 4 }), "unknown field `limits`"),
    ];
    for (config, wanted) in cases {
        let Err(Error::Fatal(why)) = Harness::<Everything>::with_config(&config) else {
            unreachable!("{config} opened")
        };
        assert!(why.contains(wanted) && why.contains("operator `everything`"), "{why}");
    }
}

#[derive(Declare)]
struct Twins {
    same_name: Value<u8>,
    #[declare(name = "same-name")]
    other: List<u8>,
}

impl Operator for Twins {
    fn process(&mut self, _event: &Event<'_>) -> Result<()> {
        self.other.clear()?;
        self.same_name.clear()
    }
}

#[test]
fn two_states_of_one_name_are_refused() {
    let why = describe::<Twins>().unwrap_err().to_string();
    assert!(why.contains("two states named `same-name`"), "{why}");
}

#[derive(Declare)]
struct Nothing;

impl Operator for Nothing {}

#[test]
fn an_operator_without_process_says_so_and_has_one_input() {
    assert_eq!(describe::<Nothing>().unwrap()["inputs"], json!([{ "name": "events" }]));
    assert_eq!(describe::<Nothing>().unwrap()["name"], json!("tidemill-sdk"), "named for its crate");
    let mut harness = Harness::<Nothing>::open().unwrap();
    let why = harness.send([Record::new("k", "v")]).unwrap_err().to_string();
    assert!(why.contains("neither `process` nor `process_batch`"), "{why}");
}

#[derive(Declare)]
struct Columnar {
    seen: Value<u32>,
    out: Output,
}

impl Operator for Columnar {
    fn process_batch(&mut self, batch: &Batch<'_>) -> Result<Vec<Rejection>> {
        self.out.forward_batch(batch)?;
        let refused = batch.each(|event| {
            self.seen.update(|n| n + 1)?;
            self.out.emit(event.key(), event.text()?.len().to_string())?;
            if event.text()?.is_empty() { Err(Error::reject("empty")) } else { Ok(()) }
        })?;
        self.out.emit_at(9, (), format!("{} of {}", refused.len(), batch.columns().keys.len()))?;
        Ok(refused)
    }
}

#[test]
fn a_batch_can_be_handled_as_columns_and_event_by_event() {
    let mut harness = Harness::<Columnar>::open().unwrap();
    harness.send([Record::new("a", "xx"), Record::new("a", "")]).unwrap();
    let texts: Vec<_> = harness.output("out").iter().map(Record::text).collect();
    assert_eq!(texts, ["xx", "", "2", "1 of 2"]);
    assert_eq!(harness.dead_letters()[0].reason, "empty");
}

#[derive(Declare)]
struct Keyless {
    seen: Value<u32>,
}

impl Operator for Keyless {
    fn close(&mut self) -> Result<()> {
        self.seen.set(&1)
    }
}

#[test]
fn keyed_state_outside_an_event_is_a_fatal_mistake_that_is_explained() {
    let why = Harness::<Keyless>::open().unwrap().end().unwrap_err().to_string();
    assert!(why.starts_with("fatal: seen: no event is in progress"), "{why}");
}

#[derive(Declare)]
struct Forgetful {
    #[declare(ttl = "10s")]
    seen: Value<u64>,
    #[declare(ttl = "2d", clock = "event", refresh = "read-and-write", name = "by-day")]
    days: Map<i64, u64>,
    kept: List<u64>,
}

impl Operator for Forgetful {
    fn process(&mut self, event: &Event<'_>) -> Result<()> {
        self.seen.set(&1)?;
        self.days.insert(&event.timestamp(), &1)?;
        self.kept.push(&1)
    }
}

#[test]
fn states_may_have_a_time_to_live() {
    let described = describe::<Forgetful>().unwrap();
    let expected = json!([
        { "name": "seen", "kind": "value", "ttl": { "ms": 10_000, "clock": "processing-time", "refresh": "write" } },
        { "name": "by-day", "kind": "map", "ttl": { "ms": 172_800_000, "clock": "event-time", "refresh": "read-and-write" } },
        { "name": "kept", "kind": "list" },
    ]);
    assert_eq!(described["states"], expected);
}
