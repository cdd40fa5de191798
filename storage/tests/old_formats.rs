//! Data directories of earlier versions open and give back everything: each folder of `fixtures/` was written by the
//! version of its format (`examples/make_fixture.rs`) and stays as it is.

use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tidemill_storage::headers::Entries;
use tidemill_storage::*;

const CREATED_AT_MS: i64 = 1_700_000_000_000;

/// The fixtures: all of them hold the same.
const FORMATS: [&str; 2] = ["format-1", "format-2"];

/// Time, key, value, headers.
type Event = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Vec<u8>)>);

/// Opens a copy: a program may write into the directory that it opens.
fn open(format: &str) -> (tempfile::TempDir, Store) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format);
    let dir = tempfile::tempdir().unwrap();
    fs::copy(fixture.join("FORMAT"), dir.path().join("FORMAT")).unwrap();
    let mut packed = GzDecoder::new(fs::File::open(fixture.join("hot.redb.gz")).unwrap());
    std::io::copy(&mut packed, &mut fs::File::create(dir.path().join("hot.redb")).unwrap()).unwrap();
    let store = Store::open(dir.path(), StoreOptions { state_fold_blobs: 0, ..StoreOptions::default() }).unwrap();
    (dir, store)
}

fn stream(store: &Store, name: &str) -> StreamInfo {
    store.stream(&StreamName::new(name).unwrap()).unwrap().unwrap()
}

fn read(store: &Store, info: &StreamInfo, segment: &SegmentInfo) -> Vec<Event> {
    let (stream, generation) = (info.stream.id, info.stream.generation);
    let mut position = Position { stream, generation, segment: segment.id, offset: segment.head };
    let mut events = Vec::new();
    while position.offset < segment.tail {
        let chunk = store.read(position, 1 << 20).unwrap();
        assert_eq!(chunk.first, position.offset);
        let mut headers = Entries::new(&chunk.batch.headers);
        for i in 0..chunk.batch.len() {
            let own = headers.next_event().unwrap().into_iter().map(|(name, value)| (name.into(), value.into()));
            let column = |column: &OptionalColumn| column.get(i).map(<[u8]>::to_vec);
            let batch = &chunk.batch;
            events.push((batch.timestamps[i], column(&batch.keys), column(&batch.values), own.collect()));
        }
        position.offset = chunk.next;
    }
    events
}

/// State, key, sub-key -> value.
fn state(store: &Store, operator: &str) -> BTreeMap<(u32, Vec<u8>, Vec<u8>), Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut view = store.load_state("p", operator, 0..16).unwrap();
    let insert = |state, key: &[u8], sub_key: &[u8], value: &[u8]| {
        all.insert((state, key.into(), sub_key.into()), value.into());
    };
    view.for_each(insert).unwrap();
    all
}

fn record(n: u64, incarnation: u64) -> CheckpointRecord {
    let time = n as i64 * 100;
    let position = vec![1, n as u8];
    let place = PartitionPosition { position, max_time: time, watermark: time - 1, ended: n == 3, events: n * 4 };
    CheckpointRecord {
        epoch: Epoch(n),
        incarnation: Incarnation(incarnation),
        taken_at_ms: CREATED_AT_MS + n as i64,
        max_parallelism: 16,
        sources: BTreeMap::from([("in".into(), BTreeMap::from([("part-0".into(), place)]))]),
        watermarks: BTreeMap::from([("counts".into(), EventTime(time - 1))]),
        counters: BTreeMap::from([("counts/events_in".into(), n * 4), ("in/rejected".into(), 0)]),
        finished: n == 3,
    }
}

#[test]
fn streams_of_every_format_are_read_whole() {
    for format in FORMATS {
        let (_dir, store) = open(format);
        let names: Vec<String> = store.list_streams().unwrap().iter().map(|s| s.name.to_string()).collect();
        assert_eq!(names, ["fixture/a/totals", "fixture/clicks"]);

        let clicks = stream(&store, "fixture/clicks");
        assert_eq!((clicks.created_at_ms, clicks.watermark, clicks.segments.len()), (CREATED_AT_MS, None, 1));
        let segment = &clicks.segments[0];
        assert_eq!((segment.range, segment.head, segment.tail), ((0, u64::MAX), Offset(4), Offset(508)));
        let events = read(&store, &clicks, segment);
        for (n, event) in events[..500].iter().enumerate() {
            let (key, value) = (format!("k{}", n % 3).into_bytes(), format!("value {n}").into_bytes());
            assert_eq!(*event, (n as i64, Some(key), Some(value), vec![]));
        }
        let header = |name: &str, value: &[u8]| (name.to_string(), value.to_vec());
        let every_kind = [
            (-5, Some(b"k1".to_vec()), Some(b"one".to_vec()), vec![header("h", b"x"), header("h", b"")]),
            (0, None, Some(vec![]), vec![]),
            (9_007_199_254_740_991, Some(vec![]), None, vec![header("trace", &[0, 255])]),
            (7, Some(vec![0xff, 0]), Some(b"four".to_vec()), vec![]),
        ];
        assert_eq!(events[500..], every_kind);
        let gone = Position {
            stream: clicks.stream.id,
            generation: clicks.stream.generation,
            segment: segment.id,
            offset: Offset(3),
        };
        assert_eq!(store.read(gone, 1).unwrap_err().kind(), Kind::Truncated);

        let totals = stream(&store, "fixture/a/totals");
        assert_eq!(totals.watermark, Some(EventTime(299)));
        assert_eq!(totals.segments.iter().map(|s| s.range.0).collect::<Vec<_>>(), [0, 1 << 63]);
        let mut output: Vec<Event> = totals.segments.iter().flat_map(|s| read(&store, &totals, s)).collect();
        output.sort();
        let expected = (1..=3).flat_map(|n: i64| {
            (0..4)
                .map(move |i| (n, Some(format!("key-{i}").into_bytes()), Some(format!("{n}/{i}").into_bytes()), vec![]))
        });
        assert_eq!(output, expected.collect::<Vec<Event>>());
    }
}

#[test]
fn state_and_timers_of_every_format_are_read_whole() {
    for format in FORMATS {
        let (_dir, store) = open(format);
        let entry =
            |state: u32, key: &[u8], sub_key: &[u8], value: &[u8]| ((state, key.into(), sub_key.into()), value.into());
        let expected = BTreeMap::from([
            entry(0, b"a", b"", b"3"),
            entry(1, b"b", b"3", b"entry"),
            entry(2, b"c", &[0, 0, 0, 0, 0, 0, 0, 2], b"2"),
            entry(2, b"c", &[0, 0, 0, 0, 0, 0, 0, 3], b"3"),
            // 3,000 ms, timer 0; and 1 ms before 1970, timer 7.
            entry(u32::MAX - 1, b"a", &[0x80, 0, 0, 0, 0, 0, 0x0b, 0xb8, 0, 0, 0, 0], b""),
            entry(u32::MAX, b"b", &[0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 7], b""),
        ]);
        assert_eq!(state(&store, "counts"), expected);
        assert_eq!(store.state_manifest("p", "counts").unwrap().blobs.len(), 3);

        // Keys 1, 2 and 3 were last written by epochs 1, 2 and 3.
        let last_written = |i: usize| i.clamp(1, 3).to_string();
        let expected = (1..200).map(|i| entry(0, format!("key-{i:03}").as_bytes(), b"", last_written(i).as_bytes()));
        assert_eq!(state(&store, "folded"), expected.collect());
        assert_eq!(store.state_manifest("p", "folded").unwrap().blobs.len(), 1);
    }
}

#[test]
fn checkpoints_schedules_and_markers_of_every_format_are_read_whole() {
    for format in FORMATS {
        let (_dir, store) = open(format);
        assert_eq!(store.list_pipelines().unwrap(), ["never-committed", "p"]);
        let checkpoints = store.checkpoints("p").unwrap();
        assert_eq!(checkpoints.iter().map(|c| &c.record).collect::<Vec<_>>(), [&record(3, 2), &record(2, 2)]);
        assert!(checkpoints.iter().all(|c| c.output_events == 4 && c.output_bytes > 0 && c.state_bytes > 0));
        assert!(store.checkpoints("never-committed").unwrap().is_empty());

        let (watermark, clock) = (3, CREATED_AT_MS);
        let schedule = Schedule {
            calls: vec![
                ScheduledCall::Process { input: 0, channel: 1, events: 4, watermark, clock },
                ScheduledCall::Timers { timers: 2, watermark, clock },
                ScheduledCall::Watermark { watermark, clock },
            ],
        };
        let expected = [("counts".to_string(), 0, schedule.clone()), ("counts".to_string(), 3, schedule)];
        assert_eq!(store.schedules("p", Epoch(3)).unwrap(), expected);
        assert_eq!(store.marker("egress/p/files").unwrap().unwrap(), &b"\x01second"[..]);
        assert_eq!(store.marker("egress/p/others").unwrap(), None);
    }
}

#[test]
fn a_directory_of_every_format_goes_on() {
    for format in FORMATS {
        let (dir, store) = open(format);
        let start = store.start_pipeline("p", 16).unwrap();
        assert_eq!((start.incarnation, start.checkpoint), (Incarnation(3), Some(record(3, 2))));
        let clicks = stream(&store, "fixture/clicks");
        let mut batch = Batch::default();
        batch.push(EventTime(1), None, Some(b"new"));
        for append in Appender::new(&clicks).append(&batch).unwrap() {
            assert_eq!(store.commit(Part::Append(append)).unwrap().first_offsets, [Offset(508)]);
        }
        let stream = store.create_stream(&StreamName::new("fixture/new").unwrap(), StreamConfig::default()).unwrap();
        assert_eq!(stream.segments[0].tail, Offset(0));
        store.close();
        drop(store);
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let clicks = store.stream(&clicks.name).unwrap().unwrap();
        assert_eq!(read(&store, &clicks, &clicks.segments[0]).len(), 505);
    }
}
