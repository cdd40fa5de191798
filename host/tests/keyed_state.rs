//! Keyed state against a model: random calls kept and taken back, epochs sealed and committed, crashes that lose what was
//! not committed, and reloads at another parallelism.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use tidemill::operator::descriptor::StateKind;
use tidemill::state::{ColumnView, KeyedState, Page, ScanRange, SealedEpoch, StateError};
use tidemill_storage::hash::{hash_key, key_group, key_group_range, subtask_of};
use tidemill_storage::state::{Memory, merge};
use tidemill_storage::{Column, Epoch, OptionalColumn};

const MAX_PARALLELISM: u32 = 8;
const KINDS: [StateKind; 4] = [StateKind::Value, StateKind::Map, StateKind::List, StateKind::Map];
const VALUE: u32 = 0;
const MAPS: [u32; 2] = [1, 3];
const LIST: u32 = 2;
const KEYS: u8 = 5;
const SUB_KEYS: u8 = 4;

/// (state, key) -> sub-key -> value; a list's sub-keys only tell its order.
type Content = BTreeMap<(u32, Vec<u8>), BTreeMap<Vec<u8>, Vec<u8>>>;

#[derive(Clone, Debug)]
enum Action {
    Put(Vec<(u8, Option<Vec<u8>>)>),
    PutSub(u32, Vec<(u8, u8, Option<Vec<u8>>)>),
    Append(Vec<(u8, Vec<u8>)>),
    Clear(u32, Vec<u8>),
    Scan { start: Option<u8>, end: Option<u8>, limit: u32 },
    KeepCall,
    DropCall,
    Seal,
    CommitOldest,
    Crash { parallelism: u32, merged: bool },
}

fn action() -> impl Strategy<Value = Action> {
    let value = || prop_oneof![prop::collection::vec(any::<u8>(), 0..4), prop::collection::vec(any::<u8>(), 8..30)];
    let change = || prop::option::weighted(0.8, value());
    let map = prop::sample::select(&MAPS[..]);
    prop_oneof![
        4 => prop::collection::vec((0..KEYS, change()), 0..8).prop_map(Action::Put),
        4 => (map, prop::collection::vec((0..KEYS, 0..SUB_KEYS, change()), 0..8)).prop_map(|(s, p)| Action::PutSub(s, p)),
        3 => prop::collection::vec((0..KEYS, value()), 0..6).prop_map(Action::Append),
        2 => (0..KINDS.len() as u32, prop::collection::vec(0..KEYS, 0..3)).prop_map(|(s, k)| Action::Clear(s, k)),
        2 => (prop::option::of(0..SUB_KEYS), prop::option::of(0..SUB_KEYS + 1), 0u32..4)
            .prop_map(|(start, end, limit)| Action::Scan { start, end, limit }),
        4 => Just(Action::KeepCall),
        3 => Just(Action::DropCall),
        3 => Just(Action::Seal),
        2 => Just(Action::CommitOldest),
        1 => (1u32..5, any::<bool>()).prop_map(|(parallelism, merged)| Action::Crash { parallelism, merged }),
    ]
}

/// Some bytes that spread over key groups; the first is the empty key.
fn key(number: u8) -> Vec<u8> {
    vec![number; number as usize]
}

fn sub_key(number: u8) -> Vec<u8> {
    vec![number; usize::from(number > 0)]
}

struct Rig {
    subtasks: Vec<KeyedState>,
    /// Deltas of committed epochs, oldest first.
    committed: Vec<Bytes>,
    committed_content: Content,
    sealed: VecDeque<(Epoch, Vec<SealedEpoch>, Content)>,
    before_call: Content,
    live: Content,
    epoch: Epoch,
}

impl Rig {
    fn new() -> Rig {
        let mut rig = Rig {
            subtasks: Vec::new(),
            committed: Vec::new(),
            committed_content: Content::new(),
            sealed: VecDeque::new(),
            before_call: Content::new(),
            live: Content::new(),
            epoch: Epoch(1),
        };
        rig.load(2);
        rig
    }

    fn load(&mut self, parallelism: u32) {
        self.subtasks = (0..parallelism).map(|index| subtask(&self.committed, index, parallelism)).collect();
    }

    fn owner(&self, key: &[u8]) -> usize {
        let group = key_group(hash_key(key), MAX_PARALLELISM);
        subtask_of(group, self.subtasks.len() as u32, MAX_PARALLELISM) as usize
    }

    /// The rows of each subtask, in order.
    fn split<T: Clone>(&self, rows: &[(Vec<u8>, T)]) -> Vec<(Column, Vec<T>)> {
        let mut parts = vec![(Column::default(), Vec::new()); self.subtasks.len()];
        for (key, rest) in rows {
            let part = &mut parts[self.owner(key)];
            part.0.push(key);
            part.1.push(rest.clone());
        }
        parts
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Put(rows) => {
                let rows: Vec<_> = rows.iter().map(|(k, value)| (key(*k), value.clone())).collect();
                for (i, (keys, values)) in self.split(&rows).into_iter().enumerate() {
                    let values = optional(&values);
                    self.subtasks[i].put(VALUE, (&keys).into(), None, (&values).into()).unwrap();
                }
                rows.into_iter().for_each(|(key, value)| set(&mut self.live, VALUE, key, Vec::new(), value));
            }
            Action::PutSub(state, rows) => {
                let rows: Vec<_> = rows.iter().map(|(k, s, value)| (key(*k), (sub_key(*s), value.clone()))).collect();
                for (i, (keys, rest)) in self.split(&rows).into_iter().enumerate() {
                    let (sub_keys, values): (Vec<_>, Vec<_>) = rest.into_iter().unzip();
                    let (sub_keys, values) = (column(&sub_keys), optional(&values));
                    self.subtasks[i].put(*state, (&keys).into(), Some((&sub_keys).into()), (&values).into()).unwrap();
                }
                rows.into_iter().for_each(|(key, (sub_key, value))| set(&mut self.live, *state, key, sub_key, value));
            }
            Action::Append(rows) => {
                let rows: Vec<_> = rows.iter().map(|(k, value)| (key(*k), value.clone())).collect();
                for (i, (keys, values)) in self.split(&rows).into_iter().enumerate() {
                    self.subtasks[i].append(LIST, (&keys).into(), (&column(&values)).into()).unwrap();
                }
                for (key, value) in rows {
                    let list = self.live.entry((LIST, key)).or_default();
                    list.insert((list.len() as u64).to_be_bytes().to_vec(), value);
                }
            }
            Action::Clear(state, keys) => {
                let rows: Vec<_> = keys.iter().map(|k| (key(*k), ())).collect();
                for (i, (keys, _)) in self.split(&rows).into_iter().enumerate() {
                    self.subtasks[i].clear(*state, (&keys).into()).unwrap();
                }
                rows.into_iter().for_each(|(key, ())| drop(self.live.remove(&(*state, key))));
            }
            Action::Scan { start, end, limit } => self.check_scans(start.map(sub_key), end.map(sub_key), *limit),
            Action::KeepCall => {
                self.subtasks.iter_mut().for_each(KeyedState::commit_call);
                self.before_call = self.live.clone();
            }
            Action::DropCall => {
                self.subtasks.iter_mut().for_each(KeyedState::roll_back_call);
                self.live = self.before_call.clone();
            }
            Action::Seal => {
                let sealed = self.subtasks.iter_mut().filter_map(|subtask| subtask.seal_epoch(self.epoch)).collect();
                self.sealed.push_back((self.epoch, sealed, self.live.clone()));
                self.before_call = self.live.clone();
                self.epoch = self.epoch.next();
            }
            Action::CommitOldest => {
                let Some((epoch, sealed, content)) = self.sealed.pop_front() else { return };
                let encode = move || sealed.iter().map(SealedEpoch::encode).collect::<Vec<_>>();
                self.committed.extend(std::thread::spawn(encode).join().unwrap());
                self.committed_content = content;
                self.subtasks.iter_mut().for_each(|subtask| subtask.epoch_committed(epoch));
            }
            Action::Crash { parallelism, merged } => {
                self.sealed.clear();
                if *merged {
                    self.committed = vec![merge(&self.committed, true).unwrap()];
                }
                self.load(*parallelism);
                self.live = self.committed_content.clone();
                self.before_call = self.live.clone();
            }
        }
    }

    fn check(&mut self) {
        for k in 0..KEYS {
            let owner = self.owner(&key(k));
            // Reading a key may bring it into memory.
            let mut subtask = std::mem::take(&mut self.subtasks[owner]);
            let keys = column(&[key(k)]);
            let mut out = OptionalColumn::default();
            subtask.get(VALUE, (&keys).into(), None, &mut out).unwrap();
            assert_eq!(out.get(0), self.expected(VALUE, k, &[]), "value of key {k}");
            for (map, s) in MAPS.iter().flat_map(|map| (0..SUB_KEYS).map(move |s| (*map, s))) {
                let sub_keys = column(&[sub_key(s)]);
                subtask.get(map, (&keys).into(), Some((&sub_keys).into()), &mut out).unwrap();
                assert_eq!(out.get(0), self.expected(map, k, &sub_key(s)), "sub-key {s} of key {k} in state {map}");
            }
            self.subtasks[owner] = subtask;
        }
    }

    fn expected(&self, state: u32, k: u8, sub_key: &[u8]) -> Option<&[u8]> {
        self.live.get(&(state, key(k)))?.get(sub_key).map(|value| &value[..])
    }

    /// All keys of a subtask in one scan, page by page.
    fn check_scans(&mut self, start: Option<Vec<u8>>, end: Option<Vec<u8>>, limit: u32) {
        for index in 0..self.subtasks.len() {
            let keys: Vec<Vec<u8>> = (0..KEYS).map(key).filter(|key| self.owner(key) == index).collect();
            for state in [MAPS[0], MAPS[1], LIST] {
                let (start, end) = if state == LIST { (None, None) } else { (start.as_deref(), end.as_deref()) };
                let ranges: Vec<_> = keys.iter().map(|key| ScanRange { key, start, end }).collect();
                let mut expected = Vec::new();
                for (i, key) in keys.iter().enumerate() {
                    for (sub_key, value) in self.live.get(&(state, key.clone())).into_iter().flatten() {
                        if start.is_none_or(|start| &sub_key[..] >= start) && end.is_none_or(|end| &sub_key[..] < end) {
                            let sub_key = if state == LIST { Vec::new() } else { sub_key.clone() };
                            expected.push((i as u32, sub_key, value.clone()));
                        }
                    }
                }
                let found = pages(&mut self.subtasks[index], state, &ranges, limit);
                assert_eq!(found, expected, "scan of state {state}");
            }
        }
    }
}

fn pages(subtask: &mut KeyedState, state: u32, ranges: &[ScanRange<'_>], limit: u32) -> Vec<(u32, Vec<u8>, Vec<u8>)> {
    let mut read = Vec::new();
    let mut cursor = None;
    loop {
        let Page { range_of, subkeys, values, cursor: next } =
            subtask.scan(state, ranges, limit, cursor.as_deref()).unwrap();
        assert!(limit == 0 || range_of.len() <= limit as usize);
        assert_eq!((subkeys.len(), values.len()), (range_of.len(), range_of.len()));
        for (i, range) in range_of.iter().enumerate() {
            read.push((*range, subkeys.get(i).to_vec(), values.get(i).to_vec()));
        }
        cursor = next;
        if cursor.is_none() {
            return read;
        }
    }
}

fn set(content: &mut Content, state: u32, key: Vec<u8>, sub_key: Vec<u8>, value: Option<Vec<u8>>) {
    let entries = content.entry((state, key)).or_default();
    match value {
        Some(value) => entries.insert(sub_key, value),
        None => entries.remove(&sub_key),
    };
}

fn subtask(deltas: &[Bytes], index: u32, parallelism: u32) -> KeyedState {
    let key_groups = key_group_range(index, parallelism, MAX_PARALLELISM);
    let mut memory = Memory::new(key_groups.clone(), MAX_PARALLELISM);
    deltas.iter().for_each(|delta| memory.apply_delta(delta, Epoch(0)).unwrap());
    KeyedState::new(memory, KINDS.to_vec(), MAX_PARALLELISM, key_groups)
}

fn column(values: &[Vec<u8>]) -> Column {
    let mut column = Column::default();
    values.iter().for_each(|value| column.push(value));
    column
}

fn optional(values: &[Option<Vec<u8>>]) -> OptionalColumn {
    let mut column = OptionalColumn::default();
    values.iter().for_each(|value| column.push(value.as_deref()));
    column
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn reads_see_what_a_plain_map_would_hold(actions in prop::collection::vec(action(), 1..60)) {
        let mut rig = Rig::new();
        for action in &actions {
            rig.act(action);
            rig.check();
        }
        rig.check_scans(None, None, 1);
        // Everything committed, nothing is left above memory, and a reload finds the same.
        rig.act(&Action::Seal);
        while !rig.sealed.is_empty() {
            rig.act(&Action::CommitOldest);
        }
        prop_assert!(rig.subtasks.iter().all(|subtask| subtask.uncommitted_bytes() == 0));
        rig.act(&Action::Crash { parallelism: 3, merged: false });
        rig.check();
        rig.check_scans(None, None, 0);
    }

    #[test]
    fn a_made_up_cursor_is_an_error(cursor in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut state = filled_map();
        let error = state.scan(1, &[ScanRange { key: b"k", ..ScanRange::default() }], 1, Some(&cursor)).unwrap_err();
        prop_assert!(error.to_string().contains("cursor"), "{}", error);
    }
}

fn filled_map() -> KeyedState {
    let mut state = subtask(&[], 0, 1);
    let keys = column(&[b"k".to_vec(), b"k".to_vec(), b"k".to_vec()]);
    let sub_keys = column(&[b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]);
    let values = optional(&[Some(b"1".to_vec()), Some(b"2".to_vec()), Some(b"3".to_vec())]);
    state.put(1, (&keys).into(), Some((&sub_keys).into()), (&values).into()).unwrap();
    state
}

#[test]
fn a_cursor_holds_only_for_the_ranges_that_gave_it() {
    let mut state = filled_map();
    let whole = [ScanRange { key: b"k", ..ScanRange::default() }];
    let cursor = state.scan(1, &whole, 1, None).unwrap().cursor.unwrap();
    let second = state.scan(1, &whole, 1, Some(&cursor)).unwrap();
    assert_eq!((second.subkeys.get(0), second.values.get(0)), (&b"b"[..], &b"2"[..]));
    for ranges in [
        &[][..],
        &[ScanRange { key: b"k", start: None, end: Some(b"b") }],
        &[ScanRange { key: b"other", ..ScanRange::default() }],
    ] {
        assert!(state.scan(1, ranges, 1, Some(&cursor)).is_err(), "{ranges:?}");
    }
    assert!(state.scan(3, &whole, 1, Some(&cursor)).is_err(), "another state");
}

#[test]
fn a_large_scan_comes_in_pages_of_bounded_bytes() {
    let mut state = subtask(&[], 0, 1);
    let big = vec![7u8; 100 << 10];
    let keys = column(&vec![b"k".to_vec(); 8]);
    state.append(LIST, (&keys).into(), (&column(&vec![big.clone(); 8])).into()).unwrap();
    let ranges = [ScanRange { key: b"k", ..ScanRange::default() }];
    let first = state.scan(LIST, &ranges, 0, None).unwrap();
    assert_eq!(first.range_of.len(), 2, "two values of 100 KiB fit into a page");
    assert_eq!(pages(&mut state, LIST, &ranges, 0).len(), 8);
}

#[test]
fn wrong_calls_name_the_state_and_the_mend() {
    let mut state = subtask(&[], 0, 1);
    let keys = column(&[b"k".to_vec()]);
    let keys: ColumnView<'_> = (&keys).into();
    let values = optional(&[None]);
    let mut out = OptionalColumn::default();
    let unknown = state.get(9, keys, None, &mut out).unwrap_err();
    assert_eq!(unknown, StateError::Unknown { state: 9, declared: 4 });
    for error in [
        state.get(VALUE, keys, Some(keys), &mut out).unwrap_err(),
        state.get(1, keys, None, &mut out).unwrap_err(),
        state.get(LIST, keys, None, &mut out).unwrap_err(),
        state.put(LIST, keys, None, (&values).into()).unwrap_err(),
        state.append(VALUE, keys, keys).unwrap_err(),
        state.scan(VALUE, &[], 0, None).unwrap_err(),
        state.scan(LIST, &[ScanRange { key: b"k", start: Some(b""), end: None }], 0, None).unwrap_err(),
    ] {
        assert!(matches!(error, StateError::WrongKind { .. }), "{error}");
    }
    let short = optional(&[]);
    let error = state.put(VALUE, keys, None, (&short).into()).unwrap_err();
    assert_eq!(error.to_string(), "1 keys but 0 values: give one per key");
    let broken = ColumnView { data: b"k", ends: &[2] };
    assert!(matches!(state.clear(VALUE, broken).unwrap_err(), StateError::Malformed(_)));
    // Timers' reserved states are not to be reached from outside.
    assert!(matches!(state.clear(u32::MAX, keys).unwrap_err(), StateError::Unknown { .. }));
}

#[test]
fn a_key_of_another_subtask_is_an_error_that_names_it() {
    let mine = |k: &u8| key_group(hash_key(&[*k]), MAX_PARALLELISM).0 < MAX_PARALLELISM / 2;
    let foreign = (0..u8::MAX).find(|k| !mine(k)).unwrap();
    let mut state = subtask(&[], 0, 2);
    let keys = column(&[vec![foreign]]);
    let error = state.put(VALUE, (&keys).into(), None, (&optional(&[None])).into()).unwrap_err();
    assert!(matches!(&error, StateError::OutsideKeyGroups { state: 0, owned, .. } if *owned == (0..4)), "{error}");
    assert!(state.get(VALUE, (&keys).into(), None, &mut OptionalColumn::default()).is_err());
    assert!(state.scan(1, &[ScanRange { key: &[foreign], ..ScanRange::default() }], 0, None).is_err());
    state.roll_back_call();
    assert!(state.seal_epoch(Epoch(1)).is_none(), "nothing was written");
}

#[test]
fn an_untouched_epoch_gives_no_delta_and_a_dropped_call_leaves_none() {
    let mut state = filled_map();
    assert!(state.call_bytes() > 0);
    state.roll_back_call();
    assert_eq!((state.call_bytes(), state.uncommitted_bytes()), (0, 0));
    assert!(state.seal_epoch(Epoch(1)).is_none());
}

#[test]
fn a_sealed_epoch_may_move_between_threads() {
    fn sendable<T: Send + Sync + 'static>() {}
    sendable::<SealedEpoch>();
    fn movable<T: Send>() {}
    movable::<KeyedState>();
}
