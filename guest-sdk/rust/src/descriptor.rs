//! What an operator says of itself, built by the fields of its struct (`declare`) and handed to the host as JSON by
//! `describe`. The format: wit/descriptor.schema.json.

use serde::Serialize;

/// Version of the format.
pub const DESCRIPTOR_VERSION: u32 = 1;

/// An operator's description of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Descriptor {
    /// [`DESCRIPTOR_VERSION`].
    pub descriptor: u32,
    /// The operator's name: the crate's, unless it says otherwise.
    pub name: String,
    /// The crate's version.
    pub version: String,
    /// Inputs.
    pub inputs: Vec<Named>,
    /// Output ports.
    pub outputs: Vec<Named>,
    /// States.
    pub states: Vec<State>,
    /// Timers.
    pub timers: Vec<Named>,
    /// Metrics.
    pub metrics: Vec<Metric>,
    /// What the host should call.
    pub wants: Wants,
    /// JSON Schema of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<serde_json::Value>,
}

/// An input, an output or a timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its name.
    pub name: String,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// Its name.
    pub name: String,
    /// How the host keeps it.
    pub kind: StateKind,
    /// How long an entry lasts; none = for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Whose it is.
    #[serde(skip_serializing_if = "StateScope::is_key")]
    pub scope: StateScope,
}

/// Whose a state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateScope {
    /// Each key's own.
    Key,
    /// The subtask's own.
    Operator,
    /// The same in all subtasks.
    Broadcast,
}

impl StateScope {
    /// Whether it is each key's own.
    pub fn is_key(&self) -> bool {
        *self == StateScope::Key
    }
}

/// How long an entry of a state lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ttl {
    /// So long after it was written, ms.
    pub ms: i64,
    /// The clock.
    pub clock: TtlClock,
    /// What makes it last longer.
    pub refresh: TtlRefresh,
}

/// The clock of a time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TtlClock {
    /// The watermark, from the newest event of the key in the call that wrote the entry.
    EventTime,
    /// The clock on the wall.
    ProcessingTime,
}

/// What makes an entry last longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TtlRefresh {
    /// Writing it.
    Write,
    /// Reading it, too.
    ReadAndWrite,
}

/// How the host keeps a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateKind {
    /// One value per key.
    Value,
    /// Sub-keys with values per key.
    Map,
    /// Appended values per key.
    List,
}

/// A metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What it measures.
    pub kind: MetricKind,
}

/// Kinds of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// The last value set.
    Gauge,
    /// A distribution.
    Histogram,
}

/// What the host should call beyond `process` and `on-timers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Wants {
    /// `on-watermark`.
    pub watermarks: bool,
}

impl Named {
    /// Of this name.
    pub fn new(name: &str) -> Named {
        Named { name: name.to_string() }
    }
}

impl State {
    /// Of this name, kind and scope, for ever.
    pub fn new(name: &str, kind: StateKind, scope: StateScope) -> State {
        State { name: name.to_string(), kind, ttl: None, scope }
    }
}

impl Descriptor {
    /// Gives the state that was described last a time to live. Derived code calls it; the error is the author's to see.
    pub fn set_ttl(&mut self, states_before: usize, field: &str, ttl: Ttl) {
        match self.states.get_mut(states_before) {
            Some(state) if !state.scope.is_key() => panic!("field `{field}` has a `ttl`, and is no keyed state"),
            Some(state) => state.ttl = Some(ttl),
            None => panic!("field `{field}` has a `ttl`, and is no state"),
        }
    }

    /// Of an operator without any field.
    pub fn new(name: &str, version: &str) -> Descriptor {
        Descriptor {
            descriptor: DESCRIPTOR_VERSION,
            name: name.to_string(),
            version: version.to_string(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            states: Vec::new(),
            timers: Vec::new(),
            metrics: Vec::new(),
            wants: Wants::default(),
            config: None,
        }
    }
}
