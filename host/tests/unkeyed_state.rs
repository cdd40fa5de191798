//! State that is no key's, against a model: whatever is appended, rolled back, committed, crashed and divided among other
//! numbers of subtasks, the subtasks' own lists hold each element once, and broadcast state is the same in all of them.

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use tidemill::operator::descriptor::{StateDescriptor, StateKind, StateScope};
use tidemill::state::{KeyedState, ScanRange};
use tidemill_storage::hash::key_group_range;
use tidemill_storage::state::Memory;
use tidemill_storage::{Column, Epoch, OptionalColumn};

const MAX_PARALLELISM: u32 = 8;
const LIST: u32 = 0;
const RULES: u32 = 1;
const KEYED: u32 = 2;
/// The input whose edge is `broadcast`.
const BROADCAST: u32 = 1;

fn states() -> Vec<StateDescriptor> {
    [
        ("list", StateKind::List, StateScope::Operator),
        ("rules", StateKind::Map, StateScope::Broadcast),
        ("keyed", StateKind::Value, StateScope::Key),
    ]
    .map(|(name, kind, scope)| StateDescriptor { name: name.into(), kind, ttl: None, scope })
    .to_vec()
}

/// The subtasks of an operator, and the blobs of committed epochs.
struct Rig {
    subtasks: Vec<KeyedState>,
    blobs: Vec<Bytes>,
    epoch: Epoch,
}

fn load(blobs: &[Bytes], groups: std::ops::Range<u32>) -> Memory {
    let mut memory = Memory::new(groups, MAX_PARALLELISM);
    blobs.iter().for_each(|blob| memory.apply_delta(blob, Epoch(0)).unwrap());
    memory
}

impl Rig {
    fn new(parallelism: u32) -> Rig {
        let mut rig = Rig { subtasks: Vec::new(), blobs: Vec::new(), epoch: Epoch(1) };
        rig.start(parallelism);
        rig
    }

    /// From what is committed.
    fn start(&mut self, parallelism: u32) {
        let subtask = |index| {
            let groups = key_group_range(index, parallelism, MAX_PARALLELISM);
            let kinds = states().iter().map(|state| state.kind).collect();
            let shared = load(&self.blobs, KeyedState::broadcast_key_groups(MAX_PARALLELISM));
            KeyedState::new(load(&self.blobs, groups.clone()), kinds, MAX_PARALLELISM, groups)
                .with_states(&states())
                .with_broadcast(shared, vec![false, true])
        };
        self.subtasks = (0..parallelism).map(subtask).collect();
    }

    fn commit(&mut self) {
        for subtask in &mut self.subtasks {
            self.blobs.extend(subtask.seal_epoch(self.epoch).map(|sealed| sealed.encode()));
        }
        self.subtasks.iter_mut().for_each(|subtask| subtask.epoch_committed(self.epoch));
        self.epoch = self.epoch.next();
    }

    fn lists(&mut self) -> Vec<Vec<u32>> {
        self.subtasks.iter_mut().map(list).collect()
    }
}

fn empty_keys(n: usize) -> Column {
    let mut keys = Column::default();
    (0..n).for_each(|_| keys.push(&[]));
    keys
}

fn column(values: &[u32]) -> Column {
    let mut column = Column::default();
    values.iter().for_each(|value| column.push(&value.to_le_bytes()));
    column
}

fn append(state: &mut KeyedState, values: &[u32]) {
    state.append(LIST, (&empty_keys(values.len())).into(), (&column(values)).into()).unwrap();
}

/// A subtask's own list, in pages of three.
fn list(state: &mut KeyedState) -> Vec<u32> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = state.scan(LIST, &[ScanRange::default()], 3, cursor.as_deref()).unwrap();
        all.extend(page.values.iter().map(|value| u32::from_le_bytes(value.try_into().unwrap())));
        cursor = page.cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

fn rules(state: &mut KeyedState) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let page = state.scan(RULES, &[ScanRange::default()], 0, None).unwrap();
    assert!(page.cursor.is_none());
    page.subkeys.iter().zip(page.values.iter()).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn put_rule(state: &mut KeyedState, rule: u8, value: Option<u8>) -> Result<(), tidemill::state::StateError> {
    let (mut rules, mut values) = (Column::default(), OptionalColumn::default());
    rules.push(&[rule]);
    values.push(value.map(|value| vec![value]).as_deref());
    state.put(RULES, (&empty_keys(1)).into(), Some((&rules).into()), (&values).into())
}

#[derive(Clone, Debug)]
enum Step {
    /// A call of one subtask, kept or rolled back.
    Append {
        subtask: usize,
        count: usize,
        keep: bool,
    },
    Clear {
        subtask: usize,
    },
    /// A call of every subtask, kept or rolled back.
    Rule {
        rule: u8,
        value: Option<u8>,
        keep: bool,
    },
    Commit,
    /// What is not committed is lost, and the parallelism becomes another.
    Crash {
        parallelism: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let keep = || prop::bool::weighted(0.8);
    prop_oneof![
        6 => (0usize..8, 1usize..9, keep()).prop_map(|(subtask, count, keep)| Step::Append { subtask, count, keep }),
        1 => (0usize..8).prop_map(|subtask| Step::Clear { subtask }),
        4 => (0u8..5, prop::option::of(any::<u8>()), keep()).prop_map(|(rule, value, keep)| Step::Rule { rule, value, keep }),
        3 => Just(Step::Commit),
        2 => (1u32..=8).prop_map(|parallelism| Step::Crash { parallelism }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn own_lists_keep_their_elements_and_broadcast_state_is_one_under_commits_crashes_and_rescaling(
        steps in prop::collection::vec(step(), 1..40), parallelism in 1u32..5,
    ) {
        let mut rig = Rig::new(parallelism);
        let mut next = 0u32;
        let mut now: (Vec<Vec<u32>>, BTreeMap<Vec<u8>, Vec<u8>>) = (vec![Vec::new(); parallelism as usize], BTreeMap::new());
        let mut committed = now.clone();
        for step in steps {
            match step {
                Step::Append { subtask, count, keep } => {
                    let subtask = subtask % rig.subtasks.len();
                    let values: Vec<u32> = (next..next + count as u32).collect();
                    next += count as u32;
                    append(&mut rig.subtasks[subtask], &values);
                    if keep {
                        rig.subtasks[subtask].commit_call();
                        now.0[subtask].extend(values);
                    } else {
                        rig.subtasks[subtask].roll_back_call();
                    }
                }
                Step::Clear { subtask } => {
                    let subtask = subtask % rig.subtasks.len();
                    rig.subtasks[subtask].clear(LIST, (&empty_keys(1)).into()).unwrap();
                    rig.subtasks[subtask].commit_call();
                    now.0[subtask].clear();
                }
                Step::Rule { rule, value, keep } => {
                    for subtask in &mut rig.subtasks {
                        subtask.begin_input(Some(BROADCAST));
                        put_rule(subtask, rule, value).unwrap();
                        match keep {
                            true => subtask.commit_call(),
                            false => subtask.roll_back_call(),
                        }
                        subtask.begin_input(None);
                    }
                    match value {
                        _ if !keep => {}
                        Some(value) => drop(now.1.insert(vec![rule], vec![value])),
                        None => drop(now.1.remove(&vec![rule])),
                    }
                }
                Step::Commit => {
                    rig.commit();
                    committed = now.clone();
                }
                Step::Crash { parallelism } => {
                    let as_before = parallelism as usize == committed.0.len();
                    rig.start(parallelism);
                    let lists = rig.lists();
                    if as_before {
                        prop_assert_eq!(&lists, &committed.0, "each subtask has its own again, in order");
                    }
                    let flat = |lists: &[Vec<u32>]| {
                        let mut all: Vec<u32> = lists.concat();
                        all.sort_unstable();
                        all
                    };
                    prop_assert_eq!(flat(&lists), flat(&committed.0), "the union is unchanged");
                    committed.0 = lists;
                    now = committed.clone();
                }
            }
            prop_assert_eq!(rig.lists(), now.0.clone());
            for subtask in &mut rig.subtasks {
                prop_assert_eq!(&rules(subtask), &now.1);
            }
        }
    }
}

#[test]
fn elements_are_divided_about_evenly_among_more_subtasks_and_come_in_order_in_fewer() {
    let mut rig = Rig::new(2);
    append(&mut rig.subtasks[0], &(0..48).collect::<Vec<_>>());
    rig.commit();
    rig.start(4);
    assert_eq!(rig.lists().iter().map(Vec::len).collect::<Vec<_>>(), [24, 24, 0, 0], "of one of two subtasks");
    rig.start(1);
    assert_eq!(rig.lists(), [(0..48).collect::<Vec<_>>()]);
}

#[test]
fn a_call_that_was_rolled_back_leaves_no_trace_in_where_elements_lie() {
    let stored = |rolled_back: bool| {
        let mut rig = Rig::new(1);
        append(&mut rig.subtasks[0], &[1, 2, 3]);
        rig.subtasks[0].commit_call();
        if rolled_back {
            append(&mut rig.subtasks[0], &[7, 8]);
            rig.subtasks[0].roll_back_call();
        }
        append(&mut rig.subtasks[0], &[4]);
        rig.commit();
        rig.blobs
    };
    assert_eq!(stored(true), stored(false));
}

#[test]
fn a_list_of_many_pages_comes_whole_and_in_order() {
    let mut rig = Rig::new(1);
    for n in 0..1_000 {
        append(&mut rig.subtasks[0], &[2 * n, 2 * n + 1]);
        if n % 100 == 7 {
            rig.commit();
        }
    }
    assert_eq!(rig.lists(), [(0..2_000).collect::<Vec<_>>()]);
    rig.commit();
    rig.start(1);
    assert_eq!(rig.lists(), [(0..2_000).collect::<Vec<_>>()]);
}

#[test]
fn broadcast_state_is_written_by_broadcast_events_alone_and_read_by_all() {
    let mut rig = Rig::new(3);
    for subtask in &mut rig.subtasks {
        for input in [None, Some(0), Some(7)] {
            subtask.begin_input(input);
            let refused = put_rule(subtask, 1, Some(1)).unwrap_err().to_string();
            assert!(
                refused.contains("put on state 1: it is broadcast, so only a call with events of a broadcast input")
            );
            let refused = subtask.clear(RULES, (&empty_keys(1)).into()).unwrap_err().to_string();
            assert!(refused.contains("clear on state 1: it is broadcast"), "{refused}");
            assert!(rules(subtask).is_empty());
        }
        subtask.begin_input(Some(BROADCAST));
        put_rule(subtask, 1, Some(1)).unwrap();
        subtask.begin_input(Some(0));
        assert_eq!(rules(subtask).len(), 1);
    }
    rig.commit();
    assert_eq!(rig.blobs.len(), 1, "it is kept once");
    assert_eq!(rig.subtasks.iter().filter(|subtask| !subtask.another_speaks(BROADCAST)).count(), 1);
    assert!(!rig.subtasks.iter().any(|subtask| subtask.another_speaks(0)));
}

#[test]
fn state_without_keys_takes_no_key() {
    let mut rig = Rig::new(1);
    let state = &mut rig.subtasks[0];
    state.begin_input(Some(BROADCAST));
    let (keys, mut out) = (column(&[1]), OptionalColumn::default());
    for refused in [
        state.append(LIST, (&keys).into(), (&column(&[1])).into()).unwrap_err(),
        state.clear(LIST, (&keys).into()).unwrap_err(),
        state.scan(LIST, &[ScanRange { key: b"k", ..ScanRange::default() }], 0, None).unwrap_err(),
        state.get(RULES, (&keys).into(), Some((&keys).into()), &mut out).unwrap_err(),
        state.scan(RULES, &[ScanRange { key: b"k", ..ScanRange::default() }], 0, None).unwrap_err(),
    ] {
        assert!(refused.to_string().contains("so it has no keys of its own; call with the empty key"), "{refused}");
    }
    let bounded = state.scan(LIST, &[ScanRange { start: Some(b"a"), ..ScanRange::default() }], 0, None).unwrap_err();
    assert!(bounded.to_string().contains("read whole"), "{bounded}");
    let wrong = state.put(LIST, (&keys).into(), None, (&OptionalColumn::default()).into()).unwrap_err();
    assert!(wrong.to_string().contains("use append, scan and clear"), "{wrong}");
}

#[test]
fn a_state_whose_scope_changes_starts_empty() {
    let mut rig = Rig::new(1);
    append(&mut rig.subtasks[0], &[1]);
    rig.subtasks[0].begin_input(Some(BROADCAST));
    put_rule(&mut rig.subtasks[0], 1, Some(1)).unwrap();
    let (mut values, mut out) = (OptionalColumn::default(), OptionalColumn::default());
    values.push(Some(b"v"));
    rig.subtasks[0].put(KEYED, (&empty_keys(1)).into(), None, (&values).into()).unwrap();
    rig.commit();
    let all_keyed: Vec<StateDescriptor> =
        states().into_iter().map(|state| StateDescriptor { scope: StateScope::Key, ..state }).collect();
    let kinds = all_keyed.iter().map(|state| state.kind).collect();
    let groups = key_group_range(0, 1, MAX_PARALLELISM);
    let memory = load(&rig.blobs, groups.clone());
    let mut state = KeyedState::new(memory, kinds, MAX_PARALLELISM, groups).with_states(&all_keyed);
    assert!(list(&mut state).is_empty() && rules(&mut state).is_empty());
    state.get(KEYED, (&empty_keys(1)).into(), None, &mut out).unwrap();
    assert_eq!(out.get(0), Some(&b"v"[..]), "what is keyed lies where it lay");
}
