//! `tidemill stream create`: makes a stream, and the data directory if need be.

use crate::cli::args::CreateArgs;
use crate::cli::data_dir;
use crate::cli::output::Output;
use anyhow::Result;
use tidemill_storage::stream::StreamConfig;

pub(crate) fn run(args: &CreateArgs, output: &Output) -> Result<()> {
    let config = StreamConfig { segments: args.segments };
    config.check()?; // before a data directory is made for nothing
    let stream = data_dir::create(&args.data.data_dir)?.create_stream(&args.name, config)?;
    let segments = stream.segments.len();
    output.data(
        || serde_json::json!({ "name": stream.name.as_str(), "segments": segments }),
        || format!("created {} with {segments} segment{}\n", stream.name, if segments == 1 { "" } else { "s" }),
    )
}
