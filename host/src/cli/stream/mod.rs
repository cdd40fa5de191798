//! `tidemill stream ...`: one file per verb over the storage API; `events.rs` prints committed events for two of them.

mod append;
mod cat;
mod change;
mod create;
mod cuts;
mod describe;
pub(crate) mod events;
mod list;
mod retention;
mod scale;
mod tail;
mod watch;
mod watermark;

use super::args::StreamCommand;
use super::session::Session;
use anyhow::Result;

pub(crate) fn run(command: &StreamCommand, session: &Session) -> Result<()> {
    match command {
        StreamCommand::List(_) => list::run(session),
        StreamCommand::Create(args) => create::run(args, session),
        StreamCommand::Append(args) => append::run(args, session),
        StreamCommand::Cat(args) => cat::run(args, session),
        StreamCommand::Tail(args) => tail::run(args, session),
        StreamCommand::Describe(args) => describe::run(args, session),
        StreamCommand::Scale(args) => scale::run(args, session),
        StreamCommand::Seal(args) => change::seal(args, session),
        StreamCommand::Truncate(args) => change::truncate(args, session),
        StreamCommand::Delete(args) => change::delete(args, session),
        StreamCommand::Retention(args) => retention::run(args, session),
        StreamCommand::Cuts(args) => cuts::run(args, session),
        StreamCommand::Watermark(args) => watermark::run(args, session),
    }
}
