//! Where and when a call runs: logical values, the same again on replay.

use crate::call::Call;
use crate::declare::{Field, Opening};
use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::host::Subtask;
use std::rc::Rc;

/// Gives the call's processing time and which copy of the operator this is.
pub struct Context {
    call: Rc<Call>,
}

impl Context {
    /// The call's processing time, ms.
    pub fn now_ms(&self) -> i64 {
        self.call.host().now_ms()
    }

    /// Which copy of the operator this is.
    pub fn subtask(&self) -> Subtask {
        self.call.host().subtask()
    }
}

impl Field for Context {
    fn describe(_name: &str, _descriptor: &mut Descriptor) {}

    fn open(_name: &str, opening: &mut Opening<'_>) -> Result<Self> {
        Ok(Context { call: opening.call.clone() })
    }
}
