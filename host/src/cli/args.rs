//! The command line as types: clap fills these, `cli/mod.rs` hands each to the file of its command.

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;
use tidemill_storage::StreamName;

/// Durable streams, sandboxed WebAssembly operators, one commit.
#[derive(Debug, Parser)]
#[command(name = "tidemill", version, about, propagate_version = true, max_term_width = 110)]
pub(crate) struct Args {
    /// Print machine-readable JSON on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say more on stderr; twice and thrice for still more (RUST_LOG decides when set)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new operator project
    New(NewArgs),
    /// Compile operator projects into components
    Build(BuildArgs),
    /// Show what a component imports, exports and says of itself
    Inspect(InspectArgs),
    /// Check a pipeline file, its components and its sources, without running it
    Validate(ValidateArgs),
    /// Run a pipeline until its input ends or Ctrl-C; a further run goes on where this one committed
    Run(RunArgs),
    /// Streams of a data directory
    #[command(subcommand)]
    Stream(StreamCommand),
    /// Checkpoints of a data directory
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
}

/// Where streams, state and checkpoints are.
#[derive(Debug, ClapArgs)]
pub(crate) struct DataDir {
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "./tidemill-data")]
    pub(crate) data_dir: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct NewArgs {
    /// The operator's name: letters, digits and '-', a letter first
    pub(crate) name: String,
    /// The folder to make [default: the name]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) path: Option<PathBuf>,
    /// Tidemill's Rust SDK [default: the one of the source this binary was built from]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) sdk: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BuildArgs {
    /// Project folders
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub(crate) projects: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InspectArgs {
    /// A component
    #[arg(value_name = "FILE.wasm")]
    pub(crate) file: PathBuf,
}

/// A pipeline file and what replaces values of it.
#[derive(Debug, ClapArgs)]
pub(crate) struct PipelineArgs {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.toml")]
    pub(crate) pipeline: PathBuf,
    /// Replace a value of the file, e.g. sources.flights.file.path=other.csv (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// Subtasks per operator
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) parallelism: Option<u32>,
}

/// Settings of the process.
#[derive(Debug, ClapArgs)]
pub(crate) struct SettingsArg {
    /// Settings that replace defaults [default: the file that TIDEMILL_SETTINGS names, if any]
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) settings: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArg,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArg,
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Worker threads, 0 = one per core [default: the settings']
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StreamCommand {
    /// List all streams
    List(DataDir),
    /// Create a stream
    Create(CreateArgs),
    /// Append lines of stdin as events, durable as they are counted
    Append(AppendArgs),
    /// Print the committed events, one JSON object a line
    Cat(CatArgs),
    /// Print the last events of each segment, and go on with --follow
    Tail(TailArgs),
    /// Show a stream's segments, sizes and watermark
    Describe(DescribeArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CreateArgs {
    /// scope/stream
    #[arg(value_parser = stream_name)]
    pub(crate) name: StreamName,
    /// Segments, each owning an equal part of the key space
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) segments: u32,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AppendArgs {
    /// scope/stream
    #[arg(value_parser = stream_name)]
    pub(crate) name: StreamName,
    /// Routing key of every event
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Event time of every event: ms since the epoch, or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = super::time::parse)]
    pub(crate) time: Option<i64>,
    /// Lines are objects {"key", "value", "timestamp"}, as `stream cat` prints them
    #[arg(long)]
    pub(crate) json_lines: bool,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CatArgs {
    /// scope/stream
    #[arg(value_parser = stream_name)]
    pub(crate) name: StreamName,
    /// First offset, in every segment
    #[arg(long, value_name = "OFFSET")]
    pub(crate) from_offset: Option<u64>,
    /// At most so many events in all
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// This segment only
    #[arg(long, value_name = "ID")]
    pub(crate) segment: Option<u64>,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TailArgs {
    /// scope/stream
    #[arg(value_parser = stream_name)]
    pub(crate) name: StreamName,
    /// Events of each segment to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(crate) last: u64,
    /// Go on with what is committed later, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DescribeArgs {
    /// scope/stream
    #[arg(value_parser = stream_name)]
    pub(crate) name: StreamName,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointCommand {
    /// List the retained checkpoints of a pipeline, newest first
    List(CheckpointListArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CheckpointListArgs {
    /// The pipeline's name or file
    pub(crate) pipeline: String,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

fn stream_name(name: &str) -> Result<StreamName, tidemill_storage::Error> {
    StreamName::new(name)
}

fn key_value(pair: &str) -> Result<(String, String), String> {
    match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, for example sources.flights.file.path=other.csv".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_set_value_may_hold_equal_signs_and_be_empty() {
        assert_eq!(key_value("a.b=c=d"), Ok(("a.b".into(), "c=d".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("a").is_err() && key_value("=a").is_err());
    }
}
