//! The logical graph of a pipeline: nodes and edges with ports resolved, from the pipeline file and what the components
//! say of themselves. The planner turns it into tasks.

use super::JobError;
use crate::config::pipeline::{Edge, InputSpec, Pipeline, PortRef};
use crate::operator::Descriptor;
use crate::operator::descriptor::StateScope;

/// Which part of the pipeline file a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// `pipeline.sources[i]`.
    Source(usize),
    /// `pipeline.operators[i]`.
    Operator(usize),
    /// `pipeline.sinks[i]`.
    Sink(usize),
}

/// A node.
#[derive(Clone, Debug)]
pub struct GraphNode {
    /// Its name in the file.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// Subtasks.
    pub parallelism: u32,
    /// Output ports.
    pub ports: usize,
}

/// An edge between two nodes.
#[derive(Clone, Copy, Debug)]
pub struct GraphEdge {
    /// Upstream node.
    pub from: usize,
    /// Its port.
    pub port: u32,
    /// Downstream node.
    pub to: usize,
    /// Its input.
    pub input: u32,
    /// How events travel.
    pub kind: Edge,
}

/// The graph. Nodes stand behind everything that feeds them.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Nodes in topological order.
    pub nodes: Vec<GraphNode>,
    /// Edges.
    pub edges: Vec<GraphEdge>,
}

impl Graph {
    /// Builds it. `descriptors[i]` belongs to `pipeline.operators[i]`, `partitions[i]` = how many partitions source i has.
    pub fn build(pipeline: &Pipeline, descriptors: &[Descriptor], partitions: &[usize]) -> Result<Graph, JobError> {
        let mut graph = Graph::default();
        for (i, source) in pipeline.sources.iter().enumerate() {
            let parallelism = pipeline.parallelism.min(partitions[i] as u32).max(1);
            graph.add(&source.name, NodeKind::Source(i), parallelism, 1);
        }
        let mut waiting: Vec<usize> = (0..pipeline.operators.len()).collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut later = Vec::new();
            for i in waiting {
                let operator = &pipeline.operators[i];
                let known = |r: &PortRef| graph.find(&r.node).is_some();
                if operator.inputs.iter().flat_map(|input| &input.from).all(known) {
                    graph.add_operator(pipeline, i, &descriptors[i], descriptors, &operator.inputs)?;
                } else {
                    later.push(i);
                }
            }
            if later.len() == before {
                let names: Vec<&str> = later.iter().map(|i| pipeline.operators[*i].name.as_str()).collect();
                return Err(JobError::Invalid(format!("operators {} feed each other in a cycle", names.join(", "))));
            }
            waiting = later;
        }
        for (i, sink) in pipeline.sinks.iter().enumerate() {
            let upstream = |r: &PortRef| graph.find(&r.node).map(|n| graph.nodes[n].parallelism);
            let parallelism = sink.inputs.iter().filter_map(upstream).max().unwrap_or(1);
            let node = graph.add(&sink.name, NodeKind::Sink(i), parallelism, 0);
            for from in &sink.inputs {
                let same = graph.find(&from.node).is_some_and(|n| graph.nodes[n].parallelism == parallelism);
                // By key keeps per-key order where the numbers of subtasks differ.
                let kind = if same { Edge::Forward } else { Edge::Keyed };
                graph.connect(pipeline, descriptors, from, node, 0, kind)?;
            }
        }
        Ok(graph)
    }

    /// Output ports that nothing reads, as `node.port`: what goes there is dropped.
    pub fn unread_ports(&self, descriptors: &[Descriptor]) -> Vec<String> {
        let mut unread = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let NodeKind::Operator(operator) = node.kind else { continue };
            for (port, named) in descriptors[operator].outputs.iter().enumerate() {
                if !self.edges.iter().any(|e| e.from == index && e.port as usize == port) {
                    unread.push(format!("{}.{}", node.name, named.name));
                }
            }
        }
        unread
    }

    fn add(&mut self, name: &str, kind: NodeKind, parallelism: u32, ports: usize) -> usize {
        self.nodes.push(GraphNode { name: name.into(), kind, parallelism, ports });
        self.nodes.len() - 1
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|n| n.name == name)
    }

    fn add_operator(
        &mut self,
        pipeline: &Pipeline,
        i: usize,
        descriptor: &Descriptor,
        descriptors: &[Descriptor],
        inputs: &[InputSpec],
    ) -> Result<(), JobError> {
        let operator = &pipeline.operators[i];
        if inputs.len() != descriptor.inputs.len() {
            let names: Vec<&str> = descriptor.inputs.iter().map(|p| p.name.as_str()).collect();
            return Err(JobError::Invalid(format!(
                "operator {}: the component takes {} inputs ({}), the pipeline file gives {}",
                operator.name,
                names.len(),
                names.join(", "),
                inputs.len()
            )));
        }
        let shared = descriptor.states.iter().find(|state| state.scope == StateScope::Broadcast);
        if let Some(state) = shared
            && !inputs.iter().any(|input| input.edge == Edge::Broadcast)
        {
            return Err(JobError::Invalid(format!(
                "operator {}: its state {} is broadcast, and only events of a broadcast input may write it, but it has none; \
                 write edge = \"broadcast\" beside the input that it is to come from",
                operator.name, state.name
            )));
        }
        // What looks at events one by one runs where they come from, like a sink: no event changes its subtask for it. So does
        // what is fed by forward edges alone.
        let stateless = operator.is_stateless();
        let forward = inputs.iter().all(|input| input.edge == Edge::Forward);
        let follows = operator.parallelism.is_none() && (stateless || forward);
        let upstream = |r: &PortRef| self.find(&r.node).map(|n| self.nodes[n].parallelism);
        let parallelism = match follows {
            true => inputs.iter().flat_map(|i| &i.from).filter_map(upstream).max().unwrap_or(1),
            false => operator.parallelism.unwrap_or(pipeline.parallelism),
        };
        let node = self.add(&operator.name, NodeKind::Operator(i), parallelism, descriptor.outputs.len());
        for (input, spec) in inputs.iter().enumerate() {
            for from in &spec.from {
                let same = self.find(&from.node).is_some_and(|n| self.nodes[n].parallelism == parallelism);
                let kind =
                    if stateless && follows && spec.edge == Edge::Forward && !same { Edge::Keyed } else { spec.edge };
                self.connect(pipeline, descriptors, from, node, input as u32, kind)?;
            }
        }
        Ok(())
    }

    fn connect(
        &mut self,
        pipeline: &Pipeline,
        descriptors: &[Descriptor],
        from: &PortRef,
        to: usize,
        input: u32,
        kind: Edge,
    ) -> Result<(), JobError> {
        let name = &self.nodes[to].name;
        let upstream = self.find(&from.node).ok_or_else(|| {
            JobError::Invalid(format!("{name} takes its input from {:?}, which is not in the pipeline file", from.node))
        })?;
        let port = match (self.nodes[upstream].kind, &from.port) {
            (NodeKind::Operator(i), port) => {
                resolve_port(&pipeline.operators[i].name, &descriptors[i], port.as_deref(), name)?
            }
            (_, None) => 0,
            (_, Some(port)) => {
                return Err(JobError::Invalid(format!(
                    "{name} takes its input from {}.{port}, but a source has no named ports: write {:?}",
                    from.node, from.node
                )));
            }
        };
        if kind == Edge::Forward && self.nodes[upstream].parallelism != self.nodes[to].parallelism {
            return Err(JobError::Invalid(format!(
                "{name}: edge = \"forward\" needs the parallelism of {} ({}), not {}; use \"keyed\" or \"rebalance\"",
                from.node, self.nodes[upstream].parallelism, self.nodes[to].parallelism
            )));
        }
        self.edges.push(GraphEdge { from: upstream, port, to, input, kind });
        Ok(())
    }
}

fn resolve_port(operator: &str, descriptor: &Descriptor, port: Option<&str>, reader: &str) -> Result<u32, JobError> {
    let names: Vec<&str> = descriptor.outputs.iter().map(|p| p.name.as_str()).collect();
    let found = match port {
        None if names.len() == 1 => Some(0),
        None => None,
        Some(port) => names.iter().position(|n| *n == port),
    };
    found.map(|p| p as u32).ok_or_else(|| {
        let list = if names.is_empty() { "none".to_string() } else { names.join(", ") };
        let asked = port.map_or(operator.to_string(), |p| format!("{operator}.{p}"));
        JobError::Invalid(format!(
            "{reader} takes its input from {asked:?}: name one of the output ports of {operator}: {list}"
        ))
    })
}
