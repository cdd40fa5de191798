//! The Rust types and traits of wit/, one `bindgen!` per world. `convert.rs` and `host_functions` use them; nothing else
//! may. What both worlds import is generated once: `aggregator` takes the interfaces of `processor`.
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

pub mod aggregator {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "aggregator",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: { default: trappable },
        with: {
            "tidemill:operator/types": super::wit::types,
            "tidemill:operator/metrics": super::wit::metrics,
            "tidemill:operator/log": super::wit::log,
            "tidemill:operator/context": super::wit::context,
        },
    });

    pub use exports::tidemill::operator::aggregate as wit;
}
