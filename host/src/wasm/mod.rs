//! The sandbox: operators as WebAssembly components. `job/planner.rs` asks it for factories; `dataflow` drives what they
//! make through `operator::Operator` and never names wasmtime.
//!
//! ```text
//! engine.rs      WasmEngine: wasmtime's engine, one linker, the epoch clock      once per process
//! component.rs   load, inspect, componentize: bytes -> LoadedComponent           once per component
//!   world.rs       imports and exports against the world, before compiling
//!   cache.rs       compiled code on disk
//!   describe.rs    the descriptor's JSON, checked
//! instance.rs    Instance of a world; WasmFactory, WasmOperator (impl Operator)  once per subtask, fresh after a trap
//! aggregate.rs   the same for windows: WasmAggregates, WasmAggregate (impl Aggregate), which isolates poison
//!   limits.rs      deadline, memory, output and log of one instance and call
//!   trap.rs        what killed a guest -> Failure
//!   host_functions/  what a guest may call, one file per interface, over Context
//! convert.rs     WIT types <-> batches: the only door                            every call
//! bindings.rs    the one place of bindgen!
//! ```
//!
//! Invariants:
//! 1. A guest reaches nothing but `host_functions`: the linker holds the world's interfaces and no WASI.
//! 2. Every call runs under a deadline, a memory limit and a quota on what it hands to the host.
//! 3. Whatever comes from a guest is checked in `convert.rs` or in the host function before anybody else sees it; what
//!    fails is a trap whose message names the function, the thing and the mend. Nothing a guest does aborts the host.
//! 4. After a trap an instance answers no call.

pub mod aggregate;
mod bindings;
mod cache;
pub mod component;
mod convert;
mod describe;
pub mod engine;
mod error;
mod host_functions;
pub mod instance;
mod limits;
mod trap;
mod world;

pub use aggregate::WasmAggregates;
pub use component::{ComponentReport, LoadedComponent};
pub use engine::{EngineOptions, WasmEngine};
pub use error::ComponentError;
pub use instance::WasmFactory;
