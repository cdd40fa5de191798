//! `tidemill stream scale`: splits and merges segments in one commit, or sets the policy by which a stream does so itself.

use super::describe;
use crate::cli::args::{ScaleArgs, ScaleHow};
use crate::cli::session::Session;
use anyhow::Result;
use tidemill_storage::stream::{ScalePolicy, Scaling, StreamInfo};
use tidemill_storage::{SegmentId, Store};

pub(crate) fn run(args: &ScaleArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let stream = session.access.stream(&store, &args.name)?;
    match scaling(args, &stream)? {
        Some(scaling) => {
            let after = store.scale_stream(&args.name, &scaling)?;
            describe::print(&after, session)
        }
        None => set_policy(args, &store, session),
    }
}

fn scaling(args: &ScaleArgs, stream: &StreamInfo) -> Result<Option<Scaling>> {
    let ScaleHow { segments, split, split_at, merge, .. } = &args.how;
    Ok(Some(if let Some(count) = segments {
        Scaling::to(stream, *count)?
    } else if let Some(id) = split {
        Scaling::split(stream, SegmentId(*id), args.parts)?
    } else if let Some(fraction) = split_at {
        Scaling::split_at(stream, *fraction)?
    } else if let Some(ids) = merge {
        Scaling::merge(stream, &ids.iter().map(|id| SegmentId(*id)).collect::<Vec<_>>())?
    } else {
        return Ok(None);
    }))
}

fn set_policy(args: &ScaleArgs, store: &Store, session: &Session) -> Result<()> {
    let (factor, segments_min) = (args.parts, args.min_segments);
    let (scale, text) = match (args.how.by_events, args.how.by_bytes) {
        (Some(target), _) => {
            (ScalePolicy::ByEvents { target, factor, segments_min }, format!("scales at {target} events/s a segment"))
        }
        (_, Some(target)) => {
            (ScalePolicy::ByBytes { target, factor, segments_min }, format!("scales at {target} B/s a segment"))
        }
        _ => (ScalePolicy::Fixed, "keeps its segments".to_string()),
    };
    let policy = store.stream_policy(&args.name)?;
    store.set_stream_policy(&args.name, tidemill_storage::StreamPolicy { scale, ..policy })?;
    session.output.data(
        || serde_json::json!({ "name": args.name.as_str(), "policy": text }),
        || format!("{} {text} from now on\n", args.name),
    )
}
