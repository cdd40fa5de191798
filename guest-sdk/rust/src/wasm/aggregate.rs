//! Window aggregates as components: the imports of world `aggregator` as a [`Host`], its exports as calls of a runner.

use super::{describe, failure, install_panic_hook, owned, owned_optional};
use crate::aggregate_runner::{AggregateRunner, Bounds};
use crate::aggregator::{Aggregator, Rows};
use crate::bindings::aggregator::exports::tidemill::operator::aggregate as exports;
use crate::bindings::tidemill::operator::{context, metrics, types};
use crate::column::{BatchColumns, BatchRef, Columns, ColumnsRef, OptionalColumns, OptionalColumnsRef};
use crate::host::{Host, Page, ScanRange, Subtask, TimeDomain};
use crate::{Rejection, Result};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

/// Its own host: whatever a host function's code names becomes an import of the component, and this world has but these.
struct AggregateHost;

/// `declare` refuses fields that would need it.
fn absent() -> ! {
    panic!("a window aggregate has no state, timers or output of its own")
}

impl Host for AggregateHost {
    fn get(&self, _: u32, _: ColumnsRef<'_>, _: Option<ColumnsRef<'_>>) -> OptionalColumns {
        absent()
    }

    fn put(&self, _: u32, _: ColumnsRef<'_>, _: Option<ColumnsRef<'_>>, _: OptionalColumnsRef<'_>) {
        absent()
    }

    fn append(&self, _: u32, _: ColumnsRef<'_>, _: ColumnsRef<'_>) {
        absent()
    }

    fn clear(&self, _: u32, _: ColumnsRef<'_>) {
        absent()
    }

    fn scan(&self, _: u32, _: &[ScanRange], _: u32, _: Option<&[u8]>) -> Page {
        absent()
    }

    fn register(&self, _: TimeDomain, _: u32, _: ColumnsRef<'_>, _: &[u8]) {
        absent()
    }

    fn cancel(&self, _: TimeDomain, _: u32, _: ColumnsRef<'_>, _: &[u8]) {
        absent()
    }

    fn emit(&self, _: u32, _: BatchRef<'_>) {
        absent()
    }

    fn add(&self, metric: u32, amount: u64) {
        metrics::add(metric, amount);
    }

    fn set(&self, metric: u32, value: f64) {
        metrics::set(metric, value);
    }

    fn observe(&self, metric: u32, values: &[f64]) {
        metrics::observe(metric, values);
    }

    fn subtask(&self) -> Subtask {
        let s = context::current_subtask();
        Subtask { index: s.index, parallelism: s.parallelism, max_parallelism: s.max_parallelism }
    }

    fn now_ms(&self) -> i64 {
        context::current_time()
    }
}

/// A runner without its type: one component is one aggregate.
trait AnyRunner {
    fn accumulate(
        &mut self,
        events: BatchColumns,
        groups: &[u8],
        accumulators: &OptionalColumns,
    ) -> Result<(Columns, Vec<Rejection>)>;
    fn merge(&mut self, groups: &[u8], accumulators: &Columns) -> Result<Columns>;
    fn finish(&mut self, keys: ColumnsRef<'_>, windows: &[Bounds], accumulators: ColumnsRef<'_>) -> Result<Rows>;
    fn close(&mut self) -> Result<()>;
}

impl<A: Aggregator> AnyRunner for AggregateRunner<A> {
    fn accumulate(
        &mut self,
        events: BatchColumns,
        groups: &[u8],
        accumulators: &OptionalColumns,
    ) -> Result<(Columns, Vec<Rejection>)> {
        AggregateRunner::accumulate(self, events, groups, accumulators)
    }

    fn merge(&mut self, groups: &[u8], accumulators: &Columns) -> Result<Columns> {
        AggregateRunner::merge(self, groups, accumulators)
    }

    fn finish(&mut self, keys: ColumnsRef<'_>, windows: &[Bounds], accumulators: ColumnsRef<'_>) -> Result<Rows> {
        AggregateRunner::finish(self, keys, windows, accumulators)
    }

    fn close(&mut self) -> Result<()> {
        AggregateRunner::close(self)
    }
}

thread_local! {
    static OPENED: RefCell<Option<Box<dyn AnyRunner>>> = const { RefCell::new(None) };
}

fn opened<T>(act: impl FnOnce(&mut dyn AnyRunner) -> Result<T>) -> Result<T, types::Failure> {
    OPENED.with_borrow_mut(|runner| match runner {
        Some(runner) => act(runner.as_mut()).map_err(failure),
        None => Err(types::Failure::Fatal("the host called the aggregate before `open`".to_string())),
    })
}

fn columns(c: Columns) -> types::ColumnsResult {
    types::ColumnsResult { data: c.data, ends: c.ends }
}

fn optional(c: OptionalColumns) -> types::OptionalColumnsResult {
    types::OptionalColumnsResult { data: c.data, ends: c.ends, present: c.present }
}

/// The component of a window aggregate.
pub struct AggregateComponent<A>(PhantomData<A>);

impl<A: Aggregator> exports::Guest for AggregateComponent<A> {
    fn describe() -> String {
        describe(crate::declare::describe_aggregator::<A>)
    }

    fn open(config: String) -> Result<(), types::Failure> {
        install_panic_hook();
        let runner = AggregateRunner::<A>::open(&config, Rc::new(AggregateHost)).map_err(failure)?;
        OPENED.set(Some(Box::new(runner)));
        Ok(())
    }

    fn accumulate(
        events: types::BatchResult,
        groups: Vec<u8>,
        accumulators: types::OptionalColumnsResult,
    ) -> Result<exports::Accumulated, types::Failure> {
        let events = BatchColumns {
            timestamps: events.timestamps,
            keys: owned_optional(events.keys),
            values: owned_optional(events.values),
            headers: events.headers,
        };
        let accumulators = owned_optional(accumulators);
        let (accumulators, refused) = opened(|runner| runner.accumulate(events, &groups, &accumulators))?;
        let rejections = refused.into_iter().map(|r| types::Rejection { index: r.index, reason: r.reason }).collect();
        Ok(exports::Accumulated { accumulators: columns(accumulators), rejections })
    }

    fn merge(groups: Vec<u8>, accumulators: types::ColumnsResult) -> Result<types::ColumnsResult, types::Failure> {
        let accumulators = owned(accumulators);
        opened(|runner| runner.merge(&groups, &accumulators)).map(columns)
    }

    fn finish(
        keys: types::ColumnsResult,
        windows: Vec<types::Window>,
        accumulators: types::ColumnsResult,
    ) -> Result<exports::Finished, types::Failure> {
        let (keys, accumulators) = (owned(keys), owned(accumulators));
        let windows: Vec<Bounds> = windows.into_iter().map(|w| (w.start, w.end, w.firing)).collect();
        let rows = opened(|runner| runner.finish(keys.view(), &windows, accumulators.view()))?;
        let BatchColumns { timestamps, keys, values, headers } = rows.columns;
        let rows_batch = types::BatchResult { timestamps, keys: optional(keys), values: optional(values), headers };
        Ok(exports::Finished { rows: rows_batch, window_of: rows.window_of })
    }

    fn close() -> Result<(), types::Failure> {
        opened(|runner| runner.close())
    }
}
