//! The valve that joins channels' watermarks, case by case as Flink's users know it, and against its rules under random
//! changes: it never goes back, waits for the slowest active channel, and forgets the order in which channels fell idle.
//! Stories of the reference:
//!
//! W-11 (FLINK-7728, FLINK-38454, FLINK-40475): when all inputs had fallen idle, the last watermark was that of whichever fell
//! idle last. It is the greatest of all (`the_order_in_which_channels_fall_idle_does_not_matter`).
//!
//! W-12 (FLINK-40475): an input came back alone, level with what had gone out, and its watermarks led to nothing, since the least was
//! not taken anew on its return (`the_only_channel_that_returns_drives_the_watermark_again`).
//!
//! W-24: the end of time came twice, or before the last event of another input (`the_end_of_time_comes_once_when_all_have_ended`).

use proptest::prelude::*;
use tidemill::dataflow::watermark::{Valve, ValveChange};
use tidemill_storage::EventTime;

fn t(ms: i64) -> EventTime {
    EventTime(ms)
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Watermark(usize, i64),
    Idle(usize),
    Active(usize),
    End(usize),
}

fn apply(valve: &mut Valve, change: Change) -> ValveChange {
    match change {
        Change::Watermark(channel, ms) => valve.advance(channel, t(ms)),
        Change::Idle(channel) => valve.set_idle(channel, true),
        Change::Active(channel) => valve.set_idle(channel, false),
        Change::End(channel) => valve.end(channel),
    }
}

/// Applies changes in turn; each must give this (watermark, idle).
fn table(channels: usize, steps: &[(Change, Option<i64>, Option<bool>)]) {
    let mut valve = Valve::new(channels, EventTime::MIN);
    for (i, (change, watermark, idle)) in steps.iter().enumerate() {
        let given = apply(&mut valve, *change);
        assert_eq!(given, ValveChange { watermark: watermark.map(EventTime), idle: *idle }, "step {i}: {change:?}");
    }
}

use Change::{Active, End, Idle, Watermark};

#[test]
fn nothing_goes_out_before_every_active_channel_has_a_watermark() {
    table(
        3,
        &[
            (Watermark(0, 5), None, None),
            (Watermark(1, 9), None, None),
            (Watermark(2, 3), Some(3), None),
            (Watermark(2, 2), None, None),
            (Watermark(2, 7), Some(5), None),
        ],
    );
}

#[test]
fn the_slowest_channel_falling_idle_frees_the_others() {
    table(
        2,
        &[
            (Watermark(0, 10), None, None),
            (Watermark(1, 3), Some(3), None),
            (Idle(1), Some(10), None),
            (Watermark(0, 12), Some(12), None),
        ],
    );
}

#[test]
fn a_channel_that_comes_back_behind_does_not_pull_back_and_counts_again_when_it_has_caught_up() {
    table(
        2,
        &[
            (Watermark(0, 10), None, None),
            (Watermark(1, 3), Some(3), None),
            (Idle(1), Some(10), None),
            (Active(1), None, None),
            (Watermark(1, 5), None, None),
            (Watermark(0, 11), Some(11), None),
            (Watermark(1, 11), None, None),
            (Watermark(0, 20), None, None),
            (Watermark(1, 15), Some(15), None),
        ],
    );
}

#[test]
fn the_last_channel_falling_idle_lets_out_the_greatest_watermark_and_then_the_whole_is_idle() {
    table(
        3,
        &[
            (Watermark(0, 7), None, None),
            (Watermark(1, 4), None, None),
            (Watermark(2, 9), Some(4), None),
            (Idle(2), None, None),
            (Idle(1), Some(7), None),
            (Idle(0), Some(9), Some(true)),
        ],
    );
}

#[test]
fn the_only_channel_that_returns_drives_the_watermark_again() {
    table(
        2,
        &[
            (Watermark(0, 7), None, None),
            (Watermark(1, 5), Some(5), None),
            (Idle(1), Some(7), None),
            (Idle(0), None, Some(true)),
            (Active(1), None, Some(false)),
            (Watermark(1, 6), None, None),
            (Watermark(1, 8), Some(8), None),
        ],
    );
}

#[test]
fn the_end_of_time_comes_once_when_all_have_ended() {
    table(
        2,
        &[
            (Watermark(0, 7), None, None),
            (End(1), Some(7), None),
            (End(0), Some(i64::MAX), None),
            (End(0), None, None),
            (Watermark(0, 9), None, None),
        ],
    );
}

fn change(channels: usize) -> impl Strategy<Value = Change> {
    prop_oneof![
        5 => (0..channels, 0i64..50).prop_map(|(channel, ms)| Watermark(channel, ms)),
        1 => (0..channels).prop_map(Idle),
        1 => (0..channels).prop_map(Active),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn the_watermark_only_grows_and_never_passes_an_aligned_active_channel(
        changes in prop::collection::vec(change(3), 1..60),
    ) {
        let mut valve = Valve::new(3, EventTime::MIN);
        let (mut own, mut idle, mut last) = ([i64::MIN; 3], [false; 3], i64::MIN);
        for change in changes {
            match change {
                Watermark(channel, ms) => own[channel] = own[channel].max(ms),
                Idle(channel) => idle[channel] = true,
                Active(channel) => idle[channel] = false,
                End(_) => {}
            }
            let given = apply(&mut valve, change);
            if let Some(EventTime(next)) = given.watermark {
                prop_assert!(next > last);
                // Whoever is active was already behind what went out before, or is not behind what goes out now.
                for channel in (0..3).filter(|c| !idle[*c]) {
                    prop_assert!(own[channel] >= next || own[channel] < last, "{change:?} passed channel {channel}");
                }
                last = next;
            }
            prop_assert_eq!(valve.watermark().0, last);
            if idle.iter().all(|idle| *idle) {
                prop_assert_eq!(last, own.into_iter().max().unwrap().max(last), "all idle: the greatest is out");
            }
        }
    }

    #[test]
    fn the_order_in_which_channels_fall_idle_does_not_matter(
        watermarks in prop::collection::vec(0i64..50, 4), order in Just([0usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let mut valve = Valve::new(4, EventTime::MIN);
        for (channel, ms) in watermarks.iter().enumerate() {
            valve.advance(channel, t(*ms));
        }
        let mut idle = 0;
        for channel in order {
            idle += usize::from(valve.set_idle(channel, true).idle == Some(true));
        }
        prop_assert_eq!((valve.watermark(), idle), (t(*watermarks.iter().max().unwrap()), 1));
    }
}
