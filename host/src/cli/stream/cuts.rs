//! `tidemill stream cuts`: places in a stream, in the form that `truncate --cut` takes: head, tail, what retention has noted, and how far
//! subscribers have read.

use crate::cli::args::DescribeArgs;
use crate::cli::output::table;
use crate::cli::session::Session;
use crate::cli::time;
use anyhow::Result;
use tidemill_storage::{EventTime, StreamCut};

pub(crate) fn run(args: &DescribeArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let stream = session.access.stream(&store, &args.name)?;
    let mut cuts: Vec<(String, StreamCut)> = vec![("head".into(), stream.head_cut())];
    for (at_ms, cut) in store.retention_cuts(&args.name)? {
        cuts.push((time::show(EventTime(at_ms)), cut));
    }
    for (subscriber, cut) in store.subscribers(&args.name)? {
        cuts.push((format!("subscriber {subscriber}"), cut));
    }
    cuts.push(("tail".into(), stream.tail_cut()));
    let json = |(what, cut): &(String, StreamCut)| serde_json::json!({ "what": what, "cut": cut.to_string() });
    session.output.data(
        || serde_json::json!({ "name": args.name.as_str(), "cuts": cuts.iter().map(json).collect::<Vec<_>>() }),
        || table(["place", "cut"], cuts.iter().map(|(what, cut)| [what.clone(), cut.to_string()])),
    )
}
