//! The verbs of `tidemill group` as types.

use super::DataDir;
use clap::{Args as ClapArgs, Subcommand};
use serde::{Deserialize, Serialize};
use tidemill_storage::stream::StreamCut;
use tidemill_storage::{Error, GroupName};

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum GroupCommand {
    /// List all reader groups
    List(DataDir),
    /// Show a reader group: streams, readers, positions, checkpoints
    Describe(GroupArgs),
    /// Put all readers out and start the group anew somewhere else
    Reset(ResetArgs),
}

impl GroupCommand {
    pub(crate) fn data(&self) -> &DataDir {
        match self {
            GroupCommand::List(data) => data,
            GroupCommand::Describe(args) => &args.data,
            GroupCommand::Reset(args) => &args.data,
        }
    }
}

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct GroupArgs {
    /// scope/group
    #[arg(value_parser = group_name)]
    pub(crate) name: GroupName,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct ResetArgs {
    /// scope/group
    #[arg(value_parser = group_name)]
    pub(crate) name: GroupName,
    #[command(flatten)]
    pub(crate) to: ResetTo,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

/// Where to.
#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
#[group(required = true, multiple = false)]
pub(crate) struct ResetTo {
    /// To the last checkpoint that completed
    #[arg(long)]
    pub(crate) to_checkpoint: bool,
    /// To the oldest events that there are, in every stream
    #[arg(long)]
    pub(crate) to_head: bool,
    /// To the next events that come, in every stream
    #[arg(long)]
    pub(crate) to_tail: bool,
    /// To a cut as it was printed; once per stream, the others stay where they are
    #[arg(long, value_name = "CUT", value_parser = cut)]
    pub(crate) to_cut: Vec<StreamCut>,
}

fn group_name(name: &str) -> Result<GroupName, Error> {
    GroupName::new(name)
}

fn cut(text: &str) -> Result<StreamCut, Error> {
    StreamCut::parse(text)
}
