//! `tidemill group describe`: one reader group as one consistent snapshot. Cuts are printed as `group reset --to-cut` takes them.

use super::{existing, unread};
use crate::cli::args::GroupArgs;
use crate::cli::output::{number, table};
use crate::cli::session::Session;
use crate::cli::time;
use anyhow::Result;
use tidemill_storage::stream::reader_group::{Acknowledge, GroupInfo};
use tidemill_storage::{EventTime, Position};

pub(crate) fn run(args: &GroupArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let group = existing(&store, session, &args.name)?.info()?;
    let unread = unread(&store, &group)?;
    session.output.data(|| json(&group, &unread), || text(&group, &unread))
}

/// The stream of a position, by name.
fn stream_of<'a>(group: &'a GroupInfo, at: &Position) -> &'a str {
    group.streams.iter().find(|stream| stream.stream.id == at.stream).map_or("?", |stream| stream.name.as_str())
}

fn positions(group: &GroupInfo, positions: &[Position]) -> serde_json::Value {
    let one = |at: &Position| serde_json::json!({ "stream": stream_of(group, at), "segment": at.segment.0, "offset": at.offset.0 });
    positions.iter().map(one).collect()
}

fn json(group: &GroupInfo, unread: &[Option<u64>]) -> serde_json::Value {
    let streams = group.streams.iter().zip(unread).map(|(stream, unread)| {
        serde_json::json!({
            "name": stream.name.as_str(),
            "start": stream.start.to_string(),
            "end": stream.end.as_ref().map(ToString::to_string),
            "cut": stream.cut.to_string(),
            "acknowledged": stream.acknowledged.as_ref().map(ToString::to_string),
            "unread_events": unread,
        })
    });
    let readers = group
        .readers
        .iter()
        .map(|reader| serde_json::json!({ "id": reader.id, "segments": positions(group, &reader.segments) }));
    let open = group
        .open
        .iter()
        .map(|open| serde_json::json!({ "name": open.name, "silent": open.silent, "waiting": open.waiting }));
    let last = group.last_checkpoint.as_ref().map(|(name, cuts)| {
        let cuts: serde_json::Map<_, _> =
            cuts.iter().map(|(stream, cut)| (stream.to_string(), cut.to_string().into())).collect();
        serde_json::json!({ "name": name, "cuts": cuts })
    });
    serde_json::json!({
        "name": group.name.as_str(),
        "created_at_ms": group.created_at_ms,
        "generation": group.generation,
        "version": group.version,
        "streams": streams.collect::<Vec<_>>(),
        "readers": readers.collect::<Vec<_>>(),
        "unassigned": positions(group, &group.unassigned),
        "outstanding_checkpoints": open.collect::<Vec<_>>(),
        "last_checkpoint": last,
        "at_end": group.at_end,
    })
}

fn text(group: &GroupInfo, unread: &[Option<u64>]) -> String {
    let created = time::show(EventTime(group.created_at_ms));
    let mut out = format!("{}\n  created {created}, {} resets\n", group.name, group.generation.saturating_sub(1));
    out.push_str(match group.acknowledge {
        Acknowledge::Never => "  holds up no retention\n",
        Acknowledge::AtCheckpoints => "  acknowledges with checkpoints\n",
        Acknowledge::Manually => "  acknowledges by hand\n",
    });
    match &group.last_checkpoint {
        Some((name, _)) => out.push_str(&format!("  last checkpoint {name}\n")),
        None => out.push_str("  no checkpoint has completed\n"),
    }
    for open in &group.open {
        let what = if open.silent { "cuts" } else { "checkpoint" };
        out.push_str(&format!("  {what} {} waits for {}\n", open.name, open.waiting.join(", ")));
    }
    if group.at_end {
        out.push_str("  everything is read to the end\n");
    }
    for (stream, unread) in group.streams.iter().zip(unread) {
        let unread = unread.map_or("deleted or made anew: reset the group".into(), |n| format!("{} unread", number(n)));
        out.push_str(&format!("\n{}: {unread}\n  at {}\n", stream.name, stream.cut));
        if let Some(end) = &stream.end {
            out.push_str(&format!("  ends at {end}\n"));
        }
        if let Some(acknowledged) = &stream.acknowledged {
            out.push_str(&format!("  acknowledged up to {acknowledged}\n"));
        }
    }
    let row = |reader: &str, at: &Position| {
        [reader.to_string(), stream_of(group, at).to_string(), at.segment.to_string(), at.offset.to_string()]
    };
    let owned = group.readers.iter().flat_map(|reader| reader.segments.iter().map(move |at| row(&reader.id, at)));
    let idle = group.readers.iter().filter(|reader| reader.segments.is_empty());
    let idle = idle.map(|reader| [reader.id.clone(), "idle".into(), String::new(), String::new()]);
    let free = group.unassigned.iter().map(|at| row("nobody", at));
    let rows: Vec<[String; 4]> = owned.chain(idle).chain(free).collect();
    if !rows.is_empty() {
        out.push_str(&format!("\n{}", table(["reader", "stream", "segment", "offset"], rows)));
    }
    out
}
