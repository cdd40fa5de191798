//! The soak: one real `tidemill run` over one data directory on a small disk, killed and started again and again, while
//! actors append, read and watch beside it and the disk fills up. `cargo xtask soak` runs it for long, `host/tests/soak.rs`
//! the same code for a few seconds.
//!
//! Map: [`world`] is the folder, the disk and the commands; [`owner`] the process that owns the data directory; an [`Actor`]
//! does one thing beside it and holds its own invariant; [`rounds`] tells the story. A new actor is one file and one line in
//! [`actors`].
//!
//! Everything is drawn from the seed but the moments at which processes run.

mod archive;
mod counts;
mod ledger;
mod owner;
mod random;
mod reader;
mod rounds;
mod rows;
mod watcher;
mod world;
mod writer;

use anyhow::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use world::World;

/// What a soak is told.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The binary.
    pub(crate) tidemill: PathBuf,
    /// The repository's root: operators are taken from its examples, and must be built.
    pub(crate) root: PathBuf,
    /// How long rounds begin. What follows the last one, until everything is worked off and looked at, comes on top.
    pub(crate) length: Duration,
    /// The least and the longest time for which a process runs before it is ended.
    pub(crate) round: (Duration, Duration),
    /// Draws everything.
    pub(crate) seed: u64,
    /// Told what happens, a line at a time.
    pub(crate) say: fn(&str),
}

/// One thing that goes on beside the owner, with what must always hold of it.
trait Actor: Send {
    /// For messages.
    fn name(&self) -> String;

    /// A small piece of work while the owner runs; ends soon after the owner does. `Err` = something that must always hold
    /// does not.
    fn step(&mut self, world: &World) -> Result<()>;

    /// Looks at everything while no process runs. `last` = all work was done before.
    fn at_rest(&mut self, world: &World, last: bool) -> Result<()>;
}

/// Who takes part.
fn actors(options: &Options) -> Vec<Box<dyn Actor>> {
    let seed = options.seed;
    let ledger = Arc::new(ledger::Ledger::default());
    let writers = (0..2).map(|id| Box::new(writer::Writer::new(id, seed, ledger.clone())) as Box<dyn Actor>);
    let mut actors: Vec<Box<dyn Actor>> = writers.collect();
    for stream in [world::INPUT, world::COUNTS, world::HOP] {
        actors.push(Box::new(reader::Reader::new(stream)));
    }
    actors.push(Box::new(watcher::Watcher::default()));
    // At rest they look in this order: what went in first.
    actors.push(Box::new(counts::Counts::new(ledger.clone())));
    actors.push(Box::new(archive::Archive::new(ledger)));
    actors.push(Box::new(rows::Rows::new(seed)));
    actors
}

/// Runs it; the summary in one line, or what was violated and with which seed.
pub(crate) fn run(options: &Options) -> Result<String> {
    rounds::run(options)
}
