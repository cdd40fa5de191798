//! `tidemill store ...`: one file per verb over the storage API's view of a whole data directory.

mod check;
mod describe;

use super::args::StoreCommand;
use super::session::Session;
use anyhow::Result;

pub(crate) fn run(command: &StoreCommand, session: &Session) -> Result<()> {
    match command {
        StoreCommand::Describe(_) => describe::run(session),
        StoreCommand::Check(_) => check::run(session),
    }
}
