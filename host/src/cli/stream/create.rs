//! `tidemill stream create`: makes a stream, and the data directory if need be.

use crate::cli::args::CreateArgs;
use crate::cli::session::Session;
use anyhow::Result;
use tidemill_storage::stream::StreamConfig;

pub(crate) fn run(args: &CreateArgs, session: &Session) -> Result<()> {
    let config = StreamConfig { segments: args.segments };
    config.check()?; // before a data directory is made for nothing
    let stream = session.access.create()?.create_stream(&args.name, config)?;
    let segments = stream.segments.len();
    session.output.data(
        || serde_json::json!({ "name": stream.name.as_str(), "segments": segments }),
        || format!("created {} with {segments} segment{}\n", stream.name, if segments == 1 { "" } else { "s" }),
    )
}
