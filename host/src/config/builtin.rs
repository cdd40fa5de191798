//! Built-in operators as plain data: what `[operators.NAME]` says where it names no component. `config/parse/builtin/`
//! makes it; `operator/builtin/` runs it.

use super::decimal::Decimal;

/// Most different JSON fields that one built-in operator may name.
pub const FIELDS_MAX: usize = 32;

/// A built-in operator.
#[derive(Clone, Debug, PartialEq)]
pub enum Builtin {
    /// Filters, projects and keys events one by one.
    Select(SelectSpec),
    /// Aggregates events by key and window.
    Window(WindowSpec),
    /// Joins two inputs by key.
    Join(JoinSpec),
    /// Joins two inputs by key and window.
    WindowJoin(WindowJoinSpec),
    /// Joins events with the version of a table at their time.
    Lookup(LookupSpec),
    /// Lets the first event of each key through.
    Distinct(DistinctSpec),
}

/// A JSON pointer (RFC 6901), checked.
pub type Pointer = String;

/// What an event must fulfil.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The field looked at.
    pub field: Pointer,
    /// What it must be. An absent field, and null, fulfil nothing but `Exists(false)`.
    pub test: Test,
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// One of these.
    In(Vec<Scalar>),
    /// None of these.
    NotIn(Vec<Scalar>),
    /// A whole number with this remainder.
    Modulo {
        /// Divisor, at least 1.
        by: i64,
        /// Remainder.
        equals: i64,
    },
    /// A number within these bounds.
    Within {
        /// The least.
        least: Option<Decimal>,
        /// The least itself is out.
        above: bool,
        /// The greatest.
        greatest: Option<Decimal>,
        /// The greatest itself is out.
        below: bool,
    },
    /// There, and not null; or the opposite.
    Exists(bool),
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A number.
    Number(Decimal),
    /// A text.
    Text(String),
    /// true or false.
    Flag(bool),
}

/// Filters, projects and keys events.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectSpec {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// The new key; absent = as it was.
    pub key: Option<KeySpec>,
    /// The members of the new value, in order; absent = as it was.
    pub output: Option<Vec<(String, SelectColumn)>>,
}

/// A key from fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// The text of the first of these that is there and not null; none of them: no key.
    First(Vec<Pointer>),
    /// A JSON array of all.
    All(Vec<Pointer>),
}

/// A member of a selected value.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectColumn {
    /// A field as it is written; absent = null.
    Field(Pointer),
    /// A number times a constant, exactly.
    Times(Pointer, Decimal),
    /// The event time, ms.
    Time,
    /// The key as text.
    Key,
    /// The key as JSON.
    KeyJson,
}

/// Aggregates by key and window.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowSpec {
    /// Which windows an event falls in.
    pub windows: Windows,
    /// The clock that windows follow.
    pub clock: Clock,
    /// When a window gives results.
    pub trigger: Trigger,
    /// How long a window stays after its end for late events, ms.
    pub lateness_ms: u64,
    /// A result clears the window's contents: later results tell only of later events.
    pub discard: bool,
    /// Late events leave by a port of their own instead of being counted and dropped.
    pub late_output: bool,
    /// Only events that fulfil all of these are taken.
    pub conditions: Vec<Condition>,
    /// The members of a result, in order.
    pub output: Vec<(String, WindowColumn)>,
    /// A result per event kept, instead of one per window.
    pub rows: Option<Rows>,
    /// Only windows with at least this many such events give results.
    pub having: Option<(u64, Vec<Condition>)>,
}

/// Which windows an event falls in.
#[derive(Clone, Debug, PartialEq)]
pub enum Windows {
    /// `[start, start + size)` for every start that is `offset` plus a multiple of `slide`.
    Aligned {
        /// Length, ms.
        size_ms: i64,
        /// Distance of starts, ms; the size for tumbling windows.
        slide_ms: i64,
        /// Shift of starts, ms; less than the slide.
        offset_ms: i64,
    },
    /// As long as events come within a gap.
    Session(Gap),
    /// One for ever.
    Global,
}

/// How long a session waits for its next event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// ms.
    Fixed(i64),
    /// A field of each event holds it, in ms.
    Field(Pointer),
}

/// A clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Events' own time.
    Event,
    /// The time of processing.
    Processing,
}

/// When a window gives results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// At the window's end; a global window's is the end of input.
    pub at_end: bool,
    /// After every so many events.
    pub count: Option<u32>,
    /// When the clock passes a multiple of so many ms, if there were new events.
    pub every: Option<(i64, Clock)>,
}

impl Trigger {
    /// At the end only.
    pub const END: Trigger = Trigger { at_end: true, count: None, every: None };
}

/// A member of a window's result.
#[derive(Clone, Debug, PartialEq)]
pub enum WindowColumn {
    /// First time of the window, ms; null for a global one.
    Start,
    /// First time after the window, ms; null for a global one.
    End,
    /// How often it gave results before.
    Firing,
    /// The key as text.
    Key,
    /// The key as JSON.
    KeyJson,
    /// Over the window's events.
    Aggregate(Aggregate),
    /// With `rows`: a field of the event kept; absent = null.
    Field(Pointer),
}

/// Something computed over a window's events.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// What.
    pub function: Function,
    /// Over which field; absent for a count of events. Events where it is absent or null do not count.
    pub field: Option<Pointer>,
    /// Over which events.
    pub conditions: Vec<Condition>,
}

/// What an aggregate computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// How many.
    Count,
    /// Exact sum.
    Sum,
    /// Least number.
    Min,
    /// Greatest number.
    Max,
    /// Exact average, halves rounded up.
    Avg {
        /// Digits after the point.
        decimals: u8,
    },
    /// The field at the least event time.
    First,
    /// The field at the greatest event time.
    Last,
}

/// Which events a window keeps, to give one result for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Only the best by a field.
    pub top: Option<Top>,
    /// Of results that are the same only one.
    pub distinct: bool,
    /// Only events that fulfil all of these.
    pub conditions: Vec<Condition>,
}

/// The best by a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Top {
    /// How many.
    pub n: u32,
    /// The field, a number; events without it are not kept.
    pub by: Pointer,
    /// The least instead of the greatest.
    pub least: bool,
    /// All that are equal to the last one, too.
    pub ties: bool,
}

/// Joins two inputs by key: a result per pair.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinSpec {
    /// The right event's time lies within [left + lower, left + upper], ms; absent = whenever.
    pub interval_ms: Option<(i64, i64)>,
    /// What pairs must fulfil.
    pub conditions: Vec<PairCondition>,
    /// The members of a result, in order.
    pub output: Vec<(String, Side, Pointer)>,
}

/// Joins two inputs by key and window: a result per pair in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowJoinSpec {
    /// The windows, their lateness and what becomes of late events; the rest is as it is unless said otherwise.
    pub window: WindowSpec,
    /// What pairs must fulfil.
    pub conditions: Vec<PairCondition>,
    /// Left events without a partner in a window give a result, too.
    pub keep_left: bool,
    /// Right ones.
    pub keep_right: bool,
    /// The members of a result, in order.
    pub output: Vec<(String, PairColumn)>,
}

/// A member of a result about a pair in a window.
#[derive(Clone, Debug, PartialEq)]
pub enum PairColumn {
    /// A field of one of the two; null where there is none.
    Field(Side, Pointer),
    /// Of the window: its bounds, its key, how often it gave results.
    Window(WindowColumn),
}

/// An input of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

/// A number of one side compared with one of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairCondition {
    /// One.
    pub field: (Side, Pointer),
    /// Must be at least this, if given.
    pub at_least: Option<(Side, Pointer)>,
    /// And at most this, if given.
    pub at_most: Option<(Side, Pointer)>,
}

/// Joins events with the version of a table at their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupSpec {
    /// Events whose key has no version at their time give a result, too.
    pub keep_missing: bool,
    /// The members of a result, in order.
    pub output: Vec<(String, Side, Pointer)>,
}

/// Lets the first event of each key through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinctSpec {
    /// A key is new again so long after its first event, ms of event time; absent = never.
    pub ttl_ms: Option<i64>,
}
