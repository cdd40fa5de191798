//! Group commit: the one writer. Takes all parts that wait in `queue.rs`, lets `decide.rs` judge them against one
//! snapshot, has `redb_io.rs` write what was accepted in one transaction, and tells each its outcome.

use crate::decide::{Outcome, Work, decide_group};
use crate::error::{Error, Kind, Result};
use crate::guard::guarded;
use crate::queue::{Job, Queue};
use crate::redb_io::apply;
use crate::shared::Shared;
use crate::terms::{Terms, TermsSource};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs until the queue is closed and empty. `committed` hears of every group that was decided, and of the names of
/// sealed files that lost their last chunk by it.
pub(crate) fn run(shared: &Shared, queue: &Queue, terms: &TermsSource, committed: impl Fn(&[Work], Vec<String>)) {
    while let Some(jobs) = queue.take() {
        let (works, callbacks): (Vec<_>, Vec<_>) =
            jobs.into_iter().map(|Job { work, on_done }| (work, on_done)).unzip();
        let answers = match guarded(|| commit_group(shared, &works, &terms.now())) {
            Some(Ok((answers, unlinked))) => {
                committed(&works, unlinked);
                answers
            }
            Some(Err(e)) => works.iter().map(|_| Err(e.clone())).collect(),
            None => {
                let e = Error::unavailable("the commit failed inside redb; its outcome is unknown: reopen and look");
                shared.latch(&e);
                works.iter().map(|_| Err(e.clone())).collect()
            }
        };
        shared.pressure.settle(works.iter().map(Work::hot_bytes).sum(), 0);
        shared.space.settle(works.iter().filter_map(Work::disk_bytes).sum());
        for (on_done, answer) in callbacks.into_iter().zip(answers) {
            // A callback that panics is its owner's fault; the other parts must hear their outcome all the same.
            if catch_unwind(AssertUnwindSafe(|| on_done(answer))).is_err() {
                tracing::error!("a commit callback panicked");
            }
        }
    }
}

/// One group: the answers, and the sealed files that are to be unlinked. `Err` = no part was decided, or the outcome of
/// all is unknown.
fn commit_group(shared: &Shared, works: &[Work], terms: &Terms) -> Result<(Vec<Result<Outcome>>, Vec<String>)> {
    let (changes, answers) = shared.read(|snapshot| decide_group(snapshot, works, terms))?;
    if changes.is_empty() {
        return Ok((answers, Vec::new()));
    }
    let write = |db: &redb::Database| {
        apply(db, &changes)?;
        for pipeline in &changes.forgotten_pipelines {
            shared.debt.forget(pipeline);
        }
        for ((pipeline, operator), manifest) in &changes.manifests {
            shared.debt.note(pipeline, operator, manifest);
        }
        // Under the database's lock: a reopening counts anew, and must not count this twice.
        shared.pressure.settle(0, changes.hot_bytes);
        Ok(())
    };
    shared.with_database(write).map_err(|e| {
        if matches!(e.kind(), Kind::Bug | Kind::Invalid) {
            // Found before redb's commit: the transaction was dropped and changed nothing.
            return e;
        }
        let e = Error::new(e.kind(), format!("{e}; the outcome is unknown until the store is opened again"));
        shared.latch(&e);
        e
    })?;
    Ok((answers, changes.dropped_files.into_values().collect()))
}
