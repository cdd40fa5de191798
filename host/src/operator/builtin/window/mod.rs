//! THE window operator: keyed windows of every kind over one [`Aggregate`], which may be built in or a guest's. The dataflow
//! drives it as any operator; keyed state and timers are all it keeps.
//!
//! ```text
//! assign.rs    which windows and panes a time falls in                            pure
//! panes.rs     aligned event-time windows that give one accumulating result at their end (and again for late events):
//!              one accumulator per key and pane, shared by overlapping windows
//! entries.rs   everything else (sessions, global, counts, early results, discarding, processing time): one entry per key
//!              and window
//! entry.rs     such an entry, its bytes, and what is due when                     pure
//! batch.rs     events of a call by key and window; results and late events out
//! ```
//!
//! Invariants:
//! 1. an event is dropped for a window whose last time + lateness is at or before the watermark, and for no other;
//! 2. a window with contents has a timer at or before the time of its next result, and one for its removal;
//! 3. results of one call come in the order of windows' ends, then of keys: never of hash tables.

mod assign;
mod batch;
mod entries;
mod entry;
mod panes;

pub(super) use batch::Keys;

use super::aggregate::{Aggregate, Columns, SharedAggregates};
use crate::config::builtin::{Clock, Trigger, WindowSpec, Windows};
use crate::operator::descriptor::{Descriptor, StateKind};
use crate::operator::{Context, Failure, Operator, OperatorFactory, Rejection, SharedFactory, TimerBatch};
use std::sync::Arc;
use tidemill_storage::{Batch, EventTime};

/// Output port of results.
const RESULTS: u32 = 0;
/// Output port of late events, where there is one; with several inputs, of the first.
const LATE: u32 = 1;
/// Counter of late events that were dropped.
const LATE_DROPPED: u32 = 0;
/// Metrics of the window operator; an aggregate's come after them.
const OWN_METRICS: u32 = 1;

/// What the operator says of itself.
pub(super) fn describe(spec: &WindowSpec) -> Descriptor {
    let outputs: &[_] = if spec.late_output { &["results", "late"] } else { &["results"] };
    describe_as("window", &["events"], outputs, spec)
}

/// What the operator that joins two inputs in windows says of itself.
pub(super) fn describe_join(spec: &WindowSpec) -> Descriptor {
    let outputs: &[_] = if spec.late_output { &["out", "late-left", "late-right"] } else { &["out"] };
    describe_as("join", &["left", "right"], outputs, spec)
}

fn describe_as(name: &str, inputs: &[&str], outputs: &[&str], spec: &WindowSpec) -> Descriptor {
    let states: &[_] = if shares_panes(spec) {
        &[("panes", StateKind::Map), ("firings", StateKind::Map)]
    } else {
        &[("windows", StateKind::Map)]
    };
    super::describe(name, inputs, outputs, states, &["window", "clean-up"], &["late_dropped"])
}

/// The operator with built-in aggregates.
pub(super) fn operator(spec: &WindowSpec) -> Box<dyn Operator> {
    over(spec, Box::new(Columns::new(spec)))
}

/// A factory of the operator over aggregates that are given, a guest's for example. The error says which of their metrics
/// clashes with one of windows.
pub fn factory_over(spec: &WindowSpec, aggregates: SharedAggregates) -> Result<SharedFactory, String> {
    let (mut descriptor, given) = (describe(spec), aggregates.descriptor());
    let taken = |metric: &str| descriptor.metrics.iter().any(|own| own.name == metric);
    if let Some(metric) = given.metrics.iter().find(|metric| taken(&metric.name)) {
        return Err(format!(
            "the aggregate declares metric {}, which the window operator has itself; rename it",
            metric.name
        ));
    }
    descriptor.metrics.extend(given.metrics.iter().cloned());
    (descriptor.name, descriptor.version) = (given.name.clone(), given.version.clone());
    Ok(Arc::new(Over { spec: spec.clone(), descriptor, aggregates }))
}

struct Over {
    spec: WindowSpec,
    descriptor: Descriptor,
    aggregates: SharedAggregates,
}

impl OperatorFactory for Over {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn create(&self, context: &mut Context) -> Result<Box<dyn Operator>, Failure> {
        Ok(over(&self.spec, self.aggregates.create(context)?))
    }
}

/// The operator over any aggregate; `spec.output` and what belongs to it are the aggregate's affair.
pub fn over(spec: &WindowSpec, aggregate: Box<dyn Aggregate>) -> Box<dyn Operator> {
    match (&spec.windows, shares_panes(spec)) {
        (Windows::Aligned { size_ms, slide_ms, offset_ms }, true) => {
            let windows = assign::Aligned::new(*size_ms, *slide_ms, *offset_ms);
            Box::new(Window {
                kind: panes::Panes::new(windows, spec.lateness_ms),
                aggregate,
                late_output: spec.late_output,
            })
        }
        _ => Box::new(Window { kind: entries::Entries::new(spec), aggregate, late_output: spec.late_output }),
    }
}

/// Whether windows are kept as panes: discarding and early results are per window, so that overlapping windows cannot
/// share them.
fn shares_panes(spec: &WindowSpec) -> bool {
    matches!(spec.windows, Windows::Aligned { .. })
        && spec.clock == Clock::Event
        && spec.trigger == Trigger::END
        && !(spec.discard && spec.lateness_ms > 0)
}

/// One of the two ways to keep windows.
trait Kind: Send {
    fn process(&mut self, call: &mut Call<'_>) -> Result<(), Failure>;
    fn on_timers(&mut self, fired: &TimerBatch, call: &mut Call<'_>) -> Result<(), Failure>;
}

/// What a call works with.
struct Call<'a> {
    /// Of the events.
    input: u32,
    events: &'a Batch,
    watermark: i64,
    aggregate: &'a mut dyn Aggregate,
    context: &'a mut Context,
    late_output: bool,
    rejections: Vec<Rejection>,
    /// Indexes of events that came too late for all their windows.
    late: Vec<u32>,
}

struct Window<K> {
    kind: K,
    aggregate: Box<dyn Aggregate>,
    late_output: bool,
}

impl<K: Kind> Operator for Window<K> {
    fn process(
        &mut self,
        input: u32,
        watermark: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let mut call = Call {
            input,
            events,
            watermark: watermark.0,
            aggregate: &mut *self.aggregate,
            context,
            late_output: self.late_output,
            rejections: Vec::new(),
            late: Vec::new(),
        };
        self.kind.process(&mut call)?;
        call.give_late()?;
        let mut rejections = call.rejections;
        rejections.sort_by_key(|r| r.index);
        rejections.dedup_by_key(|r| r.index);
        Ok(rejections)
    }

    fn on_timers(
        &mut self,
        fired: &TimerBatch,
        watermark: EventTime,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let mut call = Call {
            input: 0,
            events: &Batch::default(),
            watermark: watermark.0,
            aggregate: &mut *self.aggregate,
            context,
            late_output: self.late_output,
            rejections: Vec::new(),
            late: Vec::new(),
        };
        self.kind.on_timers(fired, &mut call)?;
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _watermark: EventTime, _context: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, context: &mut Context) -> Result<(), Failure> {
        batch::ask(&mut *self.aggregate, context, |aggregate, context| aggregate.close(context))
    }
}
