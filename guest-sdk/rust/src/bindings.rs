//! What `wit-bindgen` makes of the WIT package: the imports and exports of a component of world `processor`, and in
//! `aggregator` the exports of one of that world; the imports are the same. Only `wasm` uses it. A component gets the exports
//! whose macro its crate calls, and the imports that its code reaches.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "processor",
    ownership: Borrowing { duplicate_if_necessary: true },
    pub_export_macro: true,
    export_macro_name: "export_processor",
});

pub mod aggregator {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "aggregator",
        ownership: Borrowing { duplicate_if_necessary: true },
        pub_export_macro: true,
        export_macro_name: "export_aggregator",
        with: {
            "tidemill:operator/types@0.1.0": crate::bindings::tidemill::operator::types,
            "tidemill:operator/metrics@0.1.0": crate::bindings::tidemill::operator::metrics,
            "tidemill:operator/log@0.1.0": crate::bindings::tidemill::operator::log,
            "tidemill:operator/context@0.1.0": crate::bindings::tidemill::operator::context,
        },
    });
}
