//! Scans of map and list state: the entries of keys, merged over all levels, in pages. Host functions call it; the cursor
//! goes to the guest and comes back, so it is checked like any guest input.
//!
//! ```text
//! cursor  | check u64 | range u32 | next sub-key |      check = h(state, ranges, range, next sub-key)
//! ```

use super::overlay::SubRange;
use super::{KeyedState, StateError};
use crate::operator::descriptor::{StateKind, StateScope};
use std::borrow::Cow;
use tidemill_storage::Column;
use tidemill_storage::hash::hash_key;

/// Most entries of a page, and how many when the caller leaves it to us.
pub const PAGE_ENTRIES_MAX: u32 = 4_096;
/// A page ends before it holds more bytes than this, unless one entry alone does.
pub const PAGE_BYTES_MAX: usize = 256 << 10;

/// Entries that are read of runs at once.
pub(super) const SCAN_RUNS_ENTRIES: usize = 1_024;
const CURSOR_HEAD_BYTES: usize = 12;

/// Entries of one key with sub-keys in `[start, end)`; lists take neither bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScanRange<'a> {
    /// The key.
    pub key: &'a [u8],
    /// First sub-key.
    pub start: Option<&'a [u8]>,
    /// First sub-key that is out.
    pub end: Option<&'a [u8]>,
}

/// Entries of some ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Entry i belongs to `ranges[range_of[i]]`; never decreases.
    pub range_of: Vec<u32>,
    /// Sub-keys; empty strings for a list.
    pub subkeys: Column,
    /// Values.
    pub values: Column,
    /// There is more: pass it with the same ranges.
    pub cursor: Option<Vec<u8>>,
}

impl KeyedState {
    /// At most `limit` entries (0: as fits) from where `cursor` points.
    pub fn scan(
        &mut self,
        state: u32,
        ranges: &[ScanRange<'_>],
        limit: u32,
        cursor: Option<&[u8]>,
    ) -> Result<Page, StateError> {
        match self.scope(state) {
            StateScope::Key => {}
            StateScope::Operator => return self.scan_own(state, ranges, limit, cursor),
            StateScope::Broadcast => {
                let shared = self.shared_of_ranges(state, ranges)?;
                return shared.scan(state, ranges, limit, cursor);
            }
        }
        let kind = self.kind(state)?;
        if kind == StateKind::Value {
            return Err(StateError::WrongKind {
                call: "scan",
                state,
                kind: "value",
                mend: "it has one value per key; read it with get",
            });
        }
        if kind == StateKind::List && ranges.iter().any(|range| range.start.is_some() || range.end.is_some()) {
            return Err(StateError::WrongKind {
                call: "scan with start or end",
                state,
                kind: "list",
                mend: "a list is read whole, in append order; leave start and end out",
            });
        }
        let limit = if limit == 0 { PAGE_ENTRIES_MAX } else { limit.min(PAGE_ENTRIES_MAX) } as usize;
        let (first, resume_at) = match cursor {
            Some(cursor) => decode_cursor(state, ranges, cursor)?,
            None => (0, None),
        };
        let (place, alive) = (self.place(state), self.expiry.alive(state));
        let mut page = Page::default();
        let mut refreshed: Vec<(usize, Vec<u8>)> = Vec::new();
        for (index, range) in ranges.iter().enumerate().skip(first) {
            let hash = self.locate(state, range.key)?;
            let resume_at = if index == first { resume_at } else { None };
            let start = resume_at.or(range.start).unwrap_or(&[]);
            self.walk((hash, place, range.key), start, range.end, |sub_key, stored| {
                let value = match &alive {
                    Some(alive) => alive.value(stored),
                    None => Some(stored),
                };
                let Some(value) = value else { return true };
                let bytes = page.values.data.len() + page.subkeys.data.len() + sub_key.len() + value.len();
                if page.range_of.len() == limit || (bytes > PAGE_BYTES_MAX && !page.range_of.is_empty()) {
                    page.cursor = Some(encode_cursor(state, ranges, index as u32, sub_key));
                    return false;
                }
                page.range_of.push(index as u32);
                page.subkeys.push(if kind == StateKind::List { &[] } else { sub_key });
                page.values.push(value);
                if alive.is_some_and(|alive| alive.refresh) {
                    refreshed.push((index, sub_key.to_vec()));
                }
                true
            })?;
            if page.cursor.is_some() {
                break;
            }
        }
        for (i, (index, sub_key)) in refreshed.into_iter().enumerate() {
            self.refresh(state, ranges[index].key, Some(&sub_key), page.values.get(i))?;
        }
        Ok(page)
    }

    /// Visits the stored entries of a key in order, until one returns `false`.
    pub(super) fn walk(
        &mut self,
        (hash, state, key): (u64, u32, &[u8]),
        start: &[u8],
        end: Option<&[u8]>,
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let mut start = Cow::Borrowed(start);
        loop {
            let fetched = self.view.scan_runs((hash, state, key), &start, end, SCAN_RUNS_ENTRIES, PAGE_BYTES_MAX);
            let (below, more) = fetched.map_err(|e| self.read_failed(e))?;
            // Past the last that was fetched, nothing is known of the runs yet.
            let known_to = if more { below.last().map(|(sub_key, _)| after(sub_key)) } else { None };
            let until = known_to.as_deref().or(end);
            for (sub_key, value) in self.merged(hash, state, key, &start, until, &below) {
                if !visit(sub_key, value) {
                    return Ok(());
                }
            }
            match known_to {
                Some(next) => start = Cow::Owned(next),
                None => return Ok(()),
            }
        }
    }

    /// All visible entries of a key, levels merged.
    pub(super) fn merged<'a>(
        &'a self,
        hash: u64,
        state: u32,
        key: &[u8],
        start: &[u8],
        end: Option<&'a [u8]>,
        below: &'a [(Box<[u8]>, Box<[u8]>)],
    ) -> Merged<'a> {
        let mut heads = Vec::with_capacity(self.sealed.len() + 3);
        for slot in self.overlays().filter_map(|overlay| overlay.find(hash, state, key)) {
            heads.extend(slot.range(start, end).map(|range| Head::new(Level::Overlay(range))));
            if slot.is_cleared() {
                return Merged(heads);
            }
        }
        heads.push(Head::new(Level::Committed(Box::new(self.view.memory().scan(hash, state, key, start, end)))));
        if !below.is_empty() {
            heads.push(Head::new(Level::Runs(below.iter())));
        }
        Merged(heads)
    }
}

/// The sub-key right after this one.
pub(super) fn after(sub_key: &[u8]) -> Vec<u8> {
    [sub_key, &[0]].concat()
}

/// Levels of one key, newest first.
pub(super) struct Merged<'a>(Vec<Head<'a>>);

struct Head<'a> {
    next: Option<(&'a [u8], Option<&'a [u8]>)>,
    rest: Level<'a>,
}

enum Level<'a> {
    Overlay(SubRange<'a>),
    Committed(Box<dyn Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + 'a>),
    Runs(std::slice::Iter<'a, (Box<[u8]>, Box<[u8]>)>),
}

impl<'a> Head<'a> {
    fn new(rest: Level<'a>) -> Head<'a> {
        let mut head = Head { next: None, rest };
        head.advance();
        head
    }

    fn advance(&mut self) {
        self.next = match &mut self.rest {
            Level::Overlay(range) => range.next().map(|(sub_key, value)| (&sub_key[..], value.as_deref())),
            Level::Committed(scan) => scan.next(),
            Level::Runs(found) => found.next().map(|(sub_key, value)| (&sub_key[..], Some(&value[..]))),
        };
    }
}

impl<'a> Iterator for Merged<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let least = self.0.iter().filter_map(|head| head.next).map(|(sub_key, _)| sub_key).min()?;
            let mut newest = None;
            for head in &mut self.0 {
                if let Some((sub_key, value)) = head.next
                    && sub_key == least
                {
                    newest.get_or_insert(value);
                    head.advance();
                }
            }
            if let Some(Some(value)) = newest {
                return Some((least, value));
            }
        }
    }
}

fn cursor_check(state: u32, ranges: &[ScanRange<'_>], range: u32, sub_key: &[u8]) -> u64 {
    let mut all = Vec::new();
    all.extend_from_slice(&state.to_le_bytes());
    all.extend_from_slice(&range.to_le_bytes());
    for range in ranges {
        for part in [Some(range.key), range.start, range.end] {
            all.extend_from_slice(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
            all.extend_from_slice(part.unwrap_or(&[]));
        }
    }
    all.extend_from_slice(sub_key);
    hash_key(&all)
}

pub(super) fn encode_cursor(state: u32, ranges: &[ScanRange<'_>], range: u32, sub_key: &[u8]) -> Vec<u8> {
    let check = cursor_check(state, ranges, range, sub_key);
    [&check.to_le_bytes()[..], &range.to_le_bytes(), sub_key].concat()
}

/// The range to go on with and the sub-key in it. The check is no secret: bounds are looked at as well.
pub(super) fn decode_cursor<'a>(
    state: u32,
    ranges: &[ScanRange<'_>],
    cursor: &'a [u8],
) -> Result<(usize, Option<&'a [u8]>), StateError> {
    let parts = || {
        let (head, sub_key) = cursor.split_first_chunk::<CURSOR_HEAD_BYTES>()?;
        let check = u64::from_le_bytes(*head.first_chunk()?);
        let range = u32::from_le_bytes(*head.last_chunk()?);
        let bounds = ranges.get(range as usize)?;
        let within = bounds.start.is_none_or(|start| start <= sub_key) && bounds.end.is_none_or(|end| sub_key < end);
        (within && check == cursor_check(state, ranges, range, sub_key)).then_some((range as usize, Some(sub_key)))
    };
    parts().ok_or_else(|| {
        StateError::Malformed(format!(
            "scan of state {state}: the cursor is not one that a page of these ranges gave; pass cursors on unchanged, with \
             the same ranges"
        ))
    })
}
