//! Writes the data directory that `tests/old_formats.rs` must be able to read for ever. Run once per format version, by
//! hand: `cargo run -p tidemill-storage --example make_fixture -- storage/tests/fixtures/format-N`; never again for a
//! format that was released.

use flate2::{Compression, write::GzEncoder};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidemill_storage::hash::{hash_key, key_group};
use tidemill_storage::headers::push_event;
use tidemill_storage::state::{Change, DeltaBuilder};
use tidemill_storage::*;

/// Key groups of the pipeline.
const MAX_PARALLELISM: u32 = 16;
const CREATED_AT_MS: i64 = 1_700_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name the folder of the fixture")?);
    let dir = std::env::temp_dir().join(format!("tidemill-fixture-{}", std::process::id()));
    write(&dir)?;
    fs::create_dir_all(&folder)?;
    fs::copy(dir.join(schema::FORMAT_FILE), folder.join(schema::FORMAT_FILE))?;
    let mut file = GzEncoder::new(fs::File::create(folder.join("hot.redb.gz"))?, Compression::best());
    file.write_all(&fs::read(dir.join(schema::HOT_FILE))?)?;
    file.finish()?;
    fs::remove_dir_all(&dir)?;
    Ok(())
}

fn write(dir: &Path) -> Result<()> {
    let clock = Arc::new(|| CREATED_AT_MS);
    let options = StoreOptions { checkpoints_retained: 2, state_fold_blobs: 0, clock, ..StoreOptions::default() };
    let store = Store::open(dir, options)?;
    let clicks = store.create_stream(&StreamName::new("fixture/clicks")?, StreamConfig { segments: 1 })?;
    let totals = store.create_stream(&StreamName::new("fixture/a/totals")?, StreamConfig { segments: 2 })?;
    for batch in [every_kind_of_event(), compressible()] {
        append(&store, &clicks, &batch)?;
    }
    // The first run commits an epoch and is fenced by the second, which commits two.
    let first = store.start_pipeline("p", MAX_PARALLELISM)?;
    store.commit(epoch(&first, &totals, 1)?)?;
    let second = store.start_pipeline("p", MAX_PARALLELISM)?;
    store.commit(epoch(&second, &totals, 2)?)?;
    store.commit(epoch(&second, &totals, 3)?)?;
    store.fold_state("p", "folded", 2)?;
    store.start_pipeline("never-committed", 1)?;
    // What the first batch held is gone: the head of `clicks` is 4.
    let truncate = Position {
        stream: clicks.stream.id,
        generation: clicks.stream.generation,
        segment: clicks.segments[0].id,
        offset: Offset(4),
    };
    let name = "egress/p/files".to_string();
    let marker = |expected: Option<&'static [u8]>, value: &'static [u8], truncate| {
        let expected = expected.map(bytes::Bytes::from_static);
        Part::Marker(MarkerSwap { name: name.clone(), expected, value: bytes::Bytes::from_static(value), truncate })
    };
    store.commit(marker(None, b"first", Vec::new()))?;
    store.commit(marker(Some(b"first"), b"\x01second", vec![truncate]))?;
    append(&store, &clicks, &every_kind_of_event())?;
    store.close();
    Ok(())
}

fn append(store: &Store, info: &StreamInfo, batch: &Batch) -> Result<()> {
    for part in Appender::new(info).append(batch)? {
        store.commit(Part::Append(part))?;
    }
    Ok(())
}

/// Keys and values that are there, empty or absent, headers, times before 1970.
fn every_kind_of_event() -> Batch {
    let mut batch = Batch::default();
    push_event(&mut batch, EventTime(-5), Some(b"k1"), Some(b"one"), &[("h", b"x"), ("h", b"")]);
    push_event(&mut batch, EventTime(0), None, Some(b""), &[]);
    push_event(&mut batch, EventTime(EventTime::LIMIT_MS), Some(b""), None, &[("trace", &[0, 255])]);
    push_event(&mut batch, EventTime(7), Some(&[0xff, 0]), Some(b"four"), &[]);
    batch
}

/// Long enough and regular enough for a compressed chunk.
fn compressible() -> Batch {
    let mut batch = Batch::default();
    for n in 0..500 {
        batch.push(EventTime(n), Some(format!("k{}", n % 3).as_bytes()), Some(format!("value {n}").as_bytes()));
    }
    batch
}

fn epoch(start: &PipelineStart, totals: &StreamInfo, n: u64) -> Result<Part> {
    let mut output = Batch::default();
    for i in 0..4 {
        output.push(EventTime(n as i64), Some(format!("key-{i}").as_bytes()), Some(format!("{n}/{i}").as_bytes()));
    }
    let place = PartitionPosition {
        position: vec![1, n as u8],
        max_time: n as i64 * 100,
        watermark: n as i64 * 100 - 1,
        ended: n == 3,
        events: n * 4,
    };
    let record = CheckpointRecord {
        epoch: Epoch(n),
        incarnation: start.incarnation,
        taken_at_ms: CREATED_AT_MS + n as i64,
        max_parallelism: MAX_PARALLELISM,
        sources: BTreeMap::from([("in".into(), BTreeMap::from([("part-0".into(), place)]))]),
        watermarks: BTreeMap::from([("counts".into(), EventTime(n as i64 * 100 - 1))]),
        counters: BTreeMap::from([("counts/events_in".into(), n * 4), ("in/rejected".into(), 0)]),
        finished: n == 3,
    };
    let clock = CREATED_AT_MS;
    let watermark = n as i64;
    let schedule = Schedule {
        calls: vec![
            ScheduledCall::Process { input: 0, channel: 1, events: 4, watermark, clock },
            ScheduledCall::Timers { timers: 2, watermark, clock },
            ScheduledCall::Watermark { watermark, clock },
        ],
    };
    let state = vec![
        StateDelta { operator: "counts".into(), blob: counts(n) },
        StateDelta { operator: "folded".into(), blob: folded(n) },
    ];
    Ok(Part::Epoch(Box::new(EpochCommit {
        pipeline: "p".into(),
        incarnation: start.incarnation,
        epoch: Epoch(n),
        record,
        state,
        outputs: Appender::new(totals).append(&output)?,
        stream_watermarks: vec![(totals.stream, EventTime(n as i64 * 100 - 1))],
        schedules: vec![("counts".into(), 0, schedule.encode()?), ("counts".into(), 3, schedule.encode()?)],
    })))
}

/// State 0 a value, 1 a map, 2 a list, and timers of both clocks; each epoch adds, changes and removes.
fn counts(n: u64) -> bytes::Bytes {
    let group = |key: &[u8]| key_group(hash_key(key), MAX_PARALLELISM);
    let (number, old) = (n.to_string(), (n - 1).to_string());
    let due = timer::sub_key(n as i64 * 1_000, 0);
    let past = timer::sub_key((n as i64 - 1) * 1_000, 0);
    let clock = timer::sub_key(-1, 7);
    let index = n.to_be_bytes();
    let mut delta = DeltaBuilder::default();
    delta.push(0, group(b"a"), b"a", b"", Change::Put(number.as_bytes()));
    delta.push(1, group(b"b"), b"b", number.as_bytes(), Change::Put(b"entry"));
    delta.push(1, group(b"b"), b"b", old.as_bytes(), Change::Delete);
    delta.push(2, group(b"c"), b"c", &index, Change::Put(number.as_bytes()));
    delta.push(timer::EVENT_TIME, group(b"a"), b"a", &due, Change::Put(b""));
    delta.push(timer::EVENT_TIME, group(b"a"), b"a", &past, Change::Delete);
    delta.push(timer::PROCESSING_TIME, group(b"b"), b"b", &clock, Change::Put(b""));
    if n == 2 {
        // Epoch 1's entries of the list go, this epoch's stays.
        delta.push(2, group(b"c"), b"c", b"", Change::ClearKey);
    }
    delta.finish()
}

/// Enough for a compressed blob; folded into one in the end.
fn folded(n: u64) -> bytes::Bytes {
    let keys: Vec<String> = (0..200).map(|i| format!("key-{i:03}")).collect();
    let value = n.to_string();
    let mut delta = DeltaBuilder::default();
    for key in keys.iter().skip(n as usize) {
        delta.push(
            0,
            key_group(hash_key(key.as_bytes()), MAX_PARALLELISM),
            key.as_bytes(),
            b"",
            Change::Put(value.as_bytes()),
        );
    }
    delta.finish()
}
