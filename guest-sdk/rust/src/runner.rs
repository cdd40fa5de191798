//! Drives an operator: takes the host's calls, begins and ends the call, hands events over one by one. `wasm` and
//! `testing` own one runner per instance.

use crate::batch::{Batch, Rejection};
use crate::call::Call;
use crate::column::{BatchColumns, Columns, OptionalColumns, read_i64};
use crate::declare::{Opening, describe};
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::host::{Host, TimeDomain};
use crate::operator::Operator;
use crate::timer::Timer;
use std::rc::Rc;

/// An opened operator.
pub(crate) struct Runner<O> {
    operator: O,
    call: Rc<Call>,
    descriptor: Descriptor,
}

/// Timers due, as the host gives them.
pub(crate) struct Fired {
    /// The clock they follow; the timer's name says it too.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code))]
    pub(crate) domain: TimeDomain,
    pub(crate) timer: u32,
    pub(crate) keys: Columns,
    pub(crate) times: Vec<u8>,
}

impl<O: Operator> Runner<O> {
    pub(crate) fn open(config: &str, host: Rc<dyn Host>) -> Result<Runner<O>> {
        let descriptor = describe::<O>()?;
        let call = Call::new(host);
        let operator = O::build(&mut Opening::new(call.clone(), config, &descriptor));
        let mut runner = Runner { operator: operator.map_err(not_an_event)?, call, descriptor };
        runner.outside_events(Operator::open)?;
        Ok(runner)
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    pub(crate) fn process(&mut self, input: u32, watermark: i64, events: BatchColumns) -> Result<Vec<Rejection>> {
        let columns = Rc::new(events);
        self.call.begin(columns.clone());
        let batch = Batch { call: &self.call, columns: &columns, input, watermark };
        let outcome = self.operator.process_batch(&batch).map_err(not_an_event);
        self.call.end(outcome)
    }

    pub(crate) fn on_timers(&mut self, fired: Fired, watermark: i64) -> Result<Vec<Rejection>> {
        let Some(name) = self.descriptor.timers.get(fired.timer as usize).map(|timer| timer.name.clone()) else {
            return Err(Error::fatal(format!("the host fired timer {}, which was never declared", fired.timer)));
        };
        let Columns { data, ends } = fired.keys;
        let keys = OptionalColumns { data, ends, present: Vec::new() };
        let columns = Rc::new(BatchColumns { timestamps: fired.times, keys, ..BatchColumns::default() });
        self.call.begin(columns.clone());
        let outcome = self.each_timer(&columns, &name, watermark);
        self.call.end(outcome)
    }

    fn each_timer(&mut self, columns: &BatchColumns, name: &str, watermark: i64) -> Result<Vec<Rejection>> {
        let keys = columns.keys.view();
        let mut refused = Vec::new();
        for i in 0..columns.len() {
            let key = keys.get(i).unwrap_or_default();
            let timer = Timer { key, time: read_i64(&columns.timestamps, i), name, watermark };
            if let Some(reason) = self.call.event(i, || self.operator.on_timer(&timer))? {
                refused.push(Rejection { index: i as u32, reason });
            }
        }
        Ok(refused)
    }

    pub(crate) fn on_watermark(&mut self, watermark: i64) -> Result<()> {
        self.outside_events(|operator| operator.on_watermark(watermark))
    }

    pub(crate) fn close(&mut self) -> Result<()> {
        self.outside_events(Operator::close)
    }

    fn outside_events(&mut self, act: impl FnOnce(&mut O) -> Result<()>) -> Result<()> {
        self.call.begin(Rc::default());
        let outcome = act(&mut self.operator).map_err(not_an_event);
        self.call.end(outcome)
    }
}

/// Where there is no event to refuse, refusing is fatal.
pub(crate) fn not_an_event(error: Error) -> Error {
    match error {
        Error::Reject(reason) => Error::Fatal(reason),
        other => other,
    }
}
