//! `[operators.NAME]` into an [`OperatorSpec`].

use super::super::error::ConfigError;
use super::super::pipeline::{Edge, InputSpec, Limits, OperatorKind, OperatorSpec};
use super::super::table::{Item, Table};
use super::{Context, builtin, checked_parallelism};

/// Limits unless the file says otherwise.
const LIMITS: Limits = Limits { memory_bytes: 64 << 20, call_deadline_ms: 1_000, output_bytes: 64 << 20 };

/// One page of linear memory: less cannot hold any program.
const MEMORY_BYTES_MIN: u64 = 64 << 10;

const EDGES: [(&str, Edge); 4] = [
    ("keyed", Edge::Keyed),
    ("forward", Edge::Forward),
    ("broadcast", Edge::Broadcast),
    ("rebalance", Edge::Rebalance),
];

pub(super) fn read(
    context: &mut Context<'_>,
    name: &str,
    item: &Item<'_>,
    max_parallelism: u32,
) -> Result<OperatorSpec, ConfigError> {
    let mut known = vec!["component"];
    known.extend(builtin::KINDS);
    known.extend(["input", "inputs", "edge", "config", "parallelism", "limits"]);
    let table = item.table(&known)?;
    let kind = kind(context, name, &table)?;
    let default_edge = match &kind {
        OperatorKind::Builtin(_) => {
            if let Some((key, origin)) = table.present(&["config", "limits"]).first() {
                return Err(table
                    .source
                    .error(origin, format!("{key:?} is of components; a built-in operator has none")));
            }
            // Finds its place in the graph: with its upstream, if it may.
            if table.present(&["select"]).is_empty() { Edge::Keyed } else { Edge::Forward }
        }
        OperatorKind::Component(_) | OperatorKind::Aggregator { .. } => Edge::Keyed,
    };
    let inputs = inputs(context, name, &table, default_edge)?;
    let config = match table.get("config") {
        Some(item) => {
            item.open_table()?;
            item.json()?
        }
        None => serde_json::Value::Object(serde_json::Map::new()),
    };
    let parallelism = table.get("parallelism").map(|item| checked_parallelism(&item, max_parallelism)).transpose()?;
    let limits = table.get("limits").map_or(Ok(LIMITS), |item| limits(&item))?;
    Ok(OperatorSpec { name: name.to_string(), kind, inputs, config, parallelism, limits })
}

fn kind(context: &Context<'_>, name: &str, table: &Table<'_>) -> Result<OperatorKind, ConfigError> {
    let mut kinds = vec!["component"];
    kinds.extend(builtin::KINDS);
    let component = || {
        let component = table.need("component", "write component = \"path/of/the/project\"")?;
        if component.text()?.contains("://") {
            return Err(component.error("components come from a project folder or a .wasm file; write its path"));
        }
        context.path(&component)
    };
    match table.present(&kinds)[..] {
        [("component", _)] => Ok(OperatorKind::Component(component()?)),
        [("component", _), ("window", _)] | [("window", _), ("component", _)] => {
            let item = table.need("window", "write what it does")?;
            let window = Box::new(builtin::window_of_component(&item)?);
            Ok(OperatorKind::Aggregator { window, component: component()? })
        }
        [(kind, _)] => {
            let item = table.need(kind, "write what it does")?;
            Ok(OperatorKind::Builtin(Box::new(builtin::read(kind, &item)?)))
        }
        [] => Err(table.error(format!(
            "operator {name:?} does nothing; write component = \"path/of/the/project\" or \"operator.wasm\", or one of {}",
            builtin::KINDS.join(", ")
        ))),
        [(first, _), (second, at), ..] => {
            Err(table.source.error(at, format!("operator {name:?} has both {first} and {second}; keep one")))
        }
    }
}

fn inputs(
    context: &mut Context<'_>,
    name: &str,
    table: &Table<'_>,
    default_edge: Edge,
) -> Result<Vec<InputSpec>, ConfigError> {
    let edge = |table: &Table<'_>| table.get("edge").map_or(Ok(default_edge), |item| item.word(&EDGES));
    match table.present(&["input", "inputs"])[..] {
        [] => Err(table.error(format!(
            "operator {name:?} has no input; write input = \"name\" with the source or operator that feeds it"
        ))),
        [(_, _), (_, second)] => {
            Err(table.source.error(second, format!("operator {name:?} has both input and inputs; keep one")))
        }
        [("inputs", _), ..] => {
            if let Some((_, origin)) = table.present(&["edge"]).first() {
                return Err(table
                    .source
                    .error(origin, "with inputs, each has its own edge: { from = \"...\", edge = \"...\" }"));
            }
            let list = table.need("inputs", "write inputs = [{ from = \"...\" }]")?;
            let items = list.items()?;
            if items.is_empty() {
                return Err(
                    list.error(format!("operator {name:?} has no input; write inputs = [{{ from = \"...\" }}]"))
                );
            }
            let mut inputs = Vec::with_capacity(items.len());
            for item in items {
                let input = item.table(&["from", "edge"])?;
                let from = context.ports(name, &input.need("from", "write from = \"name\"")?)?;
                inputs.push(InputSpec { from, edge: edge(&input)? });
            }
            Ok(inputs)
        }
        _ => {
            let from = context.ports(name, &table.need("input", "write input = \"name\"")?)?;
            Ok(vec![InputSpec { from, edge: edge(table)? }])
        }
    }
}

fn limits(item: &Item<'_>) -> Result<Limits, ConfigError> {
    let table = item.table(&["memory", "call_deadline", "output"])?;
    Ok(Limits {
        memory_bytes: table.get("memory").map_or(Ok(LIMITS.memory_bytes), |item| item.size_bytes(MEMORY_BYTES_MIN))?,
        call_deadline_ms: table
            .get("call_deadline")
            .map_or(Ok(LIMITS.call_deadline_ms), |item| item.some_duration_ms())?,
        output_bytes: table.get("output").map_or(Ok(LIMITS.output_bytes), |item| item.size_bytes(1))?,
    })
}
