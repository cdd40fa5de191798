//! A pipeline file into a [`Pipeline`]: strict TOML, overrides, checks. The CLI calls `load`; `job/graph` takes the
//! result and checks what only the components know (port names, edges, their configuration).

mod builtin;
mod operator;
mod sink;
mod source;

use super::builtin::WindowSpec;
use super::document::{Document, Origin, Source, Value};
use super::error::ConfigError;
use super::overrides;
use super::pipeline::{Pipeline, PortRef, Restart};
use super::table::{Item, Table};
use super::validate;
use std::path::{Path, PathBuf};
use tidemill_storage::StreamName;
use tidemill_storage::hash::MAX_PARALLELISM_MAX;

pub use super::overrides::Overrides;

/// Longest time between checkpoints unless the file says otherwise, ms.
pub const CHECKPOINT_INTERVAL_MS: u64 = 1_000;
/// Shortest time between checkpoints unless the file says otherwise, ms.
pub const MIN_COMMIT_INTERVAL_MS: u64 = 5;
/// Key groups unless the file says otherwise.
pub const MAX_PARALLELISM: u32 = 128;
/// Restarts unless the file says otherwise.
pub const RESTART: Restart = Restart { attempts: 3, backoff_ms: 200, backoff_max_ms: 10_000 };

/// Longest name of a pipeline, source, operator or sink, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// Reads a pipeline file, applies the overrides, checks all that can be checked without its components.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Pipeline, ConfigError> {
    let mut document = Document::read(path)?;
    overrides::apply(&mut document, &overrides.set)?;
    let file = std::path::absolute(path).map_err(|e| ConfigError::unreadable(path, &e))?;
    let mut pipeline = pipeline(&document, &file)?;
    if let Some(parallelism) = overrides.parallelism {
        override_parallelism(&mut pipeline, parallelism)?;
    }
    Ok(pipeline)
}

/// The `window` beside a component, from another TOML text than a pipeline file; `path` leads to it by keys, and in arrays by
/// numbers. `file` is what errors call the text. `tidemill test` reads the windows of its cases so.
pub fn window_of_component(file: &str, text: &str, path: &[&str]) -> Result<WindowSpec, ConfigError> {
    let document = Document::parse(file.to_owned(), text.to_owned())?;
    let mut node = &document.root;
    for key in path {
        let found = match &node.value {
            Value::Table(entries) => entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.node),
            Value::Array(nodes) => key.parse::<usize>().ok().and_then(|index| nodes.get(index)),
            _ => None,
        };
        node = found.ok_or_else(|| ConfigError::new(file, format!("there is no {} in it", path.join("."))))?;
    }
    let path = path.last().copied().unwrap_or_default().to_owned();
    builtin::window_of_component(&Item { source: &document.source, path, node })
}

/// What the parts of the file need to know while they are read.
struct Context<'a> {
    source: &'a Source,
    /// Relative paths of the file start here.
    folder: PathBuf,
    pipeline: String,
    graph: validate::Graph,
}

fn pipeline(document: &Document, file: &Path) -> Result<Pipeline, ConfigError> {
    let root = Item { source: &document.source, path: String::new(), node: &document.root };
    let root = root.table(&["pipeline", "sources", "operators", "sinks"])?;
    let head = root.need("pipeline", "write [pipeline] and name = \"...\" under it")?.table(&[
        "name",
        "checkpoint_interval",
        "min_commit_interval",
        "parallelism",
        "max_parallelism",
        "dead_letters",
        "restart",
    ])?;
    let name = head.need("name", "write name = \"my-pipeline\"")?;
    let name = checked_name(&name, name.text()?, "a pipeline's name", true)?.to_string();

    let duration = |key, default| head.get(key).map_or(Ok(default), |item| item.some_duration_ms());
    let checkpoint_interval_ms = duration("checkpoint_interval", CHECKPOINT_INTERVAL_MS)?;
    let min_commit_interval_ms = match head.get("min_commit_interval") {
        Some(item) => {
            let ms = item.duration_ms()?;
            if ms > checkpoint_interval_ms {
                return Err(item.error(format!(
                    "min_commit_interval ({ms} ms) is longer than checkpoint_interval ({checkpoint_interval_ms} ms); \
                     make it shorter"
                )));
            }
            ms
        }
        None => MIN_COMMIT_INTERVAL_MS.min(checkpoint_interval_ms),
    };
    let max_parallelism =
        head.get("max_parallelism").map_or(Ok(MAX_PARALLELISM), |item| item.count(1..=MAX_PARALLELISM_MAX))?;
    let parallelism = match head.get("parallelism") {
        Some(item) => checked_parallelism(&item, max_parallelism)?,
        None => 1,
    };
    let dead_letters = match head.get("dead_letters") {
        Some(item) => stream_name(&item)?,
        None => StreamName::new(format!("{name}/dead-letters")).map_err(|e| head.error(e))?,
    };

    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut context =
        Context { source: &document.source, folder, pipeline: name.clone(), graph: validate::Graph::default() };
    let mut sources = Vec::new();
    for (name, origin, item) in section(&root, "sources")? {
        context.node(name, origin, validate::NodeKind::Source)?;
        sources.push(source::read(&context, name, &item)?);
    }
    let mut operators = Vec::new();
    for (name, origin, item) in section(&root, "operators")? {
        context.node(name, origin, validate::NodeKind::Operator)?;
        operators.push(operator::read(&mut context, name, &item, max_parallelism)?);
    }
    let mut sinks = Vec::new();
    for (name, origin, item) in section(&root, "sinks")? {
        context.node(name, origin, validate::NodeKind::Sink)?;
        sinks.push(sink::read(&mut context, name, origin, &item)?);
    }
    if sources.is_empty() {
        return Err(
            head.error("the pipeline has no source; write [sources.NAME] with file = {...} or stream = \"...\"")
        );
    }
    if sinks.is_empty() {
        return Err(
            head.error("the pipeline has no sink; write [sinks.NAME] with input = \"...\" and stream, file or stdout")
        );
    }
    context.graph.check(&document.source)?;
    let restart = head.get("restart").map_or(Ok(RESTART), |item| restart(&item))?;
    Ok(Pipeline {
        name,
        file: file.to_path_buf(),
        checkpoint_interval_ms,
        min_commit_interval_ms,
        parallelism,
        max_parallelism,
        restart,
        dead_letters,
        sources,
        operators,
        sinks,
    })
}

fn section<'a>(root: &Table<'a>, key: &str) -> Result<Vec<(&'a str, &'a Origin, Item<'a>)>, ConfigError> {
    match root.get(key) {
        Some(item) => Ok(item.open_table()?.entries().collect()),
        None => Ok(Vec::new()),
    }
}

fn restart(item: &Item<'_>) -> Result<Restart, ConfigError> {
    let table = item.table(&["attempts", "backoff", "backoff_max"])?;
    let attempts = table.get("attempts").map_or(Ok(RESTART.attempts), |item| item.count(0..=u32::MAX))?;
    let backoff_ms = table.get("backoff").map_or(Ok(RESTART.backoff_ms), |item| item.duration_ms())?;
    let backoff_max_ms = match table.get("backoff_max") {
        Some(item) => {
            let ms = item.duration_ms()?;
            if ms < backoff_ms {
                let message =
                    format!("backoff_max ({ms} ms) is shorter than backoff ({backoff_ms} ms); make it longer");
                return Err(item.error(message));
            }
            ms
        }
        None => RESTART.backoff_max_ms.max(backoff_ms),
    };
    Ok(Restart { attempts, backoff_ms, backoff_max_ms })
}

fn override_parallelism(pipeline: &mut Pipeline, parallelism: u32) -> Result<(), ConfigError> {
    if parallelism == 0 || parallelism > pipeline.max_parallelism {
        return Err(ConfigError::new(
            format!("--parallelism {parallelism}"),
            format!("write a number from 1 to the pipeline's max_parallelism, {}", pipeline.max_parallelism),
        ));
    }
    pipeline.parallelism = parallelism;
    for operator in &mut pipeline.operators {
        if operator.parallelism.is_some() {
            operator.parallelism = Some(parallelism);
        }
    }
    Ok(())
}

impl Context<'_> {
    fn node(&mut self, name: &str, origin: &Origin, kind: validate::NodeKind) -> Result<(), ConfigError> {
        name_is_good(name, false).map_err(|why| self.source.error(origin, format!("{kind} {name:?}: {why}")))?;
        self.graph.node(self.source, name, origin, kind)
    }

    /// A path of the file starts at the file's folder, a path of an override at the current folder.
    fn path(&self, item: &Item<'_>) -> Result<PathBuf, ConfigError> {
        let text = item.text()?;
        if text.is_empty() {
            return Err(item.error(format!("{} is empty; write a path", item.path)));
        }
        match &item.node.origin {
            Origin::File(_) => Ok(self.folder.join(text)),
            Origin::Set { .. } => {
                std::path::absolute(text).map_err(|e| item.error(format!("{} cannot be resolved: {e}", item.path)))
            }
        }
    }

    /// `"a"`, `"a.port"` or a list of them: what feeds `node`.
    fn ports(&mut self, node: &str, item: &Item<'_>) -> Result<Vec<PortRef>, ConfigError> {
        let mut ports: Vec<PortRef> = Vec::new();
        for item in item.one_or_many() {
            let port = port(&item)?;
            if ports.contains(&port) {
                return Err(item.error(format!("{:?} feeds this input twice; name it once", item.text()?)));
            }
            self.graph.edge(node, &port, &item.node.origin);
            ports.push(port);
        }
        if ports.is_empty() {
            return Err(item.error(format!("{} is an empty list; name what feeds it", item.path)));
        }
        Ok(ports)
    }
}

fn port(item: &Item<'_>) -> Result<PortRef, ConfigError> {
    let text = item.text()?;
    let (node, port) = match text.split_once('.') {
        Some((node, port)) => (node, Some(port)),
        None => (text, None),
    };
    if node.is_empty() || port.is_some_and(|p| p.is_empty() || p.contains('.')) {
        return Err(item.error(format!("{text:?} is not a source or an operator; write \"name\" or \"operator.port\"")));
    }
    Ok(PortRef { node: node.to_string(), port: port.map(str::to_string) })
}

fn stream_name(item: &Item<'_>) -> Result<StreamName, ConfigError> {
    StreamName::new(item.text()?).map_err(|e| item.error(e))
}

fn checked_parallelism(item: &Item<'_>, max_parallelism: u32) -> Result<u32, ConfigError> {
    let parallelism = item.count(1..=MAX_PARALLELISM_MAX)?;
    if parallelism > max_parallelism {
        return Err(item.error(format!(
            "{} is {parallelism}, more than max_parallelism ({max_parallelism}); lower it, or raise max_parallelism \
             before the pipeline has state",
            item.path
        )));
    }
    Ok(parallelism)
}

fn checked_name<'a>(item: &Item<'_>, name: &'a str, what: &str, dots: bool) -> Result<&'a str, ConfigError> {
    name_is_good(name, dots).map_err(|why| item.error(format!("{name:?} is not {what}: {why}")))?;
    Ok(name)
}

/// Names become parts of stream names, and `.` separates a node from its port.
fn name_is_good(name: &str, dots: bool) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || (dots && b == b'.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        let dots = if dots { ", '.'" } else { "" };
        return Err(format!("write 1 to {NAME_BYTES_MAX} ASCII letters, digits, '-', '_'{dots}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
