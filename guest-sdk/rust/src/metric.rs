//! Metrics as fields: counted during the call, undone with a refused event, handed to the host once per call.

use crate::call::{Call, Part};
use crate::declare::{Field, Opening};
use crate::descriptor::{Descriptor, Metric, MetricKind};
use crate::error::Result;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Only grows.
pub struct Counter(Rc<CounterPart>);

/// The last value set.
pub struct Gauge(Rc<GaugePart>);

/// A distribution of values.
pub struct Histogram(Rc<HistogramPart>);

struct CounterPart {
    metric: u32,
    kept: Cell<u64>,
    event: Cell<u64>,
}

struct GaugePart {
    metric: u32,
    kept: Cell<Option<f64>>,
    event: Cell<Option<f64>>,
}

struct HistogramPart {
    metric: u32,
    values: RefCell<Vec<f64>>,
    kept: Cell<usize>,
}

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.event.set(self.0.event.get().saturating_add(amount));
    }
}

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: f64) {
        self.0.event.set(Some(value));
    }
}

impl Histogram {
    /// Notes a value.
    pub fn observe(&self, value: f64) {
        self.0.values.borrow_mut().push(value);
    }
}

impl Part for CounterPart {
    fn undo_event(&self) {
        self.event.set(0);
    }

    fn keep_event(&self, _call: &Call) {
        self.kept.set(self.kept.get().saturating_add(self.event.take()));
    }

    fn write_back(&self, call: &Call) {
        // What was counted outside any event (on_watermark, close) still lies in `event`.
        self.keep_event(call);
        match self.kept.take() {
            0 => {}
            amount => call.host().add(self.metric, amount),
        }
    }

    fn drop_call(&self) {
        self.event.set(0);
        self.kept.set(0);
    }
}

impl Part for GaugePart {
    fn undo_event(&self) {
        self.event.set(None);
    }

    fn keep_event(&self, _call: &Call) {
        if let Some(value) = self.event.take() {
            self.kept.set(Some(value));
        }
    }

    fn write_back(&self, call: &Call) {
        self.keep_event(call);
        if let Some(value) = self.kept.take() {
            call.host().set(self.metric, value);
        }
    }

    fn drop_call(&self) {
        self.event.set(None);
        self.kept.set(None);
    }
}

impl Part for HistogramPart {
    fn undo_event(&self) {
        self.values.borrow_mut().truncate(self.kept.get());
    }

    fn keep_event(&self, _call: &Call) {
        self.kept.set(self.values.borrow().len());
    }

    fn write_back(&self, call: &Call) {
        let mut values = self.values.borrow_mut();
        if !values.is_empty() {
            call.host().observe(self.metric, &values);
        }
        values.clear();
        self.kept.set(0);
    }

    fn drop_call(&self) {
        self.values.borrow_mut().clear();
        self.kept.set(0);
    }
}

fn declare(name: &str, kind: MetricKind, descriptor: &mut Descriptor) {
    descriptor.metrics.push(Metric { name: name.to_string(), kind });
}

impl Field for Counter {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        declare(name, MetricKind::Counter, descriptor);
    }

    fn open(_name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        let metric = opening.take(|next| &mut next.metrics);
        Ok(Counter(opening.part(CounterPart { metric, kept: Cell::new(0), event: Cell::new(0) })))
    }
}

impl Field for Gauge {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        declare(name, MetricKind::Gauge, descriptor);
    }

    fn open(_name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        let metric = opening.take(|next| &mut next.metrics);
        Ok(Gauge(opening.part(GaugePart { metric, kept: Cell::new(None), event: Cell::new(None) })))
    }
}

impl Field for Histogram {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        declare(name, MetricKind::Histogram, descriptor);
    }

    fn open(_name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        let metric = opening.take(|next| &mut next.metrics);
        Ok(Histogram(opening.part(HistogramPart { metric, values: RefCell::default(), kept: Cell::new(0) })))
    }
}
