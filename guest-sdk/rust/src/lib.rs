//! Write Tidemill operators in Rust: a struct whose fields are states, ports and timers, a trait, and one macro.
//!
//! ```
//! use tidemill_sdk::prelude::*;
//!
//! #[derive(Declare)]
//! struct Count {
//!     seen: Value<u64>,
//!     counts: Output,
//! }
//!
//! impl Operator for Count {
//!     fn process(&mut self, event: &Event<'_>) -> Result<()> {
//!         let n = self.seen.update(|n| n + 1)?;
//!         self.counts.emit(event.key(), n.to_string())
//!     }
//! }
//!
//! tidemill_sdk::export!(Count);
//! ```
//!
//! The map. `operator` (the trait) and `declare` (what a field is) face the author. `runner` takes the host's calls and
//! drives the operator event by event; `call` is the call in progress, shared by every handle; `state`, `output`, `timer`
//! and `metric` are the handles, each a [`call::Part`] that can undo one event and is written back once per call. `host`
//! is the door: `wasm` (the component's imports) or `testing` (memory, for `cargo test`). `aggregator` and
//! `aggregate_runner` are the trait and the runner of window aggregates.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

mod aggregate_runner;
mod aggregator;
mod batch;
mod call;
pub mod codec;
pub mod column;
mod config;
pub mod context;
mod declare;
pub mod descriptor;
mod error;
pub mod headers;
pub mod host;
mod keys;
pub mod log;
mod metric;
mod operator;
mod output;
mod runner;
pub mod state;
mod timer;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod wasm;

pub use aggregator::{Aggregator, Rows, Window};
pub use batch::{Batch, Event, Rejection};
pub use config::Config;
pub use declare::{Declare, Field, Input, Opening};
pub use error::{Error, Result};
pub use metric::{Counter, Gauge, Histogram};
pub use operator::Operator;
pub use output::{Bytes, Output};
pub use tidemill_sdk_macros::Declare;
pub use timer::{EventTimer, ProcessingTimer, Timer};

/// Runs the code of the SDK's README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Time, ms: no watermark has come yet.
pub const NO_WATERMARK: i64 = i64::MIN;
/// Time, ms: the watermark after the last event of a bounded input.
pub const END_OF_INPUT: i64 = i64::MAX;
/// Greatest magnitude of a real time, ms.
pub const TIME_LIMIT_MS: i64 = (1 << 53) - 1;

/// What an operator usually needs.
pub mod prelude {
    pub use crate::aggregator::{Aggregator, Rows, Window};
    pub use crate::batch::{Batch, Event, Rejection};
    pub use crate::codec::{Json, Postcard, Raw};
    pub use crate::config::Config;
    pub use crate::context::Context;
    pub use crate::declare::{Declare, Input};
    pub use crate::error::{Error, Result};
    pub use crate::metric::{Counter, Gauge, Histogram};
    pub use crate::operator::Operator;
    pub use crate::output::Output;
    pub use crate::reject;
    pub use crate::state::{Aggregate, Aggregating, List, Map, Reduce, Reducing, Value};
    pub use crate::state::{BroadcastList, BroadcastMap, BroadcastValue, OperatorList};
    pub use crate::timer::{EventTimer, ProcessingTimer, Timer};
    pub use tidemill_sdk_macros::Declare;
}

/// Makes an operator the component's: one per crate. Does nothing in a native build, where tests use
/// [`testing::Harness`].
#[macro_export]
macro_rules! export {
    ($operator:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type TidemillComponent = $crate::wasm::Component<$operator>;
    $crate::bindings::export_processor!(TidemillComponent with_types_in $crate::bindings);
        };
    };
}

/// Makes a window aggregate the component's: one per crate. Does nothing in a native build, where tests use
/// [`testing::AggregateHarness`].
#[macro_export]
macro_rules! export_aggregator {
    ($aggregator:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type TidemillComponent = $crate::wasm::AggregateComponent<$aggregator>;
            $crate::bindings::aggregator::export_aggregator!(
                TidemillComponent with_types_in $crate::bindings::aggregator
            );
        };
    };
}

/// Refuses the event in progress, with a message like `format!`'s: `reject!("no price in {row}")`.
#[macro_export]
macro_rules! reject {
    ($($arg:tt)*) => {
        return ::core::result::Result::Err($crate::Error::reject(::std::format!($($arg)*)))
    };
}
