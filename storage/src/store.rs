//! The store: the one door to everything durable. Reads go to one snapshot each (`shared.rs`), writes are parts for the
//! committer's thread (`queue.rs`, `committer.rs`); the host holds clones of it everywhere.

use crate::backend::BackendFactory;
use crate::check::{self, CheckReport};
use crate::checkpoint::{CheckpointRecord, CheckpointSummary, Schedule};
use crate::commit::{Accepted, Part};
use crate::decide::{Outcome, Work, disk_bytes};
use crate::describe::{self, StoreDescription};
use crate::directory::{DirectoryLock, HotFile, acquire, note_format};
use crate::error::{Error, Result};
use crate::ids::{Epoch, Incarnation, Position, StreamName};
use crate::maintain::Memory;
use crate::manifest::{BlobEntry, Manifest};
use crate::overlay::Snapshot;
use crate::queue::{Job, Queue, closed};
use crate::redb_io::RedbSnapshot;
use crate::sealed::mover::{self, Mover};
use crate::sealed::{MoverStatus, SealReport};
use crate::shared::Shared;
use crate::space::{DiskSpace, Room};
use crate::state::StateView;
use crate::stream::transaction::TransactionLimits;
use crate::stream::{self, ReadChunk, StreamConfig, StreamInfo};
use crate::sweeper::{self, Sweeper};
use crate::terms::TermsSource;
use crate::tier_place::{self, RemoteTier};
use crate::upkeep::{Changed, serve};
use crate::{committer, flush, fold, state};
use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Wall clock, handed in: ms since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Settings of a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// redb's page cache, bytes.
    pub cache_bytes: usize,
    /// How many checkpoint records and input schedules of a pipeline are kept.
    pub checkpoints_retained: usize,
    /// Blobs of similar size in a manifest before they are folded into one; 0 = never in the background.
    pub state_fold_blobs: usize,
    /// Bytes of an operator's state blobs in the hot file that become a run in sealed files; `u64::MAX` = only by
    /// [`Store::flush_state`]. At four times of it its epochs wait.
    pub state_flush_bytes: u64,
    /// Runs of similar size before they are merged into one; 0 = only by [`Store::merge_state`].
    pub state_merge_runs: usize,
    /// Memory for the committed state of all open views together, bytes. What no run holds yet is in memory all the same.
    pub state_memory_bytes: usize,
    /// Memory for blocks, indexes and filters of runs, bytes.
    pub state_cache_bytes: u64,
    /// Bytes of chunks in the hot file beyond which they move to sealed files, down to half of it. At twice of it appends and
    /// epochs wait for the mover. `u64::MAX` = chunks move and files are unlinked only by [`Store::seal`].
    pub hot_bytes_max: u64,
    /// Bytes that a sealed file aims at.
    pub sealed_file_bytes: u64,
    /// About so many chunks are switched over to a sealed file in one commit: other commits wait behind it.
    pub switch_chunks: usize,
    /// Bytes of the disk that appends and epochs leave free: they wait instead. 0 = none.
    pub reserve_bytes: u64,
    /// Most bytes of parts that wait or share one commit; submitters wait beyond it.
    pub queue_bytes: usize,
    /// Most parts that wait or share one commit; submitters wait beyond it.
    pub queue_parts: usize,
    /// A writer with an id that was silent for so long is forgotten, ms: its numbers start again.
    pub writer_ttl_ms: u64,
    /// How often a thread calls [`Store::maintain`], ms; 0 = whoever owns the store does.
    pub maintenance_interval_ms: u64,
    /// Limits on transactions.
    pub transactions: TransactionLimits,
    /// How often, ms, the background lets the clock work: leases of transactions, idle writers. 0 = only [`Store::sweep`] does.
    pub sweep_interval_ms: u64,
    /// Where sealed files lie, when not in the data directory. Fixed once a directory was opened with it; those that lay in the
    /// directory are carried over then.
    pub remote_tier: Option<RemoteTier>,
    /// Gives the time: of what is created, of leases, of silence, of policies. The default knows no time and says 0.
    pub clock: Clock,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            cache_bytes: 64 << 20,
            checkpoints_retained: 10,
            state_fold_blobs: 8,
            state_flush_bytes: 32 << 20,
            state_merge_runs: 4,
            state_memory_bytes: 512 << 20,
            state_cache_bytes: 64 << 20,
            hot_bytes_max: 256 << 20,
            sealed_file_bytes: 32 << 20,
            switch_chunks: 512,
            reserve_bytes: 0,
            queue_bytes: 64 << 20,
            queue_parts: 1_024,
            transactions: TransactionLimits::default(),
            sweep_interval_ms: 1_000,
            writer_ttl_ms: 7 * 24 * 3_600_000,
            maintenance_interval_ms: 0,
            remote_tier: None,
            clock: Arc::new(|| 0),
        }
    }
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions")
            .field("cache_bytes", &self.cache_bytes)
            .field("checkpoints_retained", &self.checkpoints_retained)
            .field("state_fold_blobs", &self.state_fold_blobs)
            .field("state_flush_bytes", &self.state_flush_bytes)
            .field("state_merge_runs", &self.state_merge_runs)
            .field("state_memory_bytes", &self.state_memory_bytes)
            .field("state_cache_bytes", &self.state_cache_bytes)
            .field("hot_bytes_max", &self.hot_bytes_max)
            .field("sealed_file_bytes", &self.sealed_file_bytes)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("queue_bytes", &self.queue_bytes)
            .field("queue_parts", &self.queue_parts)
            .field("transactions", &self.transactions)
            .field("sweep_interval_ms", &self.sweep_interval_ms)
            .field("remote_tier", &self.remote_tier)
            .finish_non_exhaustive()
    }
}

/// What a run of a pipeline starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineStart {
    /// This run's number; commits of older runs are refused from now on.
    pub incarnation: Incarnation,
    /// Where the pipeline stood when it last committed.
    pub checkpoint: Option<CheckpointRecord>,
}

/// A cheap handle; the store closes with the last one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

struct Inner {
    options: StoreOptions,
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    mover: Arc<Mover>,
    terms: Arc<TermsSource>,
    sweeper: Arc<Sweeper>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<DirectoryLock>>,
    /// What maintenance remembers.
    memory: Mutex<Memory>,
    /// Ends the thread that maintains.
    tend: Mutex<Option<Sender<()>>>,
}

/// Called on the committer's thread when a part is committed or refused. It must not wait for the store.
pub type OnDone = Box<dyn FnOnce(Result<Accepted>) + Send>;

/// Operators whose manifests may want folding, that wait for the folder; more are noticed at their next commit.
const FOLD_REQUESTS_MAX: usize = 256;

impl Inner {
    fn close(&self) {
        *self.tend.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.queue.close();
        self.mover.close();
        self.sweeper.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // A callback may drop the last handle, on a thread of our own: it cannot wait for itself.
        let ours = threads.iter().any(|handle| handle.thread().id() == thread::current().id());
        for handle in threads.into_iter().filter(|_| !ours) {
            if handle.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
        self.shared.close();
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(|e| Error::unavailable(format!("starting the thread {name}: {e}")))
}

/// Maintains until the store is closed or nobody has it any more.
fn tend_all(inner: &Weak<Inner>, over: &Receiver<()>, every: Duration) {
    while over.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        let Some(inner) = inner.upgrade() else { return };
        // What could not be done is tried again.
        if let Err(e) = (Store { inner }).maintain() {
            tracing::debug!(error = %e, "maintenance waits for better times");
        }
    }
}

impl Store {
    /// Opens a data directory, creating it when it is not there. `Refused`: another process owns it, or its format is
    /// newer.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Store> {
        let lock = acquire(dir)?;
        let tier = tier_place::tier(dir, options.remote_tier.as_ref())?;
        let store = Store::start(HotFile::of(dir, tier), options, Some(lock))
            .map_err(|e| e.context(format!("data directory {}", dir.display())))?;
        note_format(dir)?;
        Ok(store)
    }

    /// Opens over any backend.
    pub fn open_with(factory: impl BackendFactory, options: StoreOptions) -> Result<Store> {
        Store::start(factory, options, None)
    }

    fn start(factory: impl BackendFactory, options: StoreOptions, lock: Option<DirectoryLock>) -> Result<Store> {
        let (hot_bytes_max, file_bytes) = (options.hot_bytes_max, options.sealed_file_bytes);
        let shared = Arc::new(Shared::open(factory, &options)?);
        let (pressure, debt, space) = (shared.pressure.clone(), shared.debt.clone(), shared.space.clone());
        let queue = Arc::new(Queue::new(options.queue_parts, options.queue_bytes, pressure, debt, space));
        let mover = Arc::new(Mover::new(shared.clone(), queue.clone(), &options));
        mover.remove_orphans_at_open();
        let (ask, asked) = bounded::<Changed>(FOLD_REQUESTS_MAX);
        let (ask_merge, asked_merge) = bounded::<Changed>(FOLD_REQUESTS_MAX);
        let mut threads = Vec::new();
        let (fold_at, flush_at, merge_at) =
            (options.state_fold_blobs, options.state_flush_bytes, options.state_merge_runs);
        if fold_at > 0 || flush_at < u64::MAX {
            let (shared, queue) = (shared.clone(), queue.clone());
            threads.push(spawn("store-fold", move || {
                serve(&asked, &queue, "folded or flushed", |pipeline, operator| {
                    if flush_at < u64::MAX && flush::flush(&shared, &queue, pipeline, operator, flush_at, file_bytes)? {
                        // Full: the next flush asks again, and epochs wait before there are too many runs.
                        let _ = ask_merge.try_send((pipeline.to_string(), operator.to_string()));
                        return Ok(());
                    }
                    // With little room left it would take more first than it frees. The next commit asks again.
                    if fold_at > 0 && !shared.space.look().is_low() {
                        fold::fold(&shared, &queue, pipeline, operator, fold_at)?;
                    }
                    Ok(())
                });
            })?);
        }
        if merge_at > 0 {
            let (shared, queue) = (shared.clone(), queue.clone());
            threads.push(spawn("store-merge", move || {
                serve(&asked_merge, &queue, "merged", |pipeline, operator| {
                    if shared.space.look().is_low() {
                        return Err(Error::full("the disk is below its reserve"));
                    }
                    let merge =
                        || flush::merge_runs(&shared, &queue, pipeline, operator, merge_at, flush_at, file_bytes);
                    while merge()? {}
                    Ok(())
                });
            })?);
        }
        if hot_bytes_max < u64::MAX {
            let mover = mover.clone();
            threads.push(spawn("store-move", move || mover::run(&mover))?);
        }
        let terms =
            Arc::new(TermsSource::new(options.clock.clone(), options.checkpoints_retained, options.transactions));
        let sweeper = Arc::new(Sweeper::new(queue.clone(), terms.clone()));
        if options.sweep_interval_ms > 0 {
            let (sweeper, every) = (sweeper.clone(), Duration::from_millis(options.sweep_interval_ms));
            threads.push(spawn("store-sweep", move || sweeper::run(&sweeper, every))?);
        }
        let committer_terms = terms.clone();
        let (committer_shared, committer_queue, waker) = (shared.clone(), queue.clone(), mover.clone());
        threads.push(spawn("store-commit", move || {
            committer::run(&committer_shared, &committer_queue, &committer_terms, |works, unlinked| {
                if waker.unlink_later(unlinked) || committer_shared.pressure.is_high() {
                    waker.wake();
                }
                for (pipeline, operator) in fold::changed(works) {
                    // Full or gone: the next commit asks again.
                    let _ = ask.try_send((pipeline.to_string(), operator.to_string()));
                }
            });
        })?);
        let (tend, over) = bounded(0);
        let interval_ms = options.maintenance_interval_ms;
        let inner = Arc::new(Inner {
            options,
            shared,
            queue,
            mover,
            terms,
            sweeper,
            threads: Mutex::new(threads),
            lock: Mutex::new(lock),
            memory: Mutex::default(),
            tend: Mutex::new(Some(tend)),
        });
        if interval_ms > 0 {
            let weak = Arc::downgrade(&inner);
            let thread = spawn("store-tend", move || tend_all(&weak, &over, Duration::from_millis(interval_ms)))?;
            inner.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(Store { inner })
    }

    /// After an I/O error: drops the handle and opens again. True = it was reopened. Parts whose outcome was unknown
    /// are then committed or not: look.
    pub fn reopen_if_failed(&self) -> Result<bool> {
        let reopened = self.inner.shared.reopen_if_failed()?;
        if reopened {
            self.inner.mover.doubt();
        }
        Ok(reopened)
    }

    /// Why the store must be reopened; none = it works.
    pub fn failure(&self) -> Option<Error> {
        self.inner.shared.failure()
    }

    /// How often a full disk was why, since the store was opened. Waits for the calls under way: who reads while a commit
    /// meets the full disk may hear of it a moment earlier, as `Unavailable`.
    pub fn times_full(&self) -> u64 {
        self.inner.shared.times_full()
    }

    /// Bytes of the disk that appends and epochs leave free.
    pub fn reserve_bytes(&self) -> u64 {
        self.inner.options.reserve_bytes
    }

    /// Finishes what waits and closes the file; afterwards every call is `Unavailable`.
    pub fn close(&self) {
        self.inner.close();
    }

    fn not_in_callback(&self) -> Result<()> {
        if self.inner.queue.is_taker() {
            return Err(Error::bug("a commit callback waits for the store, which waits for the callback"));
        }
        Ok(())
    }

    /// Reads rows in one snapshot, which ends with the call.
    pub(crate) fn read_rows<T>(&self, read: impl FnOnce(&RedbSnapshot) -> Result<T>) -> Result<T> {
        self.inner.shared.read(read)
    }

    /// Hands a work to the committer and waits for the answer.
    pub(crate) fn ask(&self, work: Work) -> Result<Outcome> {
        if self.inner.queue.is_taker() {
            return Err(Error::bug("a commit callback waits for the store, which waits for the callback: use submit"));
        }
        let (answer, answered) = bounded(1);
        self.inner.queue.push(Job { work, on_done: Box::new(move |outcome| drop(answer.send(outcome))) });
        answered.recv().unwrap_or_else(|_| Err(closed()))
    }

    fn make_stream(&self, name: &StreamName, config: StreamConfig, exact: bool) -> Result<StreamInfo> {
        let now_ms = (self.inner.options.clock)();
        self.ask(Work::CreateStream { name: name.clone(), config, exact, now_ms })?;
        self.stream(name)?.ok_or_else(|| Error::bug(format!("stream {name} was created but is not there")))
    }

    /// Creates a stream; `Invalid` when it exists with another segment count.
    pub fn create_stream(&self, name: &StreamName, config: StreamConfig) -> Result<StreamInfo> {
        self.make_stream(name, config, true)
    }

    /// Creates a stream or gets the one there is, whose segment count is kept.
    pub fn ensure_stream(&self, name: &StreamName, config: StreamConfig) -> Result<StreamInfo> {
        match self.stream(name)? {
            Some(info) => Ok(info),
            None => self.make_stream(name, config, false),
        }
    }

    /// A stream, if it exists.
    pub fn stream(&self, name: &StreamName) -> Result<Option<StreamInfo>> {
        self.inner.shared.read(|snapshot| stream::info(snapshot, name))
    }

    /// All streams, by name.
    pub fn list_streams(&self) -> Result<Vec<StreamInfo>> {
        self.inner.shared.read(stream::list)
    }

    /// Reads from a position: the rest of the chunk that holds it, and the chunks after that while all of them together
    /// keep below `max_bytes`; nothing at the tail. `Truncated` below the head or in another generation; `Corrupt`
    /// names stream, segment and offset.
    pub fn read(&self, position: Position, max_bytes: usize) -> Result<ReadChunk> {
        let shared = &self.inner.shared;
        stream::read(&*shared.tier, || shared.read(|snapshot| stream::plan(snapshot, position, max_bytes)))
    }

    /// Moves chunks to sealed files now, oldest first, until at most so many bytes of them are hot. The background does so on
    /// its own; this is for whoever wants a small hot file (a backup, say). Also unlinks files that are no longer needed.
    pub fn seal(&self, keep_hot_bytes: u64) -> Result<SealReport> {
        self.not_in_callback()?;
        self.inner.mover.seal(keep_hot_bytes)
    }

    /// Verifies every checksum, index, manifest and sealed file; never stops at the first fault. Reads everything there is.
    /// Work goes on beside it.
    pub fn check(&self) -> Result<CheckReport> {
        self.not_in_callback()?;
        check::check(&self.inner.shared, &self.inner.mover)
    }

    /// Sizes by stream, state and tier.
    pub fn describe(&self) -> Result<StoreDescription> {
        let described = self.inner.shared.read(describe::describe)?;
        Ok(StoreDescription {
            hot_file_bytes: self.inner.shared.hot_file_bytes()?,
            hot_bytes_max: self.inner.options.hot_bytes_max,
            mover: self.mover_status(),
            disk: self.disk(),
            remote_tier: self.inner.options.remote_tier.as_ref().map(|remote| remote.url.clone()),
            ..described
        })
    }

    /// How much room there is on the disk, and who waits for more.
    pub fn disk(&self) -> DiskSpace {
        self.inner.shared.space.look()
    }

    /// How the mover of chunks is doing.
    pub fn mover_status(&self) -> MoverStatus {
        self.inner.mover.status()
    }

    /// Starts a run of a pipeline: takes the next incarnation durably, which fences older runs. `Invalid` when the max
    /// parallelism is not the one it was first started with.
    pub fn start_pipeline(&self, name: &str, max_parallelism: u32) -> Result<PipelineStart> {
        match self.ask(Work::StartPipeline { name: name.to_string(), max_parallelism })? {
            Outcome::Started(incarnation, checkpoint) => Ok(PipelineStart { incarnation, checkpoint }),
            other => Err(wrong_answer(&other)),
        }
    }

    /// The names of all pipelines that ever started.
    pub fn list_pipelines(&self) -> Result<Vec<String>> {
        self.inner.shared.read(|snapshot| snapshot.pipeline_names())
    }

    /// The retained checkpoints, newest first.
    pub fn checkpoints(&self, pipeline: &str) -> Result<Vec<CheckpointSummary>> {
        self.inner.shared.read(|snapshot| {
            let epochs = snapshot.checkpoint_epochs(pipeline)?;
            epochs.into_iter().rev().filter_map(|epoch| snapshot.checkpoint(pipeline, epoch).transpose()).collect()
        })
    }

    /// The input schedules of a retained epoch: (operator uid, subtask, schedule).
    pub fn schedules(&self, pipeline: &str, epoch: Epoch) -> Result<Vec<(String, u32, Schedule)>> {
        let stored = self.inner.shared.read(|snapshot| snapshot.schedules(pipeline, epoch))?;
        let decode = |(operator, subtask, bytes): (String, u32, Bytes)| match Schedule::decode(&bytes) {
            Ok(schedule) => Ok((operator, subtask, schedule)),
            Err(e) => Err(e.context(format!("pipeline {pipeline}, epoch {epoch}, {operator}[{subtask}]"))),
        };
        stored.into_iter().map(decode).collect()
    }

    /// The committed state of an operator, for a range of key groups: the sum of the manifest's runs and blobs.
    pub fn load_state(&self, pipeline: &str, operator: &str, key_groups: Range<u32>) -> Result<StateView> {
        let shared = &self.inner.shared;
        let context = |e: Error| e.context(format!("state of pipeline {pipeline}, operator {operator}"));
        let of_blob = |e: Error, entry: &BlobEntry| {
            e.context(format!("state of pipeline {pipeline}, operator {operator}, blob {}", entry.id.0))
        };
        // Blobs first: what is flushed between the two is in both, the same.
        let (max_parallelism, blobs) = shared.read(|snapshot| {
            let row = snapshot.pipeline(pipeline)?.filter(|row| !row.deleted);
            let row = row.ok_or_else(|| Error::not_found(format!("pipeline {pipeline} was never started here")))?;
            let manifest = snapshot.manifest(pipeline, operator).map_err(context)?.unwrap_or_default();
            let read = |entry: &BlobEntry| {
                let bytes = snapshot.blob(entry).map_err(|e| of_blob(e, entry))?;
                Ok((*entry, bytes))
            };
            Ok((row.max_parallelism, manifest.blobs.iter().map(read).collect::<Result<Vec<_>>>()?))
        })?;
        let memory = state::Memory::new(key_groups, max_parallelism);
        let cell = shared.run_cell(pipeline, operator).map_err(context)?;
        let mut view = StateView::new(memory, cell, shared.state_budget.clone()).map_err(context)?;
        for (entry, blob) in blobs {
            view.apply_delta(&blob, entry.through).map_err(|e| of_blob(e, &entry))?;
        }
        Ok(view)
    }

    /// The runs and blobs of an operator's state; none when it has no state.
    pub fn state_manifest(&self, pipeline: &str, operator: &str) -> Result<Manifest> {
        Ok(self.inner.shared.read(|snapshot| snapshot.manifest(pipeline, operator))?.unwrap_or_default())
    }

    /// Folds the blobs of an operator's state now, once, as the background does; `at` = how many of similar size are
    /// enough. False: there was nothing to fold.
    pub fn fold_state(&self, pipeline: &str, operator: &str, at: usize) -> Result<bool> {
        self.not_in_callback()?;
        fold::fold(&self.inner.shared, &self.inner.queue, pipeline, operator, at)
    }

    /// Makes a run of an operator's blobs now, as the background does once they have `state_flush_bytes`. False: there are none.
    pub fn flush_state(&self, pipeline: &str, operator: &str) -> Result<bool> {
        self.not_in_callback()?;
        let Inner { options, shared, queue, .. } = &*self.inner;
        flush::flush(shared, queue, pipeline, operator, 0, options.sealed_file_bytes)
    }

    /// Merges runs of an operator's state now, once, as the background does; `at` = how many of similar size are enough. False:
    /// there was nothing to merge.
    pub fn merge_state(&self, pipeline: &str, operator: &str, at: usize) -> Result<bool> {
        self.not_in_callback()?;
        let Inner { options, shared, queue, .. } = &*self.inner;
        let lowest = options.state_flush_bytes;
        flush::merge_runs(shared, queue, pipeline, operator, at, lowest, options.sealed_file_bytes)
    }

    /// Forgets a pipeline: checkpoints, state, timers, schedules; its streams and markers stay. Runs of it that still
    /// work are fenced. `NotFound` when it was never started.
    pub fn delete_pipeline(&self, name: &str) -> Result<()> {
        self.ask(Work::DeletePipeline { name: name.to_string() }).map(drop)
    }

    /// A named marker.
    pub fn marker(&self, name: &str) -> Result<Option<Bytes>> {
        self.inner.shared.read(|snapshot| snapshot.marker(name))
    }

    /// Hands a part to the committer. Waits while too much waits already. The callback runs on the committer's thread,
    /// and must not wait for the store.
    pub fn submit(&self, part: Part, on_done: OnDone) {
        let on_done = Box::new(move |outcome: Result<Outcome>| on_done(outcome.and_then(accepted)));
        self.inner.queue.push(Job { work: Work::Part(part), on_done });
    }

    /// Lines up for room on the disk for a part, for those who must not wait in [`Store::submit`]. None = it needs none.
    pub fn line_up(&self, part: &Part) -> Option<Room> {
        disk_bytes(part).map(|bytes| self.inner.shared.space.line_up(bytes))
    }

    /// [`Store::submit`] for a part whose room was granted ([`Room::is_granted`]); otherwise it waits for that, too.
    pub fn submit_in(&self, room: Option<Room>, part: Part, on_done: OnDone) {
        let on_done = Box::new(move |outcome: Result<Outcome>| on_done(outcome.and_then(accepted)));
        let room = room.map(|mut room| {
            if self.inner.queue.is_taker() {
                room.force()
            } else {
                room.wait()
            }
            room
        });
        self.inner.queue.push_in(room, Job { work: Work::Part(part), on_done });
    }

    /// Hands a part to the committer and waits for the outcome.
    pub fn commit(&self, part: Part) -> Result<Accepted> {
        self.ask(Work::Part(part)).and_then(accepted)
    }
}

mod streams;
mod time;
mod transactions;

pub use time::AutoTimeWriter;

fn accepted(outcome: Outcome) -> Result<Accepted> {
    match outcome {
        Outcome::Accepted(accepted) => Ok(accepted),
        Outcome::Refused(kind, why) => Err(Error::new(kind, why)),
        other => Err(wrong_answer(&other)),
    }
}

fn wrong_answer(outcome: &Outcome) -> Error {
    Error::bug(format!("the committer answered another question: {outcome:?}"))
}
