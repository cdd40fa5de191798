//! A component that does what no component should, on raw bindings: each event's value says what to do. The host's
//! guest-contract tests feed it.
//!
//! | value | what happens |
//! | --- | --- |
//! | `echo` | the event is emitted on port 0 with its key, time and headers |
//! | `count` | the key's count in state 0 goes up by one and is emitted as decimal text |
//! | `panic` | a panic, after a log line |
//! | `loop` | never returns |
//! | `allocate` | takes memory until there is none |
//! | `bad-ends` | emits a column whose ends pass its data |
//! | `bad-lengths` | emits columns of different lengths |
//! | `bad-time` | emits a time outside the range |
//! | `bad-headers` | emits a headers column that is cut short |
//! | `unknown-port` | emits on port 99 |
//! | `huge-output` | emits 1 MiB batches without end |
//! | `foreign-key` | puts keys `foreign-0` to `foreign-999`, most of which belong to other subtasks |
//! | `unknown-state` | gets from state 99 |
//! | `wrong-kind` | scans the value state 0 |
//! | `timer` | registers the event-time timer 0 at the event's time; when due it emits `fired` |
//! | `bad-timer` | registers timer 99 |
//! | `retry` | counts, emits, then fails with `retry(5)` |
//! | `fatal` | counts, emits, then fails with `fatal` |
//! | `reject` | the event is rejected |
//! | `reject-twice` | the event is rejected twice |
//! | `reject-beyond` | an index past the batch is rejected |
//! | `log` | one log line per level |
//! | anything else | nothing |
//!
//! `open` fails with `fatal` when the configuration holds `fail-open`, and panics when it holds `panic-open`.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, unreachable_pub)]

wit_bindgen::generate!({
    path: "../../../../wit",
    world: "processor",
    ownership: Borrowing { duplicate_if_necessary: true },
});

mod behaviour;

use behaviour::{Columns, apply};
use exports::tidemill::operator::operator::{BatchResult, Failure, Guest, Rejection, TimerBatch};
use tidemill::operator::log;

struct Misbehave;

impl Guest for Misbehave {
    fn describe() -> String {
        r#"{
            "descriptor": 1,
            "name": "misbehave",
            "version": "0.1.0",
            "inputs": [{ "name": "events" }],
            "outputs": [{ "name": "out" }],
            "states": [{ "name": "counts", "kind": "value" }],
            "timers": [{ "name": "due" }],
            "metrics": [{ "name": "seen", "kind": "counter" }]
        }"#
        .to_string()
    }

    fn open(config: String) -> Result<(), Failure> {
        if config.contains("panic-open") {
            panic!("open panics, as the configuration asks");
        }
        if config.contains("fail-open") {
            return Err(Failure::Fatal("open fails, as the configuration asks".to_string()));
        }
        Ok(())
    }

    fn process(_input: u32, _watermark: i64, events: BatchResult) -> Result<Vec<Rejection>, Failure> {
        let mut rejections = Vec::new();
        let mut header_at = 0;
        for i in 0..events.timestamps.len() / 8 {
            let headers = behaviour::entry(&events.headers, &mut header_at);
            let key = behaviour::value(&events.keys.data, &events.keys.ends, &events.keys.present, i);
            let value = behaviour::value(&events.values.data, &events.values.ends, &events.values.present, i);
            let time = &events.timestamps[i * 8..i * 8 + 8];
            apply(i as u32, key, value, time, headers, &mut rejections)?;
        }
        Ok(rejections)
    }

    fn on_timers(fired: TimerBatch, _watermark: i64) -> Result<Vec<Rejection>, Failure> {
        for i in 0..fired.times.len() / 8 {
            let key = behaviour::value(&fired.keys.data, &fired.keys.ends, &[], i);
            let (keys, values) = (Columns::one(key.unwrap_or_default()), Columns::one(b"fired"));
            behaviour::emit(0, &fired.times[i * 8..i * 8 + 8], &keys, &values, &[]);
        }
        Ok(Vec::new())
    }

    fn on_watermark(_watermark: i64) -> Result<(), Failure> {
        Ok(())
    }

    fn close() -> Result<(), Failure> {
        log::log(log::Level::Info, "closed");
        Ok(())
    }
}

export!(Misbehave);
