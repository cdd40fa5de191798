//! Plans tasks from the graph: which nodes are chained into one task, and how many tasks each chain has. Pure; the
//! wiring (`job/wiring.rs`) follows the plan.

use super::graph::{Graph, GraphEdge, NodeKind};
use crate::config::pipeline::Edge;

/// A chain of nodes that run in one task, once per subtask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainPlan {
    /// Graph nodes, each behind what feeds it.
    pub nodes: Vec<usize>,
    /// Subtasks.
    pub parallelism: u32,
    /// Index of the first of its tasks.
    pub first_task: usize,
}

/// Chains, and where every node runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The chains.
    pub chains: Vec<ChainPlan>,
    /// Graph node -> chain.
    pub chain_of: Vec<usize>,
    /// Tasks in all.
    pub tasks: usize,
}

/// Chains a node to its only upstream when every event stays in the same subtask.
fn can_chain(graph: &Graph, edge: &GraphEdge) -> bool {
    let (from, to) = (&graph.nodes[edge.from], &graph.nodes[edge.to]);
    let only = graph.edges.iter().filter(|e| e.to == edge.to).count() == 1;
    let stays = edge.kind == Edge::Forward || to.parallelism == 1;
    only && stays && from.parallelism == to.parallelism
}

impl Plan {
    /// Plans a graph.
    pub fn new(graph: &Graph) -> Plan {
        let mut chains: Vec<ChainPlan> = Vec::new();
        let mut chain_of = Vec::with_capacity(graph.nodes.len());
        for (index, node) in graph.nodes.iter().enumerate() {
            let upstream = graph.edges.iter().find(|e| e.to == index && can_chain(graph, e));
            match upstream {
                Some(edge) => {
                    let chain: usize = chain_of[edge.from];
                    chains[chain].nodes.push(index);
                    chain_of.push(chain);
                }
                None => {
                    chains.push(ChainPlan { nodes: vec![index], parallelism: node.parallelism, first_task: 0 });
                    chain_of.push(chains.len() - 1);
                }
            }
        }
        let mut tasks = 0;
        for chain in &mut chains {
            chain.first_task = tasks;
            tasks += chain.parallelism as usize;
        }
        Plan { chains, chain_of, tasks }
    }

    /// Whether an edge stays inside one task.
    pub fn is_chained(&self, graph: &Graph, edge: &GraphEdge) -> bool {
        self.chain_of[edge.from] == self.chain_of[edge.to] && can_chain(graph, edge)
    }

    /// Whether a chain begins with a source.
    pub fn has_source(&self, graph: &Graph, chain: usize) -> bool {
        matches!(graph.nodes[self.chains[chain].nodes[0]].kind, NodeKind::Source(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::graph::GraphNode;

    fn node(name: &str, kind: NodeKind, parallelism: u32) -> GraphNode {
        GraphNode { name: name.into(), kind, parallelism, ports: 1 }
    }

    fn edge(from: usize, to: usize, kind: Edge) -> GraphEdge {
        GraphEdge { from, port: 0, to, input: 0, kind }
    }

    fn line(parallelism: u32) -> Graph {
        Graph {
            nodes: vec![
                node("in", NodeKind::Source(0), 1),
                node("count", NodeKind::Operator(0), parallelism),
                node("out", NodeKind::Sink(0), parallelism),
            ],
            edges: vec![edge(0, 1, Edge::Keyed), edge(1, 2, Edge::Forward)],
        }
    }

    #[test]
    fn one_subtask_is_one_task() {
        let plan = Plan::new(&line(1));
        assert_eq!(plan.chains.len(), 1);
        assert_eq!(plan.chains[0].nodes, [0, 1, 2]);
        assert_eq!(plan.tasks, 1);
    }

    #[test]
    fn a_keyed_edge_to_several_subtasks_breaks_the_chain_and_the_sink_stays_with_its_operator() {
        let graph = line(3);
        let plan = Plan::new(&graph);
        assert_eq!(plan.chains.iter().map(|c| c.nodes.clone()).collect::<Vec<_>>(), [vec![0], vec![1, 2]]);
        assert_eq!((plan.chains[1].first_task, plan.tasks), (1, 4));
        assert!(!plan.is_chained(&graph, &graph.edges[0]) && plan.is_chained(&graph, &graph.edges[1]));
    }

    #[test]
    fn a_node_with_two_upstreams_starts_its_own_chain() {
        let mut graph = line(1);
        graph.nodes.insert(1, node("more", NodeKind::Source(1), 1));
        graph.edges = vec![edge(0, 2, Edge::Keyed), edge(1, 2, Edge::Keyed), edge(2, 3, Edge::Forward)];
        let plan = Plan::new(&graph);
        assert_eq!(plan.chains.iter().map(|c| c.nodes.clone()).collect::<Vec<_>>(), [vec![0], vec![1], vec![2, 3]]);
    }
}
