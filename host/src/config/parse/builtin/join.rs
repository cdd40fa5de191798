//! `join` and `lookup` of an operator into a [`JoinSpec`] or [`WindowJoinSpec`], and a [`LookupSpec`].

use super::super::super::builtin::{
    Builtin, Clock, JoinSpec, LookupSpec, PairColumn, PairCondition, Pointer, Side, Trigger, WindowColumn,
    WindowJoinSpec, WindowSpec,
};
use super::super::super::error::ConfigError;
use super::super::super::table::{Item, Table};
use super::window::windows;
use super::{check_fields, is_pointer, output, signed};

/// Keys that say which windows.
const WINDOWS: [&str; 3] = ["tumbling", "sliding", "session"];
/// Keys that only windows have.
const OF_WINDOWS: [&str; 5] = ["slide", "offset", "lateness", "late_output", "unmatched"];

pub(super) fn read(item: &Item<'_>) -> Result<Builtin, ConfigError> {
    let mut known = vec!["within", "where", "output"];
    known.extend(WINDOWS);
    known.extend(OF_WINDOWS);
    let table = item.table(&known)?;
    if !table.present(&WINDOWS).is_empty() {
        return read_in_windows(item, &table).map(Builtin::WindowJoin);
    }
    if let Some((key, origin)) = table.present(&OF_WINDOWS).first() {
        let message =
            format!("{key:?} is of a join in windows; write tumbling, sliding or session with it, or remove it");
        return Err(table.source.error(origin, message));
    }
    let interval_ms = match table.get("within") {
        None => None,
        Some(item) => {
            let table = item.table(&["before", "after"])?;
            let ms = |key: &str| match table.get(key) {
                Some(item) => signed(&item, item.duration_ms()?),
                None => Ok(0),
            };
            Some((-ms("before")?, ms("after")?))
        }
    };
    let conditions = conditions(&table)?;
    let out = table.need("output", "write output = { name = \"left/name\", other = \"right/other\" }")?;
    let output: Vec<_> =
        output(&out, field)?.into_iter().map(|(name, (side, pointer))| (name, side, pointer)).collect();
    check_sides(item, &conditions, output.iter().map(|(_, side, pointer)| (*side, pointer)))?;
    Ok(Builtin::Join(JoinSpec { interval_ms, conditions, output }))
}

fn read_in_windows(item: &Item<'_>, table: &Table<'_>) -> Result<WindowJoinSpec, ConfigError> {
    if let Some((_, origin)) = table.present(&["within"]).first() {
        let message = "a join is within windows or within a time of each event; remove one of the two";
        return Err(table.source.error(origin, message));
    }
    let window = WindowSpec {
        windows: windows(table)?,
        clock: Clock::Event,
        trigger: Trigger::END,
        lateness_ms: table.get("lateness").map_or(Ok(0), |item| item.duration_ms())?,
        discard: false,
        late_output: table.get("late_output").map_or(Ok(false), |item| item.flag())?,
        conditions: Vec::new(),
        output: Vec::new(),
        rows: None,
        having: None,
    };
    let conditions = conditions(table)?;
    let unmatched =
        [("drop", (false, false)), ("left", (true, false)), ("right", (false, true)), ("both", (true, true))];
    let (keep_left, keep_right) = table.get("unmatched").map_or(Ok((false, false)), |item| item.word(&unmatched))?;
    let out = table.need("output", "write output = { name = \"left/name\", other = \"right/other\" }")?;
    let output = output(&out, column)?;
    let fields = output.iter().filter_map(|(_, column)| match column {
        PairColumn::Field(side, pointer) => Some((*side, pointer)),
        PairColumn::Window(_) => None,
    });
    check_sides(item, &conditions, fields)?;
    Ok(WindowJoinSpec { window, conditions, keep_left, keep_right, output })
}

/// That neither side names more fields than are read in one pass.
fn check_sides<'a>(
    item: &Item<'_>,
    conditions: &'a [PairCondition],
    shown: impl Iterator<Item = (Side, &'a Pointer)> + Clone,
) -> Result<(), ConfigError> {
    for side in [Side::Left, Side::Right] {
        let shown = shown.clone().filter(|(of, _)| *of == side).map(|(_, pointer)| pointer);
        let compared = conditions.iter().flat_map(|c| [Some(&c.field), c.at_least.as_ref(), c.at_most.as_ref()]);
        let compared = compared.flatten().filter(|(of, _)| *of == side).map(|(_, pointer)| pointer);
        check_fields(item, shown.chain(compared))?;
    }
    Ok(())
}

/// Reads `lookup`.
pub(super) fn read_lookup(item: &Item<'_>) -> Result<LookupSpec, ConfigError> {
    let table = item.table(&["missing", "output"])?;
    let keep_missing = table.get("missing").map_or(Ok(false), |item| item.word(&[("drop", false), ("null", true)]))?;
    let out = table.need("output", "write output = { name = \"left/name\", other = \"right/other\" }")?;
    let output: Vec<_> =
        output(&out, field)?.into_iter().map(|(name, (side, pointer))| (name, side, pointer)).collect();
    check_sides(item, &[], output.iter().map(|(_, side, pointer)| (*side, pointer)))?;
    Ok(LookupSpec { keep_missing, output })
}

fn conditions(table: &Table<'_>) -> Result<Vec<PairCondition>, ConfigError> {
    match table.get("where") {
        Some(item) => item.items()?.iter().map(condition).collect(),
        None => Ok(Vec::new()),
    }
}

/// A member of a result about a pair in a window.
fn column(item: &Item<'_>) -> Result<PairColumn, ConfigError> {
    Ok(match item.text()? {
        "window.start" => PairColumn::Window(WindowColumn::Start),
        "window.end" => PairColumn::Window(WindowColumn::End),
        "window.firing" => PairColumn::Window(WindowColumn::Firing),
        "key" => PairColumn::Window(WindowColumn::Key),
        "key.json" => PairColumn::Window(WindowColumn::KeyJson),
        _ => {
            let (side, pointer) = field(item)?;
            PairColumn::Field(side, pointer)
        }
    })
}

fn condition(item: &Item<'_>) -> Result<PairCondition, ConfigError> {
    let table = item.table(&["field", "at_least", "at_most"])?;
    let condition = PairCondition {
        field: field(&table.need("field", "write field = \"left/name\"")?)?,
        at_least: table.get("at_least").map(|item| field(&item)).transpose()?,
        at_most: table.get("at_most").map(|item| field(&item)).transpose()?,
    };
    if condition.at_least.is_none() && condition.at_most.is_none() {
        return Err(item.error(format!("{}: write at_least or at_most, with a field of the other side", item.path)));
    }
    Ok(condition)
}

/// `"left/field"` or `"right/field"`.
fn field(item: &Item<'_>) -> Result<(Side, Pointer), ConfigError> {
    let text = item.text()?;
    for (name, side) in [("left", Side::Left), ("right", Side::Right)] {
        if let Some(pointer) = text.strip_prefix(name).filter(|rest| is_pointer(rest)) {
            return Ok((side, pointer.to_string()));
        }
    }
    Err(item.error(format!(
        "{} is {text:?}; write \"left/field\" or \"right/field\" (the first and the second input)",
        item.path
    )))
}
