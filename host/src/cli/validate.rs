//! `tidemill validate`: reads a pipeline file, its components and its sources, and says what would run. Nothing is run and
//! no data directory is touched.

use super::access;
use super::args::{PipelineArgs, SettingsArg};
use super::output::{Output, table};
use anyhow::{Context, Result};
use tidemill::config::pipeline::{Edge, InputSpec, Pipeline, PortRef, SourceKind};
use tidemill::config::settings::Settings;
use tidemill::config::{Overrides, parse};
use tidemill::job::graph::{Graph, GraphNode, NodeKind};
use tidemill::job::{self, RunOptions};
use tidemill::remote_tier::remote_tier;
use tidemill_storage::stream::StreamConfig;

pub(crate) fn run(args: &PipelineArgs, settings: &SettingsArg, output: &Output) -> Result<()> {
    let overrides = Overrides { set: args.set.clone(), parallelism: args.parallelism };
    let pipeline = parse::load(&args.pipeline, &overrides)?;
    // A store that is thrown away, in which the streams that the pipeline reads exist: what they hold does not matter.
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut settings = Settings::load(settings.settings.as_deref())?;
    remote_tier(&settings.store).map_err(anyhow::Error::msg)?;
    // The scratch directory must not put its name on it.
    (settings.store.tier, settings.store.tier_options) = Default::default();
    let store = access::open_store(scratch.path(), &settings)?;
    for source in &pipeline.sources {
        if let SourceKind::Stream(source) = &source.kind {
            store.ensure_stream(&source.stream, StreamConfig::default())?;
        }
    }
    let options = RunOptions { data_dir: scratch.path().to_owned(), workers: 0, settings };
    let graph = job::check(&pipeline, &store, &options)?;
    let nodes: Vec<Node> = graph.nodes.iter().map(|node| Node::new(&pipeline, node)).collect();
    output.data(|| json(&pipeline, &nodes), || text(&pipeline, &graph, &nodes))
}

/// A line of what would run.
struct Node {
    name: String,
    kind: &'static str,
    inputs: Vec<String>,
    subtasks: u32,
}

impl Node {
    fn new(pipeline: &Pipeline, node: &GraphNode) -> Node {
        let (kind, inputs) = match node.kind {
            NodeKind::Source(_) => ("source", Vec::new()),
            NodeKind::Operator(i) => ("operator", pipeline.operators[i].inputs.iter().map(input).collect()),
            NodeKind::Sink(i) => ("sink", pipeline.sinks[i].inputs.iter().map(port).collect()),
        };
        Node { name: node.name.clone(), kind, inputs, subtasks: node.parallelism }
    }
}

fn input(input: &InputSpec) -> String {
    let edge = match input.edge {
        Edge::Keyed => "keyed",
        Edge::Forward => "forward",
        Edge::Broadcast => "broadcast",
        Edge::Rebalance => "rebalance",
    };
    format!("{} ({edge})", input.from.iter().map(port).collect::<Vec<_>>().join(" + "))
}

fn port(port: &PortRef) -> String {
    match &port.port {
        Some(name) => format!("{}.{name}", port.node),
        None => port.node.clone(),
    }
}

fn json(pipeline: &Pipeline, nodes: &[Node]) -> serde_json::Value {
    let nodes = nodes.iter().map(|node| {
        serde_json::json!({ "name": node.name, "kind": node.kind, "inputs": node.inputs, "subtasks": node.subtasks })
    });
    serde_json::json!({
        "valid": true,
        "pipeline": pipeline.name,
        "dead_letters": pipeline.dead_letters.as_str(),
        "nodes": nodes.collect::<Vec<_>>(),
    })
}

fn text(pipeline: &Pipeline, graph: &Graph, nodes: &[Node]) -> String {
    let rows = nodes
        .iter()
        .map(|node| [node.name.clone(), node.kind.into(), node.inputs.join(", "), node.subtasks.to_string()]);
    format!(
        "{} is valid: {} nodes, {} edges\n{}",
        pipeline.name,
        graph.nodes.len(),
        graph.edges.len(),
        table(["node", "kind", "fed by", "subtasks"], rows)
    )
}
