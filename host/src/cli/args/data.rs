//! The commands on a data directory as types: clap fills them, `data.rs` runs them, and what a running pipeline's process
//! is to do is sent to it in this form.

use super::{TransactionCommand, WatermarkArgs};
use clap::{Args as ClapArgs, Subcommand};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tidemill_storage::StreamName;

/// What works on a data directory, also beside a running pipeline.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum DataCommand {
    /// List the pipelines of a data directory
    Ls(DataDir),
    /// Show a pipeline: nodes, positions, checkpoints, the streams that it writes
    Describe(PipelineArg),
    /// Stop a running pipeline at a checkpoint
    Stop(PipelineArg),
    /// Watch the running pipelines
    Top(TopArgs),
    /// Streams of a data directory
    #[command(subcommand)]
    Stream(StreamCommand),
    /// Reader groups of a data directory
    #[command(subcommand)]
    Group(super::GroupCommand),
    /// Transactions on streams
    #[command(subcommand)]
    Txn(TransactionCommand),
    /// What a data directory holds and whether it is whole
    #[command(subcommand)]
    Store(StoreCommand),
    /// Checkpoints of a data directory
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
}

impl DataCommand {
    /// The data directory.
    pub(crate) fn data_dir(&self) -> &Path {
        let data = match self {
            DataCommand::Ls(data) | DataCommand::Stream(StreamCommand::List(data)) => data,
            DataCommand::Describe(args) | DataCommand::Stop(args) => &args.data,
            DataCommand::Top(args) => &args.data,
            DataCommand::Stream(StreamCommand::Create(args)) => &args.data,
            DataCommand::Stream(StreamCommand::Append(args)) => &args.data,
            DataCommand::Stream(StreamCommand::Cat(args)) => &args.data,
            DataCommand::Stream(StreamCommand::Tail(args)) => &args.data,
            DataCommand::Stream(StreamCommand::Describe(args)) => &args.data,
            DataCommand::Group(command) => command.data(),
            DataCommand::Stream(StreamCommand::Watermark(args)) => &args.data,
            DataCommand::Txn(command) => command.data(),
            DataCommand::Store(StoreCommand::Describe(data) | StoreCommand::Check(data)) => data,
            DataCommand::Checkpoint(CheckpointCommand::List(args)) => &args.data,
        };
        &data.data_dir
    }

    /// The pipeline that it names.
    pub(crate) fn pipeline_mut(&mut self) -> Option<&mut String> {
        match self {
            DataCommand::Describe(args)
            | DataCommand::Stop(args)
            | DataCommand::Checkpoint(CheckpointCommand::List(args)) => Some(&mut args.pipeline),
            DataCommand::Ls(_)
            | DataCommand::Top(_)
            | DataCommand::Stream(_)
            | DataCommand::Txn(_)
            | DataCommand::Group(_)
            | DataCommand::Store(_) => None,
        }
    }

    /// Whether it takes stdin.
    pub(crate) fn reads_input(&self) -> bool {
        matches!(self, DataCommand::Stream(StreamCommand::Append(_)))
    }

    /// Whether it goes on until Ctrl-C.
    pub(crate) fn is_endless(&self) -> bool {
        match self {
            DataCommand::Top(args) => !args.once,
            DataCommand::Stream(StreamCommand::Tail(args)) => args.follow,
            _ => false,
        }
    }
}

/// Where streams, state and checkpoints are.
#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct DataDir {
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "./tidemill-data")]
    pub(crate) data_dir: PathBuf,
}

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
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
    /// Show a stream's time: watermarks, writers' marks; set how long a silent writer is waited for
    Watermark(WatermarkArgs),
}

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
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

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct AppendArgs {
    /// scope/stream
    #[arg(value_parser = stream_name)]
    pub(crate) name: StreamName,
    /// Routing key of every event
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Event time of every event: ms since the epoch, or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = crate::cli::time::parse)]
    pub(crate) time: Option<i64>,
    /// Lines are objects {"key", "value", "timestamp"}, as `stream cat` prints them
    #[arg(long)]
    pub(crate) json_lines: bool,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
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

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
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

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct DescribeArgs {
    /// scope/stream
    #[arg(value_parser = stream_name)]
    pub(crate) name: StreamName,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum StoreCommand {
    /// Show sizes by stream, state and tier
    Describe(DataDir),
    /// Verify everything that is kept and name each fault; exit code 1 when there is one
    Check(DataDir),
}

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum CheckpointCommand {
    /// List the retained checkpoints of a pipeline, newest first
    List(PipelineArg),
}

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct PipelineArg {
    /// The pipeline's name or file
    pub(crate) pipeline: String,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct TopArgs {
    /// Show it once and end
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

pub(super) fn stream_name(name: &str) -> Result<StreamName, tidemill_storage::Error> {
    StreamName::new(name)
}
