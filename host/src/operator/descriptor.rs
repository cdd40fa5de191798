//! What an operator says of itself: the JSON that `describe` returns, checked. Its schema: wit/descriptor.schema.json.

use serde::{Deserialize, Serialize};

/// The version of the descriptor format that this host reads.
pub const DESCRIPTOR_VERSION: u32 = 1;

/// Name, ports, states, timers, metrics, wishes and configuration schema of an operator. Indexes in WIT calls are
/// indexes into these lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// Format version, [`DESCRIPTOR_VERSION`].
    pub descriptor: u32,
    /// The operator's name.
    pub name: String,
    /// The operator's own version.
    #[serde(default)]
    pub version: String,
    /// Inputs; at least one.
    pub inputs: Vec<Port>,
    /// Output ports; may be none.
    #[serde(default)]
    pub outputs: Vec<Port>,
    /// States.
    #[serde(default)]
    pub states: Vec<StateDescriptor>,
    /// Timers.
    #[serde(default)]
    pub timers: Vec<TimerDescriptor>,
    /// Metrics.
    #[serde(default)]
    pub metrics: Vec<MetricDescriptor>,
    /// What the host should call beyond `process`.
    #[serde(default)]
    pub wants: Wants,
    /// JSON Schema of the configuration, if the operator gives one.
    #[serde(default)]
    pub config: Option<serde_json::Value>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its name, used in pipeline files.
    pub name: String,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateDescriptor {
    /// Its name; renaming it starts it empty.
    pub name: String,
    /// Its kind.
    pub kind: StateKind,
    /// How long an entry lasts; absent = for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "StateScope::is_key")]
    pub scope: StateScope,
}

/// Whose a state is. What lies in other scopes than `Key` is not kept by key: calls use the empty key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateScope {
    /// Each key's own.
    #[default]
    Key,
    /// The subtask's own: a list, whose elements other numbers of subtasks divide anew.
    Operator,
    /// The same in all subtasks, written by the events of broadcast inputs alone.
    Broadcast,
}

impl StateScope {
    /// Whether it is each key's own.
    pub fn is_key(&self) -> bool {
        *self == StateScope::Key
    }
}

/// How long an entry of a state lasts: a value, a sub-key of a map, an element of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ttl {
    /// So long after it was written, ms.
    pub ms: i64,
    /// The clock.
    #[serde(default)]
    pub clock: TtlClock,
    /// What makes it last longer.
    #[serde(default)]
    pub refresh: TtlRefresh,
}

/// The clock of a time to live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TtlClock {
    /// The watermark, from the newest event of the key in the call that wrote the entry.
    EventTime,
    /// The clock on the wall.
    #[default]
    ProcessingTime,
}

/// What makes an entry last longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TtlRefresh {
    /// Writing it.
    #[default]
    Write,
    /// Reading it, too.
    ReadAndWrite,
}

/// Kinds of state that the host keeps. Reducing and aggregating state are SDK kinds over value state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateKind {
    /// One value per key.
    Value,
    /// Sub-keys with values, in byte order, per key.
    Map,
    /// Appended values per key.
    List,
}

/// A timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimerDescriptor {
    /// Its name.
    pub name: String,
}

/// A metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricDescriptor {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: MetricKind,
}

/// Kinds of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricKind {
    /// Only grows; committed with the epoch.
    Counter,
    /// The last value set.
    Gauge,
    /// A distribution.
    Histogram,
}

/// What the host should call beyond `process`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wants {
    /// Call `on-watermark` whenever the watermark moves.
    #[serde(default)]
    pub watermarks: bool,
}
