//! Checklist rows 10 and 11: a group from one cut to another reads exactly the events between them, across scaling too, and
//! then every reader is told that the stream ended; so it is at the end of a sealed stream.

#[path = "support/group.rs"]
mod group;

use group::*;
use tidemill_storage::Kind;
use tidemill_storage::stream::StreamCut;
use tidemill_storage::stream::reader_group::{GroupConfig, GroupRead, GroupReader, GroupStream, ReaderGroup, Start};

fn between(start: StreamCut, end: StreamCut) -> GroupConfig {
    GroupConfig::new([GroupStream { stream: stream(), start: Start::Cut(start), end: Some(end) }])
}

fn read_to_end(group: &ReaderGroup) -> Vec<u64> {
    let mut readers: Vec<GroupReader> = ["a", "b"].iter().map(|id| group.reader(id).unwrap()).collect();
    let got = drain_all(&mut readers).into_iter().flatten();
    for reader in &mut readers {
        assert_eq!(reader.read(READ).unwrap(), GroupRead::EndOfStream);
    }
    // Also with nothing left to read a checkpoint completes.
    group.begin_checkpoint("end").unwrap();
    for reader in &mut readers {
        assert_eq!(reader.read(READ).unwrap(), GroupRead::Checkpoint("end".into()));
        assert_eq!(reader.read(READ).unwrap(), GroupRead::EndOfStream);
    }
    complete(group, "end");
    for reader in readers {
        reader.close().unwrap();
    }
    sorted(got)
}

#[test]
fn exactly_the_events_between_two_cuts_are_read() {
    let world = World::new(2);
    world.put(0..10);
    let one = world.info().tail_cut();
    world.put(10..20);
    let two = world.info().tail_cut();
    world.put(20..30);
    let group = world.group_of(between(one.clone(), two.clone()));
    assert_eq!(read_to_end(&group), (10..20).collect::<Vec<_>>());
    // In the midst of a chunk, too.
    let tile = two.tiles()[0];
    let positions = two
        .positions()
        .into_iter()
        .map(|(s, o)| (s, if s == tile.segment { tidemill_storage::Offset(o.0 - 1) } else { o }));
    let less = StreamCut::of_positions(&world.info(), &positions.collect()).unwrap();
    group.reset(&between(one.clone(), less)).unwrap();
    assert_eq!(read_to_end(&group).len(), 9);
    group.reset(&between(one.clone(), one.clone())).unwrap();
    assert_eq!(read_to_end(&group), Vec::<u64>::new());
    let error = group.reset(&between(two, one)).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("lies before the start cut"), "{error}");
}

#[test]
fn cuts_on_different_sides_of_splits_and_merges_bound_a_read() {
    let world = World::new(2);
    world.put(0..10);
    let one = world.info().tail_cut();
    world.put(10..20);
    let before = world.info().tail_cut();
    let halves = world.split(world.segments()[0]);
    let after = world.info().tail_cut();
    world.put(20..30);
    let two = world.info().tail_cut();
    world.put(30..40);
    world.merge(&halves);
    world.put(40..50);
    let three = world.info().tail_cut();
    world.put(50..60);
    let group = world.group();
    for (from, to, numbers) in [
        (&one, &two, 10..30),
        (&one, &before, 10..20),
        (&one, &after, 10..20),
        (&before, &after, 0..0),
        (&after, &two, 20..30),
        (&two, &three, 30..50),
        (&one, &three, 10..50),
    ] {
        group.reset(&between(from.clone(), to.clone())).unwrap();
        assert_eq!(read_to_end(&group), numbers.collect::<Vec<_>>(), "from {from} to {to}");
    }
}

#[test]
fn a_sealed_stream_is_drained_and_then_ends() {
    let world = World::new(2);
    world.put(0..10);
    let group = world.group();
    let mut reader = group.reader("x").unwrap();
    assert_eq!(drain(&mut reader).len(), 10);
    assert_eq!(reader.read(READ).unwrap(), GroupRead::Idle);
    reader.close().unwrap();
    world.put(10..20);
    world.store.seal_stream(&stream()).unwrap();
    assert_eq!(read_to_end(&group), (10..20).collect::<Vec<_>>());
    assert!(group.info().unwrap().at_end);
}
