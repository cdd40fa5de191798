//! Builds the tasks of one run from the plan, the last checkpoint and the store: THE place where parts are joined.

use super::JobError;
use super::graph::{Graph, NodeKind};
use super::planner::Plan;
use super::status::StatusBoard;
use crate::clock::Clock;
use crate::config::pipeline::{Edge, Pipeline, SinkKind, SinkSpec, egress_stream};
use crate::connector::{Partition, SharedSource};
use crate::dataflow::alignment::AlignmentGroup;
use crate::dataflow::chain::{ChainParts, ChainTask, Head, Node, Ports, Route};
use crate::dataflow::control::{Report, RunControl};
use crate::dataflow::dead_letter::DeadLetters;
use crate::dataflow::edge::OutputEdge;
use crate::dataflow::encoder::Encoder;
use crate::dataflow::input_gate::InputGate;
use crate::dataflow::operator_task::OperatorNode;
use crate::dataflow::queue::{Capacity, Receiver, Sender, queue};
use crate::dataflow::sink_task::SinkNode;
use crate::dataflow::source_task::{ReadLimits, SourceHead, SourcePartition};
use crate::dataflow::task::{FailureKind, Task, TaskFailure};
use crate::dataflow::worker::Executor;
use crate::operator::descriptor::StateScope;
use crate::operator::{Context, Failure, SharedFactory, Subtask};
use crate::state::KeyedState;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidemill_storage::checkpoint::CheckpointRecord;
use tidemill_storage::hash::key_group_range;
use tidemill_storage::stream::{Appender, StreamConfig, StreamInfo};
use tidemill_storage::{EventTime, Store, StreamName};

/// Everything about a job that does not change from run to run.
pub struct JobParts {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Its graph.
    pub graph: Graph,
    /// Its plan.
    pub plan: Plan,
    /// `sources[i]` belongs to `pipeline.sources[i]`.
    pub sources: Vec<SharedSource>,
    /// `factories[i]` belongs to `pipeline.operators[i]`.
    pub factories: Vec<SharedFactory>,
    /// How much sources read at once.
    pub read: ReadLimits,
    /// Queues between tasks.
    pub queue: Capacity,
}

/// What a run adds.
pub struct RunParts<'a> {
    /// The store.
    pub store: &'a Store,
    /// Where the run goes on from.
    pub record: &'a CheckpointRecord,
    /// Signals.
    pub control: Arc<RunControl>,
    /// Where handovers go.
    pub report: Report,
    /// Encodes what sinks put out.
    pub encoder: &'a Encoder,
    /// Gives the tasks' wakers.
    pub executor: &'a Executor,
    /// The clock.
    pub clock: Clock,
    /// Counters and progress.
    pub board: &'a StatusBoard,
}

/// The stream that a sink writes: its own, or the internal one that its egress reads.
pub fn sink_stream(pipeline: &str, sink: &SinkSpec) -> Result<(StreamName, u32), JobError> {
    Ok(match &sink.kind {
        SinkKind::Stream { stream, segments } => (stream.clone(), *segments),
        SinkKind::File(_) | SinkKind::Stdout => (egress_stream(pipeline, &sink.name)?, 1),
    })
}

#[derive(Default)]
struct Channels {
    /// (edge, upstream subtask) -> senders in the order of the subtasks downstream.
    senders: BTreeMap<(usize, u32), Vec<Sender>>,
    /// (chain, subtask) -> (input, receiver).
    receivers: BTreeMap<(usize, u32), Vec<(u32, Receiver)>>,
}

/// All tasks of a run, in the order of the plan.
pub fn build(job: &JobParts, run: &RunParts<'_>) -> Result<Vec<Box<dyn Task>>, JobError> {
    let mut channels = join_tasks(job, run);
    let dead_letters = run.store.ensure_stream(&job.pipeline.dead_letters, StreamConfig::default())?;
    let partitions = open_partitions(job, run)?;
    let groups = alignment_groups(job);
    let mut tasks: Vec<Box<dyn Task>> = Vec::with_capacity(job.plan.tasks);
    for (chain_index, chain) in job.plan.chains.iter().enumerate() {
        for subtask in 0..chain.parallelism {
            let parts = TaskBuilder { job, run, groups: &groups, chain_index, subtask, edges: Vec::new() };
            let receivers = channels.receivers.remove(&(chain_index, subtask)).unwrap_or_default();
            let parts = parts.build(&mut channels, receivers, &partitions, &dead_letters)?;
            tasks.push(Box::new(ChainTask::new(parts, run.control.clone(), run.report.clone(), run.clock.clone())));
        }
    }
    Ok(tasks)
}

fn join_tasks(job: &JobParts, run: &RunParts<'_>) -> Channels {
    let mut channels = Channels::default();
    for (index, edge) in job.graph.edges.iter().enumerate() {
        if job.plan.is_chained(&job.graph, edge) {
            continue;
        }
        let (from, to) = (job.plan.chain_of[edge.from], job.plan.chain_of[edge.to]);
        let (from_chain, to_chain) = (&job.plan.chains[from], &job.plan.chains[to]);
        for up in 0..from_chain.parallelism {
            for down in 0..to_chain.parallelism {
                if edge.kind == Edge::Forward && up != down {
                    continue;
                }
                let producer = run.executor.waker(from_chain.first_task + up as usize);
                let consumer = run.executor.waker(to_chain.first_task + down as usize);
                let (sender, receiver) = queue(job.queue, producer, consumer);
                channels.senders.entry((index, up)).or_default().push(sender);
                channels.receivers.entry((to, down)).or_default().push((edge.input, receiver));
            }
        }
    }
    channels
}

fn open_partitions(job: &JobParts, run: &RunParts<'_>) -> Result<Vec<Vec<Partition>>, JobError> {
    let none = BTreeMap::new();
    let sources = job.pipeline.sources.iter().zip(&job.sources);
    sources.map(|(spec, source)| Ok(source.resume(run.record.sources.get(&spec.name).unwrap_or(&none))?)).collect()
}

/// The groups in which sources align their watermarks, by name.
type Groups = BTreeMap<String, Arc<AlignmentGroup>>;

fn alignment_groups(job: &JobParts) -> Groups {
    let aligned = job.pipeline.sources.iter().filter_map(|source| source.watermark.align.as_ref());
    aligned.map(|align| (align.group.clone(), Arc::new(AlignmentGroup::default()))).collect()
}

struct TaskBuilder<'a> {
    job: &'a JobParts,
    run: &'a RunParts<'a>,
    groups: &'a Groups,
    chain_index: usize,
    subtask: u32,
    edges: Vec<OutputEdge>,
}

impl TaskBuilder<'_> {
    fn build(
        mut self,
        channels: &mut Channels,
        receivers: Vec<(u32, Receiver)>,
        partitions: &[Vec<Partition>],
        dead_letters: &StreamInfo,
    ) -> Result<ChainParts, JobError> {
        let job = self.job;
        let chain = &job.plan.chains[self.chain_index];
        let epoch = self.run.record.epoch.next();
        let has_source = job.plan.has_source(&job.graph, self.chain_index);
        let place = |node: usize| chain.nodes.iter().position(|n| *n == node).map(|p| p - usize::from(has_source));
        let mut ports_of = |builder: &mut Self, node: usize| builder.ports(node, channels, &place);

        let head_ports = if has_source { ports_of(&mut self, chain.nodes[0])? } else { Vec::new() };
        let mut nodes = Vec::new();
        for node in chain.nodes.iter().skip(usize::from(has_source)) {
            let ports = ports_of(&mut self, *node)?;
            nodes.push((self.node(*node)?, ports));
        }
        let head = if has_source {
            Head::Source(Box::new(self.source(chain.nodes[0], partitions)?))
        } else {
            let floor = self.restored_watermark(&job.graph.nodes[chain.nodes[0]].name);
            Head::Gate(InputGate::new(receivers, epoch, floor))
        };
        Ok(ChainParts {
            task: chain.first_task + self.subtask as usize,
            head,
            head_ports,
            nodes,
            edges: self.edges,
            dead_letters: DeadLetters::new(Appender::new(dead_letters)),
        })
    }

    fn ports(
        &mut self,
        node: usize,
        channels: &mut Channels,
        place: &dyn Fn(usize) -> Option<usize>,
    ) -> Result<Ports, JobError> {
        let mut ports: Ports = vec![Vec::new(); self.job.graph.nodes[node].ports];
        for (index, edge) in self.job.graph.edges.iter().enumerate().filter(|(_, e)| e.from == node) {
            let route = if self.job.plan.is_chained(&self.job.graph, edge) {
                let node = place(edge.to).ok_or_else(|| bug("a chained node is not in its chain"))?;
                Route::Chained { node, input: edge.input }
            } else {
                let senders = channels.senders.remove(&(index, self.subtask)).unwrap_or_default();
                self.edges.push(OutputEdge::new(edge.kind, senders, self.job.pipeline.max_parallelism));
                Route::Edge(self.edges.len() - 1)
            };
            ports.get_mut(edge.port as usize).ok_or_else(|| bug("an edge begins at no port"))?.push(route);
        }
        Ok(ports)
    }

    fn restored_watermark(&self, uid: &str) -> EventTime {
        self.run.record.watermarks.get(uid).copied().unwrap_or(EventTime::MIN)
    }

    fn node(&self, node: usize) -> Result<Node, JobError> {
        let name: Arc<str> = self.job.graph.nodes[node].name.as_str().into();
        let counters = self.run.board.counters(node);
        match self.job.graph.nodes[node].kind {
            NodeKind::Sink(i) => {
                let (stream, segments) = sink_stream(&self.job.pipeline.name, &self.job.pipeline.sinks[i])?;
                let info = self.run.store.ensure_stream(&stream, StreamConfig { segments })?;
                let encoder = self.run.encoder.handle();
                Ok(Node::Sink(Box::new(SinkNode::new(name, info.stream, Appender::new(&info), encoder, counters))))
            }
            NodeKind::Operator(i) => {
                let factory = &self.job.factories[i];
                let parallelism = self.job.graph.nodes[node].parallelism;
                let max_parallelism = self.job.pipeline.max_parallelism;
                let groups = key_group_range(self.subtask, parallelism, max_parallelism);
                let view = self.run.store.load_state(&self.job.pipeline.name, &name, groups.clone())?;
                let descriptor = factory.descriptor();
                let kinds = descriptor.states.iter().map(|s| s.kind).collect();
                let subtask = Subtask { index: self.subtask, parallelism, max_parallelism };
                let mut state = KeyedState::new(view, kinds, max_parallelism, groups).with_states(&descriptor.states);
                if descriptor.states.iter().any(|s| s.scope == StateScope::Broadcast) {
                    let groups = KeyedState::broadcast_key_groups(max_parallelism);
                    let view = self.run.store.load_state(&self.job.pipeline.name, &name, groups)?;
                    let inputs = &self.job.pipeline.operators[i].inputs;
                    state = state.with_broadcast(view, inputs.iter().map(|i| i.edge == Edge::Broadcast).collect());
                }
                let mut context =
                    Context { state, subtask: Some(subtask), now_ms: self.run.clock.now_ms(), ..Context::default() };
                let operator = factory.create(&mut context).map_err(|f| open_failure(&name, &f))?;
                let watermark = self.restored_watermark(&name);
                let node = OperatorNode::new(name, operator, descriptor, context, subtask, watermark, counters)
                    .map_err(|failure| JobError::Failed { failure, advice: "the committed state is kept".into() })?;
                Ok(Node::Operator(Box::new(node)))
            }
            NodeKind::Source(_) => Err(bug("a source behind another node")),
        }
    }

    fn source(&self, node: usize, partitions: &[Vec<Partition>]) -> Result<SourceHead, JobError> {
        let NodeKind::Source(i) = self.job.graph.nodes[node].kind else {
            return Err(bug("a chain's head is no source"));
        };
        let spec = &self.job.pipeline.sources[i];
        let restored = self.run.record.sources.get(&spec.name);
        let parallelism = self.job.graph.nodes[node].parallelism;
        if let Some(gone) = restored
            .into_iter()
            .flatten()
            .find(|(id, p)| !p.ended && !partitions[i].iter().any(|known| known.id == **id))
        {
            return Err(JobError::Invalid(format!(
                "source {}: {} was being read at the last checkpoint and is gone; put it back, or start with another data directory",
                spec.name, gone.0
            )));
        }
        let mut own = Vec::new();
        for partition in partitions[i].iter().skip(self.subtask as usize).step_by(parallelism as usize) {
            let position = restored.and_then(|r| r.get(&partition.id));
            let reader = self.job.sources[i].open(partition, position.map(|p| p.position.as_slice()))?;
            let progress = self.run.board.add_partition();
            let id = partition.id.clone();
            own.push(SourcePartition::new(&spec.name, id, reader, spec.watermark.kind, position, progress));
        }
        let epoch = self.run.record.epoch.next();
        let counters = self.run.board.counters(node);
        let group = spec.watermark.align.as_ref().and_then(|align| self.groups.get(&align.group).cloned());
        let name = spec.name.as_str().into();
        Ok(SourceHead::new(name, own, &spec.watermark, group, self.job.read, epoch, counters))
    }
}

fn open_failure(uid: &str, failure: &Failure) -> JobError {
    let (kind, what) = match failure {
        Failure::Retry(_) => (FailureKind::Guest, "asked for a retry".to_string()),
        Failure::Fatal(message) => (FailureKind::Fatal, message.clone()),
        Failure::Trap { message, backtrace } => (FailureKind::Guest, format!("{message}\n{backtrace}")),
        Failure::Bug(message) => (FailureKind::Bug, message.clone()),
    };
    let failure = TaskFailure::new(kind, format!("operator {uid} did not open: {what}"));
    JobError::Failed { failure, advice: "mend the operator or its config in the pipeline file".into() }
}

fn bug(what: &str) -> JobError {
    let failure = TaskFailure::new(FailureKind::Bug, format!("{what} (please report this)"));
    JobError::Failed { failure, advice: String::new() }
}
