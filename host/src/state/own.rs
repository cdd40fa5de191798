//! Lists of scope `operator`: a subtask's own, not a key's. `KeyedState` asks here on every call of such a state.
//!
//! ```text
//! state PLACES + s, key SLOT of a key group, u64 sequence (big-endian)   -> element
//! ```
//!
//! The slot of a key group is the least u32 (big-endian) whose h() falls in it. Elements go round the subtask's key groups,
//! so that with another number of subtasks they are divided evenly, and none is lost or doubled: their key groups are.
//! They are read in the order of their sequence numbers: as they were appended, and where the elements of several subtasks
//! came together, those mixed.

use super::scan::{SCAN_RUNS_ENTRIES, after, decode_cursor, encode_cursor};
use super::shared::{check_no_key, check_no_keys};
use super::{ColumnView, KeyedState, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page, ScanRange, StateError};
use crate::operator::descriptor::StateScope;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;
use tidemill_storage::hash::{hash_key, key_group};

/// Where own lists lie.
pub(super) const PLACES: u32 = 1 << 29;
const SEQUENCE_BYTES: usize = size_of::<u64>();

/// The slots of a subtask's key groups, and where its lists go on.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// h(key) and key, in the order of key groups.
    all: Vec<(u64, [u8; 4])>,
    /// By place: the next sequence number, where it is known.
    next: BTreeMap<u32, u64>,
}

impl Slots {
    pub(super) fn new(key_groups: &Range<u32>, max_parallelism: u32) -> Slots {
        let mut found: BTreeMap<u32, (u64, [u8; 4])> = BTreeMap::new();
        for number in 0..u32::MAX {
            if found.len() == key_groups.len() {
                break;
            }
            let key = number.to_be_bytes();
            let hash = hash_key(&key);
            let group = key_group(hash, max_parallelism).0;
            if key_groups.contains(&group) {
                found.entry(group).or_insert((hash, key));
            }
        }
        Slots { all: found.into_values().collect(), next: BTreeMap::new() }
    }

    /// A call was rolled back: where lists go on is to be looked up again.
    pub(super) fn roll_back(&mut self) {
        self.next.clear();
    }
}

impl KeyedState {
    /// Appends elements; kind and columns are checked.
    pub(super) fn append_own(
        &mut self,
        state: u32,
        keys: ColumnView<'_>,
        values: ColumnView<'_>,
    ) -> Result<(), StateError> {
        check_no_keys("append", state, StateScope::Operator, keys)?;
        let place = PLACES + state;
        let mut next = match self.slots.next.get(&place) {
            Some(next) => *next,
            None => self.first_free(place)?,
        };
        for i in 0..values.len() {
            let (hash, key) = self.slots.all[(next % self.slots.all.len() as u64) as usize];
            let value = values.get(i);
            self.call_bytes += key.len() + SEQUENCE_BYTES + value.len();
            self.overlay.put_sub(&mut self.undo, (hash, place, &key), &next.to_be_bytes(), Some(value))?;
            next += 1;
        }
        self.slots.next.insert(place, next);
        Ok(())
    }

    /// The sequence number after all that are there.
    fn first_free(&mut self, place: u32) -> Result<u64, StateError> {
        let mut next = 0;
        for slot in 0..self.slots.all.len() {
            let (hash, key) = self.slots.all[slot];
            let Some(last) = self.last_sub_key(hash, place, &key)? else { continue };
            let last = (*last).try_into().map(u64::from_be_bytes).map_err(|_| damaged(place))?;
            next = next.max(last.saturating_add(1));
        }
        Ok(next)
    }

    /// Removes all elements.
    pub(super) fn clear_own(&mut self, state: u32, keys: ColumnView<'_>) -> Result<(), StateError> {
        self.kind(state)?;
        check_no_keys("clear", state, StateScope::Operator, keys)?;
        let place = PLACES + state;
        for slot in 0..if keys.is_empty() { 0 } else { self.slots.all.len() } {
            let (hash, key) = self.slots.all[slot];
            if self.last_sub_key(hash, place, &key)?.is_some() {
                self.call_bytes += key.len();
                self.overlay.clear_key(&mut self.undo, (hash, place, &key))?;
            }
        }
        self.slots.next.remove(&place);
        Ok(())
    }

    /// As [`KeyedState::scan`], of one range, which has neither key nor bounds. A place to go on from is sequence number and slot.
    pub(super) fn scan_own(
        &mut self,
        state: u32,
        ranges: &[ScanRange<'_>],
        limit: u32,
        cursor: Option<&[u8]>,
    ) -> Result<Page, StateError> {
        self.kind(state)?;
        let [ScanRange { key, start: None, end: None }] = ranges else {
            return Err(StateError::Malformed(format!(
                "scan of state {state}: it is a subtask's own list, which is read whole; give one range without start and end"
            )));
        };
        check_no_key("scan", state, StateScope::Operator, key)?;
        let limit = if limit == 0 { PAGE_ENTRIES_MAX } else { limit.min(PAGE_ENTRIES_MAX) } as usize;
        let resume = match cursor {
            Some(cursor) => decode_cursor(state, ranges, cursor)?.1,
            None => None,
        };
        let place = PLACES + state;
        // Either an element, or what comes after all of a sequence number.
        let start = match resume {
            Some(at) if at.len() == SEQUENCE_BYTES + size_of::<u32>() => &at[..SEQUENCE_BYTES],
            at => at.unwrap_or_default(),
        };
        // What the runs have of each slot, as far as it is fetched at once; past `until` nothing is known of one of them.
        let (mut below, mut until): (_, Option<Vec<u8>>) = (Vec::new(), None);
        for slot in 0..self.slots.all.len() {
            let (hash, key) = self.slots.all[slot];
            let fetched = self.view.scan_runs((hash, place, &key), start, None, SCAN_RUNS_ENTRIES, PAGE_BYTES_MAX);
            let (found, more) = fetched.map_err(|e| self.read_failed(e))?;
            if more && let Some((last, _)) = found.last() {
                let known_to = after(last);
                until = Some(until.map_or(known_to.clone(), |until| until.min(known_to)));
            }
            below.push(found);
        }
        let merged = |slot: usize| {
            let (hash, key) = self.slots.all[slot];
            self.merged(hash, place, &key, start, until.as_deref(), &below[slot])
        };
        let mut lists: Vec<_> = (0..self.slots.all.len()).map(merged).collect();
        let mut heads = BinaryHeap::new();
        let mut push = |heads: &mut BinaryHeap<_>, slot: usize| {
            heads.extend(lists[slot].next().map(|(sequence, value)| Reverse((sequence, slot, value))));
        };
        (0..self.slots.all.len()).for_each(|slot| push(&mut heads, slot));
        let mut page = Page::default();
        while let Some(Reverse((sequence, slot, value))) = heads.pop() {
            push(&mut heads, slot);
            let at = [sequence, &(slot as u32).to_be_bytes()].concat();
            if resume.is_some_and(|resume| &at[..] < resume) {
                continue;
            }
            let full = page.range_of.len() == limit
                || (page.values.data.len() + value.len() > PAGE_BYTES_MAX && !page.range_of.is_empty());
            if full {
                page.cursor = Some(encode_cursor(state, ranges, 0, &at));
                return Ok(page);
            }
            page.range_of.push(0);
            page.subkeys.push(&[]);
            page.values.push(value);
        }
        page.cursor = until.as_deref().map(|until| encode_cursor(state, ranges, 0, until));
        Ok(page)
    }
}

fn damaged(place: u32) -> StateError {
    StateError::Malformed(format!("the list of state {} holds an element without a sequence number", place - PLACES))
}
