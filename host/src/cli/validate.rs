//! `tidemill validate`: reads a pipeline file and the components it names, and says what would run.

use super::args::PipelineArgs;
use super::output::{Output, table};
use anyhow::Result;
use tidemill::config::parse::{self, Overrides};
use tidemill::config::pipeline::{Pipeline, PortRef};

pub(crate) fn run(args: &PipelineArgs, output: &Output) -> Result<()> {
    let overrides = Overrides { set: args.set.clone(), parallelism: args.parallelism };
    let pipeline = parse::load(&args.pipeline, &overrides)?;
    let nodes = nodes(&pipeline);
    output.data(|| json(&pipeline, &nodes), || text(&pipeline, &nodes))
}

/// One row: name, kind, what feeds it, subtasks.
struct Node {
    name: String,
    kind: &'static str,
    inputs: Vec<String>,
    parallelism: u32,
}

fn nodes(pipeline: &Pipeline) -> Vec<Node> {
    let sources = pipeline.sources.iter().map(|source| (&source.name, "source", Vec::new(), 1));
    let operators = pipeline.operators.iter().map(|operator| {
        let inputs = operator.inputs.iter().flat_map(|input| &input.from).map(port).collect();
        (&operator.name, "operator", inputs, operator.parallelism.unwrap_or(pipeline.parallelism))
    });
    let sinks = pipeline.sinks.iter().map(|sink| (&sink.name, "sink", sink.inputs.iter().map(port).collect(), 1));
    let node =
        |(name, kind, inputs, parallelism): (&String, _, _, _)| Node { name: name.clone(), kind, inputs, parallelism };
    sources.chain(operators).chain(sinks).map(node).collect()
}

fn port(port: &PortRef) -> String {
    match &port.port {
        Some(name) => format!("{}.{name}", port.node),
        None => port.node.clone(),
    }
}

fn json(pipeline: &Pipeline, nodes: &[Node]) -> serde_json::Value {
    let nodes = nodes.iter().map(|node| {
        serde_json::json!({
            "name": node.name, "kind": node.kind, "inputs": node.inputs, "parallelism": node.parallelism,
        })
    });
    serde_json::json!({
        "valid": true,
        "pipeline": pipeline.name,
        "dead_letters": pipeline.dead_letters.as_str(),
        "nodes": nodes.collect::<Vec<_>>(),
    })
}

fn text(pipeline: &Pipeline, nodes: &[Node]) -> String {
    let rows = nodes
        .iter()
        .map(|node| [node.name.clone(), node.kind.to_owned(), node.inputs.join(", "), node.parallelism.to_string()]);
    format!("{} is valid\n{}", pipeline.name, table(["node", "kind", "fed by", "subtasks"], rows))
}
