//! `tidemill stream seal`, `truncate` and `delete`: what ends events, or a stream.

use super::list::events;
use crate::cli::args::{DescribeArgs, TruncateArgs};
use crate::cli::output::number;
use crate::cli::session::Session;
use anyhow::{Context, Result};
use tidemill_storage::StreamCut;
use tidemill_storage::stream::StreamInfo;

pub(crate) fn seal(args: &DescribeArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    session.access.stream(&store, &args.name)?;
    let stream = store.seal_stream(&args.name)?;
    session.output.data(
        || serde_json::json!({ "name": args.name.as_str(), "sealed": true, "events": events(&stream) }),
        || format!("sealed {}: it takes no more events, {} can be read\n", args.name, number(events(&stream))),
    )
}

pub(crate) fn delete(args: &DescribeArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let stream = session.access.stream(&store, &args.name)?;
    store.delete_stream(&args.name)?;
    session.output.data(
        || serde_json::json!({ "name": args.name.as_str(), "deleted": true, "events": events(&stream) }),
        || format!("deleted {} with {} events\n", args.name, number(events(&stream))),
    )
}

pub(crate) fn truncate(args: &TruncateArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let stream = session.access.stream(&store, &args.name)?;
    let cut = match &args.place.cut {
        Some(text) => StreamCut::parse(text)?,
        None if args.place.all => stream.tail_cut(),
        None => active_heads(&stream)?,
    };
    let after = store.truncate_stream(&args.name, &cut).context("nothing was truncated")?;
    let gone = events(&stream).saturating_sub(events(&after));
    session.output.data(
        || serde_json::json!({ "name": args.name.as_str(), "truncated": gone, "events": events(&after) }),
        || format!("truncated {}: {} events are gone, {} are left\n", args.name, number(gone), number(events(&after))),
    )
}

/// Where only the active segments are left.
fn active_heads(stream: &StreamInfo) -> Result<StreamCut> {
    Ok(StreamCut::of_positions(stream, &stream.segments.iter().map(|s| (s.id, s.head)).collect())?)
}
