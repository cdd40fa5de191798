//! A disk that fills up under a running job: the job waits for room as long as its restart policy allows, else stops with
//! a message that says so; with room again every result is there exactly once. In process, over a disk in memory.

#[path = "support/native.rs"]
mod native;

use native::{assert_exactly_once, events, feed, pipeline, run, start};
use tidemill::config::pipeline::Restart;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::{Store, StoreOptions};

#[test]
fn a_job_on_a_full_disk_stops_in_words_and_a_new_run_ends_exactly_once() {
    let events = events(20_000);
    let mut stopped_after_commits = 0;
    for n in 0..8_u64 {
        let disk = FaultDisk::new(n);
        let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
        feed(&store, &events);
        disk.space_left(Some((128 << 10) << (n / 2)));
        let mut pipeline = pipeline(1 + (n % 3) as u32);
        pipeline.restart = Restart { attempts: 2, backoff_ms: 1, backoff_max_ms: 1 };
        let ended = start(&store, pipeline).and_then(tidemill::job::RunHandle::wait);
        if let Err(error) = &ended {
            let text = error.to_string();
            assert!(text.contains("make room on the disk of the data directory, then run again"), "{text}");
        }
        disk.space_left(None);
        drop(store);
        let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
        let committed = store.checkpoints("counting").unwrap().len();
        stopped_after_commits += usize::from(ended.is_err() && committed > 0);
        let summary = run(&store, 2).unwrap();
        assert!(summary.finished);
        assert_exactly_once(&store, &events, &format!("full disk {n}"));
    }
    assert!(stopped_after_commits >= 2, "a disk filled up in the middle of only {stopped_after_commits} runs");
}

#[test]
fn a_job_that_may_try_again_waits_for_room_and_goes_on_by_itself() {
    let events = events(20_000);
    let disk = FaultDisk::new(5);
    let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
    feed(&store, &events);
    disk.space_left(Some(256 << 10));
    let mut pipeline = pipeline(2);
    pipeline.restart = Restart { attempts: u32::MAX, backoff_ms: 1, backoff_max_ms: 1 };
    let job = start(&store, pipeline).unwrap();
    while job.status().restarts < 3 && !job.is_done() {
        std::thread::yield_now();
    }
    disk.space_left(None);
    let summary = job.wait().unwrap();
    assert!(summary.finished && summary.restarts >= 3, "{summary:?}");
    assert_exactly_once(&store, &events, "a disk that was full for a while");
}
