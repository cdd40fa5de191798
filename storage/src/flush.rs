//! Carries state out of the hot file: a flush makes one run of an operator's blobs, a merge one run of several. Threads of
//! the store do this after commits; only the switch-over is a (small) part of the committer's.
//!
//! plan (a snapshot) -> write and put files -> `Work::Runs` -> the views' new set. Files of a plan that did not go in are
//! deleted again; what a crash leaves behind is an orphan, removed at open.

use crate::decide::{Outcome, RunSwitch, Work};
use crate::error::{Error, Kind, Result};
use crate::fold::choose_sizes;
use crate::manifest::{BlobId, Manifest};
use crate::overlay::Snapshot;
use crate::queue::{Job, Queue, closed};
use crate::redb_io::RedbSnapshot;
use crate::row::{FileRow, RunFile};
use crate::sealed::reader::tier_error;
use crate::shared::Shared;
use crate::state::delta::Entry;
use crate::state::merge::{merge_blobs, merge_into};
use crate::state::run::{ReadError, Run, RunCache, RunFileWriter, RunReader, RunSet};
use bytes::Bytes;
use crossbeam_channel::bounded;
use std::sync::Arc;

/// Each tier of runs is so many times the one below.
const TIER_FACTOR: u64 = 4;
/// Cache of a merge: its inputs are read once, from front to back.
const MERGE_CACHE_BYTES: u64 = 1 << 20;

/// The runs of a manifest, to be read.
pub(crate) fn run_set(shared: &Shared, snapshot: &RedbSnapshot, manifest: &Manifest) -> Result<RunSet> {
    run_set_with(shared, snapshot, manifest, &shared.run_cache)
}

fn run_set_with(
    shared: &Shared,
    snapshot: &RedbSnapshot,
    manifest: &Manifest,
    cache: &Arc<RunCache>,
) -> Result<RunSet> {
    let mut set = RunSet { flushed: manifest.flushed(), runs: Vec::new(), bytes: 0 };
    for entry in &manifest.runs {
        let missing =
            |what: String| Error::corrupt(format!("run {} of the state: {what}; restore a backup", entry.id.0));
        let row = snapshot.run(entry.id)?.ok_or_else(|| missing("its row is missing".into()))?;
        let mut files = Vec::with_capacity(row.files.len());
        for file in row.files {
            let row = snapshot.file(file.file)?;
            let row = row.ok_or_else(|| missing(format!("the row of its sealed file {} is missing", file.file)))?;
            files.push(Arc::new(RunReader::new(file, row, shared.tier.clone(), cache.clone())));
        }
        set.bytes += entry.bytes;
        set.runs.push(Run { files });
    }
    Ok(set)
}

/// Files of a run that are put one by one. Dropped before it was kept, they are deleted again.
struct RunOutput<'a> {
    shared: &'a Shared,
    file_bytes: u64,
    open: Option<RunFileWriter>,
    files: Vec<(RunFile, FileRow)>,
    /// They belong to a manifest now, or only a look will tell.
    kept: bool,
}

impl<'a> RunOutput<'a> {
    fn new(shared: &'a Shared, file_bytes: u64) -> RunOutput<'a> {
        RunOutput { shared, file_bytes, open: None, files: Vec::new(), kept: false }
    }

    fn push(&mut self, entry: &Entry<'_>) -> Result<()> {
        let file = match self.open.take() {
            Some(file) => file,
            None => RunFileWriter::new(self.shared.reserve_file()?),
        };
        let file = self.open.insert(file);
        file.push(entry);
        if file.len() >= self.file_bytes { self.put() } else { Ok(()) }
    }

    fn put(&mut self) -> Result<()> {
        let Some(file) = self.open.take().map(RunFileWriter::finish).transpose()?.flatten() else { return Ok(()) };
        let name = file.row.name.clone();
        self.shared.space.spare(file.row.bytes)?;
        self.shared.begin_put(&name);
        self.files.push((file.file, file.row));
        self.shared.tier.put(&name, file.bytes).map_err(|e| tier_error("writing", &name, &e))
    }
}

impl Drop for RunOutput<'_> {
    fn drop(&mut self) {
        for (_, row) in &self.files {
            // Should this fail, the file is an orphan: it is removed when the store is opened.
            if !self.kept
                && let Err(e) = self.shared.tier.delete(&row.name)
            {
                tracing::warn!(error = %e, file = row.name, "a file of state that nothing names stays until the store is opened again");
            }
            self.shared.end_put(&row.name);
        }
    }
}

/// Makes the switch, and tells the views. False: the manifest has changed meanwhile.
fn switch(
    shared: &Shared,
    queue: &Queue,
    mut out: RunOutput<'_>,
    (pipeline, operator): (&str, &str),
    blobs: Vec<BlobId>,
    runs: Vec<BlobId>,
) -> Result<bool> {
    out.put()?;
    let (answer, answered) = bounded(1);
    let (pipeline, operator) = (pipeline.to_string(), operator.to_string());
    let switch =
        RunSwitch { pipeline: pipeline.clone(), operator: operator.clone(), blobs, runs, files: out.files.clone() };
    queue
        .push(Job { work: Work::Runs(Box::new(switch)), on_done: Box::new(move |outcome| drop(answer.send(outcome))) });
    let outcome = answered.recv().map_err(|_| closed())?;
    // With an unknown outcome the files may be named: the next opening tells.
    out.kept = match &outcome {
        Ok(outcome) => *outcome == Outcome::Folded(true),
        Err(e) => matches!(e.kind(), Kind::Unavailable | Kind::Full),
    };
    let switched = outcome? == Outcome::Folded(true);
    drop(out);
    if switched {
        shared.renew_runs(&pipeline, &operator)?;
    }
    Ok(switched)
}

/// Makes a run of all blobs of an operator, if they have so many bytes. False: nothing was done.
pub(crate) fn flush(
    shared: &Shared,
    queue: &Queue,
    pipeline: &str,
    operator: &str,
    at_bytes: u64,
    file_bytes: u64,
) -> Result<bool> {
    let context = |e: Error| e.context(format!("flushing the state of pipeline {pipeline}, operator {operator}"));
    let read = shared.read(|snapshot| {
        let manifest = snapshot.manifest(pipeline, operator)?.unwrap_or_default();
        if manifest.blobs.is_empty() || manifest.blob_bytes() < at_bytes {
            return Ok(None);
        }
        let blobs = manifest.blobs.iter().map(|entry| snapshot.blob(entry)).collect::<Result<Vec<Bytes>>>()?;
        Ok(Some((manifest, blobs)))
    });
    let Some((manifest, blobs)) = read.map_err(context)? else { return Ok(false) };
    let mut out = RunOutput::new(shared, file_bytes);
    let oldest = manifest.runs.is_empty();
    merge_blobs(&blobs, oldest, |entry| out.push(entry).map(|()| true)).map_err(context)?;
    drop(blobs);
    let ids = manifest.blobs.iter().map(|entry| entry.id).collect();
    switch(shared, queue, out, (pipeline, operator), ids, Vec::new()).map_err(context)
}

/// Merges once: `at` neighbouring runs of one size tier or more, the tiers counted from `lowest_bytes`. False: nothing was done.
pub(crate) fn merge_runs(
    shared: &Shared,
    queue: &Queue,
    pipeline: &str,
    operator: &str,
    at: usize,
    lowest_bytes: u64,
    file_bytes: u64,
) -> Result<bool> {
    let context = |e: Error| e.context(format!("merging the state of pipeline {pipeline}, operator {operator}"));
    let cache = Arc::new(RunCache::new(MERGE_CACHE_BYTES));
    let read = shared.read(|snapshot| {
        let manifest = snapshot.manifest(pipeline, operator)?.unwrap_or_default();
        let sizes: Vec<u64> = manifest.runs.iter().map(|run| run.bytes).collect();
        let Some(range) = choose_sizes(&sizes, at, lowest_bytes.max(1), TIER_FACTOR, u64::MAX) else { return Ok(None) };
        let oldest = range.start == 0;
        let chosen = Manifest { runs: manifest.runs[range].to_vec(), blobs: Vec::new() };
        let set = run_set_with(shared, snapshot, &chosen, &cache)?;
        Ok(Some((chosen, set, oldest)))
    });
    let Some((chosen, set, oldest)) = read.map_err(context)? else { return Ok(false) };
    let mut out = RunOutput::new(shared, file_bytes);
    let sources = set.sources(&Default::default()).map_err(|e| context(ReadError::into_error(e)))?;
    merge_into(sources, oldest, |entry| out.push(entry).map(|()| true)).map_err(context)?;
    let ids = chosen.runs.iter().map(|run| run.id).collect();
    switch(shared, queue, out, (pipeline, operator), Vec::new(), ids).map_err(context)
}
