//! `tidemill group list`: every reader group of a data directory, and how far behind it is.

use super::unread;
use crate::cli::output::{number, table};
use crate::cli::session::Session;
use anyhow::Result;
use tidemill_storage::stream::reader_group::GroupInfo;

pub(crate) fn run(session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let groups = store.list_reader_groups()?;
    let unread: Vec<u64> =
        groups.iter().map(|group| Ok(unread(&store, group)?.into_iter().flatten().sum())).collect::<Result<_>>()?;
    let all = || groups.iter().zip(&unread);
    session.output.data(|| all().map(|(group, unread)| json(group, *unread)).collect(), || text(all()))
}

fn json(group: &GroupInfo, unread: u64) -> serde_json::Value {
    serde_json::json!({
        "name": group.name.as_str(),
        "streams": group.streams.iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>(),
        "readers": group.readers.len(),
        "unassigned_segments": group.unassigned.len(),
        "unread_events": unread,
        "last_checkpoint": group.last_checkpoint.as_ref().map(|(name, _)| name),
        "at_end": group.at_end,
    })
}

fn text<'a>(groups: impl Iterator<Item = (&'a GroupInfo, &'a u64)>) -> String {
    let rows: Vec<[String; 6]> = groups
        .map(|(group, unread)| {
            let streams: Vec<&str> = group.streams.iter().map(|stream| stream.name.as_str()).collect();
            [
                group.name.to_string(),
                streams.join(" "),
                group.readers.len().to_string(),
                group.unassigned.len().to_string(),
                number(*unread),
                group.last_checkpoint.as_ref().map_or("none".into(), |(name, _)| name.clone()),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "no reader groups\n".into();
    }
    table(["group", "streams", "readers", "unassigned", "unread", "last checkpoint"], rows)
}
