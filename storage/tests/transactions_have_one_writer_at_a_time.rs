//! Two handles on one transaction: the one that is behind is refused, with nothing changed (invariant I-11: what was superseded changes
//! nothing any more). A worker that was thought dead wakes up and goes on writing into the transaction that its successor has taken over.

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

#[test]
fn the_slower_handle_is_fenced() {
    let (disk, clock) = (FaultDisk::new(13), HandClock::at(0));
    let store = clock.open(&disk);
    let info = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let mut old = store.begin_transaction(info.stream, TransactionOptions::default()).unwrap();
    old.write(&batch(0..5)).unwrap();
    old.flush().unwrap();
    let mut new = store.transaction(old.id()).unwrap();
    new.write(&batch(5..10)).unwrap();
    new.flush().unwrap();

    old.write(&batch(100..105)).unwrap();
    for error in [old.flush().unwrap_err(), old.commit(None).unwrap_err(), old.prepare().unwrap_err()] {
        assert_eq!(error.kind(), Kind::Fenced);
        assert!(error.to_string().contains("another handle writes to it"), "{error}");
    }
    assert!(old.write(&batch([1])).is_err());
    assert_eq!(new.commit(None).unwrap().events, 10);
    assert_eq!(read_all(&store, &info.name).unwrap(), (0..10).collect::<Vec<_>>());
    assert!(old.commit(None).is_err(), "its own events are not in there");
}
