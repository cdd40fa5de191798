//! What checklist row 14 stands on: a subscribing group says up to where its events are no longer needed, with every
//! checkpoint or by hand, and retention can ask all groups of a stream at once.

#[path = "support/group.rs"]
mod group;

use group::*;
use tidemill_storage::stream::reader_group::{Acknowledge, GroupConfig, GroupCut, GroupRead, GroupStream};
use tidemill_storage::{GroupName, Kind};

fn config(acknowledge: Acknowledge) -> GroupConfig {
    GroupConfig { acknowledge, ..GroupConfig::new([GroupStream::from_head(stream())]) }
}

#[test]
fn checkpoints_acknowledge_and_the_slowest_group_is_seen() {
    let world = World::new(1);
    world.put(0..10);
    let named = |name: &str, acknowledge| {
        world.store.create_reader_group(&GroupName::new(name).unwrap(), &config(acknowledge)).unwrap()
    };
    let (fast, slow) = (named("t/fast", Acknowledge::AtCheckpoints), named("t/slow", Acknowledge::Manually));
    named("t/other", Acknowledge::Never);
    let acknowledged = || {
        let cuts = world.store.acknowledged_cuts(world.info().stream).unwrap();
        let told: Vec<_> = cuts.iter().map(|(name, cut)| (name.to_string(), cut.clone())).collect();
        let known = world.store.subscribers(&stream()).unwrap();
        assert_eq!(known.into_iter().collect::<Vec<_>>(), told, "what retention goes by");
        let offset = |cut: tidemill_storage::stream::StreamCut| cut.tiles()[0].offset.0;
        cuts.into_iter().map(|(name, cut)| (name.to_string(), offset(cut))).collect::<Vec<_>>()
    };
    let expect = |fast: u64, slow: u64| vec![("t/fast".to_string(), fast), ("t/slow".to_string(), slow)];
    assert_eq!(acknowledged(), expect(0, 0), "its start, before it says anything");
    let mut reader = fast.reader("a").unwrap();
    assert_eq!(drain(&mut reader).len(), 10);
    assert_eq!(acknowledged(), expect(0, 0));
    fast.begin_checkpoint("cp").unwrap();
    assert_eq!(reader.read(READ).unwrap(), GroupRead::Checkpoint("cp".into()));
    assert_eq!(drain(&mut reader), Vec::<u64>::new());
    assert_eq!(acknowledged(), expect(10, 0));

    let segment = world.segments()[0];
    let at = |offset| GroupCut::from([(stream(), whole_cut(&world.info(), segment, offset))]);
    slow.acknowledge(&at(7)).unwrap();
    slow.acknowledge(&at(3)).unwrap();
    assert_eq!(acknowledged(), expect(10, 7), "it never goes back");
    assert_eq!(slow.acknowledge(&at(99)).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(fast.acknowledge(&at(1)).unwrap_err().kind(), Kind::Invalid, "it acknowledges by checkpoints");
    // A reset may need again what was acknowledged.
    slow.reset_to(&at(2)).unwrap();
    assert_eq!(acknowledged(), expect(10, 2));
    world.store.delete_reader_group(slow.name()).unwrap();
    assert_eq!(acknowledged(), expect(10, 0)[..1]);
}
