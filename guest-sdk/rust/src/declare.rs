//! How a struct's fields become an operator's declaration: `#[derive(Declare)]` asks each field twice, once to describe
//! itself and once to open. `state`, `output`, `timer`, `metric`, `config` and `context` are fields.

use crate::call::{Call, Part};
use crate::descriptor::{Descriptor, Named};
use crate::error::{Error, Result};
use std::rc::Rc;

/// A struct whose fields declare an operator. Derived.
pub trait Declare: Sized {
    /// Name, version, fields, in order.
    fn describe() -> Descriptor;
    /// The same fields in the same order, ready for use.
    fn build(opening: &mut Opening<'_>) -> Result<Self>;
}

/// What may be a field of an operator.
pub trait Field: Sized {
    /// Adds itself to the declaration.
    fn describe(name: &str, descriptor: &mut Descriptor);
    /// Makes itself ready. Fields open in the order in which they were described.
    fn open(name: &str, opening: &mut Opening<'_>) -> Result<Self>;
}

/// Hands fields what they need to open.
pub struct Opening<'a> {
    pub(crate) call: Rc<Call>,
    pub(crate) config: &'a str,
    pub(crate) descriptor: &'a Descriptor,
    next: Indexes,
}

#[derive(Default)]
pub(crate) struct Indexes {
    pub(crate) inputs: u32,
    pub(crate) outputs: u32,
    pub(crate) states: u32,
    pub(crate) timers: u32,
    pub(crate) metrics: u32,
}

impl<'a> Opening<'a> {
    pub(crate) fn new(call: Rc<Call>, config: &'a str, descriptor: &'a Descriptor) -> Opening<'a> {
        Opening { call, config, descriptor, next: Indexes::default() }
    }

    /// Takes the next index of a list.
    pub(crate) fn take(&mut self, list: impl FnOnce(&mut Indexes) -> &mut u32) -> u32 {
        let next = list(&mut self.next);
        *next += 1;
        *next - 1
    }

    /// Adds a part to the call and hands it back.
    pub(crate) fn part<P: Part + 'static>(&self, part: P) -> Rc<P> {
        let part = Rc::new(part);
        self.call.add_part(part.clone());
        part
    }
}

/// The declaration as the host gets it: without an `Input` field there is one input, `events`. Names that clash are the
/// author's error.
pub(crate) fn describe<O: crate::Operator>() -> Result<Descriptor> {
    finished(O::describe(), O::config_schema())
}

/// The same of a window aggregate, which declares metrics and nothing else.
pub(crate) fn describe_aggregator<A: crate::Aggregator>() -> Result<Descriptor> {
    let mut descriptor = A::describe();
    let Descriptor { name, inputs, outputs, states, timers, wants, .. } = &descriptor;
    let declared = [("an input", inputs.len()), ("an output", outputs.len()), ("state", states.len())];
    let declared =
        declared.into_iter().chain([("a timer", timers.len()), ("watermarks", usize::from(wants.watermarks))]);
    if let Some((what, _)) = declared.into_iter().find(|(_, count)| *count > 0) {
        return Err(Error::fatal(format!(
            "window aggregate `{name}` declares {what}; the host keeps its windows and accumulators and gives its rows out: \
             only `Config`, `Context` and metrics may be fields"
        )));
    }
    descriptor.outputs.push(Named::new("results"));
    finished(descriptor, A::config_schema())
}

fn finished(mut descriptor: Descriptor, config: Option<serde_json::Value>) -> Result<Descriptor> {
    if descriptor.inputs.is_empty() {
        descriptor.inputs.push(Named::new("events"));
    }
    descriptor.config = config;
    let lists: [(&str, Vec<&str>); 5] = [
        ("inputs", descriptor.inputs.iter().map(|x| x.name.as_str()).collect()),
        ("outputs", descriptor.outputs.iter().map(|x| x.name.as_str()).collect()),
        ("states", descriptor.states.iter().map(|x| x.name.as_str()).collect()),
        ("timers", descriptor.timers.iter().map(|x| x.name.as_str()).collect()),
        ("metrics", descriptor.metrics.iter().map(|x| x.name.as_str()).collect()),
    ];
    for (list, mut names) in lists {
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::fatal(format!(
                "operator `{}` declares two {list} named `{}`; rename a field or give it #[declare(name = \"...\")]",
                descriptor.name, pair[0]
            )));
        }
    }
    Ok(descriptor)
}

/// A named input, for operators with several.
#[derive(Clone, Copy, Debug)]
pub struct Input(u32);

impl Input {
    /// Its index.
    pub fn index(&self) -> u32 {
        self.0
    }
}

impl Field for Input {
    fn describe(name: &str, descriptor: &mut Descriptor) {
        descriptor.inputs.push(Named::new(name));
    }

    fn open(_name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        Ok(Input(opening.take(|next| &mut next.inputs)))
    }
}
