//! A whole job over a disk that fails: whatever commit fails, and at whichever sync the machine crashes, the output
//! holds every result exactly once, state and timers included. In process, with a native operator.
//!
//! W-19 of the reference (FLINK-40517): when a recovery joined channels, the watermark of one was taken for that of all, and events
//! were lost as late without a word. The operator here fails if an event of the model is late, at any parallelism
//! before and after the crash (`a_crash_at_any_sync_loses_and_doubles_nothing_even_when_resumed_at_another_parallelism`).

#[path = "support/native.rs"]
mod native;

use native::{assert_exactly_once, events, feed, run};
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::{Store, StoreOptions};

fn open(disk: &FaultDisk) -> tidemill_storage::Result<Store> {
    Store::open_with(disk.clone(), StoreOptions::default())
}

#[test]
fn a_straight_run_gives_every_result_once_at_any_parallelism() {
    let events = events(3_000);
    for parallelism in [1, 2, 3, 7] {
        let store = open(&FaultDisk::new(1)).unwrap();
        feed(&store, &events);
        let summary = run(&store, parallelism).unwrap();
        assert!(summary.finished);
        assert_exactly_once(&store, &events, &format!("parallelism {parallelism}"));
        let again = run(&store, parallelism).unwrap();
        assert!(again.finished && again.epochs == summary.epochs, "a finished pipeline has nothing to do");
        assert_exactly_once(&store, &events, "run again");
    }
}

#[test]
fn a_commit_that_fails_once_costs_a_restart_and_no_result() {
    let events = events(20_000);
    let mut restarted = 0;
    for n in 1..=12 {
        let disk = FaultDisk::new(n);
        let store = open(&disk).unwrap();
        feed(&store, &events);
        // Past the commits that create the job's streams: trouble there is an error of `start`, with nothing begun.
        disk.fail_sync(disk.syncs() + 10 + n * 2);
        let summary = run(&store, 1 + (n % 3) as u32).unwrap();
        assert!(summary.finished);
        restarted += summary.restarts;
        assert_exactly_once(&store, &events, &format!("sync {n} failed"));
    }
    assert!(restarted >= 6, "the failed syncs hit running epochs: {restarted}");
}

#[test]
fn a_crash_at_any_sync_loses_and_doubles_nothing_even_when_resumed_at_another_parallelism() {
    let events = events(1_500);
    let mut crashes = 0;
    for n in 1..=24u64 {
        let disk = FaultDisk::new(n * 77);
        let store = open(&disk).unwrap();
        feed(&store, &events);
        let mut store = Some(store);
        let mut attempt = 0;
        loop {
            attempt += 1;
            assert!(attempt < 200, "no progress");
            if attempt <= 4 {
                disk.crash_at_sync(disk.syncs() + n);
            }
            let parallelism = [1, 3, 2, 4][attempt % 4];
            let result = match store.take() {
                Some(store) => run_until_crash(&store, parallelism, &disk).map(|()| store),
                None => None,
            };
            if let Some(done) = result {
                // What was said to be finished outlives a crash too (of a background fold, say).
                drop(done);
                disk.crash();
                disk.reboot();
                let done = open(&disk).unwrap();
                assert_exactly_once(&done, &events, &format!("crash at sync {n}, {attempt} attempts"));
                break;
            }
            crashes += 1;
            disk.reboot();
            store = open(&disk).ok();
        }
    }
    assert!(crashes >= 24, "{crashes}");
}

/// `None` = the disk crashed.
fn run_until_crash(store: &Store, parallelism: u32, disk: &FaultDisk) -> Option<()> {
    match run(store, parallelism) {
        Ok(summary) if !disk.crashed() => {
            assert!(summary.finished);
            Some(())
        }
        _ => {
            assert!(disk.crashed(), "only a crash may stop the job");
            None
        }
    }
}
