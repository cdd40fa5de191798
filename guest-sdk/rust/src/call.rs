//! The call in progress: its events, which one is being handled, and the parts that hold its effects. `runner` begins
//! and ends it; every handle of the operator shares it.
//!
//! Invariants:
//! 1. nothing of a call reaches the host before the events that caused it have succeeded;
//! 2. undoing an event leaves every part as it was when the event began;
//! 3. between calls every part is empty: an instance may be replaced there.

use crate::column::{BatchColumns, read_i64};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::keys::KeyIndex;
use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;

/// Something that collects effects during a call: a state's cache, a port, a timer's operations, a metric.
pub(crate) trait Part {
    /// Forgets what the event in progress did.
    fn undo_event(&self);
    /// Makes it part of the call.
    fn keep_event(&self, call: &Call);
    /// Writes the call's effects to the host and empties the part.
    fn write_back(&self, call: &Call);
    /// Drops the call's effects and empties the part.
    fn drop_call(&self);
}

/// The call in progress, shared by all handles of an operator.
pub(crate) struct Call {
    host: Rc<dyn Host>,
    parts: RefCell<Vec<Rc<dyn Part>>>,
    events: RefCell<Rc<BatchColumns>>,
    keys: RefCell<KeyIndex>,
    /// Whether `keys` are those of this call.
    keys_known: Cell<bool>,
    current: Cell<Option<usize>>,
}

thread_local! {
    /// For the panic hook, which cannot reach the call: the event in progress.
    static IN_PROGRESS: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Which event (or timer) of the call was being handled last; for the panic hook.
#[cfg(target_arch = "wasm32")]
pub(crate) fn in_progress() -> Option<usize> {
    IN_PROGRESS.get()
}

impl Call {
    pub(crate) fn new(host: Rc<dyn Host>) -> Rc<Call> {
        Rc::new(Call {
            host,
            parts: RefCell::default(),
            events: RefCell::default(),
            keys: RefCell::default(),
            keys_known: Cell::new(false),
            current: Cell::new(None),
        })
    }

    pub(crate) fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// Adds a part, when the operator is opened.
    pub(crate) fn add_part(&self, part: Rc<dyn Part>) {
        self.parts.borrow_mut().push(part);
    }

    /// Begins a call about these events or timers.
    pub(crate) fn begin(&self, events: Rc<BatchColumns>) {
        *self.events.borrow_mut() = events;
        self.keys_known.set(false);
        self.set_current(None);
    }

    #[inline]
    fn set_current(&self, current: Option<usize>) {
        self.current.set(current);
        IN_PROGRESS.set(current);
    }

    /// Ends the call: writes its effects, or drops them.
    pub(crate) fn end<T>(&self, outcome: Result<T>) -> Result<T> {
        for part in self.parts.borrow().iter() {
            match outcome {
                Ok(_) => part.write_back(self),
                Err(_) => part.drop_call(),
            }
        }
        self.begin(Rc::default());
        outcome
    }

    /// Handles event `i`: what it did stays on `Ok`, is undone on `Err`. Returns the reason if it was refused.
    pub(crate) fn event(&self, i: usize, handle: impl FnOnce() -> Result<()>) -> Result<Option<String>> {
        self.set_current(Some(i));
        let outcome = handle();
        let refused = match outcome {
            Ok(()) => {
                self.parts.borrow().iter().for_each(|part| part.keep_event(self));
                None
            }
            Err(Error::Reject(reason)) => {
                self.parts.borrow().iter().for_each(|part| part.undo_event());
                Some(reason)
            }
            Err(other) => return Err(other),
        };
        self.set_current(None);
        Ok(refused)
    }

    /// The event in progress.
    #[inline]
    pub(crate) fn current(&self) -> Option<usize> {
        self.current.get()
    }

    /// The time of the event or timer in progress.
    #[inline]
    pub(crate) fn current_time(&self) -> Option<i64> {
        self.current.get().map(|i| read_i64(&self.events.borrow().timestamps, i))
    }

    /// The number of the current event's key, for `what` (a state or timer, named in the error).
    #[inline]
    pub(crate) fn current_key(&self, what: &str) -> Result<u32> {
        let id = self.current.get().and_then(|i| self.keys().id_of(i));
        id.ok_or_else(|| self.no_key(what))
    }

    #[cold]
    fn no_key(&self, what: &str) -> Error {
        match self.current.get() {
            None => Error::fatal(format!(
                "{what}: no event is in progress, so there is no key; use keyed state and timers within process or on_timer"
            )),
            Some(_) => {
                Error::reject(format!("{what}: the event has no key; give the source or the upstream operator one"))
            }
        }
    }

    /// The distinct keys of the call.
    #[inline]
    pub(crate) fn keys(&self) -> Ref<'_, KeyIndex> {
        if !self.keys_known.replace(true) {
            self.keys.borrow_mut().build(self.events.borrow().keys.view());
        }
        self.keys.borrow()
    }
}
