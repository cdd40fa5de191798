//! Whole jobs: stream -> operator -> stream, one worker, checkpoints on, committed to a real disk. Each measurement is one
//! run from the first event to the final checkpoint, divided by its events.
//!
//! `keyed count` runs the same operator as a wasm component (examples/operators/keyed-count) and natively through the
//! same trait: their ratio is the wasm tax. `pass-through` is the component that hands batches on.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidemill::clock::Clock;
use tidemill::config::pipeline::*;
use tidemill::config::settings::Settings;
use tidemill::job::RunOptions;
use tidemill::job::lifecycle::start_with;
use tidemill::operator::descriptor::*;
use tidemill::operator::*;
use tidemill::state::{ColumnView, OptionalColumnView};
use tidemill::wasm::{EngineOptions, WasmEngine, WasmFactory, component};
use tidemill_storage::commit::Part;
use tidemill_storage::stream::{Appender, StreamConfig};
use tidemill_storage::{Batch, EventTime, OptionalColumn, Store, StoreOptions, StreamName};

const EVENTS: usize = 1_000_000;

/// The keyed count, natively: one batched get, one batched put, like the SDK's write-back cache does it.
#[derive(Default)]
struct NativeCount {
    index: hashbrown::HashMap<Vec<u8>, u32, foldhash::fast::RandomState>,
    counts: Vec<u64>,
    found: OptionalColumn,
}

struct NativeFactory(Descriptor);

impl NativeFactory {
    fn new() -> NativeFactory {
        let port = |name: &str| Port { name: name.into() };
        NativeFactory(Descriptor {
            descriptor: DESCRIPTOR_VERSION,
            name: "native-count".into(),
            version: String::new(),
            inputs: vec![port("events")],
            outputs: vec![port("counts")],
            states: vec![StateDescriptor { name: "seen".into(), kind: StateKind::Value }],
            timers: Vec::new(),
            metrics: Vec::new(),
            wants: Wants::default(),
            config: None,
        })
    }
}

impl OperatorFactory for NativeFactory {
    fn descriptor(&self) -> &Descriptor {
        &self.0
    }

    fn create(&self, _context: &mut Context) -> Result<Box<dyn Operator>, Failure> {
        Ok(Box::<NativeCount>::default())
    }
}

fn bug(e: impl std::fmt::Display) -> Failure {
    Failure::Bug(e.to_string())
}

impl Operator for NativeCount {
    fn process(
        &mut self,
        _: u32,
        _: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        self.index.clear();
        self.counts.clear();
        self.found.clear();
        let mut keys = tidemill_storage::Column::default();
        let mut slots = Vec::with_capacity(events.len());
        for key in events.keys.iter() {
            let key = key.unwrap_or_default();
            let next = self.index.len() as u32;
            slots.push(*self.index.entry_ref(key).or_insert_with(|| {
                keys.push(key);
                next
            }));
        }
        let view = ColumnView { data: &keys.data, ends: &keys.ends };
        context.state.get(0, view, None, &mut self.found).map_err(bug)?;
        let stored = self.found.iter().map(|v| v.and_then(|v| v.try_into().ok()).map_or(0, u64::from_le_bytes));
        self.counts.extend(stored);
        let mut out = Batch::default();
        for (i, slot) in slots.iter().enumerate() {
            let count = &mut self.counts[*slot as usize];
            *count += 1;
            out.push(EventTime(events.timestamps[i]), events.keys.get(i), Some(&count.to_le_bytes()));
        }
        let data: Vec<u8> = self.counts.iter().flat_map(|c| c.to_le_bytes()).collect();
        let ends: Vec<u32> = (1..=self.counts.len() as u32).map(|i| i * 8).collect();
        let values = OptionalColumnView { data: &data, ends: &ends, present: &[] };
        context.state.put(0, view, None, values).map_err(bug)?;
        context.output.push((0, out));
        Ok(Vec::new())
    }

    fn on_timers(&mut self, _: &TimerBatch, _: EventTime, _: &mut Context) -> Result<Vec<Rejection>, Failure> {
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _: EventTime, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}

fn name(text: String) -> StreamName {
    StreamName::new(text).expect("a good name")
}

/// 100-byte events over `keys` keys, in a stream of the store.
fn feed(store: &Store, keys: usize) -> StreamName {
    let stream = name(format!("bench/in-{keys}"));
    let info = store.ensure_stream(&stream, StreamConfig { segments: 1 }).expect("stream");
    let value = [b'v'; 80];
    let mut random = 1u64;
    for part in 0..EVENTS / 10_000 {
        let mut batch = Batch::default();
        for i in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = format!("key-{:08}", (random >> 33) as usize % keys);
            batch.push(EventTime((part * 10_000 + i) as i64), Some(key.as_bytes()), Some(&value));
        }
        for append in Appender::new(&info).append(&batch).expect("encode") {
            store.commit(Part::Append(append)).expect("append");
        }
    }
    stream
}

fn pipeline(run: usize, input: &StreamName, limits: Limits) -> Pipeline {
    let from = |node: &str| PortRef { node: node.into(), port: None };
    Pipeline {
        name: format!("bench-{run}"),
        file: PathBuf::from("bench.toml"),
        checkpoint_interval_ms: 1_000,
        min_commit_interval_ms: 5,
        parallelism: 1,
        max_parallelism: 128,
        restart: Restart { attempts: 0, backoff_ms: 0, backoff_max_ms: 0 },
        dead_letters: name(format!("bench-{run}/dead-letters")),
        sources: vec![SourceSpec {
            name: "in".into(),
            kind: SourceKind::Stream(StreamSource { stream: input.clone(), bounded: true }),
            watermark: WatermarkSpec { kind: WatermarkKind::OutOfOrderness { bound_ms: 0 }, idle_after_ms: None },
        }],
        operators: vec![OperatorSpec {
            name: "op".into(),
            component: PathBuf::new(),
            inputs: vec![InputSpec { from: vec![from("in")], edge: Edge::Keyed }],
            config: serde_json::Value::Null,
            parallelism: None,
            limits,
        }],
        sinks: vec![SinkSpec {
            name: "out".into(),
            inputs: vec![from("op")],
            kind: SinkKind::Stream { stream: name(format!("bench/out-{run}")), segments: 1 },
        }],
    }
}

fn limits() -> Limits {
    Limits { memory_bytes: 256 << 20, call_deadline_ms: 10_000, output_bytes: 64 << 20 }
}

fn wasm(engine: &WasmEngine, operator: &str) -> SharedFactory {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/operators").join(operator);
    let component = component::load(engine, &folder).unwrap_or_else(|e| panic!("{e} (cargo xtask bench builds it)"));
    let config = serde_json::Value::Null;
    Arc::new(WasmFactory::new(engine, component, &config, &limits(), operator).expect("factory"))
}

fn whole_jobs(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("folder");
    let clock = Clock::system();
    let engine = WasmEngine::new(EngineOptions { cache_dir: None }).expect("engine");
    let (count, pass) = (wasm(&engine, "keyed-count"), wasm(&engine, "pass-through"));
    let native: SharedFactory = Arc::new(NativeFactory::new());
    let mut group = c.benchmark_group("job");
    group.sample_size(10).throughput(Throughput::Elements(EVENTS as u64)).measurement_time(Duration::from_secs(20));
    let mut run = 0;
    for (what, keys, factory) in [
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
                    run += 1;
                    let data_dir = folder.path().join(run.to_string());
                    let store = Store::open(&data_dir, StoreOptions::default()).expect("store");
                    let input = feed(&store, keys);
                    let options = RunOptions { data_dir: data_dir.clone(), workers: 1, settings: Settings::default() };
                    let before = clock.elapsed();
                    let job = start_with(
                        pipeline(run, &input, limits()),
                        vec![factory.clone()],
                        store,
                        options,
                        clock.clone(),
                    );
                    let summary = job.expect("start").wait().expect("run");
                    total += clock.elapsed() - before;
                    assert_eq!(summary.nodes[1].events_in, EVENTS as u64);
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
