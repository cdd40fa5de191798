//! Timers as fields: registered and taken back for the current key, in batches, once per call; and the timer that fires.

use crate::call::{Call, Part};
use crate::column::{Columns, push_i64};
use crate::declare::{Field, Opening};
use crate::descriptor::{Descriptor, Named};
use crate::error::{Error, Result};
use crate::host::TimeDomain;
use foldhash::fast::FixedState;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Fires for a key when the operator's watermark reaches its time.
pub struct EventTimer(Handle);

/// Fires for a key when the clock reaches its time.
pub struct ProcessingTimer(Handle);

struct Handle {
    call: Rc<Call>,
    part: Rc<TimerPart>,
    name: String,
}

struct TimerPart {
    domain: TimeDomain,
    timer: u32,
    operations: RefCell<Operations>,
}

/// The last operation on each (key, time) of the call: registering twice is one timer, and a timer that is registered
/// and then taken back is none.
#[derive(Default)]
struct Operations {
    /// Key's number, time, true = register, false = cancel, none = undone.
    list: Vec<(u32, i64, Option<bool>)>,
    index: HashMap<(u32, i64), usize, FixedState>,
    undo: Vec<(usize, Option<bool>)>,
}

impl Operations {
    fn set(&mut self, key: u32, time: i64, register: bool) {
        let next = self.list.len();
        let at = *self.index.entry((key, time)).or_insert(next);
        if at == next {
            self.list.push((key, time, None));
        }
        let old = self.list[at].2.replace(register);
        if old != Some(register) {
            self.undo.push((at, old));
        }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.index.clear();
        self.undo.clear();
    }
}

impl Handle {
    fn set(&self, time_ms: i64, register: bool) -> Result<()> {
        if !(-crate::TIME_LIMIT_MS..=crate::TIME_LIMIT_MS).contains(&time_ms) {
            return Err(Error::reject(format!("timer `{}`: {time_ms} ms is no time within +-(2^53 - 1)", self.name)));
        }
        let key = self.call.current_key(&self.name)?;
        self.part.operations.borrow_mut().set(key, time_ms, register);
        Ok(())
    }
}

impl EventTimer {
    /// Registers it for the current key. A time that the watermark has passed fires right after the call.
    pub fn register(&self, time_ms: i64) -> Result<()> {
        self.0.set(time_ms, true)
    }

    /// Takes it back.
    pub fn cancel(&self, time_ms: i64) -> Result<()> {
        self.0.set(time_ms, false)
    }
}

impl ProcessingTimer {
    /// Registers it for the current key.
    pub fn register(&self, time_ms: i64) -> Result<()> {
        self.0.set(time_ms, true)
    }

    /// Registers it for the current key, this many ms from now, and says for when.
    pub fn register_in(&self, ms: i64) -> Result<i64> {
        let time = self.0.call.host().now_ms().saturating_add(ms);
        self.0.set(time, true).map(|()| time)
    }

    /// Takes it back.
    pub fn cancel(&self, time_ms: i64) -> Result<()> {
        self.0.set(time_ms, false)
    }
}

impl Part for TimerPart {
    fn undo_event(&self) {
        let operations = &mut *self.operations.borrow_mut();
        while let Some((at, old)) = operations.undo.pop() {
            operations.list[at].2 = old;
        }
    }

    fn keep_event(&self, _call: &Call) {
        self.operations.borrow_mut().undo.clear();
    }

    fn write_back(&self, call: &Call) {
        let operations = &mut *self.operations.borrow_mut();
        if operations.list.is_empty() {
            return;
        }
        let all_keys = call.keys();
        for register in [false, true] {
            let (mut keys, mut times) = (Columns::default(), Vec::new());
            for (key, time, _) in operations.list.iter().filter(|(_, _, op)| *op == Some(register)) {
                keys.push(all_keys.key(*key));
                push_i64(&mut times, *time);
            }
            match (keys.is_empty(), register) {
                (true, _) => {}
                (false, true) => call.host().register(self.domain, self.timer, keys.view(), &times),
                (false, false) => call.host().cancel(self.domain, self.timer, keys.view(), &times),
            }
        }
        operations.clear();
    }

    fn drop_call(&self) {
        self.operations.borrow_mut().clear();
    }
}

fn open(domain: TimeDomain, name: &str, opening: &mut Opening<'_>) -> Handle {
    let timer = opening.take(|next| &mut next.timers);
    let part = opening.part(TimerPart { domain, timer, operations: RefCell::default() });
    Handle { call: opening.call.clone(), part, name: name.to_string() }
}

impl Field for EventTimer {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        descriptor.timers.push(Named::new(name));
    }

    fn open(name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        Ok(EventTimer(open(TimeDomain::EventTime, name, opening)))
    }
}

impl Field for ProcessingTimer {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        descriptor.timers.push(Named::new(name));
    }

    fn open(name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        Ok(ProcessingTimer(open(TimeDomain::ProcessingTime, name, opening)))
    }
}

/// A timer that is due.
#[derive(Clone, Copy, Debug)]
pub struct Timer<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) time: i64,
    pub(crate) name: &'a str,
    pub(crate) watermark: i64,
}

impl<'a> Timer<'a> {
    /// The key that it was registered for.
    pub fn key(&self) -> &'a [u8] {
        self.key
    }

    /// That key as text; refuses the timer if it is not.
    pub fn key_text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.key).map_err(|e| Error::reject(format!("the timer's key is not UTF-8 text: {e}")))
    }

    /// The time that it was registered for, ms.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// The name of its field.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The operator's watermark, ms.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Whether it is this field's.
    pub fn is(&self, timer: &impl TimerField) -> bool {
        self.name == timer.name()
    }
}

/// A timer declared as a field.
pub trait TimerField {
    /// Its name in the declaration.
    fn name(&self) -> &str;
}

impl TimerField for EventTimer {
    fn name(&self) -> &str {
        &self.0.name
    }
}

impl TimerField for ProcessingTimer {
    fn name(&self) -> &str {
        &self.0.name
    }
}
