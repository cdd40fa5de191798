//! Key-value tables against a `BTreeMap`: random conditional batches, look-ups, scans in pages, restarts, and crashes of the
//! disk at any sync. A batch that was answered is there whole; one whose outcome got lost is there whole or not at all.

mod support;

use proptest::prelude::*;
use std::collections::BTreeMap;
use support::assert_whole;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

type Model = BTreeMap<(Vec<u8>, Vec<u8>), (u64, Vec<u8>)>;

#[derive(Clone, Debug)]
enum Want {
    Any,
    Absent,
    /// The version that it has, or a wrong one.
    Version(bool),
}

#[derive(Clone, Debug)]
enum Step {
    /// Primary key; per change a secondary key, what is expected, and a value to put or none to remove.
    Update(Vec<u8>, Vec<(Vec<u8>, Want, Option<Vec<u8>>)>),
    Scan(Shape, usize),
    Reopen,
    /// Crash when the n-th sync from now on is asked for.
    Crash(u64),
}

#[derive(Clone, Debug)]
enum Shape {
    All,
    PrimaryPrefix(Vec<u8>),
    Primary(Vec<u8>, Option<Vec<u8>>),
    SecondaryPrefix(Vec<u8>, Vec<u8>),
    Secondary(Vec<u8>, Vec<u8>, Option<Vec<u8>>),
}

fn key(least: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(b'a'), Just(255)], least..3)
}

fn step() -> impl Strategy<Value = Step> {
    let want = prop_oneof![
        4 => Just(Want::Any),
        2 => Just(Want::Absent),
        3 => Just(Want::Version(true)),
        1 => Just(Want::Version(false)),
    ];
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..40));
    let change = (key(0), want, value);
    let shape = prop_oneof![
        Just(Shape::All),
        key(0).prop_map(Shape::PrimaryPrefix),
        (key(0), prop::option::of(key(0))).prop_map(|(a, b)| Shape::Primary(a, b)),
        (key(1), key(0)).prop_map(|(p, a)| Shape::SecondaryPrefix(p, a)),
        (key(1), key(0), prop::option::of(key(0))).prop_map(|(p, a, b)| Shape::Secondary(p, a, b)),
    ];
    prop_oneof![
        8 => (key(1), prop::collection::vec(change, 1..4)).prop_map(|(p, c)| Step::Update(p, c)),
        4 => (shape, 1usize..4).prop_map(|(shape, page)| Step::Scan(shape, page)),
        1 => Just(Step::Reopen),
        1 => (1u64..8).prop_map(Step::Crash),
    ]
}

impl Shape {
    fn range(&self) -> TableRange {
        let bytes = |v: &Vec<u8>| bytes::Bytes::from(v.clone());
        match self {
            Shape::All => TableRange::All,
            Shape::PrimaryPrefix(p) => TableRange::PrimaryPrefix(bytes(p)),
            Shape::Primary(a, b) => TableRange::Primary(bytes(a), b.as_ref().map(bytes)),
            Shape::SecondaryPrefix(p, a) => TableRange::SecondaryPrefix(bytes(p), bytes(a)),
            Shape::Secondary(p, a, b) => TableRange::Secondary(bytes(p), bytes(a), b.as_ref().map(bytes)),
        }
    }

    fn holds(&self, (primary, secondary): &(Vec<u8>, Vec<u8>)) -> bool {
        let within = |key: &Vec<u8>, a: &Vec<u8>, b: &Option<Vec<u8>>| key >= a && b.as_ref().is_none_or(|b| key < b);
        match self {
            Shape::All => true,
            Shape::PrimaryPrefix(p) => primary.starts_with(p),
            Shape::Primary(a, b) => within(primary, a, b),
            Shape::SecondaryPrefix(p, a) => primary == p && secondary.starts_with(a),
            Shape::Secondary(p, a, b) => primary == p && within(secondary, a, b),
        }
    }
}

fn pages(table: &Table, range: &TableRange, page: usize) -> Vec<TableEntry> {
    let (mut out, mut after) = (Vec::new(), None);
    loop {
        let got = table.scan(range, after.as_ref(), page).unwrap();
        assert!(got.entries.len() <= page);
        out.extend(got.entries);
        match got.next {
            Some(next) => after = Some(next),
            None => return out,
        }
    }
}

fn stored(table: &Table, shape: &Shape, page: usize) -> Model {
    let entries = pages(table, &shape.range(), page);
    let key = |e: &TableEntry| (e.key.primary.to_vec(), e.key.secondary.to_vec());
    assert!(entries.windows(2).all(|w| key(&w[0]) < key(&w[1])), "in order, each once");
    entries.iter().map(|e| (key(e), (e.version.0, e.value.to_vec()))).collect()
}

struct Run {
    disk: FaultDisk,
    store: Store,
    table: Table,
    model: Model,
    maybe: Model,
    version: u64,
}

fn open(disk: &FaultDisk) -> Result<(Store, Table)> {
    let store = Store::open_with(disk.clone(), StoreOptions::default())?;
    let table = store.ensure_table(&TableName::new("t/t")?)?;
    Ok((store, table))
}

impl Run {
    fn update(&mut self, primary: &[u8], changes: &[(Vec<u8>, Want, Option<Vec<u8>>)]) -> Result<()> {
        let mut ok = true;
        let mut next = self.model.clone();
        let mut keys = std::collections::BTreeSet::new();
        let mut batch = Vec::new();
        for (secondary, want, value) in changes {
            let at = (primary.to_vec(), secondary.clone());
            let there = self.model.get(&at).map(|(version, _)| *version);
            let expected = match want {
                Want::Any => Expected::Any,
                Want::Absent if value.is_none() => Expected::Any,
                Want::Absent => Expected::Absent,
                Want::Version(right) => Expected::Version(Version(there.unwrap_or(1) + u64::from(!right))),
            };
            ok &= keys.insert(secondary.clone())
                && match expected {
                    Expected::Any => true,
                    Expected::Absent => there.is_none(),
                    Expected::Version(version) => there == Some(version.0),
                };
            batch.push(match value {
                Some(value) => TableChange::put(secondary.clone(), value.clone(), expected),
                None => TableChange::remove(secondary.clone(), expected),
            });
            match value {
                Some(value) => next.insert(at, (self.version + 1, value.clone())),
                None => next.remove(&at),
            };
        }
        let changed = next != self.model;
        if ok {
            self.maybe = next;
        }
        match self.table.update(primary.to_vec(), batch) {
            Ok(version) => {
                assert!(ok, "an update that must be refused");
                assert_eq!(version.0, self.version + 1);
                self.version += u64::from(changed);
                self.model = self.maybe.clone();
                Ok(())
            }
            Err(e) if matches!(e.kind(), Kind::Conflict | Kind::NotFound | Kind::Invalid) => {
                assert!(!ok, "{e}");
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        self.maybe = self.model.clone();
        match step {
            Step::Update(primary, changes) => self.update(primary, changes)?,
            Step::Scan(shape, page) => {
                let expected: Model =
                    self.model.iter().filter(|(k, _)| shape.holds(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
                assert_eq!(stored(&self.table, shape, *page), expected);
                for ((primary, secondary), (version, value)) in &expected {
                    let got = self.table.get(&TableKey::pair(primary.clone(), secondary.clone()))?.unwrap();
                    assert_eq!((got.version.0, &got.value[..]), (*version, &value[..]));
                }
            }
            Step::Reopen => {
                self.store.close();
                (self.store, self.table) = open(&self.disk)?;
            }
            Step::Crash(syncs) => self.disk.crash_at_sync(self.disk.syncs() + syncs),
        }
        Ok(())
    }

    fn recover(&mut self) {
        self.store.close();
        self.disk.reboot();
        (self.store, self.table) = open(&self.disk).unwrap();
        let is = stored(&self.table, &Shape::All, 7);
        if is != self.model {
            assert_eq!(is, self.maybe);
            self.model = self.maybe.clone();
        }
        self.version = self.table.info().unwrap().version.0;
        assert_eq!(self.table.info().unwrap().entries, is.len() as u64);
        assert_whole(&self.store, "after a crash");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_a_map_whatever_happens(steps in prop::collection::vec(step(), 1..40), seed: u64) {
        let disk = FaultDisk::new(seed);
        let (store, table) = open(&disk).unwrap();
        let (model, maybe) = (Model::new(), Model::new());
        let mut run = Run { disk, store, table, model, maybe, version: 0 };
        for step in &steps {
            if let Err(e) = run.step(step) {
                prop_assert!(run.disk.crashed(), "{step:?}: {e}");
                run.recover();
            }
        }
        run.recover();
        prop_assert_eq!(stored(&run.table, &Shape::All, 3), run.model);
    }
}
