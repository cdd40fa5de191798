//! Split, merge and n -> m: sealed segments, successors that tile the same ranges, in one commit; the same request again is
//! answered as the first, another one about the same segments is refused and changes nothing.

mod support;

use support::*;
use tidemill_storage::*;

fn open() -> (tempfile::TempDir, Store, StreamInfo) {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { clock: std::sync::Arc::new(|| 77), ..StoreOptions::default() };
    let store = Store::open(dir.path(), options).unwrap();
    let info = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
    (dir, store, info)
}

fn ranges(info: &StreamInfo) -> Vec<(u64, u64)> {
    info.segments.iter().map(|s| s.range).collect()
}

fn assert_tiles(info: &StreamInfo) {
    let ranges = ranges(info);
    assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, u64::MAX));
    assert!(ranges.windows(2).all(|w| w[0].1 + 1 == w[1].0), "{ranges:?}");
}

#[test]
fn a_split_seals_the_segment_and_its_successors_cover_its_range() {
    let (_dir, store, info) = open();
    append(&store, &info, 0..50).unwrap();
    let old = info.segments[1];
    let scaling = Scaling::split(&info, old.id, 3).unwrap();
    let after = store.scale_stream(&info.name, &scaling).unwrap();
    assert_tiles(&after);
    assert_eq!((after.epoch, after.segments.len(), after.past.len()), (1, 4, 1));
    let past = &after.past[0];
    assert_eq!((past.segment.id, past.sealed_in, past.sealed_at_ms), (old.id, 1, 77));
    assert_eq!(past.segment.tail.0 + after.segments[0].tail.0, 50);
    let ids: Vec<SegmentId> = after.segments[1..].iter().map(|s| s.id).collect();
    assert_eq!(ids, [2, 3, 4].map(|n| SegmentId(1 << 32 | n)));
    assert_eq!(after.successors(old.id), ids);
    assert!(ids.iter().all(|id| after.predecessors(*id).eq([old.id])));
    assert!(after.is_active(ids[0]) && !after.is_active(old.id));
    assert_whole(&store, "after a split");
}

#[test]
fn a_merge_and_an_n_to_m_scaling_name_all_predecessors() {
    let (_dir, store, info) = open();
    let both: Vec<SegmentId> = info.segments.iter().map(|s| s.id).collect();
    let merged = store.scale_stream(&info.name, &Scaling::merge(&info, &both).unwrap()).unwrap();
    assert_eq!((ranges(&merged), merged.epoch), (vec![(0, u64::MAX)], 1));
    assert!(merged.predecessors(merged.segments[0].id).eq(both.iter().copied()));

    let three = store.scale_stream(&info.name, &Scaling::to(&merged, 3).unwrap()).unwrap();
    let five = store.scale_stream(&info.name, &Scaling::to(&three, 5).unwrap()).unwrap();
    assert_tiles(&five);
    assert_eq!((five.segments.len(), five.epoch), (5, 3));
    // The second fifth straddles the border of the first and the second third.
    let straddles = five.segments[1].id;
    assert!(five.predecessors(straddles).eq([three.segments[0].id, three.segments[1].id]));
    let again = store.scale_stream(&info.name, &Scaling::to(&five, 5).unwrap()).unwrap();
    assert_eq!(again.epoch, 3, "nothing was to be done");
    assert_whole(&store, "after three scalings");
}

#[test]
fn the_same_request_again_is_answered_as_the_first_and_another_one_is_refused() {
    let (dir, store, info) = open();
    let first = info.segments[0].id;
    let halves = Scaling::split(&info, first, 2).unwrap();
    let once = store.scale_stream(&info.name, &halves).unwrap();
    assert_eq!(store.scale_stream(&info.name, &halves).unwrap(), once);
    let thirds = Scaling::split(&info, first, 3).unwrap();
    let error = store.scale_stream(&info.name, &thirds).unwrap_err();
    assert_eq!(error.kind(), Kind::Sealed);
    for part in ["t/s", "segment 0", "epoch 1", "look it up again"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    store.close();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    assert_eq!(store.scale_stream(&info.name, &halves).unwrap(), once, "also after a restart");
}

#[test]
fn what_does_not_cover_the_same_ranges_is_refused_and_nothing_changes() {
    let (_dir, store, info) = open();
    let (a, b) = (info.segments[0], info.segments[1]);
    let bad = [
        Scaling { seal: vec![a.id], ranges: vec![] },
        Scaling { seal: vec![], ranges: vec![a.range] },
        Scaling { seal: vec![a.id], ranges: vec![b.range] },
        Scaling { seal: vec![a.id], ranges: vec![a.range, a.range] },
        Scaling { seal: vec![a.id, a.id], ranges: vec![a.range] },
        Scaling { seal: vec![a.id, b.id], ranges: vec![(0, u64::MAX - 1)] },
        Scaling { seal: vec![SegmentId(9)], ranges: vec![a.range] },
        Scaling { seal: vec![a.id], ranges: (0..5_000).map(|n| (n, n)).collect() },
    ];
    for scaling in bad {
        let error = store.scale_stream(&info.name, &scaling).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{scaling:?}");
        assert!(error.to_string().contains("t/s"), "{error}");
    }
    assert_eq!(store.stream(&info.name).unwrap().unwrap(), info);
    assert_eq!(Scaling::split_at(&info, 0.5).unwrap_err().kind(), Kind::Invalid, "there is a border");
    let quarter = Scaling::split_at(&info, 0.25).unwrap();
    assert_eq!(quarter, Scaling { seal: vec![a.id], ranges: vec![(0, (1 << 62) - 1), (1 << 62, a.range.1)] });
    assert_eq!(Scaling::merge(&info, &[a.id]).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(store.scale_stream(&name("t/none"), &quarter).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn an_append_to_a_sealed_segment_is_refused_and_names_its_successors() {
    let (_dir, store, info) = open();
    let old = appends(&info, 0..20);
    let scaling = Scaling::split(&info, info.segments[1].id, 2).unwrap();
    let after = store.scale_stream(&info.name, &scaling).unwrap();
    let stale = old.iter().find(|a| a.segment == info.segments[1].id).unwrap();
    let error = store.commit(Part::Append(stale.clone())).unwrap_err();
    assert_eq!(error.kind(), Kind::Sealed);
    for part in ["t/s", "segment 1 was sealed", "4294967298, 4294967299", "route by key"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(store.stream(&info.name).unwrap().unwrap(), after, "nothing changed");
}

#[test]
fn a_checkpoint_that_was_routed_before_a_scaling_goes_to_the_successors_by_key() {
    let (_dir, store, info) = open();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    let stale = epoch(&start, "p", &info, 1);
    let both: Vec<SegmentId> = info.segments.iter().map(|s| s.id).collect();
    let merged = store.scale_stream(&info.name, &Scaling::merge(&info, &both).unwrap()).unwrap();
    let after = store.scale_stream(&info.name, &Scaling::to(&merged, 4).unwrap()).unwrap();
    store.commit(Part::Epoch(stale)).unwrap();
    assert_eq!(read_all(&store, &info.name).unwrap(), output_after(1));
    for segment in &after.segments {
        for value in read_segment(&store, &after, segment.id).unwrap() {
            let hash = hash::hash_key(format!("k{}", value % 5).as_bytes());
            assert_eq!(after.segment_of(hash), segment.id);
        }
    }
    assert_whole(&store, "after a checkpoint that was led on");
}
