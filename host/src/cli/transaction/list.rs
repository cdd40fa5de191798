//! `tidemill txn list`: transactions, what they hold, and until when.

use super::state;
use crate::cli::args::TransactionListArgs;
use crate::cli::output::{number, size, table};
use crate::cli::session::Session;
use crate::cli::time;
use anyhow::Result;
use tidemill_storage::{AbortReason, EventTime, TransactionInfo};

pub(crate) fn run(args: &TransactionListArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let stream = args.stream.as_ref().map(|name| session.access.stream(&store, name)).transpose()?;
    let found = store.list_transactions(stream.map(|stream| stream.stream), args.all)?;
    session.output.data(|| found.iter().map(json).collect(), || text(&found))
}

fn why(reason: AbortReason) -> &'static str {
    match reason {
        AbortReason::Asked => "asked",
        AbortReason::Lease => "lease",
        AbortReason::Life => "life",
        AbortReason::Stream => "stream",
    }
}

fn json(info: &TransactionInfo) -> serde_json::Value {
    serde_json::json!({
        "id": info.id.0,
        "stream": info.name.as_str(),
        "state": state(info.state),
        "why": info.why.map(why),
        "writer": info.writer,
        "began_at_ms": info.began_at_ms,
        "lease_ms": info.lease_ms,
        "expires_at_ms": info.expires_at_ms,
        "ended_at_ms": info.ended_at_ms,
        "chunks": info.chunks,
        "events": info.events,
        "bytes": info.bytes,
        "time": info.time.map(|time| time.0),
    })
}

fn text(found: &[TransactionInfo]) -> String {
    if found.is_empty() {
        return "no transactions\n".into();
    }
    let at = |ms: Option<i64>| ms.map_or("-".into(), |ms| time::show(EventTime(ms)));
    let rows = found.iter().map(|info| {
        [
            info.id.to_string(),
            info.name.to_string(),
            info.why.map_or(state(info.state).into(), |reason| format!("{} ({})", state(info.state), why(reason))),
            number(info.events),
            size(info.bytes),
            at(Some(info.began_at_ms)),
            at(info.expires_at_ms),
        ]
    });
    table(["transaction", "stream", "state", "events", "size", "began", "expires"], rows)
}
