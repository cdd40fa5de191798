//! Runs a command on a data directory: in the process that owns it when there is one, else here. `mod.rs` hands commands
//! in; the control socket's server calls [`dispatch`] for its clients.

use super::access::Access;
use super::args::{CheckpointCommand, DataCommand};
use super::control::client::{self, Reached};
use super::output::Output;
use super::session::Session;
use super::{checkpoint, pipeline, stream};
use anyhow::Result;
use std::time::{Duration, Instant};
use tidemill_storage::Kind;

/// How long a data directory that is being opened or closed is waited for.
const WAIT_FOR_OWNER: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs it and gives the exit code.
pub(crate) fn run(command: &DataCommand, output: &Output) -> u8 {
    let mut command = command.clone();
    match pipeline::resolve(&mut command).and_then(|()| run_somewhere(&command, output)) {
        Ok(code) => code,
        Err(error) => output.conclude(Err(error)),
    }
}

fn run_somewhere(command: &DataCommand, output: &Output) -> Result<u8> {
    let since = Instant::now();
    loop {
        if let Reached::Owner(code) = client::forward(command, output)? {
            return Ok(code);
        }
        let session = Session::local(Access::own(command.data_dir()), output.clone());
        match dispatch(command, &session) {
            // Opening the store is the first thing that a command does: when it is refused, nothing was done, and an
            // owner that was about to listen may answer now, or one that was about to end may be gone.
            Err(error) if is_in_use(&error) && since.elapsed() < WAIT_FOR_OWNER => std::thread::sleep(LOOK_EVERY),
            done => return Ok(output.conclude(done)),
        }
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    error.downcast_ref::<tidemill_storage::Error>().is_some_and(|error| error.kind() == Kind::Refused)
}

/// The one implementation of each command, over a store of one's own or a lent one.
pub(crate) fn dispatch(command: &DataCommand, session: &Session) -> Result<()> {
    match command {
        DataCommand::Ls(_) => pipeline::ls::run(session),
        DataCommand::Describe(args) => pipeline::describe::run(args, session),
        DataCommand::Stop(args) => pipeline::stop::run(args, session),
        DataCommand::Top(args) => pipeline::top::run(args, session),
        DataCommand::Stream(command) => stream::run(command, session),
        DataCommand::Checkpoint(CheckpointCommand::List(args)) => checkpoint::list(args, session),
    }
}
