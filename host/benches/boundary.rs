//! What the boundary between host and guest costs: an empty call, a batch passed through, and a keyed count that reads and
//! writes its state in batches. Elements are events, so criterion's `elem/s` is events a second.
//!
//! `cargo bench -p tidemill --bench boundary`

#![allow(missing_docs)] // criterion's macros

#[path = "../tests/wasm_support/mod.rs"]
mod wasm_support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tidemill::bench::events::{Events, VALUE_BYTES, every_key};
use tidemill::config::pipeline::Limits;
use tidemill::operator::{Context, Operator, OperatorFactory, Subtask};
use tidemill_storage::{Batch, EventTime};
use wasm_support::{LIMITS, MAX_PARALLELISM};

const ALONE: Subtask = Subtask { index: 0, parallelism: 1, max_parallelism: MAX_PARALLELISM };

/// An opened operator and its context.
struct Subject {
    operator: Box<dyn Operator>,
    context: Context,
}

impl Subject {
    fn new(package: &str) -> Subject {
        let limits = Limits { memory_bytes: 64 << 20, output_bytes: 64 << 20, ..LIMITS };
        let factory = wasm_support::factory(package, &serde_json::json!({}), &limits);
        let mut context = wasm_support::context(&factory, ALONE);
        let operator = factory.create(&mut context).expect("it opens");
        Subject { operator, context }
    }

    /// One call, committed; what it emitted is dropped.
    fn call(&mut self, batch: &Batch) {
        let rejected = self.operator.process(0, EventTime::MIN, batch, &mut self.context).expect("the call succeeds");
        assert!(rejected.is_empty());
        self.context.state.commit_call();
        black_box(&self.context.output);
        self.context.output.clear();
    }
}

fn empty_call(criterion: &mut Criterion) {
    let mut subject = Subject::new("pass-through");
    let nothing = Batch::default();
    criterion.bench_function("boundary/empty call", |bencher| bencher.iter(|| subject.call(&nothing)));
}

fn pass_through(criterion: &mut Criterion) {
    let mut subject = Subject::new("pass-through");
    let mut group = criterion.benchmark_group("boundary/pass-through");
    for events in [1_024, 4_096_u64] {
        let batch = Events::new(1_000).batch(events);
        group.throughput(Throughput::Elements(events));
        group.bench_with_input(BenchmarkId::from_parameter(events), &batch, |bencher, batch| {
            bencher.iter(|| subject.call(batch));
        });
    }
    group.finish();
}

fn keyed_count(criterion: &mut Criterion) {
    const EVENTS: u64 = 1_024;
    let mut group = criterion.benchmark_group("boundary/keyed count");
    for keys in [1_000_u64, 1_000_000] {
        let mut subject = Subject::new("keyed-count");
        // Every key once, so that the map has its size before anything is measured.
        every_key(keys, VALUE_BYTES).for_each(|batch| subject.call(&batch));
        let mut events = Events::new(keys);
        let batches: Vec<Batch> = (0..256).map(|_| events.batch(EVENTS)).collect();
        let mut next = 0;
        group.throughput(Throughput::Elements(EVENTS));
        group.bench_function(BenchmarkId::from_parameter(format!("{keys} keys")), |bencher| {
            bencher.iter(|| {
                subject.call(&batches[next % batches.len()]);
                next += 1;
            });
        });
    }
    group.finish();
}

criterion_group!(benches, empty_call, pass_through, keyed_count);
criterion_main!(benches);
