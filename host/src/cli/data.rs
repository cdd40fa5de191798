//! Runs a command on a data directory: in the process that owns it when there is one, else here. `mod.rs` hands commands
//! in; the control socket's server calls [`dispatch`] for its clients.

use super::access::{self, Access};
use super::args::{CheckpointCommand, DataCommand};
use super::control::client::{self, Reached};
use super::output::Output;
use super::session::Session;
use super::{checkpoint, group, pipeline, store, stream, transaction};
use anyhow::Result;

/// Runs it and gives the exit code.
pub(crate) fn run(command: &DataCommand, output: &Output) -> u8 {
    let mut command = command.clone();
    match pipeline::resolve(&mut command).and_then(|()| run_somewhere(&command, output)) {
        Ok(code) => code,
        Err(error) => output.conclude(Err(error)),
    }
}

fn run_somewhere(command: &DataCommand, output: &Output) -> Result<u8> {
    // Each time the owner is asked first: one that was about to listen may answer now.
    access::retry_while_refused(|| {
        if let Reached::Owner(code) = client::forward(command, output)? {
            return Ok(code);
        }
        let session = Session::local(Access::own(command.data_dir()), output.clone());
        dispatch(command, &session).map(|()| 0)
    })
}

/// The one implementation of each command, over a store of one's own or a lent one.
pub(crate) fn dispatch(command: &DataCommand, session: &Session) -> Result<()> {
    match command {
        DataCommand::Ls(_) => pipeline::ls::run(session),
        DataCommand::Describe(args) => pipeline::describe::run(args, session),
        DataCommand::Stop(args) => pipeline::stop::run(args, session),
        DataCommand::Delete(args) => pipeline::delete::run(args, session),
        DataCommand::Top(args) => pipeline::top::run(args, session),
        DataCommand::Stream(command) => stream::run(command, session),
        DataCommand::Group(command) => group::run(command, session),
        DataCommand::Txn(command) => transaction::run(command, session),
        DataCommand::Store(command) => store::run(command, session),
        DataCommand::Checkpoint(CheckpointCommand::List(args)) => checkpoint::list(args, session),
    }
}
