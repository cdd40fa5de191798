//! `[sources.NAME]` into a [`SourceSpec`].

use super::super::error::ConfigError;
use super::super::pipeline::{
    AlignSpec, Emit, Field, FileFormat, FileSource, SourceKind, SourceSpec, StreamSource, TimeFormat, TimeSpec,
    ValueForm, WatermarkKind, WatermarkSpec,
};
use super::super::table::{Item, Table};
use super::super::time_pattern;
use super::{Context, stream_name};

pub(super) fn read(context: &Context<'_>, name: &str, item: &Item<'_>) -> Result<SourceSpec, ConfigError> {
    let table = item.table(&["file", "stream", "bounded", "time", "key", "watermark"])?;
    let kind = match table.present(&["file", "stream"])[..] {
        [("file", _)] => {
            refuse(&table, &["bounded"], "a file source, which ends by itself")?;
            SourceKind::File(file(context, &table)?)
        }
        [("stream", _)] => {
            refuse(&table, &["time", "key"], "a stream source, whose events have their own time and key")?;
            SourceKind::Stream(stream(&table)?)
        }
        [] => {
            return Err(table.error(format!(
                "source {name:?} reads from nowhere; write file = {{ path = \"...\", format = \"csv\" }} or \
                 stream = \"scope/name\""
            )));
        }
        [.., (_, second)] => {
            return Err(table.source.error(second, format!("source {name:?} has both file and stream; keep one")));
        }
    };
    let watermark = watermark(&table, matches!(kind, SourceKind::Stream(_)))?;
    Ok(SourceSpec { name: name.to_string(), kind, watermark })
}

fn refuse(table: &Table<'_>, keys: &[&'static str], kind: &str) -> Result<(), ConfigError> {
    match table.present(keys).first() {
        Some((key, origin)) => Err(table.source.error(origin, format!("{key:?} has no meaning for {kind}; remove it"))),
        None => Ok(()),
    }
}

fn file(context: &Context<'_>, table: &Table<'_>) -> Result<FileSource, ConfigError> {
    let file = table.need("file", "write file = { path = \"...\", format = \"csv\" }")?;
    let file = file.table(&["path", "format", "value"])?;
    let path = file.need("path", "write path = \"...\" or path = [\"...\", \"logs/*.csv.gz\"]")?;
    let paths = path.one_or_many().iter().map(|item| context.path(item)).collect::<Result<Vec<_>, _>>()?;
    if paths.is_empty() {
        return Err(path.error("path is an empty list; name at least one file"));
    }
    let format = file.need("format", "write format = \"csv\", \"json\" or \"lines\"")?.word(&[
        ("csv", FileFormat::Csv),
        ("json", FileFormat::JsonLines),
        ("lines", FileFormat::Lines),
    ])?;
    let value = match file.get("value") {
        Some(item) => {
            let value = item.word(&[("json", ValueForm::Json), ("raw", ValueForm::Raw)])?;
            if format == FileFormat::Lines && value == ValueForm::Json {
                return Err(item.error("a line of format \"lines\" is any text, not JSON; write value = \"raw\""));
            }
            value
        }
        None if format == FileFormat::Lines => ValueForm::Raw,
        None => ValueForm::Json,
    };
    let time = table.get("time").map(|item| time(&item, format)).transpose()?;
    let key = match table.get("key") {
        Some(item) => Some(field(&item.table(&["column", "pointer"])?, format)?),
        None => None,
    };
    Ok(FileSource { paths, format, value, time, key })
}

fn time(item: &Item<'_>, file_format: FileFormat) -> Result<TimeSpec, ConfigError> {
    let table = item.table(&["column", "pointer", "format"])?;
    let field = field(&table, file_format)?;
    let format =
        table.need("format", "write format = \"ms\", \"s\", \"rfc3339\" or a pattern as \"%Y-%m-%d %H:%M:%S\"")?;
    let format = match format.text()? {
        "ms" => TimeFormat::EpochMs,
        "s" => TimeFormat::EpochSeconds,
        "rfc3339" => TimeFormat::Rfc3339,
        pattern => {
            time_pattern::check(pattern).map_err(|why| format.error(why))?;
            TimeFormat::Pattern(pattern.to_string())
        }
    };
    Ok(TimeSpec { field, format })
}

/// `{ column = "..." }` for CSV, `{ pointer = "/..." }` for JSON.
fn field(table: &Table<'_>, format: FileFormat) -> Result<Field, ConfigError> {
    let (right, wrong, mend) = match format {
        FileFormat::Csv => ("column", "pointer", "a CSV file has columns; write column = \"...\""),
        FileFormat::JsonLines => ("pointer", "column", "JSON lines have pointers; write pointer = \"/field\""),
        FileFormat::Lines => {
            return Err(table.error(format!("[{}]: lines of any text have no fields; remove it", table.path)));
        }
    };
    if let Some((_, origin)) = table.present(&[wrong]).first() {
        return Err(table.source.error(origin, format!("{wrong:?} in [{}]: {mend}", table.path)));
    }
    let item = table.need(right, mend)?;
    let text = item.text()?;
    if format == FileFormat::Csv {
        return Ok(Field::Column(text.to_string()));
    }
    let escapes_good = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if !text.starts_with('/') || !escapes_good {
        return Err(item.error(format!(
            "{text:?} is not a JSON pointer; write \"/field\" or \"/outer/inner\" ('~' is \"~0\" and '/' in a name \"~1\")"
        )));
    }
    Ok(Field::Pointer(text.to_string()))
}

fn stream(table: &Table<'_>) -> Result<StreamSource, ConfigError> {
    let stream = stream_name(&table.need("stream", "write stream = \"scope/name\"")?)?;
    let bounded = table.get("bounded").map_or(Ok(false), |item| item.flag())?;
    Ok(StreamSource { stream, bounded })
}

fn watermark(table: &Table<'_>, of_stream: bool) -> Result<WatermarkSpec, ConfigError> {
    let default = if of_stream { WatermarkKind::FromStream } else { WatermarkKind::None };
    let Some(item) = table.get("watermark") else {
        return Ok(WatermarkSpec { kind: default, idle_after_ms: None, emit: Emit::PerBatch, align: None });
    };
    let table = item.table(&["out_of_orderness", "emit", "idle_after", "from", "align"])?;
    let idle_after_ms = table.get("idle_after").map(|item| item.some_duration_ms()).transpose()?;
    let emit = match table.get("emit") {
        Some(item) => item.word(&[("per-batch", Emit::PerBatch), ("every-event", Emit::EveryEvent)])?,
        None => Emit::PerBatch,
    };
    if let [_, (_, second)] = table.present(&["out_of_orderness", "from"])[..] {
        return Err(table.source.error(second, "out_of_orderness and from exclude each other; keep one"));
    }
    let kind = match (table.get("out_of_orderness"), table.get("from")) {
        (Some(item), _) => WatermarkKind::OutOfOrderness { bound_ms: item.duration_ms()? },
        (None, Some(item)) => {
            let kind = item.word(&[("stream", WatermarkKind::FromStream), ("none", WatermarkKind::None)])?;
            if kind == WatermarkKind::FromStream && !of_stream {
                return Err(item.error("a file has no watermark of its own; write out_of_orderness = \"...\" instead"));
            }
            kind
        }
        (None, None) => default,
    };
    let align = match table.get("align") {
        Some(item) => {
            let table = item.table(&["group", "drift"])?;
            let group = table.get("group").map_or(Ok("default"), |item| item.text())?.to_string();
            let drift =
                table.need("drift", "write drift = \"30s\": how far a partition may be ahead of the slowest")?;
            Some(AlignSpec { group, drift_ms: drift.duration_ms()? })
        }
        None => None,
    };
    Ok(WatermarkSpec { kind, idle_after_ms, emit, align })
}
