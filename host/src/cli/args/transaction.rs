//! The commands on transactions and on the time of streams as types.

use super::data::{DataDir, stream_name};
use clap::{Args as ClapArgs, Subcommand};
use serde::{Deserialize, Serialize};
use tidemill_storage::StreamName;

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum TransactionCommand {
    /// List the transactions that have not ended
    List(TransactionListArgs),
    /// Abort a transaction that is not committed: nothing of it will be seen
    Abort(TransactionArg),
}

impl TransactionCommand {
    pub(crate) fn data(&self) -> &DataDir {
        match self {
            TransactionCommand::List(args) => &args.data,
            TransactionCommand::Abort(args) => &args.data,
        }
    }
}

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct TransactionListArgs {
    /// Those of this stream only
    #[arg(long, value_name = "SCOPE/STREAM", value_parser = stream_name)]
    pub(crate) stream: Option<StreamName>,
    /// Those that were committed or aborted, too, as long as they are known
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct TransactionArg {
    /// The transaction's id, as `txn list` shows it
    pub(crate) id: u64,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

#[derive(Clone, Debug, ClapArgs, Serialize, Deserialize)]
pub(crate) struct WatermarkArgs {
    /// scope/stream
    #[arg(value_parser = stream_name)]
    pub(crate) name: StreamName,
    /// Watermarks to show, the newest ones
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(crate) last: usize,
    /// From now on a silent writer holds time up for so long, as in 30s, or never stops doing so
    #[arg(long, value_name = "TIME|never", value_parser = idle_timeout)]
    pub(crate) idle_timeout: Option<IdleTimeout>,
    /// This writer is done: it holds time up no more (repeatable)
    #[arg(long, value_name = "WRITER")]
    pub(crate) close: Vec<String>,
    #[command(flatten)]
    pub(crate) data: DataDir,
}

/// How long a silent writer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdleTimeout {
    /// None = for ever.
    pub(crate) ms: Option<u64>,
}

fn idle_timeout(text: &str) -> Result<IdleTimeout, String> {
    match text {
        "never" => Ok(IdleTimeout { ms: None }),
        text => Ok(IdleTimeout { ms: Some(tidemill::config::duration_ms(text)?) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_time_out_is_a_duration_or_never() {
        assert_eq!(idle_timeout("never"), Ok(IdleTimeout { ms: None }));
        assert_eq!(idle_timeout("1.5s"), Ok(IdleTimeout { ms: Some(1_500) }));
        assert!(idle_timeout("soon").unwrap_err().contains("200ms"));
    }
}
