//! The component's side of the door: the WIT imports as a [`Host`], the WIT exports as calls of a runner. `aggregate` is
//! that of window aggregates.

mod aggregate;

pub use aggregate::AggregateComponent;

use crate::bindings::exports::tidemill::operator::operator as exports;
use crate::bindings::tidemill::operator::{context, log as host_log, metrics, output, state, timers, types};
use crate::column::{BatchColumns, BatchRef, Columns, ColumnsRef, OptionalColumns, OptionalColumnsRef};
use crate::error::Error;
use crate::host::{Host, Page, ScanRange, Subtask, TimeDomain};
use crate::log::Level;
use crate::operator::Operator;
use crate::runner::{Fired, Runner};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

struct WasmHost;

fn columns(c: ColumnsRef<'_>) -> types::ColumnsParam<'_> {
    types::ColumnsParam { data: c.data, ends: c.ends }
}

fn optional(c: OptionalColumnsRef<'_>) -> types::OptionalColumnsParam<'_> {
    types::OptionalColumnsParam { data: c.data, ends: c.ends, present: c.present }
}

fn owned(c: types::ColumnsResult) -> Columns {
    Columns { data: c.data, ends: c.ends }
}

fn owned_optional(c: types::OptionalColumnsResult) -> OptionalColumns {
    OptionalColumns { data: c.data, ends: c.ends, present: c.present }
}

fn domain(domain: TimeDomain) -> types::TimeDomain {
    match domain {
        TimeDomain::EventTime => types::TimeDomain::EventTime,
        TimeDomain::ProcessingTime => types::TimeDomain::ProcessingTime,
    }
}

impl Host for WasmHost {
    fn get(&self, s: u32, keys: ColumnsRef<'_>, subkeys: Option<ColumnsRef<'_>>) -> OptionalColumns {
        owned_optional(state::get(s, columns(keys), subkeys.map(columns)))
    }

    fn put(&self, s: u32, keys: ColumnsRef<'_>, subkeys: Option<ColumnsRef<'_>>, values: OptionalColumnsRef<'_>) {
        state::put(s, columns(keys), subkeys.map(columns), optional(values));
    }

    fn append(&self, s: u32, keys: ColumnsRef<'_>, values: ColumnsRef<'_>) {
        state::append(s, columns(keys), columns(values));
    }

    fn clear(&self, s: u32, keys: ColumnsRef<'_>) {
        state::clear(s, columns(keys));
    }

    fn scan(&self, s: u32, ranges: &[ScanRange], limit: u32, cursor: Option<&[u8]>) -> Page {
        let ranges: Vec<_> = ranges
            .iter()
            .map(|r| state::ScanRange { key: &r.key, start: r.start.as_deref(), end: r.end.as_deref() })
            .collect();
        let page = state::scan(s, &ranges, limit, cursor);
        Page { range_of: page.range_of, subkeys: owned(page.subkeys), values: owned(page.values), cursor: page.cursor }
    }

    fn register(&self, d: TimeDomain, timer: u32, keys: ColumnsRef<'_>, times: &[u8]) {
        timers::register(domain(d), timer, columns(keys), times);
    }

    fn cancel(&self, d: TimeDomain, timer: u32, keys: ColumnsRef<'_>, times: &[u8]) {
        timers::cancel(domain(d), timer, columns(keys), times);
    }

    fn emit(&self, port: u32, events: BatchRef<'_>) {
        output::emit(
            port,
            types::BatchParam {
                timestamps: events.timestamps,
                keys: optional(events.keys),
                values: optional(events.values),
                headers: events.headers,
            },
        );
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

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Trace => host_log::Level::Trace,
        Level::Debug => host_log::Level::Debug,
        Level::Info => host_log::Level::Info,
        Level::Warn => host_log::Level::Warn,
        Level::Error => host_log::Level::Error,
    };
    host_log::log(level, message);
}

/// The host learns of a panic only as a trap: say what and where before it.
fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let event = match crate::call::in_progress() {
            Some(i) => format!(" (at event or timer {i} of the call)"),
            None => String::new(),
        };
        log(Level::Error, &format!("{info}{event}"));
    }));
}

/// A runner without its type: one component is one operator.
trait AnyRunner {
    fn process(&mut self, input: u32, watermark: i64, events: BatchColumns) -> crate::Result<Vec<crate::Rejection>>;
    fn on_timers(&mut self, fired: Fired, watermark: i64) -> crate::Result<Vec<crate::Rejection>>;
    fn on_watermark(&mut self, watermark: i64) -> crate::Result<()>;
    fn close(&mut self) -> crate::Result<()>;
}

impl<O: Operator> AnyRunner for Runner<O> {
    fn process(&mut self, input: u32, watermark: i64, events: BatchColumns) -> crate::Result<Vec<crate::Rejection>> {
        Runner::process(self, input, watermark, events)
    }

    fn on_timers(&mut self, fired: Fired, watermark: i64) -> crate::Result<Vec<crate::Rejection>> {
        Runner::on_timers(self, fired, watermark)
    }

    fn on_watermark(&mut self, watermark: i64) -> crate::Result<()> {
        Runner::on_watermark(self, watermark)
    }

    fn close(&mut self) -> crate::Result<()> {
        Runner::close(self)
    }
}

thread_local! {
    static OPENED: RefCell<Option<Box<dyn AnyRunner>>> = const { RefCell::new(None) };
}

fn failure(error: Error) -> exports::Failure {
    match error {
        Error::Retry { after_ms } => exports::Failure::Retry(after_ms),
        Error::Fatal(reason) | Error::Reject(reason) => exports::Failure::Fatal(reason),
    }
}

fn opened<T>(act: impl FnOnce(&mut dyn AnyRunner) -> crate::Result<T>) -> Result<T, exports::Failure> {
    OPENED.with_borrow_mut(|runner| match runner {
        Some(runner) => act(runner.as_mut()).map_err(failure),
        None => Err(exports::Failure::Fatal("the host called the operator before `open`".to_string())),
    })
}

fn rejections(refused: Vec<crate::Rejection>) -> Vec<exports::Rejection> {
    refused.into_iter().map(|r| exports::Rejection { index: r.index, reason: r.reason }).collect()
}

/// The descriptor as JSON.
fn describe(describe: impl FnOnce() -> crate::Result<crate::descriptor::Descriptor>) -> String {
    install_panic_hook();
    let descriptor = describe();
    match descriptor.map_err(|e| e.to_string()).and_then(|d| serde_json::to_string(&d).map_err(|e| e.to_string())) {
        Ok(json) => json,
        Err(why) => {
            // No descriptor is better than a wrong one: the host refuses the empty string, and the log says why.
            log(Level::Error, &why);
            String::new()
        }
    }
}

/// The component of an operator.
pub struct Component<O>(PhantomData<O>);

impl<O: Operator> exports::Guest for Component<O> {
    fn describe() -> String {
        describe(crate::declare::describe::<O>)
    }

    fn open(config: String) -> Result<(), exports::Failure> {
        install_panic_hook();
        let runner = Runner::<O>::open(&config, Rc::new(WasmHost)).map_err(failure)?;
        OPENED.set(Some(Box::new(runner)));
        Ok(())
    }

    fn process(
        input: u32,
        watermark: i64,
        events: exports::BatchResult,
    ) -> Result<Vec<exports::Rejection>, exports::Failure> {
        let events = BatchColumns {
            timestamps: events.timestamps,
            keys: owned_optional(events.keys),
            values: owned_optional(events.values),
            headers: events.headers,
        };
        opened(|runner| runner.process(input, watermark, events)).map(rejections)
    }

    fn on_timers(fired: exports::TimerBatch, watermark: i64) -> Result<Vec<exports::Rejection>, exports::Failure> {
        let domain = match fired.domain {
            types::TimeDomain::EventTime => TimeDomain::EventTime,
            types::TimeDomain::ProcessingTime => TimeDomain::ProcessingTime,
        };
        let fired = Fired { domain, timer: fired.timer, keys: owned(fired.keys), times: fired.times };
        opened(|runner| runner.on_timers(fired, watermark)).map(rejections)
    }

    fn on_watermark(watermark: i64) -> Result<(), exports::Failure> {
        opened(|runner| runner.on_watermark(watermark))
    }

    fn close() -> Result<(), exports::Failure> {
        opened(|runner| runner.close())
    }
}
