//! Interface `log`: lines go to the call's context and survive a failed call; their number and size are bounded.

use super::{HostState, answer};
use crate::wasm::bindings::wit::log::{Host, Level};
use crate::wasm::convert;

impl Host for HostState {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        answer("log.log", self.budget.take_output(message.len()))?;
        let level = convert::level(level);
        if let Some(line) = self.budget.take_line(level, message) {
            self.context.log.push((level, line));
        }
        Ok(())
    }
}
