//! What `misbehave` does for one event. `lib` hands it the event; it calls the host directly.

use crate::exports::tidemill::operator::operator::{Failure, Rejection};
use crate::tidemill::operator::{log, metrics, output, state, timers, types};

/// Byte strings for the host.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) data: Vec<u8>,
    pub(crate) ends: Vec<u8>,
}

impl Columns {
    pub(crate) fn one(value: &[u8]) -> Columns {
        let mut columns = Columns::default();
        columns.push(value);
        columns
    }

    fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.ends.extend_from_slice(&(self.data.len() as u32).to_le_bytes());
    }

    fn view(&self) -> types::ColumnsParam<'_> {
        types::ColumnsParam { data: &self.data, ends: &self.ends }
    }

    fn optional(&self) -> types::OptionalColumnsParam<'_> {
        types::OptionalColumnsParam { data: &self.data, ends: &self.ends, present: &[] }
    }
}

fn number(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
}

/// Value `i` of a column.
pub(crate) fn value<'a>(data: &'a [u8], ends: &[u8], present: &[u8], i: usize) -> Option<&'a [u8]> {
    if present.get(i) == Some(&0) {
        return None;
    }
    let start = if i == 0 { 0 } else { number(ends, (i - 1) * 4) };
    data.get(start..number(ends, i * 4))
}

/// The next entry of a headers column, as it stands.
pub(crate) fn entry<'a>(column: &'a [u8], at: &mut usize) -> &'a [u8] {
    if column.is_empty() {
        return &[];
    }
    let start = *at;
    *at += 4;
    for _ in 0..number(column, start) * 2 {
        *at += 4 + number(column, *at);
    }
    column.get(start..*at).unwrap_or_default()
}

/// Emits one event.
pub(crate) fn emit(port: u32, time: &[u8], keys: &Columns, values: &Columns, headers: &[u8]) {
    let batch = types::BatchParam { timestamps: time, keys: keys.optional(), values: values.optional(), headers };
    output::emit(port, batch);
}

fn count(key: &Columns, time: &[u8]) {
    let stored = state::get(0, key.view(), None);
    let n = std::str::from_utf8(&stored.data).ok().and_then(|text| text.parse().ok()).unwrap_or(0u64) + 1;
    let next = Columns::one(n.to_string().as_bytes());
    state::put(0, key.view(), None, next.optional());
    metrics::add(0, 1);
    emit(0, time, key, &next, &[]);
}

fn allocate() -> ! {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(vec![1; 1 << 20]);
    }
}

fn huge_output(time: &[u8], key: &Columns) -> ! {
    let megabyte = Columns::one(&vec![b'x'; 1 << 20]);
    loop {
        emit(0, time, key, &megabyte, &[]);
    }
}

fn put_foreign_keys() {
    let mut keys = Columns::default();
    let mut values = Columns::default();
    for i in 0..1_000 {
        keys.push(format!("foreign-{i}").as_bytes());
        values.push(b"1");
    }
    state::put(0, keys.view(), None, values.optional());
}

/// Does what the value says.
pub(crate) fn apply(
    index: u32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    time: &[u8],
    headers: &[u8],
    rejections: &mut Vec<Rejection>,
) -> Result<(), Failure> {
    let keys = Columns::one(key.unwrap_or_default());
    let values = Columns::one(value.unwrap_or_default());
    let mut reject = |index: u32| rejections.push(Rejection { index, reason: "as the event asks".to_string() });
    match value.unwrap_or_default() {
        b"echo" => {
            let present: &[u8] = if key.is_some() { &[] } else { &[0] };
            let keys = types::OptionalColumnsParam { present, ..keys.optional() };
            output::emit(0, types::BatchParam { timestamps: time, keys, values: values.optional(), headers });
        }
        b"count" => count(&keys, time),
        b"panic" => {
            log::log(log::Level::Error, "about to panic");
            panic!("the event asks for a panic")
        }
        b"loop" => loop {
            std::hint::spin_loop();
        },
        b"allocate" => allocate(),
        b"bad-ends" => {
            let ends = 1_000u32.to_le_bytes();
            let beyond = types::OptionalColumnsParam { data: b"short", ends: &ends, present: &[] };
            let batch = types::BatchParam { timestamps: time, keys: keys.optional(), values: beyond, headers: &[] };
            output::emit(0, batch);
        }
        b"bad-lengths" => emit(0, time, &Columns::default(), &values, &[]),
        b"bad-time" => emit(0, &i64::MAX.to_le_bytes(), &keys, &values, &[]),
        b"bad-headers" => emit(0, time, &keys, &values, &[255, 0, 0, 0, 1]),
        b"unknown-port" => emit(99, time, &keys, &values, &[]),
        b"huge-output" => huge_output(time, &keys),
        b"foreign-key" => put_foreign_keys(),
        b"unknown-state" => {
            state::get(99, keys.view(), None);
        }
        b"wrong-kind" => {
            let range = state::ScanRange { key: &keys.data, start: None, end: None };
            state::scan(0, &[range], 0, None);
        }
        b"timer" => timers::register(types::TimeDomain::EventTime, 0, keys.view(), time),
        b"bad-timer" => timers::register(types::TimeDomain::EventTime, 99, keys.view(), time),
        b"retry" => {
            count(&keys, time);
            return Err(Failure::Retry(Some(5)));
        }
        b"fatal" => {
            count(&keys, time);
            return Err(Failure::Fatal("the event asks for the end".to_string()));
        }
        b"reject" => reject(index),
        b"reject-twice" => (0..2).for_each(|_| reject(index)),
        b"reject-beyond" => reject(1_000_000),
        b"log" => {
            use log::Level::{Debug, Error, Info, Trace, Warn};
            for level in [Trace, Debug, Info, Warn, Error] {
                log::log(level, "a line");
            }
        }
        _ => {}
    }
    Ok(())
}
