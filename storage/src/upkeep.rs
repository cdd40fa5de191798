//! The loop of the threads that keep state short: `store.rs` gives it what is to be done for an operator whose state a commit
//! has changed (folding, flushing, merging).

use crate::error::Result;
use crate::queue::Queue;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::collections::BTreeMap;
use std::time::Duration;

/// An operator whose state a commit has changed: pipeline, operator.
pub(crate) type Changed = (String, String);

/// How long a failed flush or merge waits before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Does `work` for every operator that is asked for, until nobody can ask any more. What fails is tried again: nothing is
/// lost by it, but epochs may wait for it.
pub(crate) fn serve(
    requests: &Receiver<Changed>,
    queue: &Queue,
    what: &str,
    mut work: impl FnMut(&str, &str) -> Result<()>,
) {
    let mut failed: BTreeMap<Changed, String> = BTreeMap::new();
    loop {
        let asked = match failed.is_empty() {
            true => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => requests.recv_timeout(RETRY),
        };
        let operators = match asked {
            Ok(operator) => vec![operator],
            Err(RecvTimeoutError::Timeout) => failed.keys().cloned().collect(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        for operator in operators {
            match work(&operator.0, &operator.1) {
                Ok(()) => drop(failed.remove(&operator)),
                // It is done after the next opening.
                Err(_) if queue.is_closed() => return,
                Err(e) => {
                    let text = e.to_string();
                    if failed.insert(operator, text.clone()).as_ref() != Some(&text) {
                        tracing::warn!(error = %text, "state was not {what}; it is tried again");
                    }
                }
            }
        }
    }
}
