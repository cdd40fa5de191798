//! W-9: a stream is deleted and made again under its name; upstream's aggregator holds on to the old one's marks for a round, and writes to a dead
//! mark stream. Here a stream of the next generation begins without marks or watermarks, at times of its own, lower ones too, and whoever
//! still holds the old one is refused.

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

#[test]
fn deleted_and_made_again_time_begins_anew() {
    let (disk, clock) = (FaultDisk::new(16), HandClock::at(0));
    let store = clock.open(&disk);
    let old = store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    append(&store, &old, 0..10).unwrap();
    store.configure_time(old.stream, TimeConfig { idle_timeout_ms: None }).unwrap();
    store.note_times(["a", "b"].map(|w| TimeNote::time(old.stream, w, EventTime(1_000))).into()).unwrap();
    store.note_time(old.stream, "a", EventTime(2_000)).unwrap();
    store.delete_stream(&old.name).unwrap();
    assert_eq!(store.note_time(old.stream, "b", EventTime(3_000)).unwrap_err().kind(), Kind::NotFound);
    assert!(store.stream_time(old.stream, 1).is_err());
    assert_whole(&store, "after the deletion");

    let new = store.create_stream(&old.name, StreamConfig { segments: 2 }).unwrap();
    assert_ne!(new.stream, old.stream);
    let time = store.stream_time(new.stream, 10).unwrap();
    assert_eq!((time.marks.len(), time.watermarks.len(), time.config), (0, 0, TimeConfig::default()));
    assert_eq!(new.watermark, None);
    assert_eq!(store.note_time(new.stream, "a", EventTime(5)).unwrap(), Noted::Taken);
    assert_eq!(store.stream(&new.name).unwrap().unwrap().watermark, Some(EventTime(5)));
    assert!(store.note_time(old.stream, "a", EventTime(9_000)).is_err());
    assert!(store.time_window(&old.head_cut()).is_err());
    assert_whole(&store, "after the new beginning");
}
