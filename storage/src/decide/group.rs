//! Decides whether a reader group's new state takes the place of the old one: only when that is the version it was made
//! from. What a change is, `stream/reader_group/` knows.

use super::{Outcome, retention, scoped_id};
use crate::error::{Error, Kind, Result};
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

/// What a group acknowledges is what retention by consumption goes by: in the same part, under the group's name.
fn acknowledge(o: &mut Overlay<'_>, old: Option<&GroupRow>, swap: &GroupSwap) -> Result<()> {
    let name = swap.name.as_str();
    let before = old.map(|row| row.state.acknowledgements()).unwrap_or_default();
    let after = swap.state.as_ref().map(|state| state.acknowledgements()).unwrap_or_default();
    for stream in before.keys().filter(|stream| !after.contains_key(stream)) {
        o.changes.subscribers.drop((*stream, name.to_string()));
    }
    for (stream, cut) in after.iter().filter(|(stream, cut)| before.get(stream) != Some(cut)) {
        match retention::acknowledge(o, name, cut, swap.now_ms) {
            Err(e) if matches!(e.kind(), Kind::Unavailable | Kind::Full | Kind::Corrupt) => return Err(e),
            // The stream is gone or was made anew: nothing of it is held up.
            Err(e) => tracing::debug!(error = %e, stream = stream.0, "a group acknowledges in vain"),
            Ok(()) => {}
        }
    }
    Ok(())
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
    acknowledge(o, old.as_ref(), swap)?;
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
