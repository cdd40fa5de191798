//! Row 9: with a clock that the test turns, a segment that takes 6 times the target for 2 minutes is split, two neighbours that take less than
//! half of it for 20 minutes are merged, never below the minimum, and not within 10 minutes of the last scaling.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use support::*;
use tidemill_storage::*;

struct Fixture {
    _dir: tempfile::TempDir,
    store: Store,
    writer: EventWriter,
    now: Arc<AtomicI64>,
    next: u64,
}

fn open(scale: ScalePolicy, segments: u32) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let (now, clock) = turned_clock();
    let store = Store::open(dir.path(), StoreOptions { clock, ..StoreOptions::default() }).unwrap();
    store.create_stream(&name("t/s"), StreamConfig { segments }).unwrap();
    store.set_stream_policy(&name("t/s"), StreamPolicy { scale, retention: None }).unwrap();
    let writer = store.writer(&name("t/s"), WriterOptions::default()).unwrap();
    store.maintain().unwrap();
    Fixture { _dir: dir, store, writer, now, next: 0 }
}

impl Fixture {
    /// Half a minute with so many events per second, over 64 keys; how many segments there are then.
    fn half_minute(&mut self, per_second: u64) -> usize {
        for _ in 0..per_second * 30 {
            write(&mut self.writer, &format!("k{}", self.next % 64), [self.next]);
            self.next += 1;
        }
        self.writer.flush().unwrap();
        self.now.fetch_add(30_000, Ordering::SeqCst);
        self.store.maintain().unwrap();
        self.store.stream(&name("t/s")).unwrap().unwrap().segments.len()
    }
}

#[test]
fn a_hot_segment_is_split_and_cold_neighbours_are_merged() {
    let mut f = open(ScalePolicy::ByEvents { target: 2, factor: 4, segments_min: 2 }, 1);
    let counts: Vec<usize> = (0..4).map(|_| f.half_minute(12)).collect();
    assert_eq!(counts, [1, 1, 1, 4], "after two minutes at 6 times the target, in at most 4 parts");
    // Each part takes 1.5 times the target, but the stream has just been scaled.
    let counts: Vec<usize> = (0..19).map(|_| f.half_minute(12)).collect();
    assert!(counts.iter().all(|count| *count == 4), "{counts:?}");
    assert!((0..4).map(|_| f.half_minute(12)).last().unwrap() > 4, "over 10 minutes the target itself counts");
    let most = f.half_minute(0);
    let mut counts = Vec::new();
    for _ in 0..200 {
        counts.push(f.half_minute(0));
    }
    assert!(counts[..35].iter().all(|count| *count == most), "20 minutes have to pass: {counts:?}");
    assert_eq!(counts.last(), Some(&2), "down to the minimum and no further");
    assert!(by_key(&read_stream(&f.store, &name("t/s"))).values().all(|numbers| numbers.is_sorted()));
    assert_whole(&f.store, "after scalings by load");
}

#[test]
fn bytes_count_where_the_policy_says_so_and_a_fixed_stream_stays() {
    let mut f = open(ScalePolicy::ByBytes { target: 10, factor: 2, segments_min: 1 }, 1);
    assert_eq!((0..4).map(|_| f.half_minute(12)).last(), Some(2));
    let mut f = open(ScalePolicy::Fixed, 3);
    assert!((0..6).all(|_| f.half_minute(12) == 3));
}
