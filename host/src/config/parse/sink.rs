//! `[sinks.NAME]` into a [`SinkSpec`].

use super::super::document::Origin;
use super::super::error::ConfigError;
use super::super::pipeline::{FileSink, SinkKind, SinkSpec, egress_stream};
use super::super::table::{Item, Table};
use super::{Context, stream_name};
use tidemill_storage::stream::SEGMENTS_MAX;

/// A new file of a file sink unless the pipeline says otherwise.
const ROLL_BYTES: u64 = 64 << 20;
/// The same by time, ms.
const ROLL_MS: u64 = 10_000;

pub(super) fn read(
    context: &mut Context<'_>,
    name: &str,
    origin: &Origin,
    item: &Item<'_>,
) -> Result<SinkSpec, ConfigError> {
    let table = item.table(&["input", "stream", "segments", "file", "stdout"])?;
    let input = table.get("input").ok_or_else(|| {
        table.error(format!("sink {name:?} has no input; write input = \"operator\" or \"operator.port\""))
    })?;
    let inputs = context.ports(name, &input)?;
    let kind = match table.present(&["stream", "file", "stdout"])[..] {
        [("stream", _)] => stream(context, &table)?,
        [(kind, _)] => {
            if let Some((_, at)) = table.present(&["segments"]).first() {
                return Err(table.source.error(at, "only a stream has segments; remove it"));
            }
            context.egress_name(name, origin)?;
            if kind == "file" { file(context, &table)? } else { stdout(&table)? }
        }
        [] => {
            return Err(table.error(format!(
                "sink {name:?} writes nowhere; write stream = \"scope/name\", file = {{ path = \"folder\" }} or stdout = true"
            )));
        }
        [(first, _), (second, at), ..] => {
            return Err(table.source.error(at, format!("sink {name:?} has both {first} and {second}; keep one")));
        }
    };
    Ok(SinkSpec { name: name.to_string(), inputs, kind })
}

fn stream(context: &mut Context<'_>, table: &Table<'_>) -> Result<SinkKind, ConfigError> {
    let item = table.need("stream", "write stream = \"scope/name\"")?;
    let stream = stream_name(&item)?;
    context.graph.target(table.source, &format!("stream {stream}"), &item.node.origin)?;
    let segments = table.get("segments").map_or(Ok(1), |item| item.count(1..=SEGMENTS_MAX))?;
    Ok(SinkKind::Stream { stream, segments })
}

fn file(context: &mut Context<'_>, table: &Table<'_>) -> Result<SinkKind, ConfigError> {
    let file = table.need("file", "write file = { path = \"folder\" }")?;
    let file = file.table(&["path", "roll_bytes", "roll_interval"])?;
    let item = file.need("path", "write path = \"folder\": part files are made in it")?;
    let path = context.path(&item)?;
    context.graph.target(table.source, &format!("folder {}", path.display()), &item.node.origin)?;
    Ok(SinkKind::File(FileSink {
        path,
        roll_bytes: file.get("roll_bytes").map_or(Ok(ROLL_BYTES), |item| item.size_bytes(1))?,
        roll_ms: file.get("roll_interval").map_or(Ok(ROLL_MS), |item| item.some_duration_ms())?,
    }))
}

fn stdout(table: &Table<'_>) -> Result<SinkKind, ConfigError> {
    let item = table.need("stdout", "write stdout = true")?;
    if !item.flag()? {
        return Err(item.error("stdout = false writes nowhere; write stdout = true, or remove the sink"));
    }
    Ok(SinkKind::Stdout)
}

impl Context<'_> {
    /// An egress reads an internal stream, so that its name must be one.
    fn egress_name(&self, sink: &str, origin: &Origin) -> Result<(), ConfigError> {
        egress_stream(&self.pipeline, sink).map(|_| ()).map_err(|e| self.source.error(origin, e))
    }
}
