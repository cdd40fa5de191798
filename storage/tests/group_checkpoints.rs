//! Checklist row 24 and corner cases: a checkpoint's marker lies between two events of every reader, its cut is
//! where all of them stood there, and it takes every shard of the key space with it, whatever happens meanwhile.
//!
//! outstanding checkpoints that nobody completed reached the maximum and kept out all further ones; they can be
//! cancelled. X-14: a segment that changed hands under an open checkpoint was in its cut twice or not at all; a reader that
//! has to report one takes, gives back and finishes nothing before. X-15: a checkpoint of a group without readers never
//! completed. X-16: a segment that ended under an open checkpoint was missing from it.

#[path = "support/group.rs"]
mod group;

use group::*;
use tidemill_storage::stream::reader_group::{CheckpointStatus, GroupRead, GroupReader};
use tidemill_storage::{Kind, Offset};

fn marker(reader: &mut GroupReader) -> String {
    match reader.read(READ).unwrap() {
        GroupRead::Checkpoint(name) => name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_marker_lies_between_events_and_the_cut_is_where_the_readers_stood() {
    let world = World::new(2);
    let group = world.group();
    let mut readers = vec![group.reader("a").unwrap(), group.reader("b").unwrap()];
    world.put(0..20);
    drain_all(&mut readers);
    let tails: Vec<Offset> = world.info().segments.iter().map(|s| s.tail).collect();
    group.begin_checkpoint("cp").unwrap();
    world.put(20..40);
    assert_eq!(marker(&mut readers[0]), "cp");
    assert_eq!(group.checkpoint("cp").unwrap(), CheckpointStatus::Open(vec!["a".into(), "b".into()]));
    // Reading on says that what came before the marker is worked off.
    assert!(!events(&mut readers[0]).is_empty());
    assert_eq!(group.checkpoint("cp").unwrap(), CheckpointStatus::Open(vec!["b".into()]));
    assert_eq!(marker(&mut readers[1]), "cp");
    assert!(!events(&mut readers[1]).is_empty());
    let cut = complete(&group, "cp");
    assert_eq!(offsets(&cut).into_values().collect::<Vec<_>>(), tails);
    assert_eq!(group.last_checkpoint().unwrap(), Some(("cp".into(), cut)));
}

#[test]
fn without_readers_it_completes_at_once() {
    let world = World::new(2);
    world.put(0..10);
    let group = world.group();
    group.begin_checkpoint("cp").unwrap();
    assert!(offsets(&complete(&group, "cp")).into_values().all(|offset| offset == Offset(0)));
}

#[test]
fn several_are_reported_in_order_a_later_one_forgets_the_one_before_and_a_limit_holds() {
    let world = World::new(1);
    let group = world.group();
    let mut reader = group.reader("a").unwrap();
    drain(&mut reader);
    for name in ["1", "2", "3"] {
        group.begin_checkpoint(name).unwrap();
    }
    let error = group.begin_checkpoint("4").unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().contains("3 checkpoints are outstanding"), "{error}");
    assert_eq!(group.begin_checkpoint("2").unwrap_err().kind(), Kind::Conflict, "the name is in use");
    assert_eq!(marker(&mut reader), "1");
    world.put(0..3);
    assert_eq!(marker(&mut reader), "2");
    complete(&group, "1");
    assert_eq!(marker(&mut reader), "3");
    let error = group.checkpoint("1").unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("a later one has completed"), "{error}");
    assert_eq!(drain(&mut reader), [0, 1, 2]);
    assert!(offsets(&complete(&group, "3")).into_values().all(|offset| offset == Offset(0)));
}

#[test]
fn cancelled_ones_make_room_and_give_no_marker() {
    let world = World::new(1);
    let group = world.group();
    let mut reader = group.reader("a").unwrap();
    drain(&mut reader);
    for name in ["1", "2", "3"] {
        group.begin_checkpoint(name).unwrap();
    }
    assert_eq!(marker(&mut reader), "1");
    group.cancel_checkpoints().unwrap();
    world.put(0..3);
    assert_eq!(drain(&mut reader), [0, 1, 2]);
    assert_eq!(group.checkpoint("1").unwrap_err().kind(), Kind::NotFound);
    group.begin_checkpoint("4").unwrap();
    assert_eq!(marker(&mut reader), "4");
    assert_eq!(drain(&mut reader), Vec::<u64>::new());
    assert_eq!(offsets(&complete(&group, "4")).into_values().collect::<Vec<_>>(), [Offset(3)]);
}

#[test]
fn a_reader_that_is_lost_or_closes_does_not_hold_one_up() {
    let world = World::new(2);
    world.put(0..20);
    let group = world.group();
    let mut readers = vec![group.reader("a").unwrap(), group.reader("b").unwrap(), group.reader("c").unwrap()];
    drain_all(&mut readers);
    group.begin_checkpoint("cp").unwrap();
    readers.pop().unwrap().close().unwrap();
    readers.pop();
    group.reader_offline("b", None).unwrap();
    let mut a = readers.pop().unwrap();
    assert_eq!(marker(&mut a), "cp");
    let again = drain(&mut a);
    let cut = complete(&group, "cp");
    let unreported: u64 = world.info().segments.iter().map(|s| s.tail.0 - offsets(&cut)[&s.id].0).sum();
    assert_eq!(again.len() as u64, unreported, "what b had not reported lies after the cut, and is read again");
}

#[test]
fn nothing_changes_hands_or_ends_before_it_is_reported() {
    let world = World::new(2);
    let (left, right) = (world.segments()[0], world.segments()[1]);
    world.put(0..20);
    let group = world.group();
    let mut a = group.reader("a").unwrap();
    drain(&mut a);
    // b would get one of a's segments at a's next call, and right would end: both must wait for the report.
    let mut b = group.reader("b").unwrap();
    let successors = world.split(right);
    group.begin_checkpoint("cp").unwrap();
    assert_eq!(marker(&mut b), "cp");
    assert_eq!(marker(&mut a), "cp");
    assert_eq!(shares(&group), [2, 0]);
    world.put(20..60);
    assert!(b.read(READ).is_ok());
    let mut got = drain(&mut a);
    let cut = complete(&group, "cp");
    let tail = |id| world.info().segment(id).unwrap().tail;
    assert_eq!(offsets(&cut).into_keys().collect::<Vec<_>>(), [left, right], "whole, and of one moment");
    assert!(offsets(&cut)[&right] == tail(right) && offsets(&cut)[&left] < tail(left));
    let mut readers = [a, b];
    got.extend(drain_all(&mut readers).into_iter().flatten());
    assert_eq!(sorted(got), (20..60).collect::<Vec<_>>());
    let owned: Vec<_> = group.info().unwrap().readers.iter().flat_map(|r| r.segments.clone()).collect();
    assert_eq!(sorted(owned.iter().map(|p| p.segment.0)), sorted([left.0, successors[0].0, successors[1].0]));
}

#[test]
fn cuts_can_be_asked_for_without_a_marker_and_what_is_read_again_stays_as_it_was() {
    let world = World::new(1);
    world.put(0..4);
    let group = world.group();
    let mut reader = group.reader("a").unwrap();
    assert_eq!(drain(&mut reader), [0, 1, 2, 3]);
    let name = group.generate_stream_cuts().unwrap();
    world.put(4..6);
    assert_eq!(events(&mut reader), [4, 5], "no marker");
    assert_eq!(offsets(&complete(&group, &name)).into_values().collect::<Vec<_>>(), [Offset(4)]);
    assert_eq!(group.last_checkpoint().unwrap(), None);
    group.reader_offline("a", None).unwrap();
    assert_eq!(drain(&mut group.reader("b").unwrap()), (0..6).collect::<Vec<_>>(), "nothing was reported");
    assert_eq!(offsets(&group.stream_cuts().unwrap()).len(), 1);
}
