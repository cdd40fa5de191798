//! `join` and `lookup` of an operator into a [`JoinSpec`] and a [`LookupSpec`].

use super::super::super::builtin::{JoinSpec, LookupSpec, PairCondition, Pointer, Side};
use super::super::super::error::ConfigError;
use super::super::super::table::Item;
use super::{check_fields, is_pointer, output, signed};

pub(super) fn read(item: &Item<'_>) -> Result<JoinSpec, ConfigError> {
    let table = item.table(&["within", "where", "output"])?;
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
    let conditions = match table.get("where") {
        Some(item) => item.items()?.iter().map(condition).collect::<Result<Vec<_>, _>>()?,
        None => Vec::new(),
    };
    let out = table.need("output", "write output = { name = \"left/name\", other = \"right/other\" }")?;
    let columns = output(&out, field)?.into_iter().map(|(name, (side, pointer))| (name, side, pointer)).collect();
    let spec = JoinSpec { interval_ms, conditions, output: columns };
    for side in [Side::Left, Side::Right] {
        let shown = spec.output.iter().filter(|(_, of, _)| *of == side).map(|(_, _, pointer)| pointer);
        let compared = spec.conditions.iter().flat_map(|c| [Some(&c.field), c.at_least.as_ref(), c.at_most.as_ref()]);
        let compared = compared.flatten().filter(|(of, _)| *of == side).map(|(_, pointer)| pointer);
        check_fields(item, shown.chain(compared))?;
    }
    Ok(spec)
}

/// Reads `lookup`.
pub(super) fn read_lookup(item: &Item<'_>) -> Result<LookupSpec, ConfigError> {
    let table = item.table(&["missing", "output"])?;
    let keep_missing = table.get("missing").map_or(Ok(false), |item| item.word(&[("drop", false), ("null", true)]))?;
    let out = table.need("output", "write output = { name = \"left/name\", other = \"right/other\" }")?;
    let output: Vec<_> =
        output(&out, field)?.into_iter().map(|(name, (side, pointer))| (name, side, pointer)).collect();
    for of in [Side::Left, Side::Right] {
        check_fields(item, output.iter().filter(|(_, side, _)| *side == of).map(|(_, _, pointer)| pointer))?;
    }
    Ok(LookupSpec { keep_missing, output })
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
