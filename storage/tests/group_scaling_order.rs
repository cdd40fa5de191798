//! Checklist row 8: what follows a split or merge is read only after all that came before it, by whichever readers; so the events
//! of a key stay in order for the group across scaling.

#[path = "support/group.rs"]
mod group;

use group::*;
use std::collections::BTreeMap;
use tidemill_storage::stream::Scaling;
use tidemill_storage::stream::reader_group::GroupReader;
use tidemill_storage::{Appender, Batch, EventTime, Part};

#[test]
fn a_merged_segment_waits_for_both_of_its_predecessors() {
    let world = World::new(2);
    let (a, b) = (world.segments()[0], world.segments()[1]);
    for n in 0..3 {
        world.put_in(a, n);
        world.put_in(b, 10 + n);
    }
    let c = world.merge(&[a, b]);
    world.put_in(c, 100);
    let group = world.group();
    let mut readers = vec![group.reader("1").unwrap(), group.reader("2").unwrap()];
    // Each takes one; the first works a off, the second has read b and not said yet that it is worked off.
    let first = events(&mut readers[0]);
    let second = events(&mut readers[1]);
    assert_eq!((first, second), (vec![0, 1, 2], vec![10, 11, 12]));
    assert_eq!((events(&mut readers[0]), events(&mut readers[0])), (Vec::<u64>::new(), Vec::<u64>::new()));
    // The next call of the second finishes b.
    let next = events(&mut readers[1]);
    let got = if next.is_empty() { events(&mut readers[0]) } else { next };
    assert_eq!(got, [100]);
}

#[test]
fn only_what_overlaps_has_to_wait() {
    // {a, b} -> {c, d}: c lies within a, d overlaps both.
    let world = World::new(2);
    let (a, b) = (world.segments()[0], world.segments()[1]);
    world.put_in(a, 1);
    world.put_in(b, 2);
    let quarter = 1u64 << 62;
    let scaling = Scaling { seal: vec![a, b], ranges: vec![(0, quarter - 1), (quarter, u64::MAX)] };
    let new = world.scale(&scaling);
    world.put_in(new[0], 3);
    world.put_in(new[1], 4);
    let group = world.group();
    let mut readers = vec![group.reader("1").unwrap(), group.reader("2").unwrap()];
    assert_eq!(events(&mut readers[0]), [1]);
    assert_eq!(events(&mut readers[1]), [2]);
    assert_eq!(events(&mut readers[0]), [3], "c needs a alone");
    let cut = group.stream_cuts().unwrap()[&stream()].clone();
    assert_eq!(cut.tiles().len(), 3, "c, the rest of a, and b: {cut}");
    let mut rest = drain_all(&mut readers).into_iter().flatten().collect::<Vec<_>>();
    rest.sort_unstable();
    assert_eq!(rest, [4]);
    // A group that starts at the cut between goes on in the same way.
    let between = tidemill_storage::stream::reader_group::GroupCut::from([(stream(), cut)]);
    group.reset_to(&between).unwrap();
    let again = drain(&mut group.reader("1").unwrap());
    assert!(again == [2, 3, 4] || again == [3, 2, 4], "{again:?}");
}

#[test]
fn every_keys_events_stay_in_order_across_splits_and_merges() {
    let world = World::new(2);
    let group = world.group();
    let mut readers: Vec<GroupReader> = ["1", "2", "3"].iter().map(|id| group.reader(id).unwrap()).collect();
    let mut next = 0;
    let mut put = |world: &World| {
        let mut batch = Batch::default();
        for _ in 0..40 {
            batch.push(EventTime(0), Some(&[(next % 13) as u8]), Some(next.to_string().as_bytes()));
            next += 1;
        }
        for append in Appender::new(&world.info()).append(&batch).unwrap() {
            world.store.commit(Part::Append(append)).unwrap();
        }
    };
    let mut got = Vec::new();
    for round in 0..8 {
        put(&world);
        let segments = world.segments();
        if round % 2 == 0 {
            world.split(segments[round % segments.len()]);
        } else {
            let at = round % (segments.len() - 1);
            world.merge(&segments[at..at + 2]);
        }
        put(&world);
        for _ in 0..2 {
            for reader in &mut readers {
                got.extend(events(reader));
            }
        }
    }
    for _ in 0..30 {
        for reader in &mut readers {
            got.extend(events(reader));
        }
    }
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for number in &got {
        assert!(last.insert(number % 13, *number).is_none_or(|before| before < *number), "key {}", number % 13);
    }
    assert_eq!(got.len(), 640);
    assert_eq!(sorted(got), (0..640).collect::<Vec<_>>());
}
