//! A window aggregate that does what none should, on raw bindings: each event's value says what to do. The host's tests of
//! aggregates feed it. An accumulator is a count (u64) and then what later calls are to do, a byte each.
//!
//! | value | what happens |
//! | --- | --- |
//! | `panic` `loop` `allocate` | in `accumulate`: a panic, no end, memory without end |
//! | `reject` `reject-beyond` `reject-twice` | the event, an index past the batch, the event twice |
//! | `retry` `fatal` | `accumulate` fails with `retry(5)`, `fatal` |
//! | `few` `bad-ends` | `accumulate` gives one accumulator too few, ends past the data |
//! | `panic-merge` `few-merge` | `merge` of that accumulator panics, gives one too few |
//! | `panic-finish` `no-window` `few-windows` `bad-time` `loop-finish` | in `finish` of it: a panic, a row of no window, rows without windows, a time outside the range, no end |
//! | `grow` | the accumulator grows by 64 KiB |
//! | `metric` | the counter `seen` goes up |
//! | `memory` | counts as often as this instance has seen one: memory that passes for an accumulator |
//! | anything else | nothing |
//!
//! Each event counts. `finish` gives the rows `count` and, with a key of its own, `again`, last window first. `open` fails with
//! `fatal` when the configuration holds `fail-open`.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, unreachable_pub)]

wit_bindgen::generate!({
    path: "../../../../wit",
    world: "aggregator",
    ownership: Borrowing { duplicate_if_necessary: true },
});

use exports::tidemill::operator::aggregate::{
    Accumulated, BatchResult, ColumnsResult, Failure, Finished, Guest, OptionalColumnsResult, Rejection, Window,
};
use std::sync::atomic::{AtomicU64, Ordering};
use tidemill::operator::{context, log, metrics};

/// Events `memory` that this instance has seen.
static SEEN: AtomicU64 = AtomicU64::new(0);

struct Misfold;

fn number(bytes: &[u8], i: usize) -> usize {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[4 * i..4 * i + 4]);
    u32::from_le_bytes(number) as usize
}

fn value<'a>(data: &'a [u8], ends: &[u8], i: usize) -> &'a [u8] {
    &data[if i == 0 { 0 } else { number(ends, i - 1) }..number(ends, i)]
}

fn columns(values: &[Vec<u8>]) -> ColumnsResult {
    let (mut data, mut ends) = (Vec::new(), Vec::new());
    for value in values {
        data.extend_from_slice(value);
        ends.extend_from_slice(&(data.len() as u32).to_le_bytes());
    }
    ColumnsResult { data, ends }
}

fn count(accumulator: &[u8]) -> u64 {
    let mut count = [0; 8];
    count.copy_from_slice(&accumulator[..8]);
    u64::from_le_bytes(count)
}

fn allocate() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1u8; 1 << 20]);
        std::hint::black_box(&kept);
    }
}

fn forever() -> ! {
    loop {
        std::hint::black_box(0);
    }
}

impl Guest for Misfold {
    fn describe() -> String {
        r#"{"descriptor":1,"name":"misfold","version":"0.1.0","inputs":[{"name":"events"}],"outputs":[{"name":"rows"}],
            "metrics":[{"name":"seen","kind":"counter"}]}"#
            .to_string()
    }

    fn open(config: String) -> Result<(), Failure> {
        // Measuring here is allowed, and of no consequence: an instance may be opened at any time.
        metrics::add(0, 1_000);
        if config.contains("fail-open") { Err(Failure::Fatal("told so".to_string())) } else { Ok(()) }
    }

    fn accumulate(
        events: BatchResult,
        groups: Vec<u8>,
        accumulators: OptionalColumnsResult,
    ) -> Result<Accumulated, Failure> {
        let there = |i: usize| accumulators.present.is_empty() || accumulators.present[i] == 1;
        let given = |i: usize| match there(i) {
            true => value(&accumulators.data, &accumulators.ends, i).to_vec(),
            false => vec![0; 8],
        };
        let mut folded: Vec<Vec<u8>> = (0..accumulators.ends.len() / 4).map(given).collect();
        let mut rejections = Vec::new();
        let (mut few, mut bad_ends) = (false, false);
        for i in 0..events.timestamps.len() / 8 {
            let reject = |index: usize| Rejection { index: index as u32, reason: "told so".to_string() };
            let (mut later, mut more) = (None, 0);
            match value(&events.values.data, &events.values.ends, i) {
                b"panic" => {
                    log::log(log::Level::Error, "about to panic");
                    panic!("told so");
                }
                b"loop" => forever(),
                b"allocate" => allocate(),
                b"reject" => {
                    rejections.push(reject(i));
                    continue;
                }
                b"reject-beyond" => rejections.push(reject(1_000_000)),
                b"reject-twice" => rejections.extend([reject(i), reject(i)]),
                b"retry" => return Err(Failure::Retry(Some(5))),
                b"fatal" => return Err(Failure::Fatal("told so".to_string())),
                b"few" => few = true,
                b"bad-ends" => bad_ends = true,
                b"panic-merge" => later = Some(b'm'),
                b"few-merge" => later = Some(b'M'),
                b"panic-finish" => later = Some(b'f'),
                b"no-window" => later = Some(b'w'),
                b"few-windows" => later = Some(b'W'),
                b"bad-time" => later = Some(b't'),
                b"loop-finish" => later = Some(b'l'),
                b"metric" => metrics::add(0, 1),
                b"memory" => more = SEEN.fetch_add(1, Ordering::Relaxed),
                b"grow" => folded[number(&groups, i)].resize(64 << 10, 0),
                _ => {}
            }
            let folded = &mut folded[number(&groups, i)];
            let next = count(folded) + 1 + more;
            folded[..8].copy_from_slice(&next.to_le_bytes());
            folded.extend(later);
        }
        if few {
            folded.pop();
        }
        let mut accumulators = columns(&folded);
        if bad_ends {
            accumulators.data.pop();
        }
        Ok(Accumulated { accumulators, rejections })
    }

    fn merge(groups: Vec<u8>, accumulators: ColumnsResult) -> Result<ColumnsResult, Failure> {
        let mut merged: Vec<Vec<u8>> = Vec::new();
        let mut few = false;
        for i in 0..groups.len() / 4 {
            let next = value(&accumulators.data, &accumulators.ends, i);
            assert!(!next[8..].contains(&b'm'), "told so");
            few |= next[8..].contains(&b'M');
            match merged.get_mut(number(&groups, i)) {
                Some(before) => {
                    let both = count(before) + count(next);
                    before[..8].copy_from_slice(&both.to_le_bytes());
                    before.extend_from_slice(&next[8..]);
                }
                None => merged.push(next.to_vec()),
            }
        }
        if few {
            merged.pop();
        }
        Ok(columns(&merged))
    }

    fn finish(keys: ColumnsResult, windows: Vec<Window>, accumulators: ColumnsResult) -> Result<Finished, Failure> {
        assert!(context::current_subtask().parallelism > 0);
        let (mut values, mut of, mut times) = (Vec::new(), Vec::new(), Vec::new());
        let (mut row_keys, mut present) = (Vec::new(), Vec::new());
        let mut few = false;
        for i in (0..windows.len()).rev() {
            let accumulator = value(&accumulators.data, &accumulators.ends, i);
            let told = |what: u8| accumulator[8..].contains(&what);
            assert!(!told(b'f'), "told so");
            if told(b'l') {
                forever();
            }
            few |= told(b'W');
            let time = if told(b't') { i64::MIN } else { 0 };
            let own = [value(&keys.data, &keys.ends, i), b"+"].concat();
            for (row, key) in [(count(accumulator).to_string(), None), ("again".to_string(), Some(own))] {
                times.extend_from_slice(&i64::to_le_bytes(time));
                of.extend_from_slice(&(if told(b'w') { 99 } else { i as u32 }).to_le_bytes());
                present.push(u8::from(key.is_some()));
                row_keys.push(key.unwrap_or_default());
                values.push(row.into_bytes());
            }
        }
        if few {
            of.truncate(of.len() - 4);
        }
        let (keys, values) = (columns(&row_keys), columns(&values));
        let keys = OptionalColumnsResult { data: keys.data, ends: keys.ends, present };
        let values = OptionalColumnsResult { data: values.data, ends: values.ends, present: Vec::new() };
        let rows = BatchResult { timestamps: times, keys, values, headers: Vec::new() };
        Ok(Finished { rows, window_of: of })
    }

    fn close() -> Result<(), Failure> {
        metrics::add(0, 5);
        Ok(())
    }
}

export!(Misfold);
