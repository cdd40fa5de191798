//! Drives a window aggregate: takes the host's calls, decodes accumulators, folds events one by one, encodes what came of
//! them. `wasm` and `testing` own one runner per instance.

use crate::aggregator::{Aggregator, Rows, Window};
use crate::batch::{Batch, Rejection};
use crate::call::Call;
use crate::column::{BatchColumns, Columns, ColumnsRef, OptionalColumns, read_u32};
use crate::declare::{Opening, describe_aggregator};
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::runner::not_an_event;
use std::rc::Rc;

/// An opened aggregate.
pub(crate) struct AggregateRunner<A> {
    aggregator: A,
    call: Rc<Call>,
    #[cfg_attr(target_arch = "wasm32", allow(dead_code))]
    descriptor: Descriptor,
}

/// A window as the host gives it: start, end, firing.
pub(crate) type Bounds = (i64, i64, u32);

/// The accumulators of a call.
struct Folding<A: Aggregator> {
    now: Vec<A::Accumulator>,
    /// An event of it was refused: it is copied before each further one.
    careful: Vec<bool>,
    refused: Vec<u32>,
}

impl<A: Aggregator> AggregateRunner<A> {
    pub(crate) fn open(config: &str, host: Rc<dyn Host>) -> Result<AggregateRunner<A>> {
        let descriptor = describe_aggregator::<A>()?;
        let call = Call::new(host);
        let aggregator = A::build(&mut Opening::new(call.clone(), config, &descriptor)).map_err(not_an_event)?;
        let mut runner = AggregateRunner { aggregator, call, descriptor };
        runner.transaction(Rc::default(), |aggregator, _| aggregator.open())?;
        Ok(runner)
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    pub(crate) fn accumulate(
        &mut self,
        events: BatchColumns,
        groups: &[u8],
        accumulators: &OptionalColumns,
    ) -> Result<(Columns, Vec<Rejection>)> {
        let columns = Rc::new(events);
        let given = accumulators.view();
        if groups.len() != columns.len() * 4 || (0..columns.len()).any(|i| read_u32(groups, i) as usize >= given.len())
        {
            return Err(Error::fatal("the host gave events groups that are not there"));
        }
        let original = |group: usize| given.get(group).map_or_else(|| Ok(A::Accumulator::default()), decode::<A>);
        self.transaction(columns.clone(), |aggregator, call| {
            let now = (0..given.len()).map(original).collect::<Result<Vec<_>>>()?;
            let mut folding = Folding::<A> { careful: vec![false; now.len()], now, refused: Vec::new() };
            let batch = Batch { call, columns: &columns, input: 0, watermark: crate::NO_WATERMARK };
            let mut next = 0;
            let refused = batch.each(|event| {
                let (i, group) = (next, read_u32(groups, next) as usize);
                next += 1;
                let before = folding.careful[group].then(|| folding.now[group].clone());
                let outcome = aggregator.add(&mut folding.now[group], event);
                if let Err(Error::Reject(_)) = &outcome {
                    folding.refused.push(i as u32);
                    folding.careful[group] = true;
                    folding.now[group] = match before {
                        Some(before) => before,
                        None => refold(aggregator, &batch, groups, i, original(group)?, &folding.refused)?,
                    };
                }
                outcome
            })?;
            let mut out = Columns::default();
            folding.now.iter().try_for_each(|accumulator| encode::<A>(accumulator, &mut out))?;
            Ok((out, refused))
        })
    }

    pub(crate) fn merge(&mut self, groups: &[u8], accumulators: &Columns) -> Result<Columns> {
        let given = accumulators.view();
        self.transaction(Rc::default(), |aggregator, _| {
            let mut merged = Columns::default();
            let mut current: Option<(u32, A::Accumulator)> = None;
            for i in 0..given.len() {
                let (group, next) = (read_u32(groups, i), decode::<A>(given.get(i))?);
                match &mut current {
                    Some((of, accumulator)) if *of == group => aggregator.merge(accumulator, next)?,
                    _ => {
                        current.iter().try_for_each(|(_, done)| encode::<A>(done, &mut merged))?;
                        current = Some((group, next));
                    }
                }
            }
            current.iter().try_for_each(|(_, done)| encode::<A>(done, &mut merged))?;
            Ok(merged)
        })
    }

    pub(crate) fn finish(
        &mut self,
        keys: ColumnsRef<'_>,
        windows: &[Bounds],
        accumulators: ColumnsRef<'_>,
    ) -> Result<Rows> {
        self.transaction(Rc::default(), |aggregator, _| {
            let mut rows = Rows::default();
            for (i, (start, end, firing)) in windows.iter().enumerate() {
                let window = Window { key: keys.get(i), start: *start, end: *end, firing: *firing };
                rows.window = i as u32;
                aggregator.finish(&window, decode::<A>(accumulators.get(i))?, &mut rows)?;
            }
            Ok(rows)
        })
    }

    pub(crate) fn close(&mut self) -> Result<()> {
        self.transaction(Rc::default(), |aggregator, _| aggregator.close())
    }

    /// Metrics of a call are kept together or dropped together. Outside events, refusing is fatal.
    fn transaction<T>(
        &mut self,
        events: Rc<BatchColumns>,
        act: impl FnOnce(&mut A, &Rc<Call>) -> Result<T>,
    ) -> Result<T> {
        self.call.begin(events);
        let outcome = act(&mut self.aggregator, &self.call).map_err(not_an_event);
        self.call.end(outcome)
    }
}

/// The accumulator of event `until`'s group as it was before that event: what it was given as, and the events before.
fn refold<A: Aggregator>(
    aggregator: &mut A,
    batch: &Batch<'_>,
    groups: &[u8],
    until: usize,
    mut accumulator: A::Accumulator,
    refused: &[u32],
) -> Result<A::Accumulator> {
    let group = read_u32(groups, until);
    for (i, event) in batch.events().enumerate().take(until) {
        if read_u32(groups, i) != group || refused.binary_search(&(i as u32)).is_ok() {
            continue;
        }
        aggregator.add(&mut accumulator, &event).map_err(|error| match error {
            Error::Reject(why) => Error::fatal(format!(
                "`add` refused an event that it took before ({why}): it must depend on the accumulator and the event alone"
            )),
            other => other,
        })?;
    }
    Ok(accumulator)
}

fn decode<A: Aggregator>(bytes: &[u8]) -> Result<A::Accumulator> {
    A::decode(bytes).map_err(|why| {
        Error::fatal(format!(
            "an accumulator does not decode ({why}): its type has changed since it was stored. Undo the change, or give the \
             operator another name to start empty"
        ))
    })
}

fn encode<A: Aggregator>(accumulator: &A::Accumulator, out: &mut Columns) -> Result<()> {
    let outcome = A::encode(accumulator, &mut out.data);
    outcome.map_err(|why| Error::fatal(format!("an accumulator cannot be written: {why}")))?;
    crate::column::push_u32(&mut out.ends, out.data.len() as u32);
    Ok(())
}
