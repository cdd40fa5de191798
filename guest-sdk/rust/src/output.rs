//! Output ports as fields: events are built in columns, and each port is emitted once per call, or in pieces of
//! [`EMIT_BYTES`] when there is much.

use crate::batch::{Batch, Event};
use crate::call::{Call, Part};
use crate::column::{BatchColumns, push_i64};
use crate::declare::{Field, Opening};
use crate::descriptor::{Descriptor, Named};
use crate::error::{Error, Result};
use crate::headers::{HEADERS_PER_EVENT_MAX, push_entry};
use serde::Serialize;
use std::cell::RefCell;
use std::rc::Rc;

/// A port is emitted between two events once it holds this many bytes.
const EMIT_BYTES: usize = 256 * 1024;

/// What a key or a value may be given as; `None` = absent.
pub trait Bytes {
    /// The bytes.
    fn bytes(&self) -> Option<&[u8]>;
}

macro_rules! bytes {
    ($($t:ty: $s:ident => $e:expr),* $(,)?) => { $(
        impl Bytes for $t {
            fn bytes(&self) -> Option<&[u8]> {
                let $s = self;
                $e
            }
        }
    )* };
}

bytes!([u8]: s => Some(s), str: s => Some(s.as_bytes()), Vec<u8>: s => Some(s), String: s => Some(s.as_bytes()), (): _s => None);

impl<const N: usize> Bytes for [u8; N] {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl<T: Bytes + ?Sized> Bytes for &T {
    fn bytes(&self) -> Option<&[u8]> {
        (**self).bytes()
    }
}

impl<T: Bytes> Bytes for Option<T> {
    fn bytes(&self) -> Option<&[u8]> {
        self.as_ref().and_then(Bytes::bytes)
    }
}

/// An output port.
pub struct Output {
    call: Rc<Call>,
    part: Rc<Port>,
    name: String,
}

struct Port {
    port: u32,
    built: RefCell<Built>,
}

#[derive(Default)]
struct Built {
    events: BatchColumns,
    /// The lengths of the columns before the event in progress, once it has emitted something.
    before: Option<[usize; 8]>,
}

impl Built {
    fn lengths(&mut self) -> [&mut Vec<u8>; 8] {
        let BatchColumns { timestamps, keys, values, headers } = &mut self.events;
        [
            timestamps,
            &mut keys.data,
            &mut keys.ends,
            &mut keys.present,
            &mut values.data,
            &mut values.ends,
            &mut values.present,
            headers,
        ]
    }

    #[inline]
    fn note(&mut self) {
        if self.before.is_none() {
            self.before = Some(self.lengths().map(|column| column.len()));
        }
    }
}

impl Output {
    /// Emits an event with the time of the event or timer in progress.
    #[inline]
    pub fn emit(&self, key: impl Bytes, value: impl Bytes) -> Result<()> {
        self.emit_at(self.time()?, key, value)
    }

    /// Emits an event with this time, ms.
    #[inline]
    pub fn emit_at(&self, time_ms: i64, key: impl Bytes, value: impl Bytes) -> Result<()> {
        self.emit_with_headers(time_ms, key, value, &[])
    }

    /// Emits an event with headers.
    pub fn emit_with_headers(
        &self,
        time_ms: i64,
        key: impl Bytes,
        value: impl Bytes,
        headers: &[(&str, &[u8])],
    ) -> Result<()> {
        self.build(time_ms, key, headers, |values| {
            values.push(value.bytes());
            Ok(())
        })
    }

    /// Emits an event with the current time and JSON as its value, written in place.
    pub fn emit_json(&self, key: impl Bytes, value: &impl Serialize) -> Result<()> {
        self.emit_json_at(self.time()?, key, value)
    }

    /// Emits an event with this time, ms, and JSON as its value, written in place.
    pub fn emit_json_at(&self, time_ms: i64, key: impl Bytes, value: &impl Serialize) -> Result<()> {
        self.build(time_ms, key, &[], |values| {
            let before = values.data.len();
            if let Err(e) = serde_json::to_writer(&mut values.data, value) {
                values.data.truncate(before);
                return Err(Error::fatal(format!("port `{}`: the value cannot be written as JSON: {e}", self.name)));
            }
            values.end_value();
            Ok(())
        })
    }

    /// Emits an event as it came: time, key, value and headers.
    pub fn forward(&self, event: &Event<'_>) -> Result<()> {
        let headers: Vec<_> = event.headers().collect();
        self.emit_with_headers(event.timestamp(), event.key(), event.value(), &headers)
    }

    /// Emits all events of a batch as they came, without looking at them. For [`crate::Operator::process_batch`]; it
    /// cannot be undone for one event, so it is refused while one is in progress.
    pub fn forward_batch(&self, batch: &Batch<'_>) -> Result<()> {
        if self.call.current().is_some() {
            return Err(Error::fatal(format!("port `{}`: forward_batch within an event; use forward", self.name)));
        }
        self.part.write_back(&self.call);
        if !batch.is_empty() {
            self.call.host().emit(self.part.port, batch.columns());
        }
        Ok(())
    }

    #[inline]
    fn time(&self) -> Result<i64> {
        self.call.current_time().ok_or_else(|| {
            Error::fatal(format!("port `{}`: no event is in progress to take the time from; use emit_at", self.name))
        })
    }

    #[inline]
    fn build(
        &self,
        time_ms: i64,
        key: impl Bytes,
        headers: &[(&str, &[u8])],
        value: impl FnOnce(&mut crate::column::OptionalColumns) -> Result<()>,
    ) -> Result<()> {
        if !(-crate::TIME_LIMIT_MS..=crate::TIME_LIMIT_MS).contains(&time_ms) {
            return Err(Error::reject(format!("port `{}`: {time_ms} ms is no time within +-(2^53 - 1)", self.name)));
        }
        if headers.len() > HEADERS_PER_EVENT_MAX as usize {
            return Err(Error::reject(format!(
                "port `{}`: {} headers on one event, at most {HEADERS_PER_EVENT_MAX}",
                self.name,
                headers.len()
            )));
        }
        let mut built = self.part.built.borrow_mut();
        built.note();
        let events = &mut built.events;
        value(&mut events.values)?;
        let earlier = events.len();
        push_i64(&mut events.timestamps, time_ms);
        events.keys.push(key.bytes());
        if !headers.is_empty() && events.headers.is_empty() {
            (0..earlier).for_each(|_| push_entry(&mut events.headers, &[]));
            push_entry(&mut events.headers, headers);
        } else if !events.headers.is_empty() {
            push_entry(&mut events.headers, headers);
        }
        Ok(())
    }
}

impl Part for Port {
    fn undo_event(&self) {
        let mut built = self.built.borrow_mut();
        if let Some(before) = built.before.take() {
            for (column, len) in built.lengths().into_iter().zip(before) {
                column.truncate(len);
            }
        }
    }

    fn keep_event(&self, call: &Call) {
        let mut built = self.built.borrow_mut();
        if built.before.take().is_some() && built.events.bytes() >= EMIT_BYTES {
            drop(built);
            self.write_back(call);
        }
    }

    fn write_back(&self, call: &Call) {
        let mut built = self.built.borrow_mut();
        if !built.events.is_empty() {
            call.host().emit(self.port, built.events.view());
            built.events.clear();
        }
        built.before = None;
    }

    fn drop_call(&self) {
        let mut built = self.built.borrow_mut();
        built.events.clear();
        built.before = None;
    }
}

impl Field for Output {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        descriptor.outputs.push(Named::new(name));
    }

    fn open(name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        let port = opening.take(|next| &mut next.outputs);
        let part = opening.part(Port { port, built: RefCell::default() });
        Ok(Output { call: opening.call.clone(), part, name: name.to_string() })
    }
}
