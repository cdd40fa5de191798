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
    /// Forget a pipeline that does not run: checkpoints, state, timers; its streams stay
    Delete(PipelineArg),
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
            DataCommand::Describe(args) | DataCommand::Stop(args) | DataCommand::Delete(args) => &args.data,
            DataCommand::Top(args) => &args.data,
            DataCommand::Stream(StreamCommand::Create(args)) => &args.data,
            DataCommand::Stream(StreamCommand::Append(args)) => &args.data,
            DataCommand::Stream(StreamCommand::Cat(args)) => &args.data,
            DataCommand::Stream(StreamCommand::Tail(args)) => &args.data,
            DataCommand::Stream(
                StreamCommand::Describe(args)
                | StreamCommand::Seal(args)
                | StreamCommand::Delete(args)
                | StreamCommand::Cuts(args),
            ) => &args.data,
            DataCommand::Stream(StreamCommand::Scale(args)) => &args.data,
            DataCommand::Stream(StreamCommand::Truncate(args)) => &args.data,
            DataCommand::Stream(StreamCommand::Retention(args)) => &args.data,
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
            | DataCommand::Delete(args)
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
    /// Split and merge segments, or say how a stream does so by itself
    Scale(ScaleArgs),
    /// Let a stream take no more events
    Seal(DescribeArgs),
    /// Give up the events before a place
    Truncate(TruncateArgs),
    /// Delete a stream with all its events
    Delete(DescribeArgs),
    /// Show or set how long events are kept
    Retention(RetentionArgs),
    /// Show a stream's head, tail and other places, as `truncate` takes them
    Cuts(DescribeArgs),
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
    /// Resumable: run again with the same input and id, nothing is appended twice
    #[arg(long, value_name = "ID")]
    pub(crate) writer_id: Option<String>,
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

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct ScaleArgs {
    /// scope/stream
    #[arg(value_parser = stream_name)]
    pub(crate) name: StreamName,
    #[command(flatten)]
    pub(crate) how: ScaleHow,
    /// Parts of a split; with a policy, at most so many parts at once
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) parts: u32,
    /// With a policy: merging stops at so many segments
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) min_segments: u32,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

/// One of these.
#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
#[group(required = true, multiple = false)]
pub(crate) struct ScaleHow {
    /// To so many segments of equal parts of the key space
    #[arg(long, value_name = "N")]
    pub(crate) segments: Option<u32>,
    /// Split a segment
    #[arg(long, value_name = "ID")]
    pub(crate) split: Option<u64>,
    /// Split the segment that owns this fraction of the key space, there
    #[arg(long, value_name = "FRACTION")]
    pub(crate) split_at: Option<f64>,
    /// Merge adjacent segments, named by commas between them
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    pub(crate) merge: Option<Vec<u64>>,
    /// By itself, aiming at so many events per second and segment
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) by_events: Option<u64>,
    /// By itself, aiming at such a size per second and segment
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) by_bytes: Option<u64>,
    /// No more by itself
    #[arg(long)]
    pub(crate) fixed: bool,
}

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct TruncateArgs {
    /// scope/stream
    #[arg(value_parser = stream_name)]
    pub(crate) name: StreamName,
    #[command(flatten)]
    pub(crate) place: TruncatePlace,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

/// One of these.
#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
#[group(required = true, multiple = false)]
pub(crate) struct TruncatePlace {
    /// A place as `stream cuts` prints it
    #[arg(long, value_name = "CUT")]
    pub(crate) cut: Option<String>,
    /// Everything that is there
    #[arg(long)]
    pub(crate) all: bool,
    /// Everything in segments that scalings sealed
    #[arg(long)]
    pub(crate) sealed_segments: bool,
}

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct RetentionArgs {
    /// scope/stream
    #[arg(value_parser = stream_name)]
    pub(crate) name: StreamName,
    /// Keep at least so much, whoever has read it
    #[arg(long, value_name = "SIZE", value_parser = size, conflicts_with_all = ["min_age", "max_age", "by_consumption", "off"])]
    pub(crate) min_size: Option<u64>,
    /// Keep no more than that, whoever still needs it
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "min_size")]
    pub(crate) max_size: Option<u64>,
    /// Keep what is younger, whoever has read it
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with_all = ["by_consumption", "off"])]
    pub(crate) min_age: Option<u64>,
    /// Keep nothing older, whoever still needs it
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "min_age")]
    pub(crate) max_age: Option<u64>,
    /// Keep what not all subscribers have read
    #[arg(long, conflicts_with = "off")]
    pub(crate) by_consumption: bool,
    /// Keep everything
    #[arg(long)]
    pub(crate) off: bool,
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

fn size(text: &str) -> Result<u64, String> {
    tidemill::config::units::size_bytes(text)
}

fn duration(text: &str) -> Result<u64, String> {
    tidemill::config::units::duration_ms(text)
}

pub(super) fn stream_name(name: &str) -> Result<StreamName, tidemill_storage::Error> {
    StreamName::new(name)
}
