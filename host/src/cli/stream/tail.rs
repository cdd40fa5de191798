//! `tidemill stream tail`: the last events of each segment, then, with `--follow`, what is committed later; on a terminal as a picture
//! that `watch.rs` draws.

use super::events;
use crate::cli::args::TailArgs;
use crate::cli::session::Session;
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::Duration;
use tidemill_storage::stream::StreamState;

/// How often a followed stream is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &TailArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let _serving = args.follow.then(|| session.access.serve(&store));
    if args.follow && session.output.stdout_is_terminal() && !session.output.json() {
        return super::watch::run(args, &store, session);
    }
    let interrupt = args.follow.then(|| session.interrupt()).transpose()?;
    let stream = session.access.stream(&store, &args.name)?;
    let first = stream.segments.iter().map(|s| (s.id, s.head.0.max(s.tail.0.saturating_sub(args.last))));
    let mut next: BTreeMap<_, _> = first.collect();
    // Of segments that scalings sealed, nothing: what came last is in the active ones.
    next.extend(stream.past.iter().map(|past| (past.segment.id, past.segment.tail.0)));
    let mut out = session.output.stdout();
    loop {
        // Asked before looking: what was committed until then is still shown.
        let last = interrupt.as_ref().is_none_or(|interrupt| interrupt.asked());
        let stream = session.access.stream(&store, &args.name)?;
        // By id, from one snapshot: what a segment was made of comes before it.
        let mut segments: Vec<_> = stream.all_segments().collect();
        segments.sort_by_key(|segment| segment.id);
        for segment in segments {
            let from = next.entry(segment.id).or_insert(segment.head.0);
            if *from < segment.head.0 {
                session.output.say(&format!("segment {}: events before offset {} are gone", segment.id, segment.head));
                *from = segment.head.0;
            }
            *from += events::print(&store, stream.stream, segment.id, *from..segment.tail.0, u64::MAX, &mut out)?;
        }
        out.flush()?;
        if last {
            return Ok(());
        }
        if stream.state == StreamState::Sealed {
            session.output.say(&format!("{} is sealed: nothing more comes", args.name));
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
