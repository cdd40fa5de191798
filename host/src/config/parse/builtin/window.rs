//! `window` of an operator into a [`WindowSpec`].

use super::super::super::builtin::{
    Aggregate, Clock, Condition, Function, Gap, Pointer, Rows, Top, Trigger, WindowColumn, WindowSpec, Windows,
};
use super::super::super::decimal::SCALE_MAX;
use super::super::super::document::Value;
use super::super::super::error::ConfigError;
use super::super::super::table::{Item, Table};
use super::{check_fields, conditions, is_pointer, output, pointer, some_ms};

/// Digits after the point of an average unless the file says otherwise.
const DECIMALS: u8 = 6;
/// Most windows that one event may fall in where overlapping windows cannot share panes.
const OVERLAP_MAX: i64 = 1_000;
const KINDS: [&str; 4] = ["tumbling", "sliding", "session", "global"];
const FUNCTIONS: [&str; 7] = ["count", "sum", "min", "max", "avg", "first", "last"];

pub(super) fn read(item: &Item<'_>) -> Result<WindowSpec, ConfigError> {
    read_for(item, false)
}

/// Of a component: what to compute is its affair.
pub(super) fn read_of_component(item: &Item<'_>) -> Result<WindowSpec, ConfigError> {
    read_for(item, true)
}

fn read_for(item: &Item<'_>, component: bool) -> Result<WindowSpec, ConfigError> {
    let table = item.table(&[
        "tumbling",
        "sliding",
        "slide",
        "offset",
        "session",
        "global",
        "clock",
        "lateness",
        "late_output",
        "discard",
        "trigger",
        "where",
        "output",
        "rows",
        "having",
    ])?;
    let windows = windows(&table)?;
    let clock = table.get("clock").map_or(Ok(Clock::Event), |item| clock(&item))?;
    let trigger = trigger(&table, &windows)?;
    let lateness_ms = table.get("lateness").map_or(Ok(0), |item| item.duration_ms())?;
    let flag = |key: &str| table.get(key).map_or(Ok(false), |item| item.flag());
    let unfit = |key: &'static str, why: &str| match table.present(&[key]).first() {
        Some((_, origin)) => Err(table.source.error(origin, format!("{key:?} has no meaning for {why}; remove it"))),
        None => Ok(()),
    };
    if clock == Clock::Processing {
        unfit("lateness", "windows of processing time, for which nothing is late")?;
        unfit("late_output", "windows of processing time, for which nothing is late")?;
    }
    if windows == Windows::Global {
        unfit("lateness", "a global window, for which nothing is late")?;
        unfit("late_output", "a global window, for which nothing is late")?;
        unfit("clock", "a global window")?;
    }
    if component && let Some((key, origin)) = table.present(&["where", "output", "rows", "having"]).first() {
        let message =
            format!("{key:?} is of built-in aggregates; the component makes the results, so remove it (or component)");
        return Err(table.source.error(origin, message));
    }
    let rows = table.get("rows").map(|item| rows(&item)).transpose()?;
    let with_rows = rows.is_some();
    let output = if component {
        Vec::new()
    } else {
        let out = table.need(
            "output",
            "write output = { count = \"count\" }, or component = \"path/of/the/project\" beside window",
        )?;
        output(&out, |item| column(item, with_rows))?
    };
    let spec = WindowSpec {
        windows,
        clock,
        trigger,
        lateness_ms,
        discard: flag("discard")?,
        late_output: flag("late_output")?,
        conditions: conditions(&table)?,
        output,
        rows,
        having: table.get("having").map(|item| having(&item)).transpose()?,
    };
    check_overlap(item, &spec)?;
    check_fields(item, fields(&spec).into_iter())?;
    Ok(spec)
}

fn fields(spec: &WindowSpec) -> Vec<&Pointer> {
    let mut fields: Vec<&Pointer> = spec.conditions.iter().map(|c| &c.field).collect();
    for (_, column) in &spec.output {
        match column {
            WindowColumn::Field(pointer) => fields.push(pointer),
            WindowColumn::Aggregate(aggregate) => {
                fields.extend(&aggregate.field);
                fields.extend(aggregate.conditions.iter().map(|c| &c.field));
            }
            _ => {}
        }
    }
    if let Some(rows) = &spec.rows {
        fields.extend(rows.top.iter().map(|top| &top.by));
        fields.extend(rows.conditions.iter().map(|c| &c.field));
    }
    fields.extend(spec.having.iter().flat_map(|(_, conditions)| conditions).map(|c| &c.field));
    fields
}

pub(super) fn windows(table: &Table<'_>) -> Result<Windows, ConfigError> {
    let present = table.present(&KINDS);
    let kind = match present[..] {
        [(kind, _)] => kind,
        [] => {
            return Err(table.error(format!(
                "[{}] has no windows; write tumbling = \"10s\", sliding = \"10s\" with slide = \"2s\", session = \"10s\" or \
                 global = true",
                table.path
            )));
        }
        [(first, _), (second, at), ..] => {
            return Err(table.source.error(at, format!("[{}] has both {first} and {second}; keep one", table.path)));
        }
    };
    let only_aligned = |key: &'static str, of: &str| match table.present(&[key]).first() {
        Some((_, origin)) => Err(table.source.error(origin, format!("only {of} windows have {key:?}; remove it"))),
        None => Ok(()),
    };
    if kind != "sliding" {
        only_aligned("slide", "sliding")?;
    }
    let item = table.need(kind, "write a duration")?;
    match kind {
        "tumbling" | "sliding" => {
            let size_ms = some_ms(&item)?;
            let slide_ms = match kind {
                "sliding" => some_ms(&table.need("slide", "write slide = \"2s\": the distance of windows")?)?,
                _ => size_ms,
            };
            let offset_ms = match table.get("offset") {
                None => 0,
                Some(item) => {
                    let ms = item.duration_ms()?;
                    i64::try_from(ms).ok().filter(|ms| *ms < slide_ms).ok_or_else(|| {
                        item.error(format!(
                            "{} is {ms} ms; write less than the distance of windows, {slide_ms} ms",
                            item.path
                        ))
                    })?
                }
            };
            Ok(Windows::Aligned { size_ms, slide_ms, offset_ms })
        }
        "session" => {
            only_aligned("offset", "tumbling and sliding")?;
            if let Value::Table(_) = item.node.value {
                let table = item.table(&["gap"])?;
                return Ok(Windows::Session(Gap::Field(pointer(&table.need("gap", "write gap = \"/field\" (ms)")?)?)));
            }
            Ok(Windows::Session(Gap::Fixed(some_ms(&item)?)))
        }
        _ => {
            only_aligned("offset", "tumbling and sliding")?;
            if !item.flag()? {
                return Err(item.error("global = false is no window; write global = true, or another kind"));
            }
            Ok(Windows::Global)
        }
    }
}

fn clock(item: &Item<'_>) -> Result<Clock, ConfigError> {
    item.word(&[("event", Clock::Event), ("processing", Clock::Processing)])
}

/// A global window with `count` or `every` gives no result of its own at the end of input, unless it is asked to.
fn trigger(table: &Table<'_>, windows: &Windows) -> Result<Trigger, ConfigError> {
    let Some(item) = table.get("trigger") else { return Ok(Trigger::END) };
    let table = item.table(&["at_end", "count", "every", "clock"])?;
    let count = table.get("count").map(|item| item.count(1..=u32::MAX)).transpose()?;
    let clock = table.get("clock").map_or(Ok(Clock::Event), |item| clock(&item))?;
    let every = table.get("every").map(|item| Ok((some_ms(&item)?, clock))).transpose()?;
    if let (None, Some((_, origin))) = (every, table.present(&["clock"]).first()) {
        return Err(table.source.error(origin, "clock is that of every; write every = \"1s\", or remove it"));
    }
    let others = count.is_some() || every.is_some();
    let at_end = table.get("at_end").map_or(Ok(!others || *windows != Windows::Global), |item| item.flag())?;
    if !at_end && !others {
        return Err(item.error(format!("{}: the window would never give a result; write count or every", item.path)));
    }
    Ok(Trigger { at_end, count, every })
}

fn column(item: &Item<'_>, with_rows: bool) -> Result<WindowColumn, ConfigError> {
    if let Value::Table(_) = item.node.value {
        return aggregate(item).map(WindowColumn::Aggregate);
    }
    Ok(match item.text()? {
        "window.start" => WindowColumn::Start,
        "window.end" => WindowColumn::End,
        "window.firing" => WindowColumn::Firing,
        "key" => WindowColumn::Key,
        "key.json" => WindowColumn::KeyJson,
        "count" => {
            WindowColumn::Aggregate(Aggregate { function: Function::Count, field: None, conditions: Vec::new() })
        }
        text if is_pointer(text) && with_rows => WindowColumn::Field(text.to_string()),
        text if is_pointer(text) => {
            return Err(item.error(format!(
                "{}: a result of a window is of many events; say which value of {text:?}, as in {{ max = {text:?} }} or \
                 {{ last = {text:?} }}, or add rows for a result per event",
                item.path
            )));
        }
        text => {
            return Err(item.error(format!(
                "{} is {text:?}; write \"window.start\", \"window.end\", \"window.firing\", \"key\", \"key.json\", \"count\" \
                 or an aggregate as {{ sum = \"/field\" }}",
                item.path
            )));
        }
    })
}

/// `{ sum = "/field", where = [...] }`, `{ count = true }`.
fn aggregate(item: &Item<'_>) -> Result<Aggregate, ConfigError> {
    let mut known = FUNCTIONS.to_vec();
    known.extend(["decimals", "where"]);
    let table = item.table(&known)?;
    let [(name, _)] = table.present(&FUNCTIONS)[..] else {
        return Err(item.error(format!("{}: write exactly one of {}", item.path, FUNCTIONS.join(", "))));
    };
    let over = table.need(name, "write a field")?;
    let decimals = table.get("decimals").map(|item| item.count(0..=u32::from(SCALE_MAX))).transpose()?;
    if let (true, Some((_, origin))) = (name != "avg", table.present(&["decimals"]).first()) {
        return Err(table.source.error(origin, "only avg has decimals; remove it"));
    }
    let function = match name {
        "count" => Function::Count,
        "sum" => Function::Sum,
        "min" => Function::Min,
        "max" => Function::Max,
        "avg" => Function::Avg { decimals: decimals.map_or(DECIMALS, |d| d as u8) },
        "first" => Function::First,
        _ => Function::Last,
    };
    let field = match over.node.value {
        Value::Boolean(true) if name == "count" => None,
        _ => Some(pointer(&over)?),
    };
    Ok(Aggregate { function, field, conditions: conditions(&table)? })
}

fn rows(item: &Item<'_>) -> Result<Rows, ConfigError> {
    let table = item.table(&["top", "by", "order", "ties", "distinct", "where"])?;
    let flag = |key: &str| table.get(key).map_or(Ok(false), |item| item.flag());
    let top = match table.get("top") {
        Some(top) => Some(Top {
            n: top.count(1..=u32::MAX)?,
            by: pointer(&table.need("by", "write by = \"/field\": what is ranked")?)?,
            least: table.get("order").map_or(Ok(false), |item| item.word(&[("greatest", false), ("least", true)]))?,
            ties: flag("ties")?,
        }),
        None => {
            if let Some((key, origin)) = table.present(&["by", "order", "ties"]).first() {
                let message = format!("{key:?} is of top; write top = 1 with it, or remove it");
                return Err(table.source.error(origin, message));
            }
            None
        }
    };
    Ok(Rows { top, distinct: flag("distinct")?, conditions: conditions(&table)? })
}

fn having(item: &Item<'_>) -> Result<(u64, Vec<Condition>), ConfigError> {
    let table = item.table(&["at_least", "where"])?;
    let least = table.get("at_least").map_or(Ok(1), |item| item.number(1..=u64::MAX))?;
    Ok((least, conditions(&table)?))
}

/// Windows that cannot share panes take an event once each.
fn check_overlap(item: &Item<'_>, spec: &WindowSpec) -> Result<(), ConfigError> {
    let Windows::Aligned { size_ms, slide_ms, .. } = spec.windows else { return Ok(()) };
    let alone = spec.clock == Clock::Processing || spec.trigger != Trigger::END || spec.discard && spec.lateness_ms > 0;
    if alone && size_ms / slide_ms > OVERLAP_MAX {
        return Err(item.error(format!(
            "{}: each event would be kept in {} windows; triggers, discard and clock = \"processing\" let windows share \
             nothing: leave them out, or write a slide of at least a {OVERLAP_MAX}th of the size",
            item.path,
            size_ms / slide_ms
        )));
    }
    Ok(())
}
