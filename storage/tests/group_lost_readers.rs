//! Checklist row 23 and corner case X-17: what a lost reader read after it last reported is read again by others, what it
//! reported is not, and nothing is skipped. A reader that was put out changes nothing any more.
//!
//! where the group forgot a dead reader before it put it out, the dead reader kept its segments for ever. Here one
//! commit does both, so that there is no order to get wrong; a crash in between leaves the reader online, to be put out again.

#[path = "support/group.rs"]
mod group;

use group::*;
use tidemill_storage::stream::reader_group::GroupRead;
use tidemill_storage::{Kind, Store, StoreOptions};

#[test]
fn the_events_after_the_checkpoint_are_read_again_and_none_before() {
    let world = World::new(1);
    let segment = world.segments()[0];
    let group = world.group();
    let mut lost = group.reader("lost").unwrap();
    for n in 0..5 {
        world.put_in(segment, n);
    }
    assert_eq!(drain(&mut lost), [0, 1, 2, 3, 4]);
    group.begin_checkpoint("cp").unwrap();
    assert_eq!(lost.read(READ).unwrap(), GroupRead::Checkpoint("cp".into()));
    for n in 5..15 {
        world.put_in(segment, n);
    }
    assert_eq!(drain(&mut lost), (5..15).collect::<Vec<_>>());
    assert!(group.reader_offline("lost", None).unwrap());
    assert!(!group.reader_offline("lost", None).unwrap(), "it is out already");
    let mut heir = group.reader("heir").unwrap();
    assert_eq!(drain(&mut heir), (5..15).collect::<Vec<_>>());
    let error = lost.read(READ).unwrap_err();
    assert_eq!(error.kind(), Kind::Fenced);
    assert!(error.to_string().contains("lost") && error.to_string().contains("make a new reader"), "{error}");
}

#[test]
fn with_a_position_others_go_on_exactly_there() {
    let world = World::new(1);
    let segment = world.segments()[0];
    let group = world.group();
    let mut lost = group.reader("lost").unwrap();
    world.put_in(segment, 0);
    assert_eq!(events(&mut lost), [0]);
    let at = lost.position();
    world.put_in(segment, 1);
    assert_eq!(events(&mut lost), [1]);
    group.reader_offline("lost", Some(&at)).unwrap();
    let mut heir = group.reader("heir").unwrap();
    assert_eq!(drain(&mut heir), [1]);
    // Positions that cannot be are refused, with nothing changed.
    let (mut beyond, mut stranger) = (at.clone(), at.clone());
    beyond[0].offset.0 = 9;
    stranger[0].stream.0 += 7;
    for bad in [&beyond, &stranger] {
        assert_eq!(group.reader_offline("heir", Some(bad)).unwrap_err().kind(), Kind::Invalid);
    }
    assert_eq!(shares(&group), [1]);
    // One from before the last report does not bring back what was reported.
    group.begin_checkpoint("cp").unwrap();
    assert_eq!(heir.read(READ).unwrap(), GroupRead::Checkpoint("cp".into()));
    assert_eq!(heir.read(READ).unwrap(), GroupRead::Idle);
    group.reader_offline("heir", Some(&at)).unwrap();
    assert_eq!(drain(&mut group.reader("next").unwrap()), Vec::<u64>::new());
}

#[test]
fn a_reader_that_closes_hands_over_where_it_stands() {
    let world = World::new(2);
    world.put(0..20);
    let group = world.group();
    let mut first = group.reader("a").unwrap();
    let mut got = events(&mut first);
    assert!(!got.is_empty() && got.len() < 20);
    first.close().unwrap();
    let mut second = group.reader("a").unwrap();
    got.extend(drain(&mut second));
    assert_eq!(sorted(got), (0..20).collect::<Vec<_>>());
}

#[test]
fn readers_of_a_process_that_died_are_put_out_by_the_next_one() {
    let world = World::new(2);
    world.put(0..20);
    let group = world.group();
    let mut readers = vec![group.reader("a").unwrap(), group.reader("b").unwrap()];
    drain_all(&mut readers);
    world.store.close();
    let store = Store::open_with(world.disk.clone(), StoreOptions::default()).unwrap();
    let group = store.reader_group(&group_name()).unwrap().unwrap();
    assert_eq!(shares(&group), [1, 1], "the group outlives the process, with its readers");
    for reader in group.info().unwrap().readers {
        group.reader_offline(&reader.id, None).unwrap();
    }
    let mut next = group.reader("a").unwrap();
    assert_eq!(sorted(drain(&mut next)), (0..20).collect::<Vec<_>>());
}
