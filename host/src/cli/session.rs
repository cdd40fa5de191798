//! What a command on a data directory is given: where to print, what to read, when to end, and the data directory. The
//! command line makes one for its own process, the control socket one for each of its clients.

use super::access::Access;
use super::interrupt::Interrupt;
use super::output::Output;
use anyhow::Result;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

/// Where a command reads its lines.
pub(crate) type Input = Box<dyn Read + Send>;

/// One command's world.
pub(crate) struct Session {
    pub(crate) access: Access,
    pub(crate) output: Output,
    input: Mutex<Option<Input>>,
    interrupt: Option<Interrupt>,
}

impl Session {
    /// Of this process.
    pub(crate) fn local(access: Access, output: Output) -> Session {
        Session { access, output, input: Mutex::new(Some(Box::new(std::io::stdin()))), interrupt: None }
    }

    /// Of a client.
    pub(crate) fn remote(access: Access, output: Output, input: Input, interrupt: Interrupt) -> Session {
        Session { access, output, input: Mutex::new(Some(input)), interrupt: Some(interrupt) }
    }

    /// stdin, for the first who asks.
    pub(crate) fn input(&self) -> Input {
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        input.unwrap_or_else(|| Box::new(std::io::empty()))
    }

    /// Whether nobody waits for the command any more. Never true of a command of this process: Ctrl-C breaks it off.
    pub(crate) fn is_over(&self) -> bool {
        self.interrupt.as_ref().is_some_and(Interrupt::asked)
    }

    /// Tells when an endless command should end: Ctrl-C here, or the client's.
    pub(crate) fn interrupt(&self) -> Result<Interrupt> {
        match &self.interrupt {
            Some(interrupt) => Ok(interrupt.clone()),
            None => Interrupt::install(),
        }
    }
}
