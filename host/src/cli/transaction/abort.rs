//! `tidemill txn abort`: drops what a transaction holds. Nobody will ever see it.

use super::state;
use crate::cli::args::TransactionArg;
use crate::cli::output::number;
use crate::cli::session::Session;
use anyhow::Result;
use tidemill_storage::TransactionId;

pub(crate) fn run(args: &TransactionArg, session: &Session) -> Result<()> {
    let info = session.access.open()?.abort_transaction(TransactionId(args.id))?;
    session.output.data(
        || {
            serde_json::json!({
                "id": info.id.0,
                "stream": info.name.as_str(),
                "state": state(info.state),
                "events": info.events,
            })
        },
        || {
            format!(
                "transaction {} of {}: {}, {} events dropped\n",
                info.id,
                info.name,
                state(info.state),
                number(info.events)
            )
        },
    )
}
