//! What `wit-bindgen` makes of the WIT package: the component's imports and exports. Only `wasm` uses it.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "processor",
    ownership: Borrowing { duplicate_if_necessary: true },
    pub_export_macro: true,
    export_macro_name: "export_processor",
});
