//! `[operators.NAME]` without a component into a [`Builtin`]: the tables `select`, `window`, `join`, `lookup` and
//! `distinct`, and what they share (fields, constants, conditions).

mod join;
mod select;
mod window;

use super::super::builtin::{Builtin, Condition, DistinctSpec, FIELDS_MAX, Pointer, Scalar, Test, WindowSpec};
use super::super::decimal::Decimal;
use super::super::document::Value;
use super::super::error::ConfigError;
use super::super::table::{Item, Table};
use std::collections::BTreeSet;

/// The keys of `[operators.NAME]` that say which built-in operator it is.
pub(super) const KINDS: [&str; 5] = ["select", "window", "join", "lookup", "distinct"];

/// Reads the table of one of [`KINDS`].
pub(super) fn read(kind: &str, item: &Item<'_>) -> Result<Builtin, ConfigError> {
    Ok(match kind {
        "select" => Builtin::Select(select::read(item)?),
        "window" => Builtin::Window(window::read(item)?),
        "join" => join::read(item)?,
        "lookup" => Builtin::Lookup(join::read_lookup(item)?),
        _ => {
            let table = item.table(&["ttl"])?;
            Builtin::Distinct(DistinctSpec { ttl_ms: table.get("ttl").map(|item| some_ms(&item)).transpose()? })
        }
    })
}

/// `window` of an operator that has a component: which windows, and not what of.
pub(super) fn window_of_component(item: &Item<'_>) -> Result<WindowSpec, ConfigError> {
    window::read_of_component(item)
}

/// A duration longer than nothing, as signed ms.
fn some_ms(item: &Item<'_>) -> Result<i64, ConfigError> {
    signed(item, item.some_duration_ms()?)
}

fn signed(item: &Item<'_>, ms: u64) -> Result<i64, ConfigError> {
    const LONGEST_MS: u64 = (1 << 53) - 1;
    i64::try_from(ms.min(LONGEST_MS + 1))
        .ok()
        .filter(|ms| *ms <= LONGEST_MS as i64)
        .ok_or_else(|| item.error(format!("{} is longer than {LONGEST_MS} ms; write a shorter one", item.path)))
}

/// A JSON pointer.
fn pointer(item: &Item<'_>) -> Result<Pointer, ConfigError> {
    let text = item.text()?;
    if is_pointer(text) {
        return Ok(text.to_string());
    }
    Err(item.error(format!(
        "{text:?} is not a field; write a JSON pointer, as in \"/field\" or \"/outer/inner\" ('~' is \"~0\" and '/' in a \
         name \"~1\")"
    )))
}

fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|after| after.starts_with(['0', '1']))
}

/// A number, as TOML or in quotes.
fn decimal(item: &Item<'_>) -> Result<Decimal, ConfigError> {
    let text = match &item.node.value {
        Value::Integer(number) => number.to_string(),
        // The shortest text that means this number: what was written, but for needless digits.
        Value::Float(number) => number.to_string(),
        Value::String(text) => text.clone(),
        other => {
            return Err(item.error(format!("{} is {}; write a number", item.path, other.kind())));
        }
    };
    Decimal::parse(text.as_bytes())
        .ok_or_else(|| item.error(format!("{} is {text:?}; write a number of at most 38 digits", item.path)))
}

fn constant(item: &Item<'_>) -> Result<Scalar, ConfigError> {
    Ok(match &item.node.value {
        Value::String(text) => Scalar::Text(text.clone()),
        Value::Boolean(flag) => Scalar::Flag(*flag),
        Value::Integer(_) | Value::Float(_) => Scalar::Number(decimal(item)?),
        other => {
            return Err(item.error(format!(
                "{} is {}; write a text, a number, or true or false",
                item.path,
                other.kind()
            )));
        }
    })
}

/// `where` of a table: conditions that must all hold.
fn conditions(table: &Table<'_>) -> Result<Vec<Condition>, ConfigError> {
    match table.get("where") {
        Some(item) => item.items()?.iter().map(condition).collect(),
        None => Ok(Vec::new()),
    }
}

const TESTS: [&str; 10] =
    ["equals", "differs", "in", "not_in", "modulo", "at_least", "above", "at_most", "below", "exists"];

fn condition(item: &Item<'_>) -> Result<Condition, ConfigError> {
    let mut known = vec!["field"];
    known.extend(TESTS);
    let table = item.table(&known)?;
    let field = pointer(&table.need("field", "write field = \"/name\"")?)?;
    let present: Vec<&str> = table.present(&TESTS).into_iter().map(|(key, _)| key).collect();
    let list = |key: &str| match table.get(key) {
        Some(item) => item.items()?.iter().map(constant).collect(),
        None => Ok(Vec::new()),
    };
    let one = |key: &str| table.get(key).map(|item| constant(&item)).transpose();
    let number = |key: &str| table.get(key).map(|item| decimal(&item)).transpose();
    let bounds = ["at_least", "above", "at_most", "below"];
    let test = match present[..] {
        ["equals"] => Test::In(one("equals")?.into_iter().collect()),
        ["differs"] => Test::NotIn(one("differs")?.into_iter().collect()),
        ["in"] => Test::In(list("in")?),
        ["not_in"] => Test::NotIn(list("not_in")?),
        ["equals", "modulo"] => {
            let whole = |key: &str, least: i64| {
                let item = table.need(key, "write a whole number")?;
                let number = decimal(&item)?.whole().filter(|n| *n >= least);
                number.ok_or_else(|| item.error(format!("{} must be a whole number, at least {least}", item.path)))
            };
            Test::Modulo { by: whole("modulo", 1)?, equals: whole("equals", i64::MIN)? }
        }
        ["exists"] => Test::Exists(table.get("exists").map_or(Ok(true), |item| item.flag())?),
        _ if !present.is_empty()
            && present.len() <= 2
            && present.iter().all(|key| bounds.contains(key))
            && !(present.contains(&"at_least") && present.contains(&"above"))
            && !(present.contains(&"at_most") && present.contains(&"below")) =>
        {
            Test::Within {
                least: number("at_least")?.or(number("above")?),
                above: present.contains(&"above"),
                greatest: number("at_most")?.or(number("below")?),
                below: present.contains(&"below"),
            }
        }
        _ => {
            return Err(table.error(format!(
                "[{}]: say what the field must be with one of equals, differs, in, not_in, exists, with modulo and \
                 equals, or with bounds (at_least or above, at_most or below)",
                table.path
            )));
        }
    };
    Ok(Condition { field, test })
}

/// `output` of a table: members in the order of the file.
fn output<T>(
    item: &Item<'_>,
    column: impl Fn(&Item<'_>) -> Result<T, ConfigError>,
) -> Result<Vec<(String, T)>, ConfigError> {
    let table = item.open_table()?;
    let columns: Vec<(String, T)> =
        table.entries().map(|(name, _, item)| Ok((name.to_string(), column(&item)?))).collect::<Result<_, _>>()?;
    if columns.is_empty() {
        return Err(item.error(format!("{} is empty; name at least one member of the result", item.path)));
    }
    Ok(columns)
}

/// That an operator does not name more fields than are read in one pass.
fn check_fields<'a>(item: &Item<'_>, fields: impl Iterator<Item = &'a Pointer>) -> Result<(), ConfigError> {
    let different: BTreeSet<&Pointer> = fields.collect();
    if different.len() > FIELDS_MAX {
        return Err(item.error(format!(
            "{} names {} different fields; the most is {FIELDS_MAX}: take what is needed out in two operators",
            item.path,
            different.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
