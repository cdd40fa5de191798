//! Built-in operators: what a pipeline file declares without a component. `job` makes their factories from the plain data
//! of `config/builtin.rs`; the dataflow drives them through the same trait as guests.

pub mod aggregate;
mod condition;
mod distinct;
mod fields;
mod join;
mod kept;
mod lookup;
mod row;
mod select;
mod sides;
mod state_access;
pub mod window;

use super::descriptor::{
    DESCRIPTOR_VERSION, Descriptor, MetricDescriptor, MetricKind, Port, StateDescriptor, StateKind, StateScope,
    TimerDescriptor, Wants,
};
use super::{Context, Failure, Operator, OperatorFactory, SharedFactory};
use crate::config::builtin::Builtin;
use std::sync::Arc;

/// A factory of the operator that a pipeline file describes.
pub fn factory(builtin: &Builtin) -> SharedFactory {
    let descriptor = match builtin {
        Builtin::Select(_) => describe("select", &["in"], &["out"], &[], &[], &[]),
        Builtin::Window(spec) => window::describe(spec),
        Builtin::Join(_) => join::describe(),
        Builtin::WindowJoin(spec) => window::describe_join(&spec.window),
        Builtin::Lookup(_) => lookup::describe(),
        Builtin::Distinct(_) => distinct::describe(),
    };
    Arc::new(BuiltinFactory { builtin: builtin.clone(), descriptor })
}

struct BuiltinFactory {
    builtin: Builtin,
    descriptor: Descriptor,
}

impl OperatorFactory for BuiltinFactory {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn create(&self, _context: &mut Context) -> Result<Box<dyn Operator>, Failure> {
        Ok(match &self.builtin {
            Builtin::Select(spec) => Box::new(select::Select::new(spec)),
            Builtin::Window(spec) => window::operator(spec),
            Builtin::Join(spec) => Box::new(join::Join::new(spec)),
            Builtin::WindowJoin(spec) => window::over(&spec.window, Box::new(aggregate::Pairs::new(spec))),
            Builtin::Lookup(spec) => Box::new(lookup::Lookup::new(spec)),
            Builtin::Distinct(spec) => Box::new(distinct::Distinct::new(spec)),
        })
    }
}

fn describe(
    name: &str,
    inputs: &[&str],
    outputs: &[&str],
    states: &[(&str, StateKind)],
    timers: &[&str],
    counters: &[&str],
) -> Descriptor {
    let ports = |names: &[&str]| names.iter().map(|name| Port { name: (*name).into() }).collect();
    let counter = |name: &&str| MetricDescriptor { name: (*name).into(), kind: MetricKind::Counter };
    Descriptor {
        descriptor: DESCRIPTOR_VERSION,
        name: name.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        inputs: ports(inputs),
        outputs: ports(outputs),
        states: states
            .iter()
            .map(|(name, kind)| StateDescriptor {
                name: (*name).into(),
                kind: *kind,
                ttl: None,
                scope: StateScope::Key,
            })
            .collect(),
        timers: timers.iter().map(|name| TimerDescriptor { name: (*name).into() }).collect(),
        metrics: counters.iter().map(counter).collect(),
        wants: Wants::default(),
        config: None,
    }
}
