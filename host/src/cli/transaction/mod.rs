//! `tidemill txn ...`: one file per verb over the storage API.

mod abort;
mod list;

use super::args::TransactionCommand;
use super::session::Session;
use anyhow::Result;
use tidemill_storage::TransactionState;

pub(crate) fn run(command: &TransactionCommand, session: &Session) -> Result<()> {
    match command {
        TransactionCommand::List(args) => list::run(args, session),
        TransactionCommand::Abort(args) => abort::run(args, session),
    }
}

fn state(state: TransactionState) -> &'static str {
    match state {
        TransactionState::Open => "open",
        TransactionState::Prepared => "prepared",
        TransactionState::Committing => "committing",
        TransactionState::Committed => "committed",
        TransactionState::Aborting => "aborting",
        TransactionState::Aborted => "aborted",
    }
}
