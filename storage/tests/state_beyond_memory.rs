//! State whose memory is a small part of it reads as if all of it were in memory: random epochs, flushes, folds, merges,
//! evictions, scans, crashes and reopenings against an ordered map. The live view, a view loaded anew, one of half of the key
//! groups and the check of the store all agree with it.

mod support;

use proptest::prelude::*;
use std::collections::BTreeMap;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::hash::hash_key;
use tidemill_storage::state::{Change, DeltaBuilder, StateView, Unknown};
use tidemill_storage::*;

const OPERATOR: &str = "op";

/// (state, key, sub-key) -> value.
type Model = BTreeMap<(u32, Vec<u8>, Vec<u8>), Vec<u8>>;

#[derive(Clone, Debug)]
enum Write {
    Put(u32, Vec<u8>, Vec<u8>, Vec<u8>),
    Delete(u32, Vec<u8>, Vec<u8>),
    Clear(u32, Vec<u8>),
}

#[derive(Clone, Debug)]
enum Step {
    Epoch(Vec<Write>),
    Flush,
    Fold,
    Merge,
    Read(Vec<(u32, Vec<u8>, Vec<u8>)>),
    Scan(u32, Vec<u8>, Vec<u8>),
    Reload,
    Reopen,
    /// At the n-th sync from here.
    Crash(u64),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![(0u8..40).prop_map(|i| format!("key-{i}").into_bytes()), Just(vec![]), Just(vec![9; 100])]
}

fn sub_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(vec![]), (0u8..12).prop_map(|i| vec![b's', i])]
}

fn write() -> impl Strategy<Value = Write> {
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        prop::collection::vec(any::<u8>(), 200..400),
        Just(vec![7; 3_000])
    ];
    prop_oneof![
        6 => (0u32..3, key(), sub_key(), value).prop_map(|(s, k, b, v)| Write::Put(s, k, b, v)),
        2 => (0u32..3, key(), sub_key()).prop_map(|(s, k, b)| Write::Delete(s, k, b)),
        1 => (0u32..3, key()).prop_map(|(s, k)| Write::Clear(s, k)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(write(), 1..30).prop_map(Step::Epoch),
        2 => Just(Step::Flush),
        1 => Just(Step::Fold),
        2 => Just(Step::Merge),
        4 => prop::collection::vec((0u32..3, key(), sub_key()), 1..20).prop_map(Step::Read),
        3 => (0u32..3, key(), sub_key()).prop_map(|(s, k, b)| Step::Scan(s, k, b)),
        1 => Just(Step::Reload),
        1 => Just(Step::Reopen),
        1 => (1u64..6).prop_map(Step::Crash),
    ]
}

fn options() -> StoreOptions {
    StoreOptions {
        state_fold_blobs: 0,
        state_flush_bytes: u64::MAX,
        state_merge_runs: 0,
        // Some entries fit, most do not; runs of more than an eighth of it are not loaded at the start.
        state_memory_bytes: 6 << 10,
        state_cache_bytes: 32 << 10,
        sealed_file_bytes: 2 << 10,
        hot_bytes_max: u64::MAX,
        ..StoreOptions::default()
    }
}

/// Names the places where they differ, not all that there is.
fn assert_same(is: &Model, should: &Model) {
    let places = is.keys().chain(should.keys()).filter(|place| is.get(*place) != should.get(*place));
    let differ: std::collections::BTreeSet<_> =
        places.map(|p| (p, is.get(p).map(Vec::len), should.get(p).map(Vec::len))).collect();
    assert!(differ.is_empty(), "place, length there, length that should be: {differ:?}");
}

/// A store, the state of its one operator, and a live view that follows as a subtask does.
struct Rig {
    disk: FaultDisk,
    store: Store,
    start: PipelineStart,
    epoch: u64,
    model: Model,
    view: StateView,
}

/// What an epoch does to a model; an epoch's clear of a key leaves what the epoch itself puts.
fn apply(model: &mut Model, writes: &BTreeMap<(u32, Vec<u8>), (bool, BTreeMap<Vec<u8>, Option<Vec<u8>>>)>) {
    for ((state, key), (cleared, entries)) in writes {
        if *cleared {
            model.retain(|(s, k, _), _| (s, k) != (state, key));
        }
        for (sub_key, value) in entries {
            let place = (*state, key.clone(), sub_key.clone());
            match value {
                Some(value) => drop(model.insert(place, value.clone())),
                None => drop(model.remove(&place)),
            }
        }
    }
}

impl Rig {
    fn new(seed: u64) -> Rig {
        let disk = FaultDisk::new(seed);
        let store = Store::open_with(disk.clone(), options()).unwrap();
        let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
        let view = store.load_state("p", OPERATOR, 0..MAX_PARALLELISM).unwrap();
        Rig { disk, store, start, epoch: 0, model: Model::new(), view }
    }

    fn commit(&mut self, writes: &[Write]) -> Result<()> {
        let mut net = BTreeMap::<(u32, Vec<u8>), (bool, BTreeMap<Vec<u8>, Option<Vec<u8>>>)>::new();
        for write in writes {
            match write {
                Write::Put(state, key, sub_key, value) => {
                    net.entry((*state, key.clone())).or_default().1.insert(sub_key.clone(), Some(value.clone()));
                }
                Write::Delete(state, key, sub_key) => {
                    net.entry((*state, key.clone())).or_default().1.insert(sub_key.clone(), None);
                }
                Write::Clear(state, key) => drop(net.insert((*state, key.clone()), (true, BTreeMap::new()))),
            }
        }
        let mut changes = Vec::new();
        for ((state, key), (cleared, entries)) in &net {
            if *cleared {
                changes.push((*state, &key[..], &[][..], Change::ClearKey));
            }
            for (sub_key, value) in entries {
                changes.push((*state, key, sub_key, value.as_deref().map_or(Change::Delete, Change::Put)));
            }
        }
        let mut delta = DeltaBuilder::default();
        for (state, key, sub_key, change) in &changes {
            delta.push(*state, group_of(key), key, sub_key, *change);
        }
        let n = self.epoch + 1;
        let record = CheckpointRecord {
            epoch: Epoch(n),
            incarnation: self.start.incarnation,
            max_parallelism: MAX_PARALLELISM,
            ..CheckpointRecord::default()
        };
        self.store.commit(Part::Epoch(Box::new(EpochCommit {
            pipeline: "p".into(),
            incarnation: self.start.incarnation,
            epoch: Epoch(n),
            record,
            state: vec![StateDelta { operator: OPERATOR.into(), blob: delta.finish() }],
            outputs: Vec::new(),
            stream_watermarks: Vec::new(),
            schedules: Vec::new(),
        })))?;
        self.epoch = n;
        for (state, key, sub_key, change) in changes {
            self.view.apply(Epoch(n), hash_key(key), state, key, sub_key, change);
        }
        self.view.settle();
        apply(&mut self.model, &net);
        Ok(())
    }

    fn reload(&mut self) {
        self.view = self.store.load_state("p", OPERATOR, 0..MAX_PARALLELISM).unwrap();
    }

    /// After a crash or a reopening: whether the epoch that was under way is there.
    fn recover(&mut self, writes: Option<&[Write]>) {
        self.start = self.store.start_pipeline("p", MAX_PARALLELISM).unwrap();
        let last = self.start.checkpoint.as_ref().map_or(0, |record| record.epoch.0);
        assert!(last == self.epoch || (writes.is_some() && last == self.epoch + 1), "{last} after {}", self.epoch);
        if last == self.epoch + 1 {
            let mut calm = Rig::new(0);
            calm.model = std::mem::take(&mut self.model);
            calm.commit(writes.unwrap()).unwrap();
            self.model = calm.model;
            self.epoch = last;
        }
        self.reload();
    }

    fn get(&mut self, state: u32, key: &[u8], sub_key: &[u8]) -> Option<Vec<u8>> {
        let hash = hash_key(key);
        match self.view.look(hash, state, key, sub_key) {
            Ok(value) => value.map(<[u8]>::to_vec),
            Err(Unknown) => self.view.fetch(hash, state, key, sub_key).unwrap().map(|value| value.to_vec()),
        }
    }

    /// As the host's scan: what memory knows over what runs hold, fetched a few at a time.
    fn scan(&mut self, state: u32, key: &[u8], from: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let hash = hash_key(key);
        let mut out = BTreeMap::new();
        let mut start = from.to_vec();
        loop {
            let (found, more) = self.view.scan_runs((hash, state, key), &start, None, 3, 1 << 20).unwrap();
            start = found.last().map_or(Vec::new(), |(sub_key, _)| [sub_key, &[0][..]].concat());
            out.extend(found.into_iter().map(|(sub_key, value)| (sub_key.to_vec(), Some(value.to_vec()))));
            if !more {
                break;
            }
        }
        for (sub_key, value) in self.view.memory().scan(hash, state, key, from, None) {
            out.insert(sub_key.to_vec(), value.map(<[u8]>::to_vec));
        }
        out.into_iter().filter_map(|(sub_key, value)| Some((sub_key, value?))).collect()
    }

    fn all(&self, groups: std::ops::Range<u32>) -> Model {
        let mut all = Model::new();
        let mut view = self.store.load_state("p", OPERATOR, groups).unwrap();
        let mut twice = 0;
        view.for_each(|state, key, sub_key, value| {
            twice += u32::from(all.insert((state, key.into(), sub_key.into()), value.into()).is_some());
        })
        .unwrap();
        assert_eq!(twice, 0);
        all
    }

    fn check(&self) {
        assert_whole(&self.store, "after the steps");
        assert_same(&self.all(0..MAX_PARALLELISM), &self.model);
        let half = MAX_PARALLELISM / 2;
        let of = |(_, key, _): &(u32, Vec<u8>, Vec<u8>)| group_of(key).0 < half;
        let part: Model = self.model.clone().into_iter().filter(|(place, _)| of(place)).collect();
        assert_same(&self.all(0..half), &part);
        // Files and rows tell the same.
        let mut rows: Vec<_> =
            self.store.describe().unwrap().sealed_files.iter().map(|f| f.path.replace("sealed/", "")).collect();
        rows.sort();
        self.store.seal(u64::MAX).unwrap();
        assert_eq!(self.disk.sealed_names(), rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn state_in_runs_reads_as_if_it_were_in_memory(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..60)) {
        let mut rig = Rig::new(seed);
        let mut flushes = 0;
        for step in &steps {
            match step {
                Step::Epoch(writes) => rig.commit(writes).unwrap(),
                Step::Flush => flushes += u64::from(rig.store.flush_state("p", OPERATOR).unwrap()),
                Step::Fold => drop(rig.store.fold_state("p", OPERATOR, 2).unwrap()),
                Step::Merge => drop(rig.store.merge_state("p", OPERATOR, 2).unwrap()),
                Step::Read(places) => {
                    for (state, key, sub_key) in places {
                        let expected = rig.model.get(&(*state, key.clone(), sub_key.clone())).cloned();
                        prop_assert_eq!(rig.get(*state, key, sub_key), expected);
                    }
                }
                Step::Scan(state, key, from) => {
                    let of = |(s, k, b): &(u32, Vec<u8>, Vec<u8>)| s == state && k == key && b >= from;
                    let expected: Vec<_> =
                        rig.model.iter().filter(|(p, _)| of(p)).map(|(p, v)| (p.2.clone(), v.clone())).collect();
                    prop_assert_eq!(rig.scan(*state, key, from), expected);
                    let last = rig.view.last_sub_key(hash_key(key), *state, key).unwrap();
                    let put = steps.iter().all(|s| !matches!(s, Step::Epoch(w) if w.iter().any(|w| matches!(w, Write::Delete(..)))));
                    if put {
                        let whole = rig.model.keys().filter(|(s, k, _)| s == state && k == key).map(|p| &p.2[..]).max();
                        prop_assert_eq!(last.as_deref(), whole);
                    }
                }
                Step::Reload => rig.reload(),
                Step::Reopen => {
                    rig.store.close();
                    rig.store = Store::open_with(rig.disk.clone(), options()).unwrap();
                    rig.recover(None);
                }
                Step::Crash(n) => {
                    let writes = [Write::Put(0, b"crash".to_vec(), vec![], n.to_be_bytes().to_vec())];
                    rig.disk.crash_at_sync(rig.disk.syncs() + n);
                    let committed = rig.commit(&writes).is_ok();
                    let _ = rig.store.flush_state("p", OPERATOR);
                    let _ = rig.store.merge_state("p", OPERATOR, 2);
                    rig.store.close();
                    rig.disk.reboot();
                    rig.store = Store::open_with(rig.disk.clone(), options()).unwrap();
                    rig.recover((!committed).then_some(&writes[..]));
                }
            }
        }
        rig.check();
        prop_assume!(flushes > 0 || steps.len() < 8);
    }
}

#[test]
fn memory_stays_within_its_setting_and_the_disk_has_the_rest() {
    let mut rig = Rig::new(1);
    let entries = 2_000u32;
    for epoch in 0..20 {
        let writes: Vec<Write> = (0..entries / 20)
            .map(|i| Write::Put(0, format!("key-{}", epoch * (entries / 20) + i).into_bytes(), vec![], vec![1; 40]))
            .collect();
        rig.commit(&writes).unwrap();
        rig.store.flush_state("p", OPERATOR).unwrap();
        rig.view.settle();
        assert!(rig.view.memory().bytes() <= options().state_memory_bytes, "{}", rig.view.memory().bytes());
    }
    assert!(!rig.view.memory().is_complete() && rig.view.memory().len() < 100, "{}", rig.view.memory().len());
    for i in (0..entries).rev() {
        assert_eq!(rig.get(0, format!("key-{i}").as_bytes(), b""), Some(vec![1; 40]), "{i}");
        assert_eq!(rig.get(0, format!("no-{i}").as_bytes(), b""), None);
        assert!(rig.view.memory().bytes() <= options().state_memory_bytes * 9 / 8);
    }
    while rig.store.merge_state("p", OPERATOR, 2).unwrap() {}
    // The view's files are gone; it goes on with those that took their place.
    assert_eq!(rig.store.state_manifest("p", OPERATOR).unwrap().runs.len(), 1);
    rig.store.seal(u64::MAX).unwrap();
    assert_eq!(rig.get(0, b"key-7", b""), Some(vec![1; 40]));
    rig.check();
}

/// Runs that are small are loaded whole when a run of the pipeline starts. Of a key with several sub-keys only the first came
/// in: its slot said that it had everything, and the others were taken for known to be missing.
#[test]
fn small_runs_are_loaded_with_every_sub_key() {
    let mut rig = Rig::new(2);
    let put = |sub_key: u8| Write::Put(0, b"key".to_vec(), vec![sub_key], vec![sub_key; 3]);
    rig.commit(&(0..6).map(put).collect::<Vec<_>>()).unwrap();
    rig.store.flush_state("p", OPERATOR).unwrap();
    rig.reload();
    assert!(rig.view.memory().is_complete());
    for sub_key in 0..6 {
        assert_eq!(rig.get(0, b"key", &[sub_key]), Some(vec![sub_key; 3]));
    }
    assert_eq!(rig.get(0, b"key", &[9]), None);
    rig.check();
}
