//! Checklist row 26: the pointer that came with an event gets it again, byte for byte; once the event is truncated, that is said.

#[path = "support/group.rs"]
mod group;

use group::*;
use tidemill_storage::Kind;
use tidemill_storage::stream::reader_group::GroupRead;

#[test]
fn a_pointer_gets_its_event_until_that_is_truncated() {
    let world = World::new(1);
    let segment = world.segments()[0];
    world.put(0..10);
    world.put(10..20);
    let group = world.group();
    let mut reader = group.reader("a").unwrap();
    let mut pointers = Vec::new();
    while let GroupRead::Events(events) = reader.read(1).unwrap() {
        for (i, number) in numbers(&events.batch).into_iter().enumerate() {
            pointers.push((number, events.pointer(i), events.batch.slice(i..i + 1).unwrap()));
        }
    }
    assert_eq!(pointers.len(), 20);
    for (number, pointer, event) in &pointers {
        let again = world.store.read_event(*pointer).unwrap();
        assert_eq!((&again, numbers(&again)), (event, vec![*number]));
    }
    world.truncate([(segment, 15)]);
    for (_, pointer, event) in &pointers {
        match world.store.read_event(*pointer) {
            Ok(again) => assert!(pointer.offset.0 >= 15 && again == *event),
            Err(e) => assert!(pointer.offset.0 < 15 && e.kind() == Kind::Truncated, "{e}"),
        }
    }
    let mut beyond = pointers[19].1;
    beyond.offset.0 = 20;
    assert_eq!(world.store.read_event(beyond).unwrap_err().kind(), Kind::NotFound);
    beyond.offset.0 = 99;
    assert_eq!(world.store.read_event(beyond).unwrap_err().kind(), Kind::NotFound);
}
