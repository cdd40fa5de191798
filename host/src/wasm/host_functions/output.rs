//! Interface `output`: emitted batches go, checked, to the call's context; the dataflow sends them on when the call is
//! committed.

use super::{Answer, HostState, answer, entry};
use crate::wasm::bindings::wit::output::{Batch, Host};
use crate::wasm::convert;

impl Host for HostState {
    fn emit(&mut self, port: u32, events: Batch) -> wasmtime::Result<()> {
        answer("output.emit", self.emit_events(port, events))
    }
}

impl HostState {
    fn emit_events(&mut self, port: u32, events: Batch) -> Answer<()> {
        self.needs_run()?;
        entry(&self.descriptor.outputs, "output port", port)?;
        self.budget.take_output(convert::batch_bytes(&events))?;
        let batch = convert::batch(events).map_err(|why| {
            let name = self.descriptor.outputs.get(port as usize).map_or("", |p| p.name.as_str());
            format!("port {port} ({name}): {why}")
        })?;
        if !batch.is_empty() {
            self.context.output.push((port, batch));
        }
        Ok(())
    }
}
