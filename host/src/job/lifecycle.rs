//! A job's life: open the store and the components, then run after run (each from the last committed epoch) until the
//! input ends, the user stops it, or the restart policy gives up. One supervisor thread per job.

use super::egress::Egresses;
use super::graph::{Graph, NodeKind};
use super::planner::Plan;
use super::restart::{RestartPolicy, Verdict};
use super::status::{RunStatus, RunSummary, StatusBoard};
use super::wiring::{self, JobParts, RunParts, sink_stream};
use super::{JobError, stopped_within};
use crate::checkpoint::coordinator::{Coordinator, Event, RunEnd};
use crate::checkpoint::protocol::Pace;
use crate::clock::Clock;
use crate::config::pipeline::{OperatorKind, Pipeline};
use crate::config::settings::Settings;
use crate::connector::{ConnectorError, Egress, sink, source};
use crate::dataflow::control::RunControl;
use crate::dataflow::encoder::Encoder;
use crate::dataflow::queue::Capacity;
use crate::dataflow::source_task::ReadLimits;
use crate::dataflow::task::{FailureKind, TaskFailure};
use crate::dataflow::worker::Executor;
use crate::operator::{SharedFactory, builtin};
use crate::remote_tier::remote_tier;
use crate::wasm::{self, WasmAggregates, WasmEngine, WasmFactory};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tidemill_storage::checkpoint::CheckpointRecord;
use tidemill_storage::stream::StreamConfig;

use tidemill_storage::{Kind, Store, StoreOptions};

/// The state of a job that waits for room on the disk.
const WAITING: &str = "waiting for disk space";
/// Between two looks whether there is room again after the disk was full, ms.
const ROOM_WAIT_MIN_MS: u64 = 10;
const ROOM_WAIT_MAX_MS: u64 = 2_000;

/// Between two rounds of the store's maintenance: policies of streams, and space that is to come back.
const MAINTENANCE_INTERVAL_MS: u64 = 5_000;

/// How a job runs on this machine.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where everything durable lies.
    pub data_dir: PathBuf,
    /// Worker threads; 0 = one per core.
    pub workers: usize,
    /// Everything else.
    pub settings: Settings,
}

/// What others may do with a running job: look at it and stop it. Clones share the job.
#[derive(Clone)]
pub struct JobControl {
    board: Arc<StatusBoard>,
    clock: Clock,
    stop: Sender<()>,
}

impl JobControl {
    /// A look at it.
    pub fn status(&self) -> RunStatus {
        self.board.status(self.clock.now_ms())
    }

    /// Stops it at a checkpoint.
    pub fn stop(&self) {
        // A job that is over needs no order.
        let _ = self.stop.send(());
    }
}

/// A running job.
pub struct RunHandle {
    control: JobControl,
    supervisor: JoinHandle<Result<RunSummary, JobError>>,
}

impl RunHandle {
    /// For those who only look at it or stop it.
    pub fn control(&self) -> JobControl {
        self.control.clone()
    }

    /// A look at it.
    pub fn status(&self) -> RunStatus {
        self.control.status()
    }

    /// Stops it at a checkpoint.
    pub fn stop(&self) {
        self.control.stop();
    }

    /// Waits for its end.
    pub fn wait(self) -> Result<RunSummary, JobError> {
        self.supervisor
            .join()
            .unwrap_or_else(|_| Err(JobError::System("the supervisor panicked (please report this)".into())))
    }

    /// Whether it is over.
    pub fn is_done(&self) -> bool {
        self.supervisor.is_finished()
    }
}

/// Opens a store with the process settings.
pub fn open_store(options: &RunOptions, clock: &Clock) -> Result<Store, JobError> {
    Ok(Store::open(&options.data_dir, store_options(&options.settings, clock)?)?)
}

/// What the process settings say of a store.
pub fn store_options(settings: &Settings, clock: &Clock) -> Result<StoreOptions, JobError> {
    let clock = clock.clone();
    let (settings, state) = (&settings.store, &settings.state);
    Ok(StoreOptions {
        cache_bytes: settings.cache_bytes as usize,
        checkpoints_retained: settings.checkpoints_retained as usize,
        hot_bytes_max: settings.hot_bytes_max,
        sealed_file_bytes: settings.sealed_file_bytes,
        // What no run holds yet must fit in memory, and takes more of it than of the file.
        state_flush_bytes: state.flush_bytes.min(state.memory_bytes / 16).max(1),
        state_memory_bytes: usize::try_from(state.memory_bytes).unwrap_or(usize::MAX),
        state_cache_bytes: state.cache_bytes,
        reserve_bytes: settings.reserve_bytes,
        maintenance_interval_ms: MAINTENANCE_INTERVAL_MS,
        remote_tier: remote_tier(settings).map_err(JobError::Invalid)?,
        clock: Arc::new(move || clock.now_ms()),
        ..StoreOptions::default()
    })
}

/// Checks a pipeline as far as that goes without running it: components, ports, sources. Gives the graph.
pub fn check(pipeline: &Pipeline, store: &Store, options: &RunOptions) -> Result<Graph, JobError> {
    Ok(prepare(pipeline.clone(), store, options)?.graph)
}

fn prepare(pipeline: Pipeline, store: &Store, options: &RunOptions) -> Result<JobParts, JobError> {
    let engine = WasmEngine::new(wasm::EngineOptions { cache_dir: Some(options.data_dir.join("cache")) })
        .map_err(|e| JobError::System(e.to_string()))?;
    let mut factories: Vec<SharedFactory> = Vec::new();
    for operator in &pipeline.operators {
        let at = |e: &dyn std::fmt::Display| JobError::Invalid(format!("operator {}: {e}", operator.name));
        let (path, window) = match &operator.kind {
            OperatorKind::Component(path) => (path, None),
            OperatorKind::Aggregator { window, component } => (component, Some(window)),
            OperatorKind::Builtin(builtin) => {
                factories.push(builtin::factory(builtin));
                continue;
            }
        };
        let component = wasm::component::load(&engine, path).map_err(|e| at(&e))?;
        let (config, limits, name) = (&operator.config, &operator.limits, &operator.name);
        factories.push(match window {
            None => Arc::new(WasmFactory::new(&engine, component, config, limits, name).map_err(|e| at(&e))?),
            Some(window) => {
                let aggregates = WasmAggregates::new(&engine, component, config, limits, name).map_err(|e| at(&e))?;
                builtin::window::factory_over(window, Arc::new(aggregates)).map_err(|e| at(&e))?
            }
        });
    }
    prepare_with(pipeline, factories, store, options)
}

fn prepare_with(
    pipeline: Pipeline,
    factories: Vec<SharedFactory>,
    store: &Store,
    options: &RunOptions,
) -> Result<JobParts, JobError> {
    let mut sources = Vec::new();
    let mut partitions = Vec::new();
    for spec in &pipeline.sources {
        let source = source::build(spec, store)?;
        partitions.push(source.partitions()?.len());
        sources.push(source);
    }
    let descriptors: Vec<_> = factories.iter().map(|f| f.descriptor().clone()).collect();
    let graph = Graph::build(&pipeline, &descriptors, &partitions)?;
    for port in graph.unread_ports(&descriptors) {
        tracing::warn!("nothing in the pipeline file reads {port}: what the operator emits there is dropped");
    }
    let plan = Plan::new(&graph);
    let s = &options.settings.dataflow;
    let read = ReadLimits { events: s.batch_events as usize, bytes: s.batch_bytes as usize };
    let queue = Capacity { elements: s.queue_batches as usize, bytes: s.queue_bytes as usize };
    Ok(JobParts { pipeline, graph, plan, sources, factories, read, queue })
}

/// Starts a pipeline. What can be checked is checked before this returns.
pub fn start(pipeline: Pipeline, options: RunOptions) -> Result<RunHandle, JobError> {
    let clock = Clock::system();
    let store = open_store(&options, &clock)?;
    start_in(pipeline, store, options, clock)
}

/// The same in a store that is open already: several pipelines of one process share it.
pub fn start_in(pipeline: Pipeline, store: Store, options: RunOptions, clock: Clock) -> Result<RunHandle, JobError> {
    let job = prepare(pipeline, &store, &options)?;
    start_prepared(job, store, options, clock)
}

/// Starts a pipeline whose operators are given as factories, over a given store: for benchmarks and tests with native
/// operators.
pub fn start_with(
    pipeline: Pipeline,
    factories: Vec<SharedFactory>,
    store: Store,
    options: RunOptions,
    clock: Clock,
) -> Result<RunHandle, JobError> {
    let job = prepare_with(pipeline, factories, &store, &options)?;
    start_prepared(job, store, options, clock)
}

fn start_prepared(job: JobParts, store: Store, options: RunOptions, clock: Clock) -> Result<RunHandle, JobError> {
    let kind = |k: NodeKind| match k {
        NodeKind::Source(_) => "source",
        NodeKind::Operator(_) => "operator",
        NodeKind::Sink(_) => "sink",
    };
    let board = Arc::new(StatusBoard::new(
        job.graph.nodes.iter().map(|n| (n.name.clone(), kind(n.kind), n.parallelism)).collect(),
    ));
    let mut egresses: Vec<(String, Box<dyn Egress>)> = Vec::new();
    for spec in &job.pipeline.sinks {
        let (stream, segments) = sink_stream(&job.pipeline.name, spec)?;
        let ensured = store.ensure_stream(&stream, StreamConfig { segments });
        ensured.map_err(|e| e.context(format!("sink {}: making stream {stream}", spec.name)))?;
        if let Some(egress) = sink::build(spec, &job.pipeline.name, &store)? {
            egresses.push((spec.name.clone(), egress));
        }
    }
    let (stop, stop_orders) = unbounded();
    let (inner_board, inner_clock) = (board.clone(), clock.clone());
    let supervisor = std::thread::Builder::new()
        .name(format!("job-{}", job.pipeline.name))
        .spawn(move || {
            let egresses = Egresses::start(egresses, &store)?;
            let supervisor = Supervisor {
                job,
                store,
                options,
                clock: inner_clock,
                board: inner_board,
                stop: stop_orders,
                stop_asked: AtomicBool::new(false),
            };
            supervisor.supervise(egresses)
        })
        .map_err(|e| JobError::System(format!("no thread for the job: {e}")))?;
    Ok(RunHandle { control: JobControl { board, clock, stop }, supervisor })
}

struct Supervisor {
    job: JobParts,
    store: Store,
    options: RunOptions,
    clock: Clock,
    board: Arc<StatusBoard>,
    stop: Receiver<()>,
    /// A run has taken the order to stop; should it fail before it has stopped, there is no other run.
    stop_asked: AtomicBool,
}

impl Supervisor {
    fn supervise(self, egresses: Egresses) -> Result<RunSummary, JobError> {
        let started = self.clock.elapsed();
        let mut policy = RestartPolicy::new(self.job.pipeline.restart.clone());
        let mut restarts = 0;
        let mut epoch = None;
        let end = loop {
            let times_full = self.store.times_full();
            let failure = match self.run_once(restarts, &egresses) {
                Ok(end) => break Ok(end),
                Err(JobError::Failed { failure, advice }) => (failure, advice),
                Err(other) => break Err(other),
            };
            let (mut failure, advice) = failure;
            if failure.kind == FailureKind::Unavailable && self.store.times_full() != times_full {
                // Who reads while a commit meets the full disk hears only that the store is out of order.
                failure.kind = FailureKind::Full;
            }
            if epoch.replace(self.board.totals().0) != Some(self.board.totals().0) {
                policy.committed();
            }
            match policy.failed(failure.kind, self.clock.now_ms()) {
                Verdict::Fail => {
                    let advice = if advice.is_empty() { give_up_advice(&failure) } else { advice };
                    break Err(JobError::Failed { failure, advice });
                }
                Verdict::Restart(_) if self.stop_asked.load(Ordering::Relaxed) => {
                    tracing::warn!(
                        "pipeline {}: rolled back to the last checkpoint, where it stops: {failure}",
                        self.job.pipeline.name
                    );
                    break Ok(RunEnd::Stopped);
                }
                Verdict::Restart(after_ms) => {
                    restarts += 1;
                    let go_on = match failure.kind {
                        FailureKind::Full => {
                            self.board.set_state(WAITING);
                            tracing::warn!(
                                "pipeline {}: rolled back to the last checkpoint, waits for room on the disk: {failure}",
                                self.job.pipeline.name
                            );
                            self.wait_for_room(after_ms)
                        }
                        _ => {
                            self.board.set_state("restarting");
                            tracing::warn!(
                                "rolled back to the last checkpoint, restart {restarts} in {after_ms} ms: {failure}"
                            );
                            self.wait_and_reopen(after_ms)
                        }
                    };
                    if !go_on {
                        break Ok(RunEnd::Stopped);
                    }
                }
            }
        };
        let finished = matches!(end, Ok(RunEnd::Finished));
        self.board.set_state("draining");
        let drained = egresses.finish(finished, &self.stop);
        self.board.set_state("done");
        end?;
        drained?;
        let (epochs, restarts) = self.board.totals();
        let elapsed_ms = self.clock.elapsed().saturating_sub(started).as_millis() as u64;
        let summary = RunSummary { finished, epochs, restarts, nodes: self.board.nodes(), elapsed_ms };
        Ok(summary)
    }

    /// Waits; false = the user wants to stop.
    fn wait(&self, ms: u64) -> bool {
        !stopped_within(&self.stop, Duration::from_millis(ms))
    }

    fn wait_and_reopen(&self, after_ms: u64) -> bool {
        let go_on = self.wait(after_ms);
        if go_on && let Err(error) = self.store.reopen_if_failed() {
            // The next run says so again, and that counts.
            tracing::warn!("the store does not open again yet: {error}");
        }
        go_on
    }

    /// Waits until the store is open and its reserve whole; false = the user wants to stop.
    fn wait_for_room(&self, after_ms: u64) -> bool {
        let longest_ms = self.job.pipeline.restart.backoff_max_ms.clamp(ROOM_WAIT_MIN_MS, ROOM_WAIT_MAX_MS);
        let mut wait_ms = after_ms.min(longest_ms);
        while self.wait(wait_ms) {
            match self.store.reopen_if_failed() {
                Ok(_) if !self.store.disk().is_low() => return true,
                // A trouble of another kind: the next run says so, and that counts.
                Err(error) if error.kind() != Kind::Full => return true,
                Ok(_) | Err(_) => {}
            }
            wait_ms = wait_ms.saturating_mul(2).clamp(ROOM_WAIT_MIN_MS, longest_ms);
        }
        false
    }

    /// One run: from the last committed epoch to its end or failure.
    fn run_once(&self, restarts: u32, egresses: &Egresses) -> Result<RunEnd, JobError> {
        let pipeline = &self.job.pipeline;
        let start = self.store.start_pipeline(&pipeline.name, pipeline.max_parallelism).map_err(as_failure)?;
        let base = start.checkpoint.unwrap_or_default();
        self.board.begin_run(&base, restarts);
        if base.finished {
            return Ok(RunEnd::Finished);
        }
        let (sender, events) = unbounded();
        let control = {
            let sender = sender.clone();
            let on_dirty = Box::new(move || drop(sender.send(Event::Dirty)));
            let staged_max = self.options.settings.dataflow.uncommitted_bytes_max;
            Arc::new(RunControl::new(base.epoch, staged_max, on_dirty))
        };
        let encoder = Encoder::start().map_err(|e| JobError::System(format!("no thread for encoding output: {e}")))?;
        let mut executor = Executor::new(self.job.plan.tasks, self.clock.clone());
        let report = {
            let sender = sender.clone();
            Arc::new(move |event| drop(sender.send(Event::Task(event))))
        };
        let run = RunParts {
            store: &self.store,
            record: &base,
            control: control.clone(),
            report,
            encoder: &encoder,
            executor: &executor,
            clock: self.clock.clone(),
            board: &self.board,
        };
        let tasks = wiring::build(&self.job, &run).map_err(|e| match e {
            JobError::Storage(error) => as_failure(error),
            JobError::Connector(ConnectorError::Storage(error)) => as_failure(error),
            JobError::Connector(error @ (ConnectorError::Unavailable(_) | ConnectorError::Full(_))) => {
                JobError::Failed { failure: error.into(), advice: String::new() }
            }
            other => other,
        })?;
        let on_failure = {
            let sender = sender.clone();
            Arc::new(move |_task, failure| drop(sender.send(Event::Failed(failure))))
        };
        executor
            .start(tasks, self.workers(), on_failure)
            .map_err(|e| JobError::System(format!("no worker threads: {e}")))?;
        self.board.set_state("running");
        let result = self.coordinate(base, start.incarnation, control, &executor, (sender, events), egresses);
        drop(executor);
        result.map_err(|failure| JobError::Failed { failure, advice: String::new() })
    }

    fn coordinate(
        &self,
        base: CheckpointRecord,
        incarnation: tidemill_storage::Incarnation,
        control: Arc<RunControl>,
        executor: &Executor,
        (sender, events): (Sender<Event>, Receiver<Event>),
        egresses: &Egresses,
    ) -> Result<RunEnd, TaskFailure> {
        let pipeline = &self.job.pipeline;
        let settings = &self.options.settings.dataflow;
        let pace = Pace {
            min_commit_interval_ms: pipeline.min_commit_interval_ms as i64,
            checkpoint_interval_ms: pipeline.checkpoint_interval_ms as i64,
            in_flight_max: settings.epochs_in_flight_max as usize,
            staged_bytes_max: settings.uncommitted_bytes_max / 4,
        };
        let (board, waiting_board) = (self.board.clone(), self.board.clone());
        let coordinator = Coordinator {
            store: self.store.clone(),
            pipeline: pipeline.name.clone(),
            incarnation,
            max_parallelism: pipeline.max_parallelism,
            base,
            control,
            wake_all: executor.wake_all_handle(),
            events,
            answers: sender.clone(),
            clock: self.clock.clone(),
            on_commit: Box::new(move |record| board.checkpointed(record)),
            on_wait: Box::new(move |waits| waiting_board.set_state(if waits { WAITING } else { "running" })),
        };
        let (over, is_over) = unbounded::<()>();
        std::thread::scope(|scope| {
            scope.spawn(|| self.watch(&sender, &is_over, egresses));
            let result = coordinator.run(pace, self.job.plan.tasks);
            drop(over);
            result
        })
    }

    /// Passes the user's stop, and an egress's failure, on to the coordinator.
    fn watch(&self, sender: &Sender<Event>, is_over: &Receiver<()>, egresses: &Egresses) {
        loop {
            crossbeam_channel::select! {
                recv(self.stop) -> order => {
                    if order.is_ok() {
                        self.stop_asked.store(true, Ordering::Relaxed);
                        let _ = sender.send(Event::Stop);
                    }
                    let _ = is_over.recv();
                    return;
                }
                recv(is_over) -> _ => return,
                default(Duration::from_millis(100)) => {}
            }
            if egresses.has_failed() {
                // Its own error comes out when the egresses are joined.
                let _ = sender.send(Event::Stop);
                let _ = is_over.recv();
                return;
            }
        }
    }

    fn workers(&self) -> usize {
        match self.options.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}

fn as_failure(error: tidemill_storage::Error) -> JobError {
    JobError::Failed { failure: error.into(), advice: String::new() }
}

fn give_up_advice(failure: &TaskFailure) -> String {
    let what = match failure.kind {
        FailureKind::Guest => "mend the operator or the event; the restart attempts are used up",
        FailureKind::Fatal => "the operator asked to stop",
        FailureKind::Unavailable | FailureKind::Full => "the trouble did not pass; the restart attempts are used up",
        FailureKind::Invalid => "this has to be mended before the pipeline can go on",
        FailureKind::Bug => "this is a fault of Tidemill's own: please report it",
    };
    format!("{what}. Everything committed is kept: run the pipeline again to go on from the last checkpoint.")
}
