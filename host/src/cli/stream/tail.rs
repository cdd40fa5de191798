//! `tidemill stream tail`: the last events of each segment, then, with `--follow`, what is committed later.

use super::events;
use crate::cli::args::TailArgs;
use crate::cli::data_dir;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::Output;
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a followed stream is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &TailArgs, output: &Output) -> Result<()> {
    let store = data_dir::open(&args.data.data_dir)?;
    let interrupt = args.follow.then(Interrupt::install).transpose()?;
    let mut stream = data_dir::stream(&store, &args.name, &args.data.data_dir)?;
    let first = stream.segments.iter().map(|s| (s.id, s.head.0.max(s.tail.0.saturating_sub(args.last))));
    let mut next: BTreeMap<_, _> = first.collect();
    let mut out = output.stdout();
    loop {
        for segment in &stream.segments {
            let from = next.entry(segment.id).or_insert(segment.head.0);
            *from += events::print(&store, stream.stream, segment.id, *from..segment.tail.0, u64::MAX, &mut out)?;
        }
        out.flush()?;
        if interrupt.as_ref().is_none_or(Interrupt::asked) {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
        stream = data_dir::stream(&store, &args.name, &args.data.data_dir)?;
    }
}
