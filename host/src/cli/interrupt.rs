//! Ctrl-C and termination: the first asks for an orderly end, the second breaks off. `run`, `top` and `tail --follow` ask
//! it; the control socket asks in a client's name.

use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether an end was asked for. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over SIGINT, SIGTERM and SIGHUP. Breaking off is safe: what is not committed is not visible and is done
    /// again by the next run.
    pub(crate) fn install() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let handler = interrupt.clone();
        on_signal(move || handler.ask())?;
        Ok(interrupt)
    }

    /// Asks for the end.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
    }

    /// Whether it was asked for.
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Calls this at the first signal that asks for an end; the second one breaks off.
pub(crate) fn on_signal(first: impl Fn() + Send + 'static) -> Result<()> {
    let asked = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        first();
    })
    .context("cannot take over Ctrl-C")
}
