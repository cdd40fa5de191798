//! Keyed state of one subtask: this call's writes over this epoch's over sealed epochs in flight over committed memory.

/// Placeholder of the contract: see docs/contracts.md.
#[derive(Default)]
pub struct KeyedState {}

impl KeyedState {
    /// Drops the writes of the current call.
    pub fn roll_back_call(&mut self) {}
}
