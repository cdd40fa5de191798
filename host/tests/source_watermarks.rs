//! What a source gives out as time: watermarks per partition, lateness by event, idleness that counts only time in which the
//! partition was asked, and partitions that wait for each other. Readers give what the tests put into them. Stories of
//! the reference:
//!
//! W-12 (FLINK-40475): a source's "active" was sent behind its watermark, and the watermark was lost to those who took it for
//! idle (`a_source_that_comes_back_says_so_before_its_events`).
//!
//! W-13 (FLINK-40504, FLINK-22926): a source came back with a watermark at or behind the one it had left with, stayed idle, and its
//! events were dropped as late. Any event makes it active (`a_source_that_comes_back_behind_what_it_said_is_active_all_the_same`).
//!
//! W-15 (FLINK-35886, 36751, 40234, 40093): idleness was declared while nobody asked the source: back-pressure, alignment, a busy operator
//! (`a_partition_that_nobody_asks_does_not_fall_idle`; for operators that wait for a service, `calls.rs`).
//!
//! W-17 (FLINK-37399): progress was announced every second, so that sources that wait for each other caught up by no more than the
//! drift a second. Here what one notes the others see at once (`catching_up_in_step_takes_no_announcement`).

use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tidemill::config::pipeline::{AlignSpec, Emit, WatermarkKind, WatermarkSpec};
use tidemill::connector::{ConnectorError, PartitionReader, Progress, ReadStatus, SourceBatch};
use tidemill::dataflow::alignment::AlignmentGroup;
use tidemill::dataflow::control::RunControl;
use tidemill::dataflow::source_task::{ReadLimits, SourceEvent, SourceHead, SourcePartition};
use tidemill_storage::{Epoch, EventTime};

/// Times of events to come, shared with the test. Empty: caught up; after `None`: at its end.
type Times = Arc<Mutex<VecDeque<Option<i64>>>>;

struct Script(Times);

impl PartitionReader for Script {
    fn read(&mut self, max: usize, _bytes: usize, out: &mut SourceBatch) -> Result<ReadStatus, ConnectorError> {
        let mut times = self.0.lock().unwrap();
        for _ in 0..max {
            match times.pop_front() {
                Some(Some(time)) => out.events.push(EventTime(time), None, Some(b"x")),
                Some(None) => return Ok(ReadStatus::End),
                None => return Ok(ReadStatus::CaughtUp),
            }
        }
        Ok(ReadStatus::More)
    }

    fn position(&self) -> Vec<u8> {
        Vec::new()
    }

    fn describe_position(&self) -> String {
        "somewhere".into()
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }
}

struct Rig {
    head: SourceHead,
    control: RunControl,
    partitions: Vec<Times>,
}

impl Rig {
    fn new(partitions: usize, spec: &WatermarkSpec, read: usize, group: Option<Arc<AlignmentGroup>>) -> Rig {
        let times: Vec<Times> = (0..partitions).map(|_| Times::default()).collect();
        let readers = times.iter().enumerate().map(|(i, times)| {
            let reader = Box::new(Script(times.clone()));
            SourcePartition::new("in", i.to_string(), reader, spec.kind, None, Arc::default())
        });
        let limits = ReadLimits { events: read, bytes: 1 << 20 };
        let head = SourceHead::new("in".into(), readers.collect(), spec, group, limits, Epoch(1), Arc::default());
        Rig { head, control: RunControl::new(Epoch(0), 1 << 20, Box::new(|| ())), partitions: times }
    }

    fn give(&self, partition: usize, times: &[i64]) {
        self.partitions[partition].lock().unwrap().extend(times.iter().map(|time| Some(*time)));
    }

    fn end(&self, partition: usize) {
        self.partitions[partition].lock().unwrap().push_back(None);
    }

    /// Everything there is at this time: batches as their times, marks by name.
    fn poll(&mut self, now_ms: i64) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            all.push(match self.head.poll(&self.control, now_ms).unwrap() {
                SourceEvent::Batch(batch) => format!("{:?}", batch.events.timestamps),
                SourceEvent::Watermark(w) => format!("wm {w}"),
                SourceEvent::Idle => "idle".into(),
                SourceEvent::Active => "active".into(),
                SourceEvent::Barrier(_) => "barrier".into(),
                SourceEvent::End => "end".into(),
                SourceEvent::Nothing(_) => return all,
            });
        }
    }
}

fn spec(bound_ms: u64, emit: Emit, idle_after_ms: Option<u64>) -> WatermarkSpec {
    WatermarkSpec { kind: WatermarkKind::OutOfOrderness { bound_ms }, idle_after_ms, emit, align: None }
}

#[test]
fn the_slowest_partition_decides_until_it_is_idle_and_what_comes_back_behind_does_not_pull_back() {
    let mut rig = Rig::new(2, &spec(0, Emit::PerBatch, Some(100)), 16, None);
    rig.give(0, &[11]);
    rig.give(1, &[4]);
    assert_eq!(rig.poll(0), ["[11]", "[4]", "wm 3"]);
    rig.give(0, &[11]);
    assert_eq!(rig.poll(10), ["[11]"], "partition 1 has been silent since it was asked in vain at 0");
    rig.give(0, &[11]);
    assert_eq!(rig.poll(110), ["wm 10", "[11]"]);
    rig.give(1, &[6]);
    assert_eq!(rig.poll(120), ["[6]"]);
}

#[test]
fn a_source_that_comes_back_says_so_before_its_events() {
    let mut rig = Rig::new(1, &spec(0, Emit::PerBatch, Some(50)), 16, None);
    rig.give(0, &[5]);
    assert_eq!(rig.poll(0), ["[5]", "wm 4"]);
    assert!(rig.poll(10).is_empty());
    assert_eq!(rig.poll(60), ["idle"]);
    rig.give(0, &[9]);
    assert_eq!(rig.poll(70), ["active", "[9]", "wm 8"]);
    rig.end(0);
    assert_eq!(rig.poll(80), ["wm end", "end"], "the end of time once, behind everything");
    assert!(rig.poll(90).is_empty());
}

#[test]
fn a_source_that_comes_back_behind_what_it_said_is_active_all_the_same() {
    let mut rig = Rig::new(1, &spec(0, Emit::PerBatch, Some(50)), 16, None);
    rig.give(0, &[100]);
    assert_eq!(rig.poll(0), ["[100]", "wm 99"]);
    assert!(rig.poll(10).is_empty());
    assert_eq!(rig.poll(60), ["idle"]);
    rig.give(0, &[20]);
    assert_eq!(rig.poll(70), ["active", "[20]"], "no watermark to tell of, and not idle");
    assert!(rig.poll(80).is_empty());
    assert_eq!(rig.poll(130), ["idle"], "silent again, its time begins anew");
    rig.give(0, &[20]);
    assert_eq!(rig.poll(140), ["active", "[20]"]);
}

#[test]
fn catching_up_in_step_takes_no_announcement() {
    let group = Arc::new(AlignmentGroup::default());
    let align = || WatermarkSpec {
        align: Some(AlignSpec { group: "g".into(), drift_ms: 30 }),
        ..spec(0, Emit::PerBatch, None)
    };
    let mut sources = [(); 2].map(|()| Rig::new(1, &align(), 1, Some(group.clone())));
    let times: Vec<i64> = (0..10_000).map(|i| i * 10).collect();
    for source in &mut sources {
        source.give(0, &[1]);
        source.poll(0); // until both have a watermark, nobody waits
    }
    sources.iter().for_each(|source| source.give(0, &times));
    // 100 s of events, 30 ms of drift, and a clock that stands still: each hears at once how far the other is.
    let mut rounds = 0;
    while sources.iter().any(|source| !source.partitions[0].lock().unwrap().is_empty()) {
        sources.iter_mut().for_each(|source| drop(source.poll(0)));
        rounds += 1;
        assert!(rounds < 10_000, "they stand still");
    }
    assert!(rounds > 1_000, "they did wait for each other: {rounds}");
}

#[test]
fn a_partition_that_nobody_asks_does_not_fall_idle() {
    let mut rig = Rig::new(1, &spec(0, Emit::PerBatch, Some(50)), 1, None);
    rig.give(0, &[5, 6]);
    assert!(matches!(rig.head.poll(&rig.control, 0).unwrap(), SourceEvent::Batch(_)));
    // Downstream is full for an hour; then the source is asked again and has had data all the time.
    assert_eq!(rig.poll(3_600_000), ["wm 4", "[6]", "wm 5"]);
    // It is silent, then nobody asks for an hour: only the silence after that counts.
    assert_eq!(rig.poll(3_600_010), [""; 0]);
    rig.head.pause();
    assert_eq!(rig.poll(7_200_000), [""; 0]);
    assert_eq!(rig.poll(7_200_049), [""; 0]);
    assert_eq!(rig.poll(7_200_050), ["idle"]);
    // Who is idle stays so.
    rig.head.pause();
    assert_eq!(rig.poll(7_200_060), [""; 0]);
}

#[test]
fn with_every_event_a_batch_is_cut_only_before_events_behind_their_watermark() {
    let mut rig = Rig::new(1, &spec(3_999, Emit::EveryEvent, None), 100, None);
    rig.give(0, &[10_000, 6_500, 5_000, 11_000, 20_000, 12_000, 30_000]);
    let expected = ["[10000, 6500]", "wm 6000", "[5000, 11000, 20000]", "wm 16000", "[12000, 30000]", "wm 26000"];
    assert_eq!(rig.poll(0), expected);
    let mut rig = Rig::new(1, &spec(3_999, Emit::PerBatch, None), 100, None);
    rig.give(0, &[10_000, 5_000, 20_000]);
    assert_eq!(rig.poll(0), ["[10000, 5000, 20000]", "wm 16000"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever ends at or after an event's time (less the 1 ms by which a session may touch it) is over for the event,
    /// or not, exactly as under the watermark of the events before it.
    #[test]
    fn with_every_event_lateness_is_that_of_single_events(
        times in prop::collection::vec(0i64..60, 1..60), bound in 0u64..20, read in 1usize..20,
    ) {
        let mut rig = Rig::new(1, &spec(bound, Emit::EveryEvent, None), read, None);
        rig.give(0, &times);
        let (mut out, mut exact, mut event) = (i64::MIN, i64::MIN, 0);
        loop {
            match rig.head.poll(&rig.control, 0).unwrap() {
                SourceEvent::Batch(batch) => {
                    for time in batch.events.timestamps {
                        prop_assert_eq!(time, times[event]);
                        for end in time - 1..time + 80 {
                            prop_assert_eq!(end <= out, end <= exact, "event {} at {}: {} for {}", event, time, out, exact);
                        }
                        exact = exact.max(time - bound as i64 - 1);
                        event += 1;
                    }
                }
                SourceEvent::Watermark(EventTime(watermark)) => out = watermark,
                SourceEvent::Nothing(_) => break,
                _ => {}
            }
        }
        prop_assert_eq!((event, out), (times.len(), exact));
    }
}

#[test]
fn a_fast_source_of_a_group_waits_for_the_slow_one_and_not_when_that_is_idle() {
    let group = Arc::new(AlignmentGroup::default());
    let align = |idle| WatermarkSpec {
        align: Some(AlignSpec { group: "g".into(), drift_ms: 30 }),
        ..spec(0, Emit::PerBatch, idle)
    };
    let mut fast = Rig::new(1, &align(None), 1, Some(group.clone()));
    let mut slow = Rig::new(1, &align(Some(50)), 1, Some(group));
    slow.give(0, &[11]);
    fast.give(0, &[11, 41, 42, 43]);
    assert_eq!(slow.poll(0), ["[11]", "wm 10"]);
    assert_eq!(
        fast.poll(0),
        ["[11]", "wm 10", "[41]", "wm 40", "[42]", "wm 41"],
        "30 ahead it reads, 31 ahead it waits"
    );
    assert!(fast.poll(1).is_empty());
    slow.give(0, &[12]);
    assert_eq!(slow.poll(2), ["[12]", "wm 11"]);
    assert_eq!(fast.poll(3), ["[43]", "wm 42"], "it goes on at once");
    fast.give(0, &[90]);
    assert!(fast.poll(4).is_empty());
    assert_eq!(slow.poll(60), ["idle"], "its silence began at 2");
    assert_eq!(fast.poll(61), ["[90]", "wm 89"]);
}
