//! `tidemill stream ...`: one file per verb over the storage API; `events.rs` prints committed events for two of them.

mod append;
mod cat;
mod create;
mod describe;
mod events;
mod list;
mod tail;

use super::args::StreamCommand;
use super::output::Output;
use anyhow::Result;

pub(crate) fn run(command: &StreamCommand, output: &Output) -> Result<()> {
    match command {
        StreamCommand::List(args) => list::run(args, output),
        StreamCommand::Create(args) => create::run(args, output),
        StreamCommand::Append(args) => append::run(args, output),
        StreamCommand::Cat(args) => cat::run(args, output),
        StreamCommand::Tail(args) => tail::run(args, output),
        StreamCommand::Describe(args) => describe::run(args, output),
    }
}
