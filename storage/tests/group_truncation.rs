//! Checklist row 12 and corner cases, at a group's readers: events that were truncated before they were read are
//! one explicit error, then reading goes on behind them.
//!
//! a group that was started at a cut which had been truncated meanwhile hung. X-35: a slow reader with half an event
//! buffered at the moment of the truncation was stuck in it for ever; here a read is whole events, at any offset.

#[path = "support/group.rs"]
mod group;

use group::*;
use tidemill_storage::stream::reader_group::{GroupConfig, GroupRead, GroupReader, GroupStream, Start};
use tidemill_storage::{Error, Kind};

fn truncated(reader: &mut GroupReader) -> Error {
    let error = reader.read(READ).unwrap_err();
    assert_eq!(error.kind(), Kind::Truncated, "{error}");
    error
}

#[test]
fn a_slow_reader_is_told_once_and_goes_on_at_the_new_head() {
    let world = World::new(1);
    let segment = world.segments()[0];
    let group = world.group();
    let mut reader = group.reader("a").unwrap();
    world.put(0..2);
    assert_eq!(drain(&mut reader), [0, 1]);
    for n in 2..10 {
        world.put_in(segment, n);
    }
    world.truncate([(segment, 7)]);
    let error = truncated(&mut reader);
    for part in ["t/readers", "t/s", "from offset 2 to 7", "reading goes on behind them"] {
        assert!(error.to_string().contains(part), "{part} is not in: {error}");
    }
    assert_eq!(drain(&mut reader), [7, 8, 9]);
    // In the midst of a chunk.
    world.put(10..20);
    world.truncate([(segment, 15)]);
    truncated(&mut reader);
    assert_eq!(drain(&mut reader), (15..20).collect::<Vec<_>>());
}

#[test]
fn a_segment_that_is_gone_altogether_counts_as_read_and_its_successors_follow() {
    let world = World::new(1);
    let old = world.segments()[0];
    world.put(0..10);
    let group = world.group();
    let mut reader = group.reader("a").unwrap();
    let halves = world.split(old);
    world.put(10..20);
    let tail = world.info().segment(old).unwrap().tail.0;
    world.truncate([(old, tail)]);
    assert!(world.info().segment(old).is_none(), "it is gone");
    let error = truncated(&mut reader);
    assert!(error.to_string().contains("with what followed"), "{error}");
    assert_eq!(sorted(drain(&mut reader)), (10..20).collect::<Vec<_>>());
    // And over several generations.
    group.reset(&GroupConfig::new([GroupStream::from_head(stream())])).unwrap();
    let mut reader = group.reader("a").unwrap();
    let merged = world.merge(&halves);
    world.put(20..30);
    world.split(merged);
    world.put(30..40);
    let info = world.info();
    world.truncate(halves.iter().chain([&merged]).map(|id| (*id, info.segment(*id).unwrap().tail.0)));
    let (mut errors, mut got) = (0, Vec::new());
    loop {
        match reader.read(READ) {
            Ok(GroupRead::Events(events)) => got.extend(numbers(&events.batch)),
            Ok(_) => break,
            Err(e) => {
                assert_eq!(e.kind(), Kind::Truncated);
                errors += 1;
            }
        }
    }
    assert_eq!((errors, sorted(got)), (2, (30..40).collect::<Vec<_>>()), "one error for each segment that was lost");
}

#[test]
fn a_group_that_starts_at_a_truncated_cut_gets_one_error_and_goes_forward() {
    let world = World::new(1);
    let segment = world.segments()[0];
    let start = world.info().head_cut();
    world.put(0..10);
    world.truncate([(segment, 4)]);
    let config = GroupConfig::new([GroupStream { stream: stream(), start: Start::Cut(start.clone()), end: None }]);
    let group = world.group_of(config.clone());
    let mut reader = group.reader("a").unwrap();
    truncated(&mut reader);
    assert_eq!(drain(&mut reader), (4..10).collect::<Vec<_>>());
    // Of a segment that is gone.
    world.split(segment);
    world.put(10..20);
    world.truncate([(segment, 10)]);
    group.reset(&config).unwrap();
    let mut reader = group.reader("a").unwrap();
    truncated(&mut reader);
    assert_eq!(sorted(drain(&mut reader)), (10..20).collect::<Vec<_>>());
}

#[test]
fn a_stream_that_is_made_anew_stops_the_group_until_it_is_reset() {
    let world = World::new(1);
    world.put(0..3);
    let group = world.group();
    let mut reader = group.reader("a").unwrap();
    assert_eq!(drain(&mut reader), [0, 1, 2]);
    world.store.delete_stream(&stream()).unwrap();
    let error = reader.read(READ).unwrap_err();
    assert!(error.to_string().contains("t/s was deleted"), "{error}");
    world.store.create_stream(&stream(), tidemill_storage::StreamConfig { segments: 1 }).unwrap();
    world.put(5..7);
    assert!(reader.read(READ).is_err() && reader.read(READ).is_err(), "it must not read another stream's events");
    group.reset(&GroupConfig::new([GroupStream::from_head(stream())])).unwrap();
    assert_eq!(drain(&mut group.reader("a").unwrap()), [5, 6]);
}
