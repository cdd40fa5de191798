//! Runs a window aggregate under `cargo test`, without Wasm, in tumbling windows of two panes each, so that `merge` is used
//! as well.

use super::memory::MemoryHost;
use super::record::{self, DeadLetter, Record};
use super::{LINES, Level};
use crate::aggregate_runner::AggregateRunner;
use crate::aggregator::Aggregator;
use crate::column::{Columns, OptionalColumns, push_u32, read_u32};
use crate::error::Result;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A window's end, a key, and the start of a piece of the window.
type Pane = (i64, Vec<u8>, i64);

/// A window aggregate, its accumulators, and what came out of it.
pub struct AggregateHarness<A: Aggregator> {
    runner: AggregateRunner<A>,
    host: Rc<MemoryHost>,
    config: String,
    size_ms: i64,
    watermark: i64,
    panes: BTreeMap<Pane, Vec<u8>>,
    results: Vec<Record>,
    dead_letters: Vec<DeadLetter>,
}

impl<A: Aggregator> AggregateHarness<A> {
    /// Opens the aggregate without configuration, in tumbling windows of this size.
    pub fn tumbling(size_ms: i64) -> Result<AggregateHarness<A>> {
        AggregateHarness::with_config(size_ms, &serde_json::json!({}))
    }

    /// Opens the aggregate with this `config`.
    pub fn with_config(size_ms: i64, config: &serde_json::Value) -> Result<AggregateHarness<A>> {
        assert!(size_ms > 0, "a window is longer than nothing");
        LINES.take();
        let (config, host) = (config.to_string(), Rc::new(MemoryHost::default()));
        let runner = AggregateRunner::open(&config, host.clone())?;
        host.declare(runner.descriptor());
        let (panes, results, dead_letters) = (BTreeMap::new(), Vec::new(), Vec::new());
        Ok(AggregateHarness {
            runner,
            host,
            config,
            size_ms,
            watermark: crate::NO_WATERMARK,
            panes,
            results,
            dead_letters,
        })
    }

    /// One call with these events. An event without a key counts as one of the empty key; a late one is dropped.
    pub fn send(&mut self, events: impl IntoIterator<Item = Record>) -> Result<()> {
        let pane_ms = (self.size_ms / 2).max(1);
        let (mut groups, mut order, mut taken) = (Vec::new(), Vec::<Pane>::new(), Vec::new());
        for event in events {
            let into = event.time.rem_euclid(self.size_ms);
            let (start, pane) = (event.time - into, (into / pane_ms).min(1) * pane_ms);
            let id = (start + self.size_ms, event.key.clone().unwrap_or_default(), start + pane);
            if id.0 - 1 <= self.watermark {
                continue;
            }
            let group = order.iter().position(|known| *known == id).unwrap_or(order.len());
            if group == order.len() {
                order.push(id);
            }
            push_u32(&mut groups, group as u32);
            taken.push(event);
        }
        let mut accumulators = OptionalColumns::default();
        order.iter().for_each(|id| accumulators.push(self.panes.get(id).map(Vec::as_slice)));
        let columns = record::to_columns(&taken);
        let (folded, refused) = self.transaction(|runner| runner.accumulate(columns, &groups, &accumulators))?;
        for (i, id) in order.into_iter().enumerate() {
            let of = |event: &u32| read_u32(&groups, *event as usize) as usize == i;
            let any = (0..taken.len() as u32).filter(of).any(|event| refused.iter().all(|r| r.index != event));
            if any {
                self.panes.insert(id, folded.view().get(i).to_vec());
            }
        }
        for rejection in refused {
            let record = taken.get(rejection.index as usize).cloned().unwrap_or_default();
            self.dead_letters.push(DeadLetter { record, reason: rejection.reason });
        }
        Ok(())
    }

    /// Moves the watermark: windows that it passes give their results.
    pub fn watermark(&mut self, time_ms: i64) -> Result<()> {
        self.watermark = self.watermark.max(time_ms);
        let watermark = self.watermark;
        let due: BTreeMap<Pane, Vec<u8>> = self.panes.extract_if(.., |(end, ..), _| *end - 1 <= watermark).collect();
        let (mut groups, mut parts, mut windows, mut keys) =
            (Vec::new(), Columns::default(), Vec::new(), Columns::default());
        let mut last = None;
        for ((end, key, _), accumulator) in &due {
            if last != Some((end, key)) {
                windows.push((end - self.size_ms, *end, 0));
                keys.push(key);
                last = Some((end, key));
            }
            push_u32(&mut groups, windows.len() as u32 - 1);
            parts.push(accumulator);
        }
        if windows.is_empty() {
            return Ok(());
        }
        let merged = self.transaction(|runner| runner.merge(&groups, &parts))?;
        let rows = self.transaction(|runner| runner.finish(keys.view(), &windows, merged.view()))?;
        for (i, row) in record::of_columns(rows.columns.view()).into_iter().enumerate() {
            let window = read_u32(&rows.window_of, i) as usize;
            let key = row.key.clone().unwrap_or_else(|| keys.view().get(window).to_vec());
            self.results.push(Record { key: Some(key), ..row.at(windows[window].1 - 1) });
        }
        Ok(())
    }

    /// Ends the input: the last watermark, then `close`.
    pub fn end(&mut self) -> Result<()> {
        self.watermark(crate::END_OF_INPUT)?;
        self.transaction(AggregateRunner::close)
    }

    /// Replaces the instance, as the host may do between any two calls: accumulators stay, memory does not.
    pub fn replace_instance(&mut self) -> Result<()> {
        self.runner = AggregateRunner::open(&self.config, self.host.clone())?;
        Ok(())
    }

    /// Takes the results since last asked.
    pub fn results(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.results)
    }

    /// Takes the events that were refused since last asked.
    pub fn dead_letters(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.dead_letters)
    }

    /// A counter's sum or a gauge's value; a histogram's sum. 0 before it was used.
    pub fn metric(&self, name: &str) -> f64 {
        let index = self.runner.descriptor().metrics.iter().position(|metric| metric.name == name);
        assert!(index.is_some(), "no metric `{name}` is declared");
        self.host.metric(index.unwrap_or_default() as u32)
    }

    /// Takes the lines logged since last asked.
    pub fn log(&mut self) -> Vec<(Level, String)> {
        LINES.take()
    }

    fn transaction<T>(&mut self, call: impl FnOnce(&mut AggregateRunner<A>) -> Result<T>) -> Result<T> {
        self.host.begin(None, crate::NO_WATERMARK, &[]);
        let outcome = call(&mut self.runner);
        if outcome.is_err() {
            self.host.roll_back();
        }
        outcome
    }
}
