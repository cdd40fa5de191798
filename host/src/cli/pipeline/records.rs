//! What a pipeline is doing or did, from its running job or from its newest checkpoint record. `ls`, `describe` and `top`
//! show it.

use crate::cli::session::Session;
use anyhow::Result;
use std::collections::BTreeSet;
use tidemill::clock::Clock;
use tidemill::job::{NodeStatus, RunStatus};
use tidemill_storage::checkpoint::{CheckpointRecord, CheckpointSummary};
use tidemill_storage::{EventTime, Store};

/// A pipeline in one line.
pub(super) struct Overview {
    pub(super) name: String,
    /// `starting`, `running`, `restarting`, `waiting for disk space`, `draining`; `finished`, `stopped`, `failed`.
    pub(super) state: String,
    /// Newest committed epoch.
    pub(super) epoch: u64,
    pub(super) checkpoint_age_ms: Option<u64>,
    /// Of the job at hand; none for a pipeline that this process does not run.
    pub(super) restarts: Option<u32>,
    pub(super) nodes: Vec<Node>,
}

/// One of its nodes.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) kind: &'static str,
    /// Not in the records.
    pub(super) parallelism: Option<u32>,
    pub(super) events_in: u64,
    pub(super) events_out: u64,
    pub(super) rejected: u64,
    pub(super) watermark: EventTime,
}

impl Node {
    fn live(node: NodeStatus) -> Node {
        Node {
            name: node.name,
            kind: node.kind,
            parallelism: Some(node.parallelism),
            events_in: node.events_in,
            events_out: node.events_out,
            rejected: node.rejected,
            watermark: node.watermark,
        }
    }

    /// What its rate counts: a source brings events out, all others take them in.
    pub(super) fn total(&self) -> u64 {
        if self.kind == "source" { self.events_out } else { self.events_in }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name,
            "kind": self.kind,
            "parallelism": self.parallelism,
            "events_in": self.events_in,
            "events_out": self.events_out,
            "rejected": self.rejected,
            "watermark": self.watermark.is_real().then_some(self.watermark.0),
        })
    }
}

impl Overview {
    /// Of a pipeline whose retained checkpoints are these, newest first.
    pub(super) fn of(name: &str, checkpoints: &[CheckpointSummary], session: &Session) -> Overview {
        let record = checkpoints.first().map(|checkpoint| &checkpoint.record);
        let now_ms = Clock::system().now_ms();
        let mut overview = Overview {
            name: name.to_owned(),
            state: if record.is_some_and(|record| record.finished) { "finished" } else { "stopped" }.into(),
            epoch: record.map_or(0, |record| record.epoch.0),
            checkpoint_age_ms: record.map(|record| now_ms.saturating_sub(record.taken_at_ms).max(0) as u64),
            restarts: None,
            nodes: Vec::new(),
        };
        let job = session.access.jobs().and_then(|jobs| jobs.find(name));
        if let Some(job) = job {
            let RunStatus { restarts, nodes, .. } = job.status();
            overview.state = job.state();
            overview.restarts = Some(restarts);
            overview.nodes = nodes.into_iter().map(Node::live).collect();
        } else if let Some(record) = record {
            overview.nodes = committed_nodes(record);
        }
        overview
    }

    /// Of a pipeline by its name.
    pub(super) fn load(store: &Store, name: &str, session: &Session) -> Result<Overview> {
        Ok(Overview::of(name, &store.checkpoints(name)?, session))
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name,
            "state": self.state,
            "epoch": self.epoch,
            "checkpoint_age_ms": self.checkpoint_age_ms,
            "restarts": self.restarts,
        })
    }
}

/// The nodes that a record tells of: sources have positions, operators have watermarks, the others that count are sinks.
fn committed_nodes(record: &CheckpointRecord) -> Vec<Node> {
    let counting = record.counters.keys().filter_map(|name| name.rsplit_once('/')).map(|(node, _)| node);
    let names: BTreeSet<&str> =
        record.sources.keys().chain(record.watermarks.keys()).map(String::as_str).chain(counting).collect();
    let node = |name: &&str| {
        let counter = |metric: &str| record.counters.get(&format!("{name}/{metric}")).copied().unwrap_or(0);
        let (kind, watermark) = match (record.sources.get(*name), record.watermarks.get(*name)) {
            (Some(partitions), _) => {
                let least = partitions.values().map(|partition| partition.watermark).min();
                ("source", least.map_or(EventTime::MIN, EventTime))
            }
            (None, Some(watermark)) => ("operator", *watermark),
            (None, None) => ("sink", EventTime::MIN),
        };
        Node {
            name: (*name).to_owned(),
            kind,
            parallelism: None,
            events_in: counter("events_in"),
            events_out: counter("events_out"),
            rejected: counter("rejected"),
            watermark,
        }
    };
    let mut nodes: Vec<Node> = names.iter().map(node).collect();
    nodes.sort_by_key(|node| ["source", "operator", "sink"].iter().position(|kind| *kind == node.kind));
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_storage::checkpoint::PartitionPosition;

    #[test]
    fn the_nodes_of_a_stopped_pipeline_are_those_of_its_record() {
        let mut record = CheckpointRecord::default();
        let position = |watermark| PartitionPosition { watermark, ..PartitionPosition::default() };
        record.sources.insert("z-lines".into(), [("a".into(), position(7)), ("b".into(), position(5))].into());
        record.watermarks.insert("count".into(), EventTime(4));
        for (name, count) in
            [("z-lines/events_out", 9), ("count/events_in", 8), ("count/lookups", 3), ("out/events_in", 2)]
        {
            record.counters.insert(name.into(), count);
        }
        let nodes = committed_nodes(&record);
        let lines: Vec<_> =
            nodes.iter().map(|node| (node.name.as_str(), node.kind, node.total(), node.watermark.0)).collect();
        assert_eq!(
            lines,
            [("z-lines", "source", 9, 5), ("count", "operator", 8, 4), ("out", "sink", 2, EventTime::MIN.0)]
        );
    }
}
