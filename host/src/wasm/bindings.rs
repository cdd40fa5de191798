//! The one `bindgen!`: Rust types and traits of wit/. `convert.rs` and `host_functions` use them; nothing else may.
//!
//! Borrowing: what the host hands to a guest is lowered straight from the batch's columns. Trappable: a host function
//! that refuses returns an error, which is a trap of the guest's call.

#![allow(missing_docs, unreachable_pub, unused_variables)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "processor",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: { default: trappable },
});

pub use self::tidemill::operator as wit;
pub use exports::tidemill::operator::operator::Guest;
