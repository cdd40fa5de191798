//! The golden pipelines over a disk on which one commit fails: the run rolls back to the last checkpoint, goes on, and
//! reaches the expected output. Real components in process, over the fault-injecting disk.

#[path = "support/golden.rs"]
mod golden;

use golden::{GOLDEN, Golden, build_operators};
use tidemill::clock::Clock;
use tidemill::config::settings::Settings;
use tidemill::config::{Overrides, parse};
use tidemill::job::RunOptions;
use tidemill::job::lifecycle::start_in;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::{Position, Store, StoreOptions, StreamName};

/// Everything in a stream as (key, value), in segment order.
fn read(store: &Store, stream: &str) -> Vec<(String, serde_json::Value)> {
    let info = store.stream(&StreamName::new(stream).unwrap()).unwrap().unwrap();
    let mut events = Vec::new();
    for segment in &info.segments {
        let mut position = Position {
            stream: info.stream.id,
            generation: info.stream.generation,
            segment: segment.id,
            offset: segment.head,
        };
        while position.offset < segment.tail {
            let chunk = store.read(position, 1 << 20).unwrap();
            for (key, value) in chunk.batch.keys.iter().zip(chunk.batch.values.iter()) {
                let key = String::from_utf8(key.unwrap_or_default().to_vec()).unwrap();
                events.push((key, serde_json::from_slice(value.unwrap()).unwrap_or_default()));
            }
            position.offset = chunk.next;
        }
    }
    events
}

/// Runs a golden pipeline; the `n`-th sync after its start fails. Returns how often it had to start again.
fn run_with_failed_sync(pipeline: &Golden, n: u64, cache: &std::path::Path) -> u32 {
    let overrides = Overrides { parallelism: Some(1 + (n % 3) as u32), ..Overrides::default() };
    let mut spec = parse::load(&pipeline.folder().join("pipeline.toml"), &overrides).unwrap();
    spec.min_commit_interval_ms = 0;
    spec.restart.backoff_ms = 0;
    let disk = FaultDisk::new(n);
    let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
    // The streams are there before, so that the failing sync is one of a running epoch.
    for name in [StreamName::new(pipeline.stream).unwrap(), spec.dead_letters.clone()] {
        store.ensure_stream(&name, tidemill_storage::StreamConfig { segments: 1 }).unwrap();
    }
    let mut settings = Settings::default();
    // Little may be uncommitted and batches are small, so there are many epochs however fast the disk is.
    settings.dataflow.uncommitted_bytes_max = 16 << 10;
    settings.dataflow.batch_events = 16;
    let options = RunOptions { data_dir: cache.to_owned(), workers: 2, settings };
    disk.fail_sync(disk.syncs() + n);
    let summary = start_in(spec, store.clone(), options, Clock::system()).unwrap().wait().unwrap();
    assert!(summary.finished);
    pipeline.assert_output(read(&store, pipeline.stream), &format!("sync {n} failed"));
    summary.restarts
}

#[test]
fn a_commit_that_fails_once_does_not_change_the_output() {
    build_operators();
    let cache = tempfile::tempdir().unwrap();
    for pipeline in &GOLDEN {
        let restarts: u32 = [4, 7, 10].iter().map(|n| run_with_failed_sync(pipeline, *n, cache.path())).sum();
        assert!(restarts >= 1, "{}: no failure hit a running epoch", pipeline.name);
    }
}
