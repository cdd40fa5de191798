//! `tidemill group reset`: puts a group's readers out and starts it anew at a checkpoint, the heads, the tails or given cuts.

use super::existing;
use crate::cli::args::ResetArgs;
use crate::cli::session::Session;
use anyhow::{Result, bail};
use tidemill_storage::Store;
use tidemill_storage::stream::StreamCut;
use tidemill_storage::stream::reader_group::{GroupCut, GroupInfo};

pub(crate) fn run(args: &ResetArgs, session: &Session) -> Result<()> {
    let store = session.access.open()?;
    let group = existing(&store, session, &args.name)?;
    let before = group.info()?;
    if args.to.to_checkpoint {
        group.reset_to_checkpoint()?;
    } else {
        group.reset_to(&target(args, &store, session, &before)?)?;
    }
    let after = group.info()?;
    let cuts = || after.streams.iter().map(|stream| (stream.name.to_string(), stream.cut.to_string()));
    session.output.data(
        || {
            let cuts: serde_json::Map<_, _> = cuts().map(|(name, cut)| (name, cut.into())).collect();
            serde_json::json!({ "group": args.name.as_str(), "generation": after.generation, "cuts": cuts })
        },
        || {
            let cuts: String = cuts().map(|(name, cut)| format!("  {name} at {cut}\n")).collect();
            format!("{} starts anew, {} readers were put out\n{cuts}", args.name, before.readers.len())
        },
    )
}

fn target(args: &ResetArgs, store: &Store, session: &Session, group: &GroupInfo) -> Result<GroupCut> {
    let mut out = GroupCut::new();
    for cut in &args.to.to_cut {
        let Some(stream) = group.streams.iter().find(|stream| stream.stream.id == cut.stream().id) else {
            bail!("cut {cut} belongs to no stream of reader group {}: `tidemill group describe` shows them", args.name);
        };
        if out.insert(stream.name.clone(), cut.clone()).is_some() {
            bail!("two cuts of stream {}: leave one out", stream.name);
        }
    }
    if out.is_empty() {
        for stream in &group.streams {
            let info = session.access.stream(store, &stream.name)?;
            let cut: StreamCut = if args.to.to_head { info.head_cut() } else { info.tail_cut() };
            out.insert(stream.name.clone(), cut);
        }
    }
    Ok(out)
}
