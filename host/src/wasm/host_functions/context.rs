//! Interface `context`: which subtask runs, and the call's processing time; the same again on replay.

use super::{Answer, HostState, answer};
use crate::wasm::bindings::wit::context::{Host, Subtask};

impl Host for HostState {
    fn current_subtask(&mut self) -> wasmtime::Result<Subtask> {
        answer("context.current-subtask", self.subtask())
    }

    fn current_time(&mut self) -> wasmtime::Result<i64> {
        answer("context.current-time", self.needs_instance().map(|()| self.context.now_ms))
    }
}

impl HostState {
    fn subtask(&self) -> Answer<Subtask> {
        self.needs_instance()?;
        let at = self.context.subtask.ok_or("Tidemill made this call without saying which subtask it is; report it")?;
        Ok(Subtask { index: at.index, parallelism: at.parallelism, max_parallelism: at.max_parallelism })
    }
}
