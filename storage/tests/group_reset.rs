//! Checklist row 25: a group that is reset to a checkpoint, a cut or another beginning goes on exactly there; readers from
//! before are put out and can change nothing any more.

#[path = "support/group.rs"]
mod group;

use group::*;
use tidemill_storage::Kind;
use tidemill_storage::stream::reader_group::{GroupConfig, GroupCut, GroupRead, GroupStream, Start};

#[test]
fn after_a_reset_to_the_checkpoint_reading_goes_on_there_and_old_readers_are_fenced() {
    let world = World::new(2);
    world.put(0..20);
    let group = world.group();
    let mut old = vec![group.reader("a").unwrap(), group.reader("b").unwrap()];
    assert_eq!(group.reset_to_checkpoint().unwrap_err().kind(), Kind::NotFound);
    drain_all(&mut old);
    group.begin_checkpoint("cp").unwrap();
    for reader in &mut old {
        assert_eq!(reader.read(READ).unwrap(), GroupRead::Checkpoint("cp".into()));
        assert_eq!(reader.read(READ).unwrap(), GroupRead::Idle);
    }
    world.put(20..40);
    drain_all(&mut old);
    group.reset_to_checkpoint().unwrap();
    for reader in &mut old {
        let error = reader.read(READ).unwrap_err();
        assert_eq!(error.kind(), Kind::Fenced);
        assert!(error.to_string().contains("the group was reset"), "{error}");
    }
    let mut new = group.reader("a").unwrap();
    assert_eq!(sorted(drain(&mut new)), (20..40).collect::<Vec<_>>());
    assert_eq!(old.remove(0).close().unwrap_err().kind(), Kind::Fenced);
    assert_eq!(group.info().unwrap().generation, 2);
}

#[test]
fn a_reset_to_a_cut_survives_scaling_since() {
    let world = World::new(1);
    let first = world.segments()[0];
    world.put(0..10);
    let group = world.group();
    let cut = GroupCut::from([(stream(), world.info().tail_cut())]);
    world.put(10..20);
    let halves = world.split(first);
    world.put(20..30);
    world.merge(&halves);
    world.put(30..40);
    let mut reader = group.reader("a").unwrap();
    assert_eq!(drain(&mut reader).len(), 40);
    group.reset_to(&cut).unwrap();
    let mut reader = group.reader("a").unwrap();
    assert_eq!(sorted(drain(&mut reader)), (10..40).collect::<Vec<_>>());
}

#[test]
fn another_beginning_and_other_streams_can_be_given_and_a_bad_cut_changes_nothing() {
    let world = World::new(1);
    world.put(0..3);
    let group = world.group();
    let mut reader = group.reader("a").unwrap();
    assert_eq!(drain(&mut reader), [0, 1, 2]);
    let from = |start| GroupConfig::new([GroupStream { stream: stream(), start, end: None }]);
    let segment = world.segments()[0];
    let beyond = whole_cut(&world.info(), segment, 9);
    let error = group.reset(&from(Start::Cut(beyond))).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("t/s") && error.to_string().contains("past its tail 3"), "{error}");
    assert_eq!(events(&mut reader), Vec::<u64>::new(), "it is not put out");
    group.reset(&from(Start::Tail)).unwrap();
    world.put(3..5);
    assert_eq!(drain(&mut group.reader("a").unwrap()), [3, 4]);
    let other = tidemill_storage::StreamName::new("t/none").unwrap();
    let error = group.reset(&GroupConfig::new([GroupStream::from_head(other)])).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("no stream t/none"), "{error}");
}
