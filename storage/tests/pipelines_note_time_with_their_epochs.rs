//! The sinks of a pipeline are one writer of their stream: its mark moves with the epoch commit, through epochs without output too, and it takes
//! part beside other writers and other pipelines like everybody else.

mod support;

use support::clock::HandClock;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn watermark(store: &Store, info: &StreamInfo) -> Option<i64> {
    store.stream(&info.name).unwrap().unwrap().watermark.map(|w| w.0)
}

fn commit(store: &Store, start: &PipelineStart, pipeline: &str, out: &StreamInfo, n: u64, time: i64, empty: bool) {
    let mut epoch = epoch(start, pipeline, out, n);
    epoch.stream_watermarks = vec![(out.stream, EventTime(time))];
    if empty {
        epoch.outputs.clear();
    }
    store.commit(Part::Epoch(epoch)).unwrap();
}

#[test]
fn the_least_of_all_who_write_and_empty_epochs_count() {
    let (disk, clock) = (FaultDisk::new(18), HandClock::at(0));
    let store = clock.open(&disk);
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    let [p, q] = ["p", "q"].map(|pipeline| store.start_pipeline(pipeline, MAX_PARALLELISM).unwrap());
    commit(&store, &p, "p", &out, 1, 100, false);
    assert_eq!(watermark(&store, &out), Some(100));
    commit(&store, &p, "p", &out, 2, 200, true);
    assert_eq!(watermark(&store, &out), Some(200), "an epoch without output");
    commit(&store, &q, "q", &out, 1, 150, false);
    commit(&store, &p, "p", &out, 3, 300, false);
    assert_eq!(watermark(&store, &out), Some(200), "q is behind");
    commit(&store, &q, "q", &out, 2, 250, false);
    assert_eq!(watermark(&store, &out), Some(250));
    store.note_time(out.stream, "client", EventTime(260)).unwrap();
    commit(&store, &q, "q", &out, 3, 400, false);
    assert_eq!(watermark(&store, &out), Some(260));
    // p has no more input, ever: it holds nobody up, and is in nobody's way.
    commit(&store, &p, "p", &out, 4, i64::MAX, true);
    store.close_time_writer(out.stream, "client").unwrap();
    commit(&store, &q, "q", &out, 4, 500, false);
    assert_eq!(watermark(&store, &out), Some(500));
    commit(&store, &q, "q", &out, 5, i64::MAX, false);
    assert_eq!(watermark(&store, &out), Some(i64::MAX));
    let writers: Vec<String> =
        store.stream_time(out.stream, 0).unwrap().marks.into_iter().map(|mark| mark.writer).collect();
    assert_eq!(writers, ["pipeline/p", "pipeline/q"]);
    assert_whole(&store, "after two pipelines");
}

#[test]
fn a_pipeline_that_will_not_run_again_can_be_closed_and_nobody_else_speaks_for_it() {
    let (disk, clock) = (FaultDisk::new(18), HandClock::at(0));
    let store = clock.open(&disk);
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    store.configure_time(out.stream, TimeConfig { idle_timeout_ms: None }).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    commit(&store, &start, "p", &out, 1, 100, false);
    store.note_time(out.stream, "client", EventTime(500)).unwrap();
    assert_eq!(watermark(&store, &out), Some(100));
    assert_eq!(store.note_time(out.stream, "pipeline/p", EventTime(400)).unwrap_err().kind(), Kind::Invalid);
    store.close_time_writer(out.stream, "pipeline/p").unwrap();
    assert_eq!(watermark(&store, &out), Some(500));
    // It runs again after all.
    commit(&store, &start, "p", &out, 2, 600, false);
    store.note_time(out.stream, "client", EventTime(700)).unwrap();
    assert_eq!(watermark(&store, &out), Some(600));
}

#[test]
fn every_watermark_covers_the_output_of_its_epoch_and_one_that_stands_still_writes_nothing() {
    let (disk, clock) = (FaultDisk::new(18), HandClock::at(0));
    let store = clock.open(&disk);
    let out = store.create_stream(&name("t/out"), StreamConfig { segments: 2 }).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    for n in 1..=9 {
        commit(&store, &start, "p", &out, n, n.div_ceil(3) as i64, false);
    }
    let watermarks = store.stream_time(out.stream, 10).unwrap().watermarks;
    let behind: Vec<u64> = watermarks.iter().map(|w| w.cut.positions().values().map(|o| o.0).sum()).collect();
    assert_eq!(behind, [3, 12, 21], "epochs 1, 4 and 7 moved it");
}
