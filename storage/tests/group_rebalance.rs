//! Checklist row 22 and corner case X-38: readers of a group share its segments, however many come and go; each event goes to
//! exactly one of them, and once they have all called nobody has two more segments than another.
//!
//! X-38, in the systems that this is measured against: after a reader had closed, the one that stayed kept only its own
//! segments and nobody read the others', or the shares stayed skewed for good.

#[path = "support/group.rs"]
mod group;

use group::*;
use tidemill_storage::Kind;
use tidemill_storage::stream::reader_group::{GroupRead, GroupReader};

fn settled(readers: &mut [GroupReader], got: &mut Vec<u64>) {
    got.extend(drain_all(readers).into_iter().flatten());
}

#[test]
fn four_segments_and_one_two_four_one_readers() {
    let world = World::new(4);
    let group = world.group();
    let (mut got, mut put) = (Vec::new(), 0..);
    let mut more = |world: &World| world.put(put.by_ref().take(40));
    more(&world);
    let mut readers = vec![group.reader("a").unwrap()];
    settled(&mut readers, &mut got);
    assert_eq!(shares(&group), [4]);

    readers.push(group.reader("b").unwrap());
    more(&world);
    settled(&mut readers, &mut got);
    assert_eq!(shares(&group), [2, 2]);

    readers.push(group.reader("c").unwrap());
    readers.push(group.reader("d").unwrap());
    more(&world);
    settled(&mut readers, &mut got);
    assert_eq!(shares(&group), [1, 1, 1, 1]);

    for reader in readers.drain(1..) {
        reader.close().unwrap();
    }
    more(&world);
    settled(&mut readers, &mut got);
    assert_eq!(shares(&group), [4]);
    assert_eq!(sorted(got), (0..160).collect::<Vec<_>>(), "every event exactly once");
}

#[test]
fn the_one_that_stays_takes_over_what_the_other_one_closed_or_lost() {
    let world = World::new(3);
    let group = world.group();
    let mut readers = vec![group.reader("a").unwrap(), group.reader("b").unwrap()];
    drain_all(&mut readers);
    assert_eq!(sorted(shares(&group).into_iter().map(|n| n as u64)), [1, 2]);
    readers.remove(0).close().unwrap();
    world.put(0..30);
    assert_eq!(sorted(drain(&mut readers[0])), (0..30).collect::<Vec<_>>());
    readers.push(group.reader("a").unwrap());
    drain_all(&mut readers);
    drop(readers.remove(0));
    assert!(group.reader_offline("b", None).unwrap());
    world.put(30..60);
    let got = sorted(drain(&mut readers[0]));
    assert_eq!(got.iter().filter(|n| **n >= 30).count(), 30);
}

#[test]
fn more_readers_than_segments_idle_and_take_part_in_checkpoints() {
    let world = World::new(1);
    world.put(0..5);
    let group = world.group();
    let mut readers: Vec<GroupReader> = ["a", "b", "c"].iter().map(|id| group.reader(id).unwrap()).collect();
    let got = drain_all(&mut readers);
    assert_eq!(got.iter().filter(|got| got.is_empty()).count(), 2);
    group.begin_checkpoint("cp").unwrap();
    for reader in &mut readers {
        assert_eq!(reader.read(READ).unwrap(), GroupRead::Checkpoint("cp".into()));
        assert_eq!(reader.read(READ).unwrap(), GroupRead::Idle);
    }
    let cut = complete(&group, "cp");
    assert_eq!(offsets(&cut).into_values().map(|o| o.0).collect::<Vec<_>>(), [5]);
}

#[test]
fn two_streams_are_shared_like_one() {
    let world = World::new(2);
    let other = tidemill_storage::StreamName::new("t/other").unwrap();
    world.store.create_stream(&other, tidemill_storage::StreamConfig { segments: 2 }).unwrap();
    use tidemill_storage::stream::reader_group::{GroupConfig, GroupStream};
    let group =
        world.group_of(GroupConfig::new([GroupStream::from_head(stream()), GroupStream::from_head(other.clone())]));
    world.put(0..20);
    put(&world.store, &other, 100..120);
    let mut readers = vec![group.reader("a").unwrap(), group.reader("b").unwrap()];
    let got = drain_all(&mut readers);
    assert_eq!(shares(&group), [2, 2]);
    assert_eq!(sorted(got.into_iter().flatten()), (0..20).chain(100..120).collect::<Vec<_>>());
}

#[test]
fn an_id_that_is_online_is_refused_and_can_be_taken_over() {
    // after a crash the group still holds the old reader; the new process must not be kept out by it.
    let world = World::new(1);
    world.put(0..3);
    let group = world.group();
    let mut old = group.reader("a").unwrap();
    assert_eq!(drain(&mut old), [0, 1, 2]);
    let error = group.reader("a").unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().contains("t/readers") && error.to_string().contains("take it over"), "{error}");
    let mut new = group.take_over("a").unwrap();
    assert_eq!(old.read(READ).unwrap_err().kind(), Kind::Fenced);
    assert_eq!(drain(&mut new), [0, 1, 2], "nothing of it was reported");
    assert_eq!(old.close().unwrap_err().kind(), Kind::Fenced);
    assert_eq!(shares(&group), [1]);
}
