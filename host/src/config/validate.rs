//! What only the whole pipeline shows: names used twice, inputs that lead nowhere, cycles, two sinks on one target.
//! `parse` notes every node and edge with its place as it reads them, then asks for the check.

use super::document::{Origin, Source};
use super::error::{ConfigError, did_you_mean};
use super::pipeline::PortRef;
use std::collections::HashMap;
use std::fmt;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    Source,
    Operator,
    Sink,
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NodeKind::Source => "source",
            NodeKind::Operator => "operator",
            NodeKind::Sink => "sink",
        })
    }
}

/// Nodes and edges with their places.
#[derive(Default)]
pub(super) struct Graph {
    nodes: Vec<(String, NodeKind, Origin)>,
    index: HashMap<String, usize>,
    /// Name of the node that is fed, and by what.
    edges: Vec<(String, PortRef, Origin)>,
    targets: Vec<String>,
}

impl Graph {
    /// Notes a node; a name stands for one node of any kind.
    pub(super) fn node(
        &mut self,
        source: &Source,
        name: &str,
        origin: &Origin,
        kind: NodeKind,
    ) -> Result<(), ConfigError> {
        if let Some(first) = self.index.get(name) {
            let other = self.nodes[*first].1;
            return Err(source.error(origin, format!("an earlier {other} has the name {name:?}; rename this {kind}")));
        }
        self.index.insert(name.to_string(), self.nodes.len());
        self.nodes.push((name.to_string(), kind, origin.clone()));
        Ok(())
    }

    /// Notes that `from` feeds `node`.
    pub(super) fn edge(&mut self, node: &str, from: &PortRef, origin: &Origin) {
        self.edges.push((node.to_string(), from.clone(), origin.clone()));
    }

    /// Notes what a sink writes to; two may not share it.
    pub(super) fn target(&mut self, source: &Source, target: &str, origin: &Origin) -> Result<(), ConfigError> {
        if self.targets.iter().any(|t| t == target) {
            let message =
                format!("another sink writes to {target} already; give each its own, or one sink several inputs");
            return Err(source.error(origin, message));
        }
        self.targets.push(target.to_string());
        Ok(())
    }

    /// Inputs lead to sources and operators; sources have no ports to choose; nothing feeds itself.
    pub(super) fn check(&self, source: &Source) -> Result<(), ConfigError> {
        for (fed, from, origin) in &self.edges {
            let Some(kind) = self.index.get(&from.node).map(|i| self.nodes[*i].1) else {
                return Err(source.error(origin, self.unknown(&from.node)));
            };
            match (kind, &from.port) {
                (NodeKind::Sink, _) => {
                    let message = format!("{:?} is a sink and feeds nothing; name a source or an operator", from.node);
                    return Err(source.error(origin, message));
                }
                (NodeKind::Source, Some(port)) => {
                    let message = format!("source {0:?} has no port {port:?}; write \"{0}\"", from.node);
                    return Err(source.error(origin, message));
                }
                _ if from.node == *fed => {
                    let message =
                        format!("operator {fed:?} feeds itself; a pipeline has no cycles: name another input");
                    return Err(source.error(origin, message));
                }
                _ => {}
            }
        }
        self.check_cycles(source)?;
        for (name, kind, origin) in &self.nodes {
            if *kind == NodeKind::Source && !self.edges.iter().any(|(_, from, _)| from.node == *name) {
                let message = format!("nothing reads source {name:?}; name it as an input, or remove it");
                return Err(source.error(origin, message));
            }
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> String {
        let known: Vec<&str> =
            self.nodes.iter().filter(|(_, kind, _)| *kind != NodeKind::Sink).map(|(name, ..)| name.as_str()).collect();
        format!(
            "there is no source or operator {name:?}{}; there are: {}",
            did_you_mean(name, known.iter().copied()),
            known.join(", ")
        )
    }

    /// Walks upstream from every node; an edge back to a node on the walk closes a cycle.
    fn check_cycles(&self, source: &Source) -> Result<(), ConfigError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Walking,
            Done,
        }
        let mut upstream: Vec<Vec<(usize, usize)>> = vec![Vec::new(); self.nodes.len()];
        for (edge, (fed, from, _)) in self.edges.iter().enumerate() {
            if let (Some(fed), Some(from)) = (self.index.get(fed), self.index.get(&from.node)) {
                upstream[*fed].push((*from, edge));
            }
        }
        let mut marks = vec![Mark::New; self.nodes.len()];
        for start in 0..self.nodes.len() {
            if marks[start] != Mark::New {
                continue;
            }
            marks[start] = Mark::Walking;
            let mut walk = vec![(start, 0)];
            while let Some((node, next)) = walk.last_mut() {
                let Some(&(from, edge)) = upstream[*node].get(*next) else {
                    marks[*node] = Mark::Done;
                    walk.pop();
                    continue;
                };
                *next += 1;
                match marks[from] {
                    Mark::Done => {}
                    Mark::New => {
                        marks[from] = Mark::Walking;
                        walk.push((from, 0));
                    }
                    Mark::Walking => {
                        let round = walk.iter().map(|(n, _)| *n).skip_while(|n| *n != from);
                        let mut names: Vec<&str> = round.map(|n| self.nodes[n].0.as_str()).collect();
                        names.reverse(); // walked against the flow
                        names.insert(0, self.nodes[from].0.as_str());
                        let message = format!(
                            "a cycle: {}; a pipeline has none: take one of these inputs away",
                            names.join(" -> ")
                        );
                        return Err(source.error(&self.edges[edge].2, message));
                    }
                }
            }
        }
        Ok(())
    }
}
