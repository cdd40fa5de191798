//! Decides whether a reader group's new state takes the place of the old one: only when that is the version it was made
//! from. What a change is, `stream/reader_group/` knows.

use super::{Outcome, scoped_id};
use crate::error::{Error, Result};
use crate::names::GroupName;
use crate::overlay::{Overlay, ScopedSnapshot};
use crate::row::{GroupRow, ScopedId};
use crate::stream::reader_group::GroupState;

/// A group's new state.
#[derive(Clone, Debug)]
pub(crate) struct GroupSwap {
    pub(crate) name: GroupName,
    /// The version that it was made from; none = there must be no such group.
    pub(crate) expected: Option<(ScopedId, u64)>,
    /// None = the group goes.
    pub(crate) state: Option<Box<GroupState>>,
    pub(crate) now_ms: i64,
}

/// Answers the new version.
pub(super) fn swap(o: &mut Overlay<'_>, swap: &GroupSwap) -> Result<Outcome> {
    let GroupSwap { name, expected, state, now_ms } = swap;
    let old = o.group(name)?;
    let there = old.as_ref().map(|row| (row.id, row.version));
    if there != *expected {
        return Err(Error::conflict(match there {
            Some((_, version)) => {
                format!("reader group {name} is in version {version}: it was changed meanwhile; read it again")
            }
            None => format!("reader group {name} does not exist any more"),
        }));
    }
    let Some(state) = state else {
        o.changes.scoped.groups.insert(name.clone(), None);
        return Ok(Outcome::Number(0));
    };
    state.check().map_err(|e| Error::bug(format!("reader group {name}: {e}")))?;
    let row = match old {
        Some(old) => GroupRow { version: old.version + 1, state: (**state).clone(), ..old },
        None => GroupRow { id: scoped_id(o)?, created_at_ms: *now_ms, version: 1, state: (**state).clone() },
    };
    let version = row.version;
    o.changes.scoped.groups.insert(name.clone(), Some(row));
    Ok(Outcome::Number(version))
}
