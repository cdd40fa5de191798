//! The soak of the streams: a process with eight writers, four readers, somebody who scales and retention at work on one store is
//! killed and started again, over and over; the process that starts it holds everything it hears against a model.
//!
//! Map: `process` is the one that is killed, with `writers`, `readers` and `scaler` as its threads; `link` the lines between the two;
//! `rounds` the story; `ledger` what must hold:
//! 1. what was acknowledged is read by each of the two readers that read all, once; of what was not, once at most;
//! 2. the events of a key come in the order of their numbers, over scalings and kills;
//! 3. a transaction is there whole or not at all, and as its outcome says;
//! 4. offsets of a segment have no gap but where a truncation was told; events never change their place;
//! 5. watermarks never go back, and no event after a place is at or before the place's lower bound;
//! 6. the hot file and the sealed files stay below a bound that knows nothing of the length; `check` finds nothing.
//!
//! Everything is drawn from the seed but the moments at which threads run.

mod ledger;
mod link;
mod process;
#[path = "../../../../xtask/src/soak/random.rs"]
mod random;
mod readers;
mod rounds;
mod scaler;
mod writers;

use anyhow::Result;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Read by everybody to the last event; truncated where both readers of all have read.
const KEPT: &str = "soak/kept";
/// Truncated by size, under a reader that is too slow for it.
const CUT: &str = "soak/cut";

/// What a soak is told.
pub(crate) struct Options {
    /// The command of the process to be killed, for a data directory; it calls [`child`].
    pub(crate) child: Box<dyn Fn(&Path) -> Command>,
    /// How long rounds begin.
    pub(crate) length: Duration,
    /// The least and the longest time for which a process runs before it is ended.
    pub(crate) round: (Duration, Duration),
    /// Draws everything.
    pub(crate) seed: u64,
    /// Told what happens, a line at a time.
    pub(crate) say: fn(&str),
}

/// Runs it; the summary in one line, or what was violated and with which seed.
pub(crate) fn run(options: &Options) -> Result<String> {
    rounds::run(options)
}

/// The process that is killed: works on the store in this folder as its standard input says, until that ends.
pub(crate) fn child(folder: &Path) -> Result<()> {
    process::run(folder)
}
