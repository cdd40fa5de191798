//! Encoding and decoding of a chunk, per event: `cargo bench -p tidemill-storage --bench chunk`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tidemill_storage::{Batch, EventTime, decode_chunk, encode_chunk};

/// Events of about 100 bytes of JSON, as sources bring them.
fn json_events(events: u64) -> Batch {
    let mut batch = Batch::default();
    for i in 0..events {
        let noise = tidemill_storage::hash::hash_key(&i.to_le_bytes());
        let key = format!("user-{:05}", noise % 10_000);
        let value = format!(
            r#"{{"user":"{key}","page":"/item/{}","price":{}.{:02},"referrer":"search","session":"{noise:016x}"}}"#,
            noise % 977,
            noise % 89,
            noise % 100
        );
        batch.push(EventTime(1_700_000_000_000 + i as i64), Some(key.as_bytes()), Some(value.as_bytes()));
    }
    batch
}

fn chunk(c: &mut Criterion) {
    for events in [128u64, 1_024] {
        let batch = json_events(events);
        let encoded = match encode_chunk(&batch) {
            Ok(encoded) => encoded,
            Err(e) => return eprintln!("the sample cannot be encoded: {e}"),
        };
        let mut group = c.benchmark_group(format!("chunk of {events}"));
        group.throughput(Throughput::Elements(events));
        group.bench_function("encode", |b| b.iter(|| encode_chunk(black_box(&batch))));
        group.bench_function("decode", |b| b.iter(|| decode_chunk(black_box(&encoded.bytes))));
        group.finish();
    }
}

criterion_group!(benches, chunk);
criterion_main!(benches);
