//! A sound component of a world that is not Tidemill's: the host has to say so, not to run it.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, unreachable_pub)]

wit_bindgen::generate!({
    inline: "
        package test:greeter@1.0.0;
        world greeter {
            export greet: func(name: string) -> string;
        }
    ",
});

struct Greeter;

impl Guest for Greeter {
    fn greet(name: String) -> String {
        format!("Hello, {name}")
    }
}

export!(Greeter);
