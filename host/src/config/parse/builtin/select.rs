//! `select` of an operator into a [`SelectSpec`].

use super::super::super::builtin::{KeySpec, SelectColumn, SelectSpec};
use super::super::super::document::Value;
use super::super::super::error::ConfigError;
use super::super::super::table::Item;
use super::{check_fields, conditions, decimal, is_pointer, output, pointer};

pub(super) fn read(item: &Item<'_>) -> Result<SelectSpec, ConfigError> {
    let table = item.table(&["where", "key", "output"])?;
    let spec = SelectSpec {
        conditions: conditions(&table)?,
        key: table.get("key").map(|item| key(&item)).transpose()?,
        output: table.get("output").map(|item| output(&item, column)).transpose()?,
    };
    if spec.conditions.is_empty() && spec.key.is_none() && spec.output.is_none() {
        return Err(item.error(format!("{} selects nothing; write where, key or output", item.path)));
    }
    let keys = match &spec.key {
        Some(KeySpec::First(pointers) | KeySpec::All(pointers)) => &pointers[..],
        None => &[],
    };
    let columns = spec.output.iter().flatten().filter_map(|(_, column)| match column {
        SelectColumn::Field(pointer) | SelectColumn::Times(pointer, _) => Some(pointer),
        SelectColumn::Time | SelectColumn::Key | SelectColumn::KeyJson => None,
    });
    check_fields(item, spec.conditions.iter().map(|c| &c.field).chain(keys).chain(columns))?;
    Ok(spec)
}

/// `"/field"`, `{ first = [...] }` or `{ all = [...] }`.
fn key(item: &Item<'_>) -> Result<KeySpec, ConfigError> {
    if let Value::String(_) = item.node.value {
        return Ok(KeySpec::First(vec![pointer(item)?]));
    }
    let table = item.table(&["first", "all"])?;
    let list = |item: &Item<'_>| {
        let pointers = item.items()?.iter().map(pointer).collect::<Result<Vec<_>, _>>()?;
        if pointers.is_empty() {
            return Err(item.error(format!("{} is an empty list; name at least one field", item.path)));
        }
        Ok(pointers)
    };
    match (table.get("first"), table.get("all")) {
        (Some(first), None) => Ok(KeySpec::First(list(&first)?)),
        (None, Some(all)) => Ok(KeySpec::All(list(&all)?)),
        _ => {
            Err(item.error(format!("{}: write key = \"/field\", {{ first = [...] }} or {{ all = [...] }}", item.path)))
        }
    }
}

fn column(item: &Item<'_>) -> Result<SelectColumn, ConfigError> {
    if let Value::Table(_) = item.node.value {
        let table = item.table(&["field", "times"])?;
        let field = pointer(&table.need("field", "write field = \"/name\"")?)?;
        return Ok(SelectColumn::Times(field, decimal(&table.need("times", "write times = \"0.5\"")?)?));
    }
    match item.text()? {
        text if is_pointer(text) => Ok(SelectColumn::Field(text.to_string())),
        "time" => Ok(SelectColumn::Time),
        "key" => Ok(SelectColumn::Key),
        "key.json" => Ok(SelectColumn::KeyJson),
        text => Err(item.error(format!(
            "{} is {text:?}; write a field as \"/name\", \"time\", \"key\", \"key.json\" or {{ field = \"/name\", times = \
             \"0.5\" }}",
            item.path
        ))),
    }
}
