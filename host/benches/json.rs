//! JSON lines out of a file: read, checked whole, time and key found, line by line into batches; beside serde_json over the
//! same lines, once into a value in memory and once only checked. Bytes are those of the file.
//!
//! `cargo bench -p tidemill --bench json`

#![allow(missing_docs)] // criterion's macros

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use tidemill::config::pipeline::*;
use tidemill::connector::{ReadStatus, SourceBatch, source};
use tidemill_storage::{Store, StoreOptions};

/// The binary's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LINES: u64 = 100_000;

/// Bids of an auction, about 200 bytes each.
fn bids() -> String {
    let mut text = String::new();
    let mut random = 1u64;
    for i in 0..LINES {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let n = random >> 33;
        let (auction, bidder, price, page) = (n % 100_000, n % 7_919, n % 9_999_991, n % 999_983);
        writeln!(
            text,
            r#"{{"auction":{auction},"bidder":{bidder},"price":{price},"channel":"Baidu","url":"https://www.nexmark.com/{page}/item.htm?query=1","dateTime":{},"extra":"{random:016x}{random:016x}"}}"#,
            1_436_918_400_000 + i / 10
        )
        .expect("into memory");
    }
    text
}

fn spec(file: &Path) -> SourceSpec {
    let field = |pointer: &str| Field::Pointer(pointer.into());
    SourceSpec {
        name: "bids".into(),
        kind: SourceKind::File(FileSource {
            paths: vec![file.to_path_buf()],
            format: FileFormat::JsonLines,
            value: ValueForm::Json,
            time: Some(TimeSpec { field: field("/dateTime"), format: TimeFormat::EpochMs }),
            key: Some(field("/bidder")),
        }),
        watermark: WatermarkSpec {
            kind: WatermarkKind::OutOfOrderness { bound_ms: 0 },
            idle_after_ms: None,
            emit: Emit::PerBatch,
            align: None,
        },
    }
}

fn json_lines(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("bids.jsonl");
    let text = bids();
    std::fs::write(&file, &text).expect("written");
    let store = Store::open(&folder.path().join("data"), StoreOptions::default()).expect("store");
    let source = source::build(&spec(&file), &store).expect("source");
    let partition = source.partitions().expect("partitions").remove(0);

    let mut group = criterion.benchmark_group("json lines");
    group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(20);
    group.bench_function("file source", |bencher| {
        bencher.iter(|| {
            let mut reader = source.open(&partition, None).expect("open");
            let mut events = 0;
            loop {
                let mut batch = SourceBatch::default();
                let status = reader.read(2_048, 128 << 10, &mut batch).expect("read");
                events += black_box(&batch).events.len() as u64;
                if status == ReadStatus::End {
                    break;
                }
            }
            assert_eq!(events, LINES);
        });
    });
    group.bench_function("serde_json to a value", |bencher| {
        bencher.iter(|| {
            for line in text.lines() {
                let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
                black_box((value["dateTime"].as_i64(), value["bidder"].as_u64()));
            }
        });
    });
    group.bench_function("serde_json, only checked", |bencher| {
        bencher.iter(|| {
            for line in text.lines() {
                black_box(serde_json::from_str::<serde::de::IgnoredAny>(line).expect("JSON"));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, json_lines);
criterion_main!(benches);
