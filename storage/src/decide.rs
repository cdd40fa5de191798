//! Decides what a part does, without doing it: checks it against a snapshot and the parts accepted before it in the
//! group, and notes its changes on the overlay. The committer calls [`decide_group`], `redb_io.rs` writes the outcome.
//!
//! Invariants:
//! 1. a part is accepted whole or changes nothing;
//! 2. a pipeline's epochs are committed one after the other, by its newest incarnation alone;
//! 3. a stream's watermark, a segment's head and tail never go back, and head <= tail;
//! 4. a blob is stored exactly while a manifest names it;
//! 5. ids of streams, blobs and sealed files are never used twice;
//! 6. the live counts of a sealed file are those of the index entries, or runs, that name it;
//! 7. the active segments of a stream tile the hash space, and only they take events;
//! 8. the parts of a manifest ascend in epochs, and each is named by no other.

use crate::checkpoint::{CheckpointRecord, CheckpointSummary};
use crate::commit::{Accepted, Append, EpochCommit, MarkerSwap, Part};
use crate::error::{Error, Kind, Result};
use crate::hash::MAX_PARALLELISM_MAX;
use crate::ids::{Epoch, Incarnation, NAME_BYTES_MAX, StreamName, TransactionId};
use crate::log::LogChange;
use crate::manifest::BlobId;
use crate::names::{LogName, TableName};
use crate::overlay::{Changes, Overlay, ScopedSnapshot, Snapshot};
use crate::row::{FileRow, PipelineRow, RunFile, ScopedId};
use crate::sealed::writer::Group;
use crate::stream::time::{TimeConfig, TimeNote};
use crate::stream::transaction::TransactionPart;
use crate::stream::{StreamConfig, StreamRef, WriterState};
use crate::sweeper::SweepReport;
use crate::terms::Terms;
use bytes::Bytes;
pub(crate) use group::GroupSwap;
pub(crate) use log::LogUpdate;
pub(crate) use retention::TailNote;
use std::collections::BTreeSet;
pub(crate) use stream::StreamWork;
pub(crate) use table::TableUpdate;
pub(crate) use truncate::has_dead_chunks;

/// Most chunks that one truncation frees; the rest go with the next one, unreadable meanwhile.
pub(crate) const FREED_CHUNKS_MAX: usize = 4_096;

/// What the committer is asked.
#[derive(Debug)]
pub(crate) enum Work {
    /// A part of a client or pipeline.
    Part(Part),
    /// Create a stream; `exact` = an existing one must have this config.
    CreateStream {
        name: StreamName,
        config: StreamConfig,
        exact: bool,
        now_ms: i64,
    },
    /// Change a stream as a whole.
    Stream(StreamWork),
    /// Take the next incarnation.
    StartPipeline {
        name: String,
        max_parallelism: u32,
    },
    /// Put one blob in the place of several that lie side by side in a manifest.
    Fold {
        pipeline: String,
        operator: String,
        folded: Vec<BlobId>,
        blob: Bytes,
    },
    /// Put a run of sealed files, durable already, in the place of blobs or runs of a manifest.
    Runs(Box<RunSwitch>),
    /// Forget everything of a pipeline but its incarnation.
    DeletePipeline {
        name: String,
    },
    /// Make a table, log; leave the one there is.
    CreateTable {
        name: TableName,
        now_ms: i64,
    },
    CreateLog {
        name: LogName,
        now_ms: i64,
    },
    /// Remove it with its entries.
    DeleteTable {
        name: TableName,
    },
    DeleteLog {
        name: LogName,
    },
    /// Change entries of one primary key.
    Table(TableUpdate),
    /// Change a log.
    Log(LogUpdate),
    /// Make, change or remove a reader group.
    Group(GroupSwap),
    /// Set how a stream treats silent writers.
    ConfigureTime {
        stream: StreamRef,
        config: TimeConfig,
    },
    /// Let the clock work; with notes of writers who go by it.
    Sweep {
        notes: Vec<TimeNote>,
    },
    /// Switch the index over to chunks in a sealed file that is durable already.
    Seal {
        file: u64,
        row: FileRow,
        groups: Vec<Group>,
        /// Others of its chunks were switched over before: it has a row.
        more: bool,
    },
    /// The same for chunks that lie in other sealed files.
    Rewrite {
        file: u64,
        row: FileRow,
        groups: Vec<Group>,
    },
}

/// What a flush or a merge of an operator's state puts in the place of what.
#[derive(Debug)]
pub(crate) struct RunSwitch {
    pub(crate) pipeline: String,
    pub(crate) operator: String,
    /// The oldest blobs of the manifest, or none.
    pub(crate) blobs: Vec<BlobId>,
    /// Runs that lie side by side in the manifest, or none.
    pub(crate) runs: Vec<BlobId>,
    /// The new run's files, durable already.
    pub(crate) files: Vec<(RunFile, FileRow)>,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted(Accepted),
    /// What was asked is refused, and yet something was decided: a transaction whose time is over is aborted.
    Refused(Kind, String),
    Swept(SweepReport),
    Started(Incarnation, Option<CheckpointRecord>),
    /// Of a fold, a flush or a merge. False: the manifest has changed meanwhile, nothing was done.
    Folded(bool),
    /// An id, version or revision: the work says which.
    Number(u64),
    Writer(WriterState),
    /// How many chunks, or rows, went.
    Freed(usize),
    /// How many chunks of the file the index names now; 0 = it has no row, unlink it.
    Sealed(u64),
}

impl Outcome {
    /// Of a work that is answered with a number.
    pub(crate) fn number(self) -> Result<u64> {
        match self {
            Outcome::Number(number) => Ok(number),
            other => Err(Error::bug(format!("the committer answered another question: {other:?}"))),
        }
    }
}

fn part_bytes(part: &Part) -> usize {
    let append = |a: &Append| a.chunks.iter().map(|c| c.bytes.len()).sum::<usize>();
    match part {
        Part::Append(a) => append(a),
        Part::Epoch(e) => {
            e.outputs.iter().map(append).sum::<usize>()
                + e.state.iter().map(|s| s.blob.len()).sum::<usize>()
                + e.schedules.iter().map(|s| s.2.len()).sum::<usize>()
        }
        Part::Marker(m) => m.value.len(),
        Part::Write(w) => w.appends.iter().map(append).sum(),
        Part::Transaction(t) => t.staging().map_or(0, |s| s.appends.iter().map(append).sum()),
        Part::Time(_) => 0,
    }
}

/// Bytes of a part that waits for room on the disk. None = it goes in whatever the room: it frees some, or is small and
/// needed to go on.
pub(crate) fn disk_bytes(part: &Part) -> Option<u64> {
    match part {
        Part::Append(_) | Part::Write(_) | Part::Epoch(_) => Some(part_bytes(part) as u64),
        Part::Transaction(t) => t.staging().map(|_| part_bytes(part) as u64).filter(|bytes| *bytes > 0),
        Part::Marker(_) | Part::Time(_) => None,
    }
}

impl Work {
    /// Bytes that wait with it.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Work::Part(part) => part_bytes(part),
            Work::ConfigureTime { .. } | Work::Sweep { .. } => 0,
            Work::Fold { blob, .. } => blob.len(),
            Work::Table(update) => update.bytes(),
            Work::Log(update) => update.bytes(),
            Work::CreateTable { .. } | Work::CreateLog { .. } => 0,
            Work::DeleteTable { .. } | Work::DeleteLog { .. } | Work::Group(_) => 0,
            Work::CreateStream { .. }
            | Work::Stream(_)
            | Work::StartPipeline { .. }
            | Work::DeletePipeline { .. }
            | Work::Runs(_)
            | Work::Seal { .. }
            | Work::Rewrite { .. } => 0,
        }
    }

    /// Bytes of a part that waits for room on the disk; background work has asked before.
    pub(crate) fn disk_bytes(&self) -> Option<u64> {
        match self {
            Work::Part(part) => disk_bytes(part),
            // What removes goes in, and a group's small changes, too.
            Work::Table(update) if update.puts() => Some(update.bytes() as u64),
            Work::Log(LogUpdate { change: LogChange::Append { value, .. }, .. }) => Some(value.len() as u64),
            _ => None,
        }
    }

    /// Bytes of new chunks, that go to the hot file.
    pub(crate) fn hot_bytes(&self) -> u64 {
        let append = |a: &Append| a.chunks.iter().map(|c| c.bytes.len() as u64).sum::<u64>();
        match self {
            Work::Part(Part::Append(a)) => append(a),
            Work::Part(Part::Write(w)) => w.appends.iter().map(append).sum(),
            Work::Part(Part::Epoch(e)) => e.outputs.iter().map(append).sum(),
            Work::Part(Part::Transaction(TransactionPart::Commit { rest, .. })) => {
                rest.appends.iter().map(append).sum()
            }
            _ => 0,
        }
    }

    /// The transaction that it is to commit.
    pub(crate) fn commits(&self) -> Option<TransactionId> {
        match self {
            Work::Part(Part::Transaction(TransactionPart::Commit { id, .. })) => Some(*id),
            _ => None,
        }
    }
}

/// Decides a group: the changes of all accepted works together, and an answer for each. `Err` = the snapshot could not
/// be read, nothing is decided.
pub(crate) fn decide_group(
    snapshot: &dyn Snapshot,
    works: &[Work],
    terms: &Terms,
) -> Result<(Changes, Vec<Result<Outcome>>)> {
    let mut group = Overlay::new(snapshot);
    let mut answers = Vec::with_capacity(works.len());
    for work in works {
        let mut part = Overlay::new(&group);
        match decide(&mut part, work, terms) {
            Ok(outcome) => {
                let changes = part.changes;
                group.changes.absorb(changes);
                answers.push(Ok(outcome));
            }
            Err(e) if matches!(e.kind(), crate::Kind::Unavailable | crate::Kind::Full) => return Err(e),
            Err(e) => answers.push(Err(e)),
        }
    }
    Ok((group.changes, answers))
}

fn decide(o: &mut Overlay<'_>, work: &Work, terms: &Terms) -> Result<Outcome> {
    match work {
        Work::Part(Part::Append(append)) => {
            let first = append::append(o, append)?;
            Ok(Outcome::Accepted(Accepted { first_offsets: vec![first], ..Accepted::default() }))
        }
        Work::Part(Part::Write(write)) => writer::write(o, write).map(Outcome::Accepted),
        Work::Part(Part::Epoch(commit)) => epoch(o, commit, terms).map(Outcome::Accepted),
        Work::Part(Part::Marker(swap)) => {
            marker(o, swap)?;
            Ok(Outcome::Accepted(Accepted::default()))
        }
        Work::Part(Part::Time(notes)) => {
            let noted = time::part(o, terms, notes)?;
            Ok(Outcome::Accepted(Accepted { noted, ..Accepted::default() }))
        }
        Work::Part(Part::Transaction(part)) => transaction::part(o, terms, part),
        Work::ConfigureTime { stream, config } => {
            time::configure(o, terms, *stream, *config)?;
            Ok(Outcome::Accepted(Accepted::default()))
        }
        Work::Sweep { notes } => sweep(o, terms, notes).map(Outcome::Swept),
        Work::CreateStream { name, config, exact, now_ms } => stream::create(o, name, *config, *exact, *now_ms),
        Work::Stream(work) => stream::change(o, terms, work),
        Work::StartPipeline { name, max_parallelism } => start_pipeline(o, name, *max_parallelism),
        Work::Fold { pipeline, operator, folded, blob } => state::fold(o, pipeline, operator, folded, blob),
        Work::Runs(switch) => state::runs(o, switch),
        Work::DeletePipeline { name } => {
            let outcome = state::delete_pipeline(o, name)?;
            time::close_pipeline(o, terms, name)?;
            Ok(outcome)
        }
        Work::CreateTable { name, now_ms } => table::create(o, name, *now_ms),
        Work::CreateLog { name, now_ms } => log::create(o, name, *now_ms),
        Work::DeleteTable { name } => table::delete(o, name),
        Work::DeleteLog { name } => log::delete(o, name),
        Work::Table(update) => table::update(o, update),
        Work::Log(update) => log::update(o, update),
        Work::Group(swap) => group::swap(o, swap),
        Work::Seal { file, row, groups, more } => seal::seal(o, *file, row, groups, *more).map(Outcome::Sealed),
        Work::Rewrite { file, row, groups } => seal::rewrite(o, *file, row, groups).map(Outcome::Sealed),
    }
}

fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Error::invalid(format!("{what} name {name:?}: 1 to {NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn epoch(o: &mut Overlay<'_>, commit: &EpochCommit, terms: &Terms) -> Result<Accepted> {
    let EpochCommit { pipeline, incarnation, epoch, .. } = commit;
    let mut row = o.pipeline(pipeline)?.filter(|row| !row.deleted).ok_or_else(|| {
        Error::not_found(format!("pipeline {pipeline} was never started in this data directory: start it first"))
    })?;
    if row.incarnation != *incarnation {
        return Err(Error::fenced(format!(
            "pipeline {pipeline}: run {incarnation} is not the newest, run {} has taken over; stop this one",
            row.incarnation
        )));
    }
    if *epoch != row.last_epoch.next() {
        return Err(Error::fenced(format!(
            "pipeline {pipeline}: epoch {epoch} cannot follow epoch {}; recover from the last checkpoint",
            row.last_epoch
        )));
    }
    if (commit.record.epoch, commit.record.incarnation, commit.record.max_parallelism)
        != (*epoch, *incarnation, row.max_parallelism)
    {
        return Err(Error::bug(format!("pipeline {pipeline}: the record of epoch {epoch} belongs to another commit")));
    }
    row.last_epoch = *epoch;
    o.changes.pipelines.insert(pipeline.clone(), row);

    let mut summary =
        CheckpointSummary { record: commit.record.clone(), state_bytes: 0, output_bytes: 0, output_events: 0 };
    let mut accepted = Accepted::default();
    for output in &commit.outputs {
        accepted.first_offsets.push(append::follow(o, output)?);
        for chunk in &output.chunks {
            summary.output_bytes += chunk.bytes.len() as u64;
            summary.output_events += u64::from(chunk.events);
        }
    }
    for delta in &commit.state {
        check_name("operator", &delta.operator)?;
        summary.state_bytes += delta.blob.len() as u64;
        let entry = state::store_blob(o, &delta.blob, *epoch)?;
        let mut manifest = o.manifest(pipeline, &delta.operator)?.unwrap_or_default();
        manifest.blobs.push(entry);
        o.changes.manifests.insert((pipeline.clone(), delta.operator.clone()), manifest);
    }
    for (stream, watermark) in &commit.stream_watermarks {
        time::of_epoch(o, terms, *stream, pipeline, *watermark)?;
    }
    for (operator, subtask, schedule) in &commit.schedules {
        check_name("operator", operator)?;
        let key = (pipeline.clone(), *epoch, operator.clone(), *subtask);
        o.changes.schedules.insert(key, schedule.clone());
    }
    let epochs = o.checkpoint_epochs(pipeline)?;
    // The new record is one of those retained.
    let excess = (epochs.len() + 1).saturating_sub(terms.checkpoints_retained.max(1));
    o.changes.dropped_checkpoints.extend(epochs.into_iter().take(excess).map(|old| (pipeline.clone(), old)));
    o.changes.checkpoints.insert((pipeline.clone(), *epoch), summary);
    Ok(accepted)
}

fn marker(o: &mut Overlay<'_>, swap: &MarkerSwap) -> Result<()> {
    check_name("marker", &swap.name)?;
    let now = o.marker(&swap.name)?;
    if now != swap.expected {
        let text = |value: &Option<Bytes>| value.as_ref().map_or("nothing".into(), |v| format!("{} bytes", v.len()));
        return Err(Error::fenced(format!(
            "marker {} has moved on (there: {}, expected: {}): somebody else does this work; read it again",
            swap.name,
            text(&now),
            text(&swap.expected)
        )));
    }
    o.changes.markers.insert(swap.name.clone(), swap.value.clone());
    swap.truncate.iter().try_for_each(|position| stream::truncate_at(o, position))?;
    let streams: BTreeSet<_> = swap.truncate.iter().map(|position| position.stream).collect();
    streams.into_iter().try_for_each(|stream| time::truncated(o, stream))
}

fn sweep(o: &mut Overlay<'_>, terms: &Terms, notes: &[TimeNote]) -> Result<SweepReport> {
    for note in notes {
        let mut part = Overlay::new(o);
        match time::part(&mut part, terms, std::slice::from_ref(note)) {
            Ok(_) => {
                let changes = part.changes;
                o.changes.absorb(changes);
            }
            Err(e) if matches!(e.kind(), Kind::Unavailable | Kind::Full) => return Err(e),
            // Its stream was deleted, say: the others must be heard all the same.
            Err(e) => tracing::debug!(error = %e, "the wall clock was not noted"),
        }
    }
    let transactions = transaction::sweep(o, terms)?;
    let time = time::sweep(o, terms)?;
    Ok(SweepReport {
        transactions_aborted: transactions.aborted,
        transactions_forgotten: transactions.forgotten,
        writers_gone: time.writers_gone,
        watermarks: time.watermarks,
    })
}

fn start_pipeline(o: &mut Overlay<'_>, name: &str, max_parallelism: u32) -> Result<Outcome> {
    check_name("pipeline", name)?;
    if max_parallelism == 0 || max_parallelism > MAX_PARALLELISM_MAX {
        return Err(Error::invalid(format!(
            "pipeline {name}: max parallelism {max_parallelism} must be 1 to {MAX_PARALLELISM_MAX}"
        )));
    }
    let (incarnation, last_epoch) = (Incarnation(0), Epoch(0));
    let mut row = o.pipeline(name)?.unwrap_or(PipelineRow { incarnation, max_parallelism, last_epoch, deleted: false });
    if row.deleted {
        // Its state is gone; its number goes on, so that runs from before stay fenced.
        row = PipelineRow { max_parallelism, deleted: false, ..row };
    }
    if row.max_parallelism != max_parallelism {
        return Err(Error::invalid(format!(
            "pipeline {name} was started with max parallelism {}, which its state depends on: set it back from {max_parallelism}",
            row.max_parallelism
        )));
    }
    row.incarnation = Incarnation(row.incarnation.0 + 1);
    o.changes.pipelines.insert(name.to_string(), row);
    let record = match row.last_epoch {
        Epoch(0) => None,
        last => Some(o.checkpoint(name, last)?.map(|c| c.record).ok_or_else(|| {
            Error::corrupt(format!("pipeline {name}: the record of its last epoch {last} is missing; restore a backup"))
        })?),
    };
    Ok(Outcome::Started(row.incarnation, record))
}

/// The next id of a table, log or reader group, taken.
fn scoped_id(o: &mut Overlay<'_>) -> Result<ScopedId> {
    let id = o.next_scoped()?;
    o.changes.scoped.next = Some(ScopedId(id.0 + 1));
    Ok(id)
}

mod append;
mod group;
mod log;
mod retention;
mod scale;
mod seal;
mod state;
mod stream;
mod table;
mod time;
pub(crate) mod transaction;
mod truncate;
mod writer;

#[cfg(test)]
mod tests;
