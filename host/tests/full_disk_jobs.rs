//! A disk that fills up under running jobs: they wait before the reserve is touched, or roll back when the disk is really
//! full, use up no restart, and go on by themselves; every result is there exactly once. In process, over disks in memory.

#[path = "support/native.rs"]
mod native;

use native::{assert_exactly_once, events, feed, pipeline, run, start};
use tidemill::config::pipeline::Restart;
use tidemill::job::RunHandle;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::{Store, StoreOptions, StreamName};

const WAITING: &str = "waiting for disk space";

/// No attempt to spare.
fn no_restarts() -> Restart {
    Restart { attempts: 0, backoff_ms: 1, backoff_max_ms: 20 }
}

/// Looks until it waits for room; false = it was over before.
fn waits(job: &RunHandle) -> bool {
    while !job.is_done() {
        if job.status().state == WAITING {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[test]
fn a_job_on_a_full_disk_waits_uses_up_no_restart_and_ends_exactly_once() {
    let events = events(20_000);
    let mut waited = 0;
    for n in 0..8_u64 {
        let disk = FaultDisk::new(n);
        let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
        feed(&store, &events);
        disk.space_left(Some((128 << 10) << (n / 2)));
        let mut pipeline = pipeline(1 + (n % 3) as u32);
        pipeline.restart = no_restarts();
        let job = match start(&store, pipeline) {
            Ok(job) => job,
            Err(error) => {
                // Its streams could not be made: that is said at once.
                assert!(error.to_string().contains("make room on the disk of the data directory"), "{error}");
                continue;
            }
        };
        if waits(&job) {
            waited += 1;
            // While it waits, others are not harmed: a job on another disk ends.
            if n == 3 {
                let other = Store::open_with(FaultDisk::new(99), StoreOptions::default()).unwrap();
                feed(&other, &events);
                assert!(run(&other, 2).unwrap().finished);
                assert_exactly_once(&other, &events, "the other job");
                assert!(!job.is_done());
            }
        }
        disk.space_left(None);
        let summary = job.wait().unwrap();
        assert!(summary.finished, "{summary:?}");
        assert_exactly_once(&store, &events, &format!("full disk {n}"));
    }
    assert!(waited >= 3, "a disk filled up in the middle of only {waited} runs");
}

#[test]
fn two_jobs_over_one_store_wait_and_go_on_together() {
    let events = events(10_000);
    let disk = FaultDisk::new(5);
    let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
    feed(&store, &events);
    let mut jobs: Vec<RunHandle> = ["counting", "beside"]
        .into_iter()
        .map(|name| {
            let mut pipeline = pipeline(2);
            pipeline.restart = no_restarts();
            if name == "beside" {
                pipeline.name = name.into();
                pipeline.dead_letters = StreamName::new("beside/dead-letters").unwrap();
                for sink in &mut pipeline.sinks {
                    sink.kind = tidemill::config::pipeline::SinkKind::Stream {
                        stream: StreamName::new(format!("beside/{}", sink.name)).unwrap(),
                        segments: 2,
                    };
                }
            }
            start(&store, pipeline).unwrap()
        })
        .collect();
    disk.space_left(Some(64 << 10));
    if let Some(over) = jobs.iter().position(|job| !waits(job)) {
        panic!("one was over before the disk was full: {:?}", jobs.swap_remove(over).wait());
    }
    disk.space_left(None);
    for job in jobs {
        assert!(job.wait().unwrap().finished);
    }
    assert_exactly_once(&store, &events, "the first");
    for name in ["counts", "windows"] {
        let mut both = ["test", "beside"].map(|scope| native::read_all(&store, &format!("{scope}/{name}")));
        both.iter_mut().for_each(|events| events.sort());
        assert_eq!(both[0], both[1], "{name}");
    }
}

#[test]
fn a_job_pauses_before_the_reserve_is_used_and_can_be_stopped_or_goes_on() {
    const RESERVE: u64 = 1 << 20;
    let events = events(20_000);
    for stop in [true, false] {
        let disk = FaultDisk::new(8);
        let options = StoreOptions { reserve_bytes: RESERVE, ..StoreOptions::default() };
        let store = Store::open_with(disk.clone(), options).unwrap();
        feed(&store, &events);
        disk.space_left(Some(RESERVE + (400 << 10)));
        let mut pipeline = pipeline(2);
        pipeline.restart = no_restarts();
        let job = start(&store, pipeline).unwrap();
        assert!(waits(&job), "the disk was large enough");
        assert!(disk.least_space() >= RESERVE, "{} bytes were left", disk.least_space());
        assert!(store.failure().is_none() && store.disk().waiting_parts > 0);
        if stop {
            job.stop();
            let summary = job.wait().unwrap();
            assert!(!summary.finished && summary.restarts == 0, "{summary:?}");
            assert!(disk.least_space() >= RESERVE, "{} bytes were left", disk.least_space());
            disk.space_left(None);
            assert!(run(&store, 2).unwrap().finished);
        } else {
            disk.space_left(None);
            let summary = job.wait().unwrap();
            assert!(summary.finished && summary.restarts == 0, "{summary:?}");
        }
        assert_exactly_once(&store, &events, &format!("stopped: {stop}"));
    }
}

#[test]
fn passing_io_errors_are_bounded_by_the_restart_policy() {
    let events = events(5_000);
    let disk = FaultDisk::new(11);
    let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
    feed(&store, &events);
    // Every sync fails, for as long as it may try again.
    let mut pipeline = pipeline(1);
    pipeline.restart = Restart { attempts: 2, backoff_ms: 1, backoff_max_ms: 1 };
    let job = start(&store, pipeline).unwrap();
    while !job.is_done() {
        disk.fail_sync(disk.syncs() + 1);
        std::thread::yield_now();
    }
    match job.wait() {
        Err(error) => assert!(error.to_string().contains("the restart attempts are used up"), "{error}"),
        Ok(summary) => assert!(summary.restarts <= 2, "{summary:?}"),
    }
    disk.fail_sync(0);
    store.reopen_if_failed().unwrap();
    assert!(run(&store, 2).unwrap().finished);
    assert_exactly_once(&store, &events, "syncs that failed");
}
