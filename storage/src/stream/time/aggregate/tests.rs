//! Rounds over marks written down by hand. The vectors of semantics.md 1.6 run through the whole store in
//! `tests/watermarks_follow_the_reference.rs`.

use super::*;
use crate::row::equal_ranges;

const PATIENCE: Patience = Patience { now_ms: 0, opened_at_ms: 0, idle_timeout_ms: Some(3_000) };

fn tile(ranges: &[SegmentRange], id: u64, offset: u64) -> CutTile {
    let range = ranges.iter().find(|range| range.id.0 == id).unwrap();
    CutTile { low: range.low, high: range.high, segment: range.id, offset: Offset(offset) }
}

fn mark(time: i64, position: Vec<CutTile>) -> MarkRow {
    MarkRow { time: EventTime(time), position, alive: true, auto: false, silent_since_ms: None }
}

fn places(cut: &[CutTile]) -> Vec<(u64, u64)> {
    cut.iter().map(|tile| (tile.segment.0, tile.offset.0)).collect()
}

/// Three segments, and the two that take their place.
fn scaled() -> (Vec<SegmentRange>, Vec<SegmentRange>) {
    let new = equal_ranges(2).into_iter().map(|range| SegmentRange { id: SegmentId(range.id.0 + 3), ..range });
    (equal_ranges(3), new.collect())
}

#[test]
fn a_bound_names_whole_segments_the_newest_over_each_hash_and_fills_what_nobody_wrote_to() {
    let (old, new) = scaled();
    let places_of =
        [tile(&old, 0, 300), tile(&old, 1, 400), tile(&old, 1, 100), tile(&old, 2, 400), tile(&new, 3, 100)];
    // 3 is newer than 0 and 1; what 1 had beyond it goes to 4, which nobody named, and which is newer than 2.
    assert_eq!(places(&least_upper_bound(&places_of, &new)), [(3, 100), (4, 0)]);
    assert_eq!(places(&least_upper_bound(&places_of[..4], &old)), [(0, 300), (1, 400), (2, 400)]);
    assert_eq!(places(&least_upper_bound(&places_of[..1], &old)), [(0, 300), (1, 0), (2, 0)]);
    assert_eq!(places(&least_upper_bound(&[], &old)), [(0, 0), (1, 0), (2, 0)]);
}

#[test]
fn a_position_goes_back_in_a_segment_or_to_an_older_one() {
    let (old, new) = scaled();
    let at = |id, offset| vec![if id < 3 { tile(&old, id, offset) } else { tile(&new, id, offset) }];
    assert!(!goes_back(&at(1, 5), &at(1, 5)) && !goes_back(&at(3, 0), &at(1, 5)) && !goes_back(&at(2, 1), &at(0, 9)));
    assert!(goes_back(&at(1, 4), &at(1, 5)) && goes_back(&at(1, 9), &at(3, 0)));
    assert!(!goes_back(&at(0, 1), &at(4, 7)), "they own different hashes");
}

#[test]
fn who_has_not_passed_the_last_watermark_holds_everybody_up_until_closed_or_idle() {
    let ranges = equal_ranges(1);
    let at = |time| mark(time, vec![tile(&ranges, 0, time as u64)]);
    let run = |marks: &BTreeMap<String, MarkRow>, last, now_ms| {
        round(marks, Some(EventTime(last)), &[], &ranges, Patience { now_ms, ..PATIENCE })
    };
    let mut marks = BTreeMap::from([("a".to_string(), at(20)), ("b".to_string(), at(30)), ("c".to_string(), at(10))]);
    let emitted =
        |lower: i64, upper: i64| Some((EventTime(lower), EventTime(upper), vec![tile(&ranges, 0, upper as u64)]));
    assert_eq!(run(&marks, 5, 0).watermark.map(|w| (w.0.0, w.1.0)), Some((10, 30)));
    assert_eq!(run(&marks, 10, 0), Round::default());
    marks.get_mut("c").unwrap().silent_since_ms = Some(100);
    assert_eq!(run(&marks, 10, 3_099), Round::default());
    assert_eq!(run(&marks, 10, 3_100), Round { gone: vec!["c".into()], watermark: emitted(20, 30) });
    marks.get_mut("c").unwrap().alive = false;
    assert_eq!(run(&marks, 10, 0), Round { gone: vec!["c".into()], watermark: emitted(20, 30) });
    assert_eq!(run(&marks, 9, 0).gone, Vec::<String>::new(), "a closed one counts until it is passed");
    let over = run(&marks, 30, i64::MAX);
    assert_eq!((over.gone.len(), over.watermark.is_none()), (1, true), "alive ones whose silence never began stay");
}

#[test]
fn silence_from_before_the_store_was_opened_does_not_count_and_never_is_never() {
    let opened = Patience { now_ms: 10_000, opened_at_ms: 9_000, idle_timeout_ms: Some(3_000) };
    assert!(!opened.is_over(100) && Patience { now_ms: 12_000, ..opened }.is_over(100));
    assert!(!Patience { idle_timeout_ms: None, now_ms: i64::MAX, ..opened }.is_over(i64::MIN));
    assert!(Patience { idle_timeout_ms: Some(0), ..opened }.is_over(10_000));
    assert!(!Patience { idle_timeout_ms: Some(u64::MAX), ..opened }.is_over(0), "no overflow");
}
