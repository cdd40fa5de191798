//! `tidemill group ...`: one file per verb over the storage API, for reader groups that programs made with it.

mod describe;
mod list;
mod reset;

use super::args::GroupCommand;
use super::session::Session;
use anyhow::{Result, anyhow};
use tidemill_storage::stream::reader_group::{GroupInfo, ReaderGroup, unread_events};
use tidemill_storage::{GroupName, Store};

pub(crate) fn run(command: &GroupCommand, session: &Session) -> Result<()> {
    match command {
        GroupCommand::List(_) => list::run(session),
        GroupCommand::Describe(args) => describe::run(args, session),
        GroupCommand::Reset(args) => reset::run(args, session),
    }
}

/// A group that must exist.
fn existing(store: &Store, session: &Session, name: &GroupName) -> Result<ReaderGroup> {
    store.reader_group(name)?.ok_or_else(|| {
        anyhow!(
            "no reader group {name} in {}: `tidemill group list` shows what there is",
            session.access.data_dir().display()
        )
    })
}

/// Events per stream that the group has not said to have read; none for a stream that is gone or was made anew.
fn unread(store: &Store, group: &GroupInfo) -> Result<Vec<Option<u64>>> {
    let of = |stream: &tidemill_storage::stream::reader_group::GroupStreamInfo| {
        let info = store.stream(&stream.name)?.filter(|info| info.stream == stream.stream);
        Ok(info.map(|info| unread_events(&info, &stream.cut)))
    };
    group.streams.iter().map(of).collect()
}
