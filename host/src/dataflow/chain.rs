//! A task: a head and the nodes chained behind it. One step takes one element, or one piece of pending work, through
//! one node: at most one operator call. Workers step it; edges carry what leaves.
//!
//! Pending work is a deque that is used like a stack: what a node gives to a chained node goes in front, in order, so
//! an element is through the whole chain before the next one starts, and no order is lost. Elements for other tasks go
//! straight to their edge: before it works a task sees that every edge has room, so queues stay bounded by their bound
//! plus the output of one step.
//!
//! A barrier waits for nothing that may be long. It may pass a watermark whose timers are a flood, between two calls with
//! them: what is left lies in state, and the nodes behind hand over the watermark before. It may pass results that an
//! outside service still owes (docs/calls.md): a node without room takes what is in front of a barrier all the same.

use crate::clock::Clock;
use crate::dataflow::control::{Handover, Report, RunControl, TaskEvent};
use crate::dataflow::dead_letter::DeadLetters;
use crate::dataflow::edge::OutputEdge;
use crate::dataflow::element::{Element, EventBatch};
use crate::dataflow::input_gate::{GateEvent, InputGate};
use crate::dataflow::operator_task::{CallEnv, Called, OperatorNode, OutsideWork};
use crate::dataflow::sink_task::SinkNode;
use crate::dataflow::source_task::{SourceEvent, SourceHead};
use crate::dataflow::task::{Progress, Task, TaskFailure};
use std::collections::VecDeque;
use std::sync::Arc;
use tidemill_storage::{Epoch, EventTime};

/// Where a task's elements come from.
pub enum Head {
    /// A source.
    Source(Box<SourceHead>),
    /// Other tasks.
    Gate(InputGate),
}

/// A node of the chain.
pub enum Node {
    /// An operator.
    Operator(Box<OperatorNode>),
    /// A sink.
    Sink(Box<SinkNode>),
}

/// Where an output port leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To a chained node's input.
    Chained {
        /// Index in the chain.
        node: usize,
        /// The operator's input.
        input: u32,
    },
    /// To other tasks: index of the task's edge.
    Edge(usize),
}

/// Routes of one node's (or the head's) output ports: `ports[p]` = where port p leads.
pub type Ports = Vec<Vec<Route>>;

/// A task to build.
pub struct ChainParts {
    /// Index among the run's tasks.
    pub task: usize,
    /// Where elements come from. A gate feeds node 0.
    pub head: Head,
    /// The head's ports; a gate has none of its own.
    pub head_ports: Ports,
    /// Nodes, each behind what feeds it, with their ports.
    pub nodes: Vec<(Node, Ports)>,
    /// Ways out.
    pub edges: Vec<OutputEdge>,
    /// The task's dead letters.
    pub dead_letters: DeadLetters,
}

#[derive(Clone, Copy, Debug)]
enum Signal {
    Watermark(EventTime),
    Barrier(Epoch),
    Idle,
    Active,
    End,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the list is a few entries long and reused: a box would cost an allocation per batch"
)]
enum Work {
    Batch { node: usize, input: u32, channel: u32, batch: EventBatch },
    Signal { node: usize, signal: Signal },
    Tick { node: usize },
    Outside { node: usize, work: OutsideWork },
}

/// The task.
pub struct ChainTask {
    parts: ChainParts,
    control: Arc<RunControl>,
    report: Report,
    clock: Clock,
    work: VecDeque<Work>,
    handover: Option<Box<Handover>>,
    barrier_nodes_left: usize,
    nodes_ended: usize,
    committed: Epoch,
    retry_at_ms: Option<i64>,
    is_begun: bool,
    /// Pending timers or a watermark have had a call, and have more to do.
    interrupted: bool,
    /// Answers had the last turn.
    answered: bool,
}

impl ChainTask {
    /// Puts a task together.
    pub fn new(parts: ChainParts, control: Arc<RunControl>, report: Report, clock: Clock) -> ChainTask {
        let committed = control.committed();
        ChainTask {
            parts,
            control,
            report,
            clock,
            work: VecDeque::new(),
            handover: None,
            barrier_nodes_left: 0,
            nodes_ended: 0,
            committed,
            retry_at_ms: None,
            is_begun: false,
            interrupted: false,
            answered: false,
        }
    }

    /// The barrier of the checkpoint may have passed a watermark on its way: who has begun it goes on, and whoever is behind learns
    /// of it again, before any input comes.
    fn say_watermarks_again(&mut self) -> Result<(), TaskFailure> {
        for (node, (operator, _)) in self.parts.nodes.iter().enumerate() {
            if let Node::Operator(operator) = operator
                && let Some(begun) = operator.begun_watermark()
            {
                self.work.push_back(Work::Signal { node, signal: Signal::Watermark(begun) });
            }
        }
        let passed = |(node, _): &(Node, Ports)| match node {
            Node::Operator(operator) => operator.passed_watermark(),
            Node::Sink(_) => EventTime::MIN,
        };
        for from in 0..self.parts.nodes.len() {
            let watermark = passed(&self.parts.nodes[from]);
            let signal = Signal::Watermark(watermark);
            let mut told: Vec<Route> = Vec::new();
            for route in self.parts.nodes[from].1.iter().flatten() {
                if watermark == EventTime::MIN || told.iter().any(|r| r.same_target(route)) {
                    continue;
                }
                told.push(*route);
                match *route {
                    Route::Edge(edge) => self.parts.edges[edge].push(signal.element())?,
                    Route::Chained { node, .. } if passed(&self.parts.nodes[node]) < watermark => {
                        self.work.push_back(Work::Signal { node, signal });
                    }
                    Route::Chained { .. } => {}
                }
            }
        }
        Ok(())
    }

    fn learn_commits(&mut self) {
        let committed = self.control.committed();
        while self.committed < committed {
            self.committed = self.committed.next();
            for (node, _) in &mut self.parts.nodes {
                if let Node::Operator(operator) = node {
                    operator.committed(self.committed);
                }
            }
        }
    }

    /// Takes the next element from the head and turns it into work.
    fn take_input(&mut self, now_ms: i64) -> Result<Progress, TaskFailure> {
        match &mut self.parts.head {
            Head::Gate(gate) => {
                let Some(event) = gate.poll()? else { return Ok(Progress::Blocked(self.next_tick())) };
                let work = match event {
                    GateEvent::Batch { input, channel, batch } => Work::Batch { node: 0, input, channel, batch },
                    GateEvent::Watermark(w) => Work::Signal { node: 0, signal: Signal::Watermark(w) },
                    GateEvent::Idle => Work::Signal { node: 0, signal: Signal::Idle },
                    GateEvent::Active => Work::Signal { node: 0, signal: Signal::Active },
                    GateEvent::End => Work::Signal { node: 0, signal: Signal::End },
                    GateEvent::Barrier(epoch) => {
                        self.begin_barrier(epoch);
                        Work::Signal { node: 0, signal: Signal::Barrier(epoch) }
                    }
                };
                self.work.push_back(work);
                Ok(Progress::Working)
            }
            Head::Source(_) => self.take_source(now_ms),
        }
    }

    /// Whether a barrier is on its way to the head.
    fn barrier_comes(&self) -> bool {
        let epoch = match &self.parts.head {
            Head::Gate(gate) => gate.epoch(),
            Head::Source(source) => source.epoch(),
        };
        self.control.barrier() >= epoch
    }

    /// Takes the barrier, in front of all pending work, if the head has it next.
    fn take_barrier(&mut self) -> Result<bool, TaskFailure> {
        let barrier = match &mut self.parts.head {
            Head::Gate(gate) => gate.poll_barrier()?,
            Head::Source(source) => source.poll_barrier(&self.control),
        };
        let Some(epoch) = barrier else { return Ok(false) };
        self.begin_barrier(epoch);
        let signal = Signal::Barrier(epoch);
        match &mut self.parts.head {
            Head::Gate(_) => self.work.push_front(Work::Signal { node: 0, signal }),
            Head::Source(source) => {
                if let Some(handover) = self.handover.as_mut() {
                    source.hand_over(handover);
                }
                self.emit(None, Vec::new(), Some(&signal))?;
            }
        }
        Ok(true)
    }

    fn take_source(&mut self, now_ms: i64) -> Result<Progress, TaskFailure> {
        let Head::Source(source) = &mut self.parts.head else { return Ok(Progress::Working) };
        let event = source.poll(&self.control, now_ms)?;
        let name = source.name().clone();
        for refused in source.take_rejected() {
            self.parts.dead_letters.reject_input(&name, refused.time, &refused.value, &refused.reason)?;
        }
        let signal = match event {
            SourceEvent::Batch(batch) => {
                self.emit(None, vec![(0, batch)], None)?;
                return Ok(Progress::Working);
            }
            SourceEvent::Nothing(until) => {
                let next = [until, self.next_tick()].into_iter().flatten().min();
                return Ok(Progress::Blocked(next));
            }
            SourceEvent::Barrier(epoch) => {
                self.begin_barrier(epoch);
                if let (Head::Source(source), Some(handover)) = (&mut self.parts.head, self.handover.as_mut()) {
                    source.hand_over(handover);
                }
                Signal::Barrier(epoch)
            }
            SourceEvent::Watermark(w) => Signal::Watermark(w),
            SourceEvent::Idle => Signal::Idle,
            SourceEvent::Active => Signal::Active,
            SourceEvent::End => Signal::End,
        };
        self.emit(None, Vec::new(), Some(&signal))?;
        if self.parts.nodes.is_empty() {
            self.after_signal(&signal)?;
        }
        Ok(Progress::Working)
    }

    fn begin_barrier(&mut self, epoch: Epoch) {
        self.handover = Some(Box::new(Handover { epoch, ..Handover::default() }));
        self.barrier_nodes_left = self.parts.nodes.len();
    }

    /// Sends a node's output (or the head's, for `None`) on, then a signal, once to every chained node and edge behind.
    fn emit(
        &mut self,
        node: Option<usize>,
        output: Vec<(u32, EventBatch)>,
        signal: Option<&Signal>,
    ) -> Result<(), TaskFailure> {
        let ports = node.map_or(&self.parts.head_ports, |n| &self.parts.nodes[n].1);
        let mut chained = Vec::new();
        for (port, batch) in output {
            let Some((last, others)) = ports.get(port as usize).and_then(|routes| routes.split_last()) else {
                continue;
            };
            if batch.events.is_empty() {
                continue;
            }
            for route in others {
                send(&mut self.parts.edges, &mut chained, *route, batch.clone())?;
            }
            send(&mut self.parts.edges, &mut chained, *last, batch)?;
        }
        if let Some(signal) = signal {
            let mut reached: Vec<Route> = Vec::new();
            for route in ports.iter().flatten() {
                if reached.iter().any(|r| r.same_target(route)) {
                    continue;
                }
                reached.push(*route);
                match *route {
                    Route::Edge(edge) => self.parts.edges[edge].push(signal.element())?,
                    Route::Chained { node, .. } => chained.push(Work::Signal { node, signal: *signal }),
                }
            }
        }
        chained.into_iter().rev().for_each(|work| self.work.push_front(work));
        Ok(())
    }

    /// One piece of pending work.
    fn work_once(&mut self, work: Work, now_ms: i64) -> Result<Progress, TaskFailure> {
        match work {
            Work::Batch { node, input, channel, batch } => {
                let (target, mut env) = parts_of(&mut self.parts, &self.control, node, now_ms);
                match target {
                    Node::Sink(sink) => sink.batch(batch, env.control),
                    Node::Operator(operator) => match operator.batch(input, channel, &batch, &mut env)? {
                        Called::Done(output) | Called::More(output) => self.emit(Some(node), output, None)?,
                        Called::Retry(at) => return Ok(self.again_at(at, Work::Batch { node, input, channel, batch })),
                        Called::Held => {}
                    },
                }
            }
            Work::Tick { node } => {
                let (Node::Operator(operator), mut env) = parts_of(&mut self.parts, &self.control, node, now_ms) else {
                    return Ok(Progress::Working);
                };
                match operator.tick(&mut env)? {
                    Called::Done(output) => self.emit(Some(node), output, None)?,
                    Called::More(output) => {
                        self.interrupt(node, Work::Tick { node });
                        self.emit(Some(node), output, None)?;
                    }
                    Called::Retry(at) => return Ok(self.again_at(at, Work::Tick { node })),
                    Called::Held => {}
                }
            }
            Work::Outside { node, work } => {
                let (Node::Operator(operator), mut env) = parts_of(&mut self.parts, &self.control, node, now_ms) else {
                    return Ok(Progress::Working);
                };
                let signal = match work {
                    OutsideWork::Watermark(watermark) => Some(Signal::Watermark(watermark)),
                    OutsideWork::Answers => None,
                    OutsideWork::Idle => Some(Signal::Idle),
                    OutsideWork::End => Some(Signal::End),
                };
                match operator.outside(work, &mut env)? {
                    Called::Done(output) | Called::More(output) => {
                        self.emit(Some(node), output, signal.as_ref())?;
                        signal.map_or(Ok(()), |signal| self.after_signal(&signal))?;
                    }
                    Called::Retry(at) => return Ok(self.again_at(at, Work::Outside { node, work })),
                    Called::Held => {}
                }
            }
            Work::Signal { node, signal } => return self.signal(node, signal, now_ms),
        }
        Ok(Progress::Working)
    }

    fn signal(&mut self, node: usize, signal: Signal, now_ms: i64) -> Result<Progress, TaskFailure> {
        let (target, mut env) = parts_of(&mut self.parts, &self.control, node, now_ms);
        let called = match (&signal, target) {
            (Signal::Watermark(w), Node::Sink(sink)) => {
                sink.watermark(*w);
                Called::Done(Vec::new())
            }
            (Signal::Watermark(w), Node::Operator(operator)) => operator.advance(*w, &mut env)?,
            (Signal::End, Node::Operator(operator)) => operator.close(&mut env)?,
            (Signal::Idle | Signal::Active, Node::Operator(operator)) => {
                operator.silence(matches!(signal, Signal::Idle))
            }
            (Signal::Barrier(_), target) => {
                if let Some(handover) = self.handover.as_mut() {
                    match target {
                        Node::Sink(sink) => sink.hand_over(handover),
                        Node::Operator(operator) => operator.hand_over(handover)?,
                    }
                }
                Called::Done(Vec::new())
            }
            (Signal::Idle | Signal::Active | Signal::End, Node::Sink(_)) => Called::Done(Vec::new()),
        };
        match called {
            Called::Done(output) => {
                self.emit(Some(node), output, Some(&signal))?;
                self.after_signal(&signal)?;
            }
            Called::More(output) => {
                self.interrupt(node, Work::Signal { node, signal });
                self.emit(Some(node), output, None)?;
            }
            Called::Held => {}
            Called::Retry(at) => return Ok(self.again_at(at, Work::Signal { node, signal })),
        }
        Ok(Progress::Working)
    }

    fn after_signal(&mut self, signal: &Signal) -> Result<(), TaskFailure> {
        match signal {
            Signal::Barrier(_) => {
                self.barrier_nodes_left = self.barrier_nodes_left.saturating_sub(1);
                if self.barrier_nodes_left == 0 {
                    self.report_handover()?;
                }
            }
            Signal::End => {
                self.nodes_ended += 1;
                self.control.mark_dirty();
            }
            Signal::Watermark(_) | Signal::Idle | Signal::Active => {}
        }
        Ok(())
    }

    fn report_handover(&mut self) -> Result<(), TaskFailure> {
        let Some(mut handover) = self.handover.take() else { return Ok(()) };
        handover.appends.append(&mut self.parts.dead_letters.take()?);
        handover.ended = self.nodes_ended >= self.parts.nodes.len().max(1);
        (self.report)(TaskEvent::HandedOver { task: self.parts.task, handover });
        Ok(())
    }

    /// Puts back what is done in part. Its output goes in front of it.
    fn interrupt(&mut self, node: usize, work: Work) {
        self.work.push_front(work);
        self.interrupted = matches!(&self.parts.nodes[node].0, Node::Operator(operator) if operator.may_be_passed());
    }

    fn may_be_passed(&self) -> bool {
        self.work.iter().all(Work::may_be_passed)
    }

    /// Whether one of the nodes from this one on has no room.
    fn is_full(&self, from: usize) -> bool {
        let nodes = &self.parts.nodes[from..];
        nodes.iter().any(|(node, _)| matches!(node, Node::Operator(operator) if operator.is_full()))
    }

    /// What there is to do for nodes from this one on that work outside of their calls; the last node first, to make room.
    fn take_outside(&mut self, from: usize) -> bool {
        let work = |(index, (node, _)): (usize, &(Node, Ports))| match node {
            Node::Operator(operator) => operator.next_outside().map(|work| Work::Outside { node: index, work }),
            Node::Sink(_) => None,
        };
        let Some(found) = self.parts.nodes.iter().enumerate().skip(from).rev().find_map(work) else { return false };
        self.work.push_front(found);
        true
    }

    fn pause_source(&mut self) {
        if let Head::Source(source) = &mut self.parts.head {
            source.pause();
        }
    }

    fn again_at(&mut self, at_ms: i64, work: Work) -> Progress {
        self.work.push_front(work);
        self.retry_at_ms = Some(at_ms);
        Progress::Blocked(Some(at_ms))
    }

    fn next_tick(&self) -> Option<i64> {
        let next = |(node, _): &(Node, Ports)| match node {
            Node::Operator(operator) => operator.next_tick(),
            Node::Sink(_) => None,
        };
        self.parts.nodes.iter().filter_map(next).min()
    }

    fn take_due_tick(&mut self, now_ms: i64) -> bool {
        let due = self.parts.nodes.iter().position(|(node, _)| match node {
            Node::Operator(operator) => operator.next_tick().is_some_and(|at| at <= now_ms),
            Node::Sink(_) => false,
        });
        if let Some(node) = due {
            self.work.push_back(Work::Tick { node });
        }
        due.is_some()
    }
}

impl Work {
    fn node(&self) -> usize {
        match self {
            Work::Batch { node, .. } | Work::Signal { node, .. } | Work::Tick { node } | Work::Outside { node, .. } => {
                *node
            }
        }
    }

    /// Whether a barrier may pass it: timers, and watermarks.
    fn may_be_passed(&self) -> bool {
        matches!(self, Work::Tick { .. } | Work::Signal { signal: Signal::Watermark(_), .. })
    }
}

impl Signal {
    fn element(&self) -> Element {
        match self {
            Signal::Watermark(w) => Element::Watermark(*w),
            Signal::Barrier(epoch) => Element::Barrier(*epoch),
            Signal::Idle => Element::Idle,
            Signal::Active => Element::Active,
            Signal::End => Element::End,
        }
    }
}

impl Route {
    fn same_target(&self, other: &Route) -> bool {
        match (self, other) {
            (Route::Chained { node: a, .. }, Route::Chained { node: b, .. }) => a == b,
            (a, b) => a == b,
        }
    }
}

fn send(edges: &mut [OutputEdge], chained: &mut Vec<Work>, route: Route, batch: EventBatch) -> Result<(), TaskFailure> {
    match route {
        Route::Edge(edge) => edges[edge].push(Element::Batch(batch)),
        Route::Chained { node, input } => {
            chained.push(Work::Batch { node, input, channel: 0, batch });
            Ok(())
        }
    }
}

fn parts_of<'a>(
    parts: &'a mut ChainParts,
    control: &'a RunControl,
    node: usize,
    now_ms: i64,
) -> (&'a mut Node, CallEnv<'a>) {
    let env = CallEnv { control, dead_letters: &mut parts.dead_letters, now_ms };
    (&mut parts.nodes[node].0, env)
}

impl Task for ChainTask {
    fn step(&mut self) -> Result<Progress, TaskFailure> {
        self.learn_commits();
        let now_ms = self.clock.now_ms();
        if let Some(at) = self.retry_at_ms {
            if now_ms < at {
                return Ok(Progress::Blocked(Some(at)));
            }
            self.retry_at_ms = None;
        }
        if !self.parts.edges.iter().all(OutputEdge::has_room) {
            self.pause_source();
            return Ok(Progress::Blocked(None));
        }
        if !std::mem::replace(&mut self.is_begun, true) {
            self.say_watermarks_again()?;
        }
        if self.interrupted && self.may_be_passed() {
            if self.barrier_comes() && self.take_barrier()? {
                return Ok(Progress::Working);
            }
            // What a flood makes would find no room behind it: answers first. Not those of nodes in front of it, which would overtake.
            let from = self.work.front().map_or(0, Work::node);
            if self.is_full(from) {
                return Ok(if self.take_outside(from) { Progress::Working } else { Progress::Blocked(None) });
            }
        }
        if let Some(work) = self.work.pop_front() {
            self.interrupted &= !work.may_be_passed();
            return self.work_once(work, now_ms);
        }
        if self.take_due_tick(now_ms) {
            return Ok(Progress::Working);
        }
        // Answers and input take turns, so that neither waits for the other's end.
        if !std::mem::take(&mut self.answered) && self.take_outside(0) {
            self.answered = true;
            return Ok(Progress::Working);
        }
        let progress = match !self.is_full(0) || self.barrier_comes() {
            true => self.take_input(now_ms)?,
            false => {
                self.pause_source();
                Progress::Blocked(self.next_tick())
            }
        };
        match progress {
            Progress::Blocked(_) if self.take_outside(0) => Ok(Progress::Working),
            progress => Ok(progress),
        }
    }
}
