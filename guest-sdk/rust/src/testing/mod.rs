//! Runs an operator under `cargo test`, without Wasm: the same runner and the same rules over a host in memory.
//!
//! ```
//! use tidemill_sdk::{prelude::*, testing::{Harness, Record}};
//!
//! #[derive(Declare)]
//! struct Count { seen: Value<u64>, counts: Output }
//!
//! impl Operator for Count {
//!     fn process(&mut self, event: &Event<'_>) -> Result<()> {
//!         let n = self.seen.update(|n| n + 1)?;
//!         self.counts.emit(event.key(), n.to_string())
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let mut harness = Harness::<Count>::open()?;
//! harness.send([Record::new("a", "x"), Record::new("a", "y")])?;
//! assert_eq!(harness.output("counts"), [Record::new("a", "1"), Record::new("a", "2")]);
//! # Ok(())
//! # }
//! ```

mod aggregate;
mod lifetimes;
mod memory;
mod record;

pub use aggregate::AggregateHarness;
pub use memory::Calls;
pub use record::{DeadLetter, Record};

use crate::error::{Error, Result};
use crate::host::TimeDomain;
use crate::log::Level;
use crate::operator::Operator;
use crate::runner::{Fired, Runner};
use memory::MemoryHost;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    /// Lines logged on this thread: `log` has no handle to find a host by.
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn log(level: Level, message: &str) {
    LINES.with_borrow_mut(|lines| lines.push((level, message.to_string())));
}

/// An operator, its state and timers, and what came out of it.
pub struct Harness<O: Operator> {
    runner: Runner<O>,
    host: Rc<MemoryHost>,
    config: String,
    watermark: i64,
    dead_letters: Vec<DeadLetter>,
}

impl<O: Operator> Harness<O> {
    /// Opens the operator without configuration.
    pub fn open() -> Result<Harness<O>> {
        Harness::with_config(&serde_json::json!({}))
    }

    /// Opens the operator with this `config`.
    pub fn with_config(config: &serde_json::Value) -> Result<Harness<O>> {
        LINES.take();
        let config = config.to_string();
        let host = Rc::new(MemoryHost::default());
        let runner = Runner::open(&config, host.clone())?;
        host.declare(runner.descriptor());
        Ok(Harness { runner, host, config, watermark: crate::NO_WATERMARK, dead_letters: Vec::new() })
    }

    /// One call with these events on the first input. Timers that are due by then fire after it.
    pub fn send(&mut self, events: impl IntoIterator<Item = Record>) -> Result<()> {
        self.send_to(0, events)
    }

    /// One call with these events on an input, by its index.
    pub fn send_to(&mut self, input: u32, events: impl IntoIterator<Item = Record>) -> Result<()> {
        let events: Vec<Record> = events.into_iter().collect();
        let columns = record::to_columns(&events);
        let watermark = self.watermark;
        let refused = self.transaction(Some(input), &events, |runner| runner.process(input, watermark, columns))?;
        for rejection in refused {
            let record = events.get(rejection.index as usize).cloned().unwrap_or_default();
            self.dead_letters.push(DeadLetter { record, reason: rejection.reason });
        }
        self.fire()
    }

    /// Says that an input's edge is `broadcast` in the pipeline file: its events may write broadcast state. An unknown input is
    /// the test's mistake.
    pub fn broadcast(&mut self, input: &str) {
        let inputs = &self.runner.descriptor().inputs;
        let index = inputs.iter().position(|known| known.name == input);
        assert!(index.is_some(), "no input `{input}` is declared");
        self.host.broadcast(index.unwrap_or_default() as u32);
    }

    /// Moves the watermark: fires the event-time timers that it makes due, then tells the operator if it wants that.
    pub fn watermark(&mut self, time_ms: i64) -> Result<()> {
        if time_ms <= self.watermark {
            return Ok(());
        }
        self.watermark = time_ms;
        self.host.set_watermark(time_ms);
        self.fire()?;
        if self.runner.descriptor().wants.watermarks {
            self.transaction(None, &[], |runner| runner.on_watermark(time_ms))?;
        }
        Ok(())
    }

    /// Moves the clock: fires the processing-time timers that are due.
    pub fn clock(&mut self, now_ms: i64) -> Result<()> {
        self.host.set_clock(now_ms);
        self.fire()
    }

    /// Ends the input: the last watermark, then `close`.
    pub fn end(&mut self) -> Result<()> {
        self.watermark(crate::END_OF_INPUT)?;
        self.transaction(None, &[], Runner::close)
    }

    /// Replaces the instance, as the host may do between any two calls: state and timers stay, memory does not.
    pub fn replace_instance(&mut self) -> Result<()> {
        self.runner = Runner::open(&self.config, self.host.clone())?;
        Ok(())
    }

    fn fire(&mut self) -> Result<()> {
        while let Some(fired) = self.host.take_due(self.watermark) {
            let Fired { timer, ref keys, ref times, domain } = fired;
            let records = record::of_timers(keys, times);
            let batch = Fired { timer, keys: keys.clone(), times: times.clone(), domain };
            let watermark = self.watermark;
            let refused = match self.transaction(None, &records, |runner| runner.on_timers(batch, watermark)) {
                Ok(refused) => refused,
                Err(error) => {
                    self.host.give_back(&fired);
                    return Err(error);
                }
            };
            for rejection in refused {
                let record = records.get(rejection.index as usize).cloned().unwrap_or_default();
                self.dead_letters.push(DeadLetter { record, reason: rejection.reason });
            }
        }
        Ok(())
    }

    /// A call about these events or timers is a transaction: an error drops everything it did.
    fn transaction<T>(
        &mut self,
        input: Option<u32>,
        about: &[Record],
        call: impl FnOnce(&mut Runner<O>) -> Result<T>,
    ) -> Result<T> {
        self.host.begin(input, self.watermark, about);
        let outcome = call(&mut self.runner);
        if outcome.is_err() {
            self.host.roll_back();
        }
        outcome
    }

    /// Takes what came out of a port since last asked. An unknown port is the test's mistake.
    pub fn output(&mut self, port: &str) -> Vec<Record> {
        let outputs = &self.runner.descriptor().outputs;
        let index = outputs.iter().position(|output| output.name == port);
        let names = || outputs.iter().map(|o| o.name.as_str()).collect::<Vec<_>>().join(", ");
        assert!(index.is_some(), "no output port `{port}`; there are: {}", names());
        self.host.take_output(index.unwrap_or_default() as u32)
    }

    /// Takes the events and timers that were refused since last asked.
    pub fn dead_letters(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.dead_letters)
    }

    /// A counter's sum or a gauge's value; a histogram's sum. 0 before it was used.
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = &self.runner.descriptor().metrics;
        let index = metrics.iter().position(|metric| metric.name == name);
        assert!(index.is_some(), "no metric `{name}` is declared");
        self.host.metric(index.unwrap_or_default() as u32)
    }

    /// Takes the lines logged since last asked.
    pub fn log(&mut self) -> Vec<(Level, String)> {
        LINES.take()
    }

    /// How often the operator called the host so far.
    pub fn calls(&self) -> Calls {
        self.host.calls()
    }

    /// Timers waiting: their clock, name, key and time, earliest first.
    pub fn timers(&self) -> Vec<(TimeDomain, String, Vec<u8>, i64)> {
        let name = |timer: u32| {
            self.runner.descriptor().timers.get(timer as usize).map(|t| t.name.clone()).unwrap_or_default()
        };
        self.host.timers().into_iter().map(|(domain, time, timer, key)| (domain, name(timer), key, time)).collect()
    }

    /// How many entries a state holds over all keys.
    pub fn state_entries(&self, name: &str) -> usize {
        let index = self.runner.descriptor().states.iter().position(|state| state.name == name);
        assert!(index.is_some(), "no state `{name}` is declared");
        self.host.entries(index.unwrap_or_default() as u32)
    }
}

/// What `describe` of a window aggregate gives the host, as JSON.
pub fn describe_aggregator<A: crate::Aggregator>() -> Result<serde_json::Value> {
    serde_json::to_value(crate::declare::describe_aggregator::<A>()?).map_err(Error::fatal)
}

/// What `describe` gives the host, as JSON.
pub fn describe<O: Operator>() -> Result<serde_json::Value> {
    serde_json::to_value(crate::declare::describe::<O>()?).map_err(Error::fatal)
}
