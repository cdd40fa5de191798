//! Rows 13 and 14 through the store: a clock that the test turns, cycles that note places, and what is left after each. The table of the
//! rules themselves is tested in `stream/policy.rs`.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use support::*;
use tidemill_storage::*;

struct Fixture {
    _dir: tempfile::TempDir,
    store: Store,
    info: StreamInfo,
    now: Arc<AtomicI64>,
}

fn open(retention: RetentionPolicy) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let (now, clock) = turned_clock();
    let store = Store::open(dir.path(), StoreOptions { clock, ..StoreOptions::default() }).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    let policy = StreamPolicy { retention: Some(retention), ..StreamPolicy::default() };
    store.set_stream_policy(&info.name, policy).unwrap();
    assert_eq!(store.stream_policy(&info.name).unwrap(), policy);
    Fixture { _dir: dir, store, info, now }
}

impl Fixture {
    /// Ten events later and 10 s on, a cycle; the first number that is left.
    fn round(&self, n: u64) -> u64 {
        append(&self.store, &self.info, n * 10..n * 10 + 10).unwrap();
        self.now.fetch_add(10_000, Ordering::SeqCst);
        self.store.maintain().unwrap();
        self.first()
    }

    fn first(&self) -> u64 {
        read_all(&self.store, &self.info.name).unwrap().first().copied().unwrap_or(u64::MAX)
    }

    fn bytes(&self) -> u64 {
        self.store.stream(&self.info.name).unwrap().unwrap().segments.iter().map(|s| s.bytes).sum()
    }
}

#[test]
fn by_age_the_younger_ones_are_kept() {
    let f = open(RetentionPolicy::ByAge { min_ms: 25_000, max_ms: None });
    // A place is noted at the end of each round: it may go once it is more than 25 s old.
    let firsts: Vec<u64> = (0..6).map(|n| f.round(n)).collect();
    assert_eq!(firsts, [0, 0, 0, 10, 20, 30]);
    f.now.fetch_add(100_000, Ordering::SeqCst);
    f.store.maintain().unwrap();
    assert_eq!(f.first(), u64::MAX, "a quiet stream runs dry");
    assert_whole(&f.store, "run dry");
}

#[test]
fn by_size_it_stays_between_the_limits() {
    let probe = open(RetentionPolicy::ByConsumption);
    probe.round(0);
    let round_bytes = probe.bytes();
    let (min_bytes, max_bytes) = (round_bytes * 3, Some(round_bytes * 6));
    let f = open(RetentionPolicy::BySize { min_bytes, max_bytes });
    for n in 0..40 {
        f.round(n);
        let bytes = f.bytes();
        assert!(bytes <= round_bytes * 6 + round_bytes, "round {n}: {bytes} bytes");
        assert!(n < 4 || bytes > min_bytes, "round {n}: {bytes} bytes");
    }
    assert!(f.first() >= 340, "{}", f.first());
    let noted = f.store.retention_cuts(&f.info.name).unwrap();
    assert!(noted.len() < 10, "places before the head are forgotten: {}", noted.len());
}

#[test]
fn subscribers_are_waited_for_up_to_the_maximum() {
    let f = open(RetentionPolicy::ByAge { min_ms: 15_000, max_ms: Some(65_000) });
    let at = |numbers: &dyn Fn() -> StreamCut| numbers();
    let tail = || f.store.stream(&f.info.name).unwrap().unwrap().tail_cut();
    f.store.acknowledge("slow", &f.info.head_cut()).unwrap();
    f.round(0);
    f.round(1);
    let two_rounds = at(&tail);
    assert_eq!([f.round(2), f.round(3)], [0, 0], "the slow one has read nothing");
    f.store.acknowledge("slow", &two_rounds).unwrap();
    f.store.acknowledge("fast", &tail()).unwrap();
    assert_eq!(f.round(4), 20, "just what both have read goes");
    assert_eq!(f.store.subscribers(&f.info.name).unwrap().len(), 2);
    let firsts: Vec<u64> = (5..12).map(|n| f.round(n)).collect();
    assert_eq!(firsts[0], 20);
    assert!(firsts.is_sorted() && firsts[6] > 20, "what is older than the maximum goes, whoever needs it: {firsts:?}");
    let mut slow = f.store.reader(&f.info.name, ReadFrom::Cut(two_rounds), None).unwrap();
    let (read, truncated, _) = read_on(&mut slow);
    assert!(truncated > 0 && !read.is_empty(), "the slow one hears of it and goes on");
    ["slow", "fast"].iter().for_each(|s| f.store.unsubscribe(&f.info.name, s).unwrap());
    f.round(12);
    assert!(f.first() >= 100, "without subscribers the minimum alone decides: {}", f.first());
}

#[test]
fn by_consumption_alone_everything_is_kept_until_all_have_read_it() {
    let f = open(RetentionPolicy::ByConsumption);
    assert_eq!([f.round(0), f.round(1)], [0, 0]);
    f.store.acknowledge("a", &f.store.stream(&f.info.name).unwrap().unwrap().tail_cut()).unwrap();
    // Over a scaling the earliest place counts range by range.
    let info = f.store.stream(&f.info.name).unwrap().unwrap();
    let scaled = f.store.scale_stream(&info.name, &Scaling::to(&info, 3).unwrap()).unwrap();
    append(&f.store, &scaled, 20..40).unwrap();
    f.store.acknowledge("b", &f.store.stream(&f.info.name).unwrap().unwrap().tail_cut()).unwrap();
    f.store.maintain().unwrap();
    let left = read_stream(&f.store, &info.name);
    assert_eq!(left.len(), 20);
    assert!(left.iter().all(|e| e.value.parse::<u64>().unwrap() >= 20));
    let error = f.store.acknowledge("", &info.tail_cut()).unwrap_err();
    assert!(error.kind() == Kind::Invalid && error.to_string().contains("stream t/s"), "{error}");
}

#[test]
fn a_wrong_policy_is_refused() {
    let f = open(RetentionPolicy::ByConsumption);
    let bad = StreamPolicy {
        retention: Some(RetentionPolicy::BySize { min_bytes: 10, max_bytes: Some(10) }),
        ..StreamPolicy::default()
    };
    let error = f.store.set_stream_policy(&f.info.name, bad).unwrap_err();
    assert!(error.kind() == Kind::Invalid && error.to_string().contains("t/s"), "{error}");
    assert_eq!(f.store.stream_policy(&f.info.name).unwrap().retention, Some(RetentionPolicy::ByConsumption));
}
