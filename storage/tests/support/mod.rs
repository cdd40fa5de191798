//! What the storage tests share: batches whose events say what they are, and a pipeline that counts.

#![allow(dead_code, unreachable_pub)]

pub mod clock;

use std::collections::BTreeMap;
use tidemill_storage::hash::{hash_key, key_group};
use tidemill_storage::state::{Change, DeltaBuilder};
use tidemill_storage::*;

pub const MAX_PARALLELISM: u32 = 16;

pub fn name(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

/// One event per value, time = its number, key = `k<number mod 5>`.
pub fn batch(values: impl IntoIterator<Item = u64>) -> Batch {
    let mut batch = Batch::default();
    for value in values {
        let key = format!("k{}", value % 5);
        batch.push(EventTime(value as i64), Some(key.as_bytes()), Some(value.to_string().as_bytes()));
    }
    batch
}

pub fn appends(info: &StreamInfo, values: impl IntoIterator<Item = u64>) -> Vec<Append> {
    Appender::new(info).append(&batch(values)).unwrap()
}

/// Commits each append by itself.
pub fn append(store: &Store, info: &StreamInfo, values: impl IntoIterator<Item = u64>) -> Result<()> {
    appends(info, values).into_iter().try_for_each(|a| store.commit(Part::Append(a)).map(drop))
}

pub fn position(info: &StreamInfo, segment: SegmentId, offset: u64) -> Position {
    Position { stream: info.stream.id, generation: info.stream.generation, segment, offset: Offset(offset) }
}

/// Everything that can be read of a segment, as numbers.
pub fn read_segment(store: &Store, info: &StreamInfo, segment: SegmentId) -> Result<Vec<u64>> {
    let fresh = store.stream(&info.name)?.unwrap();
    let mut at = fresh.segment(segment).unwrap().head;
    let mut out = Vec::new();
    loop {
        let read = store.read(Position { offset: at, ..position(info, segment, 0) }, 1 << 16)?;
        if read.batch.is_empty() {
            assert_eq!(at, read.tail);
            return Ok(out);
        }
        assert_eq!(read.first, at);
        assert_eq!(read.next.0 - at.0, read.batch.len() as u64);
        out.extend(read.batch.values.iter().map(|v| std::str::from_utf8(v.unwrap()).unwrap().parse::<u64>().unwrap()));
        at = read.next;
    }
}

/// Everything that can be read of a stream, sorted.
pub fn read_all(store: &Store, name: &StreamName) -> Result<Vec<u64>> {
    let Some(info) = store.stream(name)? else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for segment in &info.segments {
        out.extend(read_segment(store, &info, segment.id)?);
    }
    out.sort_unstable();
    Ok(out)
}

pub fn group_of(key: &[u8]) -> KeyGroup {
    key_group(hash_key(key), MAX_PARALLELISM)
}

/// A delta that puts these texts under these keys of state 0.
pub fn delta(entries: &[(String, String)]) -> bytes::Bytes {
    let mut builder = DeltaBuilder::default();
    for (key, value) in entries {
        builder.push(0, group_of(key.as_bytes()), key.as_bytes(), b"", Change::Put(value.as_bytes()));
    }
    builder.finish()
}

/// State 0 of an operator, as texts.
pub fn load(store: &Store, pipeline: &str, operator: &str) -> Result<BTreeMap<String, String>> {
    let mut view = store.load_state(pipeline, operator, 0..MAX_PARALLELISM)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut all = BTreeMap::new();
    view.for_each(|_, key, _, value| drop(all.insert(text(key), text(value))))?;
    Ok(all)
}

/// Epoch n: record that says n was read, output n x 10 .. n x 10 + 3, state `last = n` and `count<n mod 3> = n`.
pub fn epoch(start: &PipelineStart, pipeline: &str, out: &StreamInfo, n: u64) -> Box<EpochCommit> {
    let mut record = CheckpointRecord {
        epoch: Epoch(n),
        incarnation: start.incarnation,
        taken_at_ms: n as i64,
        max_parallelism: MAX_PARALLELISM,
        ..CheckpointRecord::default()
    };
    let place = PartitionPosition { position: n.to_be_bytes().to_vec(), ..PartitionPosition::default() };
    record.sources.insert("in".into(), BTreeMap::from([("0".to_string(), place)]));
    let state = [("last".to_string(), n.to_string()), (format!("count{}", n % 3), n.to_string())];
    let schedule = Schedule { calls: vec![ScheduledCall::Watermark { watermark: n as i64, clock: 7 }] };
    Box::new(EpochCommit {
        pipeline: pipeline.into(),
        incarnation: start.incarnation,
        epoch: Epoch(n),
        record,
        state: vec![StateDelta { operator: "op".into(), blob: delta(&state) }],
        outputs: appends(out, n * 10..n * 10 + 3),
        stream_watermarks: vec![(out.stream, EventTime(n as i64))],
        schedules: vec![("op".into(), 0, schedule.encode().unwrap())],
    })
}

/// What the state must be after epoch n of [`epoch`].
pub fn state_after(n: u64) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    for epoch in 1..=n {
        state.insert("last".to_string(), epoch.to_string());
        state.insert(format!("count{}", epoch % 3), epoch.to_string());
    }
    state
}

/// What the output must be after epoch n of [`epoch`].
pub fn output_after(n: u64) -> Vec<u64> {
    (1..=n).flat_map(|epoch| epoch * 10..epoch * 10 + 3).collect()
}

/// Moves a marker of its own on, and with it the head of a segment.
pub fn truncate(store: &Store, info: &StreamInfo, segment: SegmentId, offset: u64) -> Result<()> {
    let name = format!("egress/{}/{segment}", info.name);
    let expected = store.marker(&name)?;
    let truncate = vec![position(info, segment, offset)];
    store.commit(Part::Marker(MarkerSwap { name, expected, value: offset.to_string().into(), truncate })).map(drop)
}

/// Fails with every fault that a check finds.
pub fn assert_whole(store: &Store, what: &str) {
    let report = store.check().unwrap();
    let faults: Vec<String> = report.faults.iter().map(|f| f.to_string()).collect();
    assert!(report.is_whole(), "{what}:\n{}", faults.join("\n"));
}

/// An event as texts: its key and value, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub key: Option<String>,
    pub value: String,
    pub segment: SegmentId,
    pub offset: Offset,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Adds what a read gave to a list.
pub fn tell(out: &mut Vec<Told>, segment: SegmentId, first: Offset, batch: &Batch) {
    for i in 0..batch.len() {
        out.push(Told {
            key: batch.keys.get(i).map(text),
            value: batch.values.get(i).map(text).unwrap_or_default(),
            segment,
            offset: first.plus(i as u64),
        });
    }
}

/// Reads until there is nothing more, ever or for now; truncations are counted.
pub fn read_on(reader: &mut StreamReader) -> (Vec<Told>, usize, bool) {
    let (mut out, mut truncated) = (Vec::new(), 0);
    loop {
        match reader.read(1 << 12).unwrap() {
            StreamRead::Events { segment, first, batch } => tell(&mut out, segment, first, &batch),
            StreamRead::Truncated { .. } => truncated += 1,
            StreamRead::CaughtUp => return (out, truncated, false),
            StreamRead::End => return (out, truncated, true),
        }
    }
}

/// Everything that can be read of a stream, in the reader's order.
pub fn read_stream(store: &Store, name: &StreamName) -> Vec<Told> {
    read_on(&mut store.reader(name, ReadFrom::Head, None).unwrap()).0
}

/// Writes `key/number` for each of the numbers.
pub fn write(writer: &mut EventWriter, key: &str, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        writer.write(EventTime(n as i64), Some(key.as_bytes()), Some(n.to_string().as_bytes()), &[]).unwrap();
    }
}

/// The numbers of each key, in the order in which they were read.
pub fn by_key(events: &[Told]) -> BTreeMap<String, Vec<u64>> {
    let mut out: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in events {
        out.entry(event.key.clone().unwrap_or_default()).or_default().push(event.value.parse().unwrap());
    }
    out
}

/// A clock that a test turns, ms.
pub fn turned_clock() -> (std::sync::Arc<std::sync::atomic::AtomicI64>, Clock) {
    let now = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(1_000_000));
    let read = now.clone();
    (now, std::sync::Arc::new(move || read.load(std::sync::atomic::Ordering::SeqCst)))
}
