//! The operators of the workloads: native ones, which do through the operator trait what a component does, and the place
//! where built components are found. Their ratio is the Wasm tax.

use super::error::BenchError;
use crate::config::pipeline::Limits;
use crate::operator::descriptor::{
    DESCRIPTOR_VERSION, Descriptor, Port, StateDescriptor, StateKind, StateScope, Wants,
};
use crate::operator::{Context, Failure, Operator, OperatorFactory, Rejection, SharedFactory, TimerBatch};
use crate::state::{ColumnView, OptionalColumnView};
use crate::wasm::component::{BUILT_COMPONENT, load};
use crate::wasm::{WasmEngine, WasmFactory};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemill_storage::{Batch, Column, EventTime, OptionalColumn};

/// What the components run under: the defaults of a pipeline file.
pub const LIMITS: Limits = Limits { memory_bytes: 64 << 20, call_deadline_ms: 1_000, output_bytes: 64 << 20 };

/// The file of a built component, or how to build it.
pub(super) fn component(folder: &Path, name: &str) -> Result<PathBuf, BenchError> {
    let file = folder.join(name).join(BUILT_COMPONENT);
    if file.is_file() {
        return Ok(file);
    }
    Err(BenchError::Invalid(format!(
        "no component {}: run `cargo xtask guests` in Tidemill's source, or name the folder of its built examples/operators with --components",
        file.display()
    )))
}

/// A component of the folder, ready for a pipeline.
pub fn wasm(engine: &WasmEngine, folder: &Path, name: &str) -> Result<SharedFactory, BenchError> {
    let component = load(engine, &component(folder, name)?)?;
    Ok(Arc::new(WasmFactory::new(engine, component, &serde_json::json!({}), &LIMITS, name)?))
}

/// A keyed count, as the component `keyed-count`: one batched get and put per call, like the SDK's write-back cache.
pub fn native_count() -> SharedFactory {
    native("native-count", true, || {
        let mut count = Count::default();
        Box::new(move |events, context| count.process(events, context, |n, into| into.extend(n.to_le_bytes())))
    })
}

/// The same, giving out counts as decimal text: as the example operator `count` of every language.
pub fn native_word_count() -> SharedFactory {
    native("native-word-count", true, || {
        let mut count = Count::default();
        Box::new(move |events, context| count.process(events, context, |n, into| into.extend(n.to_string().as_bytes())))
    })
}

/// Hands batches on, as the component `pass-through`.
pub fn native_pass_through() -> SharedFactory {
    native("native-pass-through", false, || {
        Box::new(|events, context| {
            context.output.push((0, events.clone()));
            Ok(())
        })
    })
}

/// Keeps each event's value under its key and emits nothing: makes state of any size.
pub(super) fn native_keep() -> SharedFactory {
    native("native-keep", true, || {
        Box::new(|events, context| {
            let (mut keys, mut values) = (Column::default(), OptionalColumn::default());
            for i in 0..events.len() {
                keys.push(events.keys.get(i).unwrap_or_default());
                values.push(events.values.get(i));
            }
            context.state.put(0, (&keys).into(), None, (&values).into()).map_err(bug)
        })
    })
}

/// A call of a native operator: it emits to its one port.
type Call = Box<dyn FnMut(&Batch, &mut Context) -> Result<(), Failure> + Send>;

struct NativeFactory {
    descriptor: Descriptor,
    make: fn() -> Call,
}

struct Native(Call);

fn native(name: &str, keyed: bool, make: fn() -> Call) -> SharedFactory {
    let state = StateDescriptor { name: "seen".into(), kind: StateKind::Value, ttl: None, scope: StateScope::Key };
    let descriptor = Descriptor {
        descriptor: DESCRIPTOR_VERSION,
        name: name.into(),
        version: String::new(),
        inputs: vec![Port { name: "in".into() }],
        outputs: vec![Port { name: "out".into() }],
        states: if keyed { vec![state] } else { Vec::new() },
        timers: Vec::new(),
        metrics: Vec::new(),
        wants: Wants::default(),
        config: None,
    };
    Arc::new(NativeFactory { descriptor, make })
}

impl OperatorFactory for NativeFactory {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn create(&self, _: &mut Context) -> Result<Box<dyn Operator>, Failure> {
        Ok(Box::new(Native((self.make)())))
    }
}

impl Operator for Native {
    fn process(
        &mut self,
        _: u32,
        _: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        (self.0)(events, context).map(|()| Vec::new())
    }

    fn on_timers(&mut self, _: &TimerBatch, _: EventTime, _: &mut Context) -> Result<Vec<Rejection>, Failure> {
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _: EventTime, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}

fn bug(error: impl std::fmt::Display) -> Failure {
    Failure::Bug(error.to_string())
}

/// What a count keeps from call to call: memory, nothing else.
#[derive(Default)]
struct Count {
    index: hashbrown::HashMap<Vec<u8>, u32, foldhash::fast::RandomState>,
    keys: Column,
    slots: Vec<u32>,
    found: OptionalColumn,
    counts: Vec<u64>,
}

impl Count {
    /// `write` makes a count what is given out.
    fn process(&mut self, events: &Batch, context: &mut Context, write: fn(u64, &mut Vec<u8>)) -> Result<(), Failure> {
        self.index.clear();
        self.keys.clear();
        self.slots.clear();
        self.found.clear();
        self.counts.clear();
        for key in events.keys.iter() {
            let key = key.unwrap_or_default();
            let next = self.index.len() as u32;
            let keys = &mut self.keys;
            self.slots.push(*self.index.entry_ref(key).or_insert_with(|| {
                keys.push(key);
                next
            }));
        }
        let keys = ColumnView { data: &self.keys.data, ends: &self.keys.ends };
        context.state.get(0, keys, None, &mut self.found).map_err(bug)?;
        let stored = self.found.iter().map(|v| v.and_then(|v| v.try_into().ok()).map_or(0, u64::from_le_bytes));
        self.counts.extend(stored);
        let (mut out, mut text) = (Batch::default(), Vec::new());
        for (i, slot) in self.slots.iter().enumerate() {
            let count = &mut self.counts[*slot as usize];
            *count += 1;
            text.clear();
            write(*count, &mut text);
            out.push(EventTime(events.timestamps[i]), events.keys.get(i), Some(&text));
        }
        let data: Vec<u8> = self.counts.iter().flat_map(|c| c.to_le_bytes()).collect();
        let ends: Vec<u32> = (1..=self.counts.len() as u32).map(|i| i * 8).collect();
        let values = OptionalColumnView { data: &data, ends: &ends, present: &[] };
        context.state.put(0, keys, None, values).map_err(bug)?;
        context.output.push((0, out));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_component_says_how_to_build_it() {
        let error = component(Path::new("/nonexistent"), "keyed-count").unwrap_err().to_string();
        assert!(error.contains("/nonexistent/keyed-count/component.wasm: run `cargo xtask guests`"), "{error}");
        assert!(error.contains("--components"), "{error}");
    }
}
