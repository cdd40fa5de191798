//! Ctrl-C and termination: the first asks for an orderly end, the second breaks off. `run` and `tail --follow` ask it.

use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether an end was asked for.
#[derive(Clone)]
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over SIGINT, SIGTERM and SIGHUP. Breaking off is safe: what is not committed is not visible and is done
    /// again by the next run.
    pub(crate) fn install() -> Result<Interrupt> {
        let asked = Arc::new(AtomicBool::new(false));
        let handler = asked.clone();
        ctrlc::set_handler(move || {
            if handler.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        })
        .context("cannot take over Ctrl-C")?;
        Ok(Interrupt { asked })
    }

    /// Whether it was.
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}
