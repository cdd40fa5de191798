//! Whole jobs: stream -> operator -> stream, one worker, checkpoints on, committed to a real disk. Each measurement is one
//! run from the first event to the final checkpoint, divided by its events. Events, operators and pipelines are those of
//! `tidemill bench`.
//!
//! `keyed count` runs the same operator as a wasm component (examples/operators/keyed-count) and natively through the
//! same trait: their ratio is the wasm tax. `pass-through` is the component that hands batches on.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::path::Path;
use std::time::Duration;
use tidemill::bench::events::{Events, feed};
use tidemill::bench::operators::{native_count, wasm};
use tidemill::bench::pipelines::{INPUT, Job, Spec};
use tidemill::clock::Clock;
use tidemill::wasm::{EngineOptions, WasmEngine};
use tidemill_storage::{Store, StoreOptions};

const EVENTS: u64 = 1_000_000;

fn whole_jobs(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("folder");
    let clock = Clock::system();
    let engine = WasmEngine::new(EngineOptions { cache_dir: None }).expect("engine");
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/operators");
    let component = |name: &str| wasm(&engine, &components, name).expect("a component");
    let (count, pass, native) = (component("keyed-count"), component("pass-through"), native_count());
    let mut group = c.benchmark_group("job");
    group.sample_size(10).throughput(Throughput::Elements(EVENTS)).measurement_time(Duration::from_secs(20));
    for (what, keys, operator) in [
        ("keyed count, native", 1_000, &native),
        ("keyed count, wasm", 1_000, &count),
        ("keyed count, native", 1_000_000, &native),
        ("keyed count, wasm", 1_000_000, &count),
        ("pass-through, wasm", 1_000, &pass),
    ] {
        group.bench_function(BenchmarkId::new(what, format!("{keys} keys")), |b| {
            b.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    // A fresh store each time: no run pays for the output of another.
                    let data_dir = folder.path().join("data");
                    let store = Store::open(&data_dir, StoreOptions::default()).expect("store");
                    feed(&store, INPUT, 1, Events::new(keys).take(EVENTS)).expect("events");
                    let spec = Spec::streams("bench", Some(Path::new("given")), true, 1);
                    let job = Job {
                        pipeline: spec.load(folder.path()).expect("a pipeline file"),
                        operator,
                        store: &store,
                        data_dir: &data_dir,
                        workers: 1,
                        events: EVENTS,
                        unmeasured: 0,
                    };
                    total += job.time(&clock).expect("run");
                    store.close();
                    std::fs::remove_dir_all(data_dir).expect("clean up");
                }
                total
            });
        });
    }
    group.finish();
}

criterion_group!(benches, whole_jobs);
criterion_main!(benches);
