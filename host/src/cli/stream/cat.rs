//! `tidemill stream cat`: the committed events up to now, by segment and offset.

use super::events;
use crate::cli::args::CatArgs;
use crate::cli::session::Session;
use anyhow::{Result, bail};
use tidemill_storage::SegmentId;

pub(crate) fn run(args: &CatArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let stream = session.access.stream(&store, &args.name)?;
    if let Some(id) = args.segment.filter(|id| stream.segment(SegmentId(*id)).is_none()) {
        let ids: Vec<String> = stream.all_segments().map(|segment| segment.id.to_string()).collect();
        bail!("stream {} has no segment {id}; it has {}", args.name, ids.join(", "));
    }
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut out = session.output.stdout();
    // By id: what a segment was made of comes before it.
    let mut segments: Vec<_> = stream.all_segments().collect();
    segments.sort_by_key(|segment| segment.id);
    for segment in segments.into_iter().filter(|segment| args.segment.is_none_or(|id| segment.id.0 == id)) {
        let from = args.from_offset.unwrap_or(0);
        if args.from_offset.is_some() && from < segment.head.0 {
            session.output.say(&format!("segment {}: events before offset {} are gone", segment.id, segment.head));
        }
        let offsets = from.max(segment.head.0)..segment.tail.0;
        left -= events::print(&store, stream.stream, segment.id, offsets, left, &mut out)?;
    }
    out.flush()
}
