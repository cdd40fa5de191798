//! Window aggregates of world `aggregator`: a factory per window operator of a pipeline, an instance per subtask. The window
//! operator calls it through `operator::builtin::aggregate::Aggregate`; it calls the guest, once per batch.
//!
//! Invariants:
//! 1. Everything a guest gives back is checked here or in `convert.rs` before the window operator sees it.
//! 2. What a guest is given besides its instance's memory is in the arguments, so a call that died is made again in halves, on a
//!    fresh instance: a lone event that kills `accumulate` is poison and is rejected; `merge` and `finish` cannot leave
//!    anything out, so that the window that kills them is named.
//! 3. One call passes at most [`CALL_BYTES_MAX`] of accumulators, unless a single one is larger.

use super::bindings::aggregator::{Aggregator, wit};
use super::component::LoadedComponent;
use super::convert::{self, Refused};
use super::engine::WasmEngine;
use super::error::ComponentError;
use super::host_functions::HostState;
use super::instance::{Called, Instance, config_text};
use super::limits;
use crate::config::pipeline::Limits;
use crate::operator::builtin::aggregate::{Accumulated, Aggregate, AggregateFactory, Finished, Window};
use crate::operator::{Context, Descriptor, Failure, LogLevel, Rejection};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use tidemill_storage::{Batch, Column, OptionalColumn};
use wasmtime::Store;

/// Accumulators in one call at most, bytes: a few batches' worth, and little beside `limits.memory`.
const CALL_BYTES_MAX: usize = 4 << 20;

/// Calls that may die while the poison of one batch is looked for. An event in 4,096 is found with 12.
const ISOLATION_DEATHS_MAX: u32 = 64;

/// Makes the aggregates of one window operator of a pipeline.
pub struct WasmAggregates {
    guest: Arc<Guest>,
}

/// What instances are made of.
struct Guest {
    engine: WasmEngine,
    component: LoadedComponent,
    config: String,
    limits: Limits,
}

impl WasmAggregates {
    /// For a window operator of a pipeline: its component, configuration and limits. `operator` is its name in the file.
    pub fn new(
        engine: &WasmEngine,
        component: LoadedComponent,
        config: &serde_json::Value,
        limits: &Limits,
        operator: &str,
    ) -> Result<WasmAggregates, ComponentError> {
        limits::check(operator, limits)?;
        component.aggregator()?;
        let (engine, config, limits) = (engine.clone(), config_text(config), limits.clone());
        Ok(WasmAggregates { guest: Arc::new(Guest { engine, component, config, limits }) })
    }
}

impl AggregateFactory for WasmAggregates {
    fn descriptor(&self) -> &Descriptor {
        self.guest.component.descriptor()
    }

    fn create(&self, context: &mut Context) -> Result<Box<dyn Aggregate>, Failure> {
        let instance = self.guest.open(context)?;
        Ok(Box::new(WasmAggregate { guest: self.guest.clone(), instance }))
    }
}

impl Guest {
    fn open(&self, context: &mut Context) -> Result<Instance<Aggregator>, Failure> {
        let pre = self.component.aggregator().map_err(|e| Failure::Bug(e.to_string()))?;
        let descriptor = self.component.shared_descriptor();
        let before = context.metrics.len();
        let opened = Instance::open(&self.engine, pre, descriptor, &self.limits, &self.config, context);
        // What `open` measures is of one instance, and an instance may be replaced at any time.
        context.metrics.truncate(before);
        opened
    }
}

/// One opened instance, replaced when it dies.
struct WasmAggregate {
    guest: Arc<Guest>,
    instance: Instance<Aggregator>,
}

impl WasmAggregate {
    /// A call whose answer is checked by `take`: what it refuses kills the instance, as a trap does. A failed call leaves no
    /// metrics; its log lines stay.
    fn call<R, T>(
        &mut self,
        name: &str,
        context: &mut Context,
        call: impl FnOnce(&wit::Guest, &mut Store<HostState>) -> Called<R>,
        take: impl FnOnce(R) -> Result<(T, usize), Refused>,
    ) -> Result<T, Failure> {
        if self.instance.is_dead() {
            self.instance = self.guest.open(context)?;
        }
        let metrics_before = context.metrics.len();
        let answer = self
            .instance
            .run(name, context, |world, store| call(world.tidemill_operator_aggregate(), store))
            .and_then(|answer| {
                let taken = take(answer).and_then(|(taken, bytes)| self.instance.take_output(bytes).map(|()| taken));
                taken.map_err(|why| self.instance.condemn(format!("{name}: {why}")))
            });
        if answer.is_err() {
            context.metrics.truncate(metrics_before);
        }
        answer
    }

    /// Makes a call about all `items`, and where it dies, about their halves; `lone` is told of a single item that kills it.
    /// Items are done in order. `bytes`: what the call about a range of items would pass.
    fn in_halves(
        &mut self,
        name: &str,
        items: usize,
        context: &mut Context,
        bytes: &dyn Fn(&Range<usize>) -> usize,
        call: &mut dyn FnMut(&mut WasmAggregate, Range<usize>, &mut Context) -> Result<(), Failure>,
        lone: &mut dyn FnMut(usize, String, String) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (mut deaths, mut left) = (0, vec![0..items]);
        while let Some(range) = left.pop() {
            if range.is_empty() {
                continue;
            }
            let middle = range.start + range.len() / 2;
            let halves = [middle..range.end, range.start..middle];
            if range.len() > 1 && bytes(&range) > CALL_BYTES_MAX {
                left.extend(halves);
                continue;
            }
            match call(self, range.clone(), context) {
                Ok(()) => {}
                Err(Failure::Trap { message, backtrace }) if range.len() == 1 => lone(range.start, message, backtrace)?,
                Err(failure @ Failure::Trap { .. }) if deaths >= ISOLATION_DEATHS_MAX => return Err(failure),
                Err(Failure::Trap { message, .. }) => {
                    let count = range.len();
                    let line = format!("{name} of {count} died and is made again in halves: {message}");
                    context.log.push((LogLevel::Warn, line));
                    deaths += 1;
                    left.extend(halves);
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }
}

/// Accumulators under way: those handed in, and what calls made of them.
struct Folding<'a> {
    given: &'a OptionalColumn,
    made: Vec<Option<Vec<u8>>>,
    /// Their places in the call under way; `u32::MAX` = not in it.
    place: Vec<u32>,
}

impl Folding<'_> {
    fn get(&self, group: u32) -> Option<&[u8]> {
        self.made[group as usize].as_deref().or_else(|| self.given.get(group as usize))
    }

    /// The groups of some events, each once, their accumulators, and which of them each event belongs to.
    fn part(&mut self, groups: &[u32]) -> (Vec<u32>, OptionalColumn, Vec<u32>) {
        let (mut members, mut accumulators, mut of) = (Vec::new(), OptionalColumn::default(), Vec::new());
        for group in groups {
            let place = self.place[*group as usize];
            of.push(if place != u32::MAX { place } else { members.len() as u32 });
            if place == u32::MAX {
                self.place[*group as usize] = members.len() as u32;
                members.push(*group);
                accumulators.push(self.get(*group));
            }
        }
        members.iter().for_each(|group| self.place[*group as usize] = u32::MAX);
        (members, accumulators, of)
    }
}

/// The accumulators of a call, in as few parts as [`CALL_BYTES_MAX`] allows.
fn chunks(accumulators: &OptionalColumn) -> Vec<Range<u32>> {
    let count = accumulators.len() as u32;
    if accumulators.data.len() <= CALL_BYTES_MAX {
        return vec![0..count];
    }
    let (mut chunks, mut start, mut bytes) = (Vec::new(), 0, 0);
    for group in 0..count {
        let size = accumulators.get(group as usize).map_or(0, <[u8]>::len);
        if group > start && bytes + size > CALL_BYTES_MAX {
            chunks.push(start..group);
            (start, bytes) = (group, 0);
        }
        bytes += size;
    }
    chunks.push(start..count);
    chunks
}

/// The events of a call that take part, in order: the batch itself when they are all of it.
fn chosen<'a>(events: &'a Batch, indexes: &[u32]) -> Result<Cow<'a, Batch>, Failure> {
    let all = indexes.len() == events.len() && indexes.iter().enumerate().all(|(i, index)| i == *index as usize);
    if all {
        return Ok(Cow::Borrowed(events));
    }
    let mut batch = Batch::default();
    for run in indexes.chunk_by(|a, b| a + 1 == *b) {
        let (first, last) = (run[0] as usize, run[run.len() - 1] as usize);
        batch.extend_from(events, first..last + 1).map_err(|e| Failure::Bug(e.to_string()))?;
    }
    Ok(Cow::Owned(batch))
}

impl Aggregate for WasmAggregate {
    fn accumulate(
        &mut self,
        events: &Batch,
        indexes: &[u32],
        groups: &[u32],
        accumulators: &OptionalColumn,
        context: &mut Context,
    ) -> Result<Accumulated, Failure> {
        let count = accumulators.len();
        let mut folding = Folding { given: accumulators, made: vec![None; count], place: vec![u32::MAX; count] };
        let (mut whole, mut rejections, mut poisoned) = (None, Vec::new(), Vec::new());
        for some_groups in chunks(accumulators) {
            let all = some_groups.len() == count;
            let in_chunk = |i: &usize| all || some_groups.contains(&groups[*i]);
            let items: Vec<usize> = (0..indexes.len()).filter(in_chunk).collect();
            self.in_halves(
                "accumulate",
                items.len(),
                context,
                &|_| 0,
                &mut |this, range, context| {
                    if all && range.len() == indexes.len() {
                        whole = Some(this.fold(events, indexes, groups, accumulators, context)?);
                        return Ok(());
                    }
                    let some: Vec<u32> = items[range.clone()].iter().map(|item| indexes[*item]).collect();
                    let their: Vec<u32> = items[range].iter().map(|item| groups[*item]).collect();
                    let (members, part, of) = folding.part(&their);
                    let folded = this.fold(events, &some, &of, &part, context)?;
                    rejections.extend(folded.rejections);
                    for (group, accumulator) in members.iter().zip(folded.accumulators.iter()) {
                        folding.made[*group as usize] = Some(accumulator.to_vec());
                    }
                    Ok(())
                },
                &mut |item, message, backtrace| {
                    poisoned.push((indexes[items[item]], message, backtrace));
                    Ok(())
                },
            )?;
        }
        if let Some(whole) = whole {
            return Ok(whole);
        }
        for (index, message, backtrace) in poisoned {
            rejections.push(poison(index, &message, &backtrace, context));
        }
        let mut done = Accumulated { rejections, ..Accumulated::default() };
        // A group whose events were all poison has nothing; the window operator leaves it as it was.
        (0..count as u32).for_each(|group| done.accumulators.push(folding.get(group).unwrap_or_default()));
        Ok(done)
    }

    fn merge(
        &mut self,
        groups: &[u32],
        accumulators: &Column,
        name: &dyn Fn(u32) -> String,
        context: &mut Context,
    ) -> Result<Column, Failure> {
        // Where each group begins; groups come without gaps and in order.
        let mut starts: Vec<usize> = (0..groups.len()).filter(|i| *i == 0 || groups[*i] != groups[i - 1]).collect();
        let count = starts.len();
        starts.push(groups.len());
        let mut merged = Column::default();
        self.in_halves(
            "merge",
            count,
            context,
            &|range| bytes_of(accumulators, starts[range.start]..starts[range.end]),
            &mut |this, range, context| {
                let (items, first) = (starts[range.start]..starts[range.end], range.start as u32);
                let of: Vec<u32> = groups[items.clone()].iter().map(|group| group - first).collect();
                let part = slice(accumulators, items);
                let answer = this.call(
                    "merge",
                    context,
                    |guest, store| guest.call_merge(store, bytemuck::cast_slice(&of), convert::columns_param(&part)),
                    |answer| {
                        let bytes = convert::column_bytes(&answer);
                        Ok((convert::column(answer, "the accumulators", range.len())?, bytes))
                    },
                )?;
                answer.iter().for_each(|accumulator| merged.push(accumulator));
                Ok(())
            },
            &mut |item, message, backtrace| {
                Err(Failure::Trap { message: format!("{message}; it merged {}", name(item as u32)), backtrace })
            },
        )?;
        Ok(merged)
    }

    fn finish(
        &mut self,
        keys: &Column,
        windows: &[Window],
        accumulators: &Column,
        context: &mut Context,
    ) -> Result<Finished, Failure> {
        let mut finished = Finished::default();
        self.in_halves(
            "finish",
            windows.len(),
            context,
            &|range| bytes_of(accumulators, range.clone()) + bytes_of(keys, range.clone()),
            &mut |this, range, context| {
                let (some_keys, part) = (slice(keys, range.clone()), slice(accumulators, range.clone()));
                let some_windows: Vec<_> = windows[range.clone()].iter().map(convert::window_param).collect();
                let (rows, window_of) = this.call(
                    "finish",
                    context,
                    |guest, store| {
                        let (keys, accumulators) = (convert::columns_param(&some_keys), convert::columns_param(&part));
                        guest.call_finish(store, keys, &some_windows, accumulators)
                    },
                    |answer| convert::finished(answer, range.len()),
                )?;
                finished.rows.extend_from(&rows, 0..rows.len()).map_err(|e| Failure::Bug(e.to_string()))?;
                finished.window_of.extend(window_of.iter().map(|window| window + range.start as u32));
                Ok(())
            },
            &mut |item, message, backtrace| {
                let Window { start, end, .. } = windows[item];
                let key = String::from_utf8_lossy(keys.get(item));
                let message = format!("{message}; it finished the window [{start}, {end}) of key {key:?}");
                Err(Failure::Trap { message, backtrace })
            },
        )?;
        Ok(finished)
    }

    fn close(&mut self, context: &mut Context) -> Result<(), Failure> {
        self.call("close", context, |guest, store| guest.call_close(store), |()| Ok(((), 0)))
    }
}

impl WasmAggregate {
    /// One call of `accumulate`.
    fn fold(
        &mut self,
        events: &Batch,
        indexes: &[u32],
        groups: &[u32],
        accumulators: &OptionalColumn,
        context: &mut Context,
    ) -> Result<Accumulated, Failure> {
        let batch = chosen(events, indexes)?;
        let mut done = self.call(
            "accumulate",
            context,
            |guest, store| {
                let accumulators = convert::optional_columns_param(accumulators);
                guest.call_accumulate(store, convert::batch_param(&batch), bytemuck::cast_slice(groups), accumulators)
            },
            |answer| {
                let bytes = convert::column_bytes(&answer.accumulators);
                let rejections = convert::rejections(answer.rejections, indexes.len())?;
                let accumulators = convert::column(answer.accumulators, "the accumulators", accumulators.len())?;
                Ok((Accumulated { accumulators, rejections }, bytes))
            },
        )?;
        done.rejections.iter_mut().for_each(|rejection| rejection.index = indexes[rejection.index as usize]);
        Ok(done)
    }
}

fn poison(index: u32, message: &str, backtrace: &str, context: &mut Context) -> Rejection {
    let line = if backtrace.is_empty() { message.to_owned() } else { format!("{message}\n{backtrace}") };
    context.log.push((LogLevel::Error, format!("an event is poison and goes to the dead letters: {line}")));
    Rejection { index, reason: format!("poison: {message}") }
}

fn bytes_of(column: &Column, range: Range<usize>) -> usize {
    let end_of = |i: usize| if i == 0 { 0 } else { column.ends[i - 1] as usize };
    end_of(range.end) - end_of(range.start)
}

/// Some values of a column: the column itself when they are all of it.
fn slice(column: &Column, range: Range<usize>) -> Cow<'_, Column> {
    if range == (0..column.len()) {
        return Cow::Borrowed(column);
    }
    let mut part = Column::default();
    range.for_each(|i| part.push(column.get(i)));
    Cow::Owned(part)
}
