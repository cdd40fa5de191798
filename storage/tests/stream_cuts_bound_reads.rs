//! Rows 10 and 11: a read from one cut to another gives exactly the events between, over scalings too, and then says that it is at its
//! end; so does a sealed stream. A cut of another stream, or one past the tail, is refused.

mod support;

use support::*;
use tidemill_storage::*;

#[test]
fn a_bounded_read_gives_what_lies_between_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let stream = name("t/s");
    store.create_stream(&stream, StreamConfig { segments: 2 }).unwrap();
    let mut writer = store.writer(&stream, WriterOptions::default()).unwrap();
    let mut cuts = Vec::new();
    for (round, count) in [2, 3, 1, 4].into_iter().enumerate() {
        let info = store.stream(&stream).unwrap().unwrap();
        store.scale_stream(&stream, &Scaling::to(&info, count).unwrap()).unwrap();
        for half in 0..2 {
            cuts.push(store.stream(&stream).unwrap().unwrap().tail_cut());
            let from = round as u64 * 100 + half * 50;
            (from..from + 50).for_each(|n| write(&mut writer, &format!("k{}", n % 9), [n]));
            writer.flush().unwrap();
        }
    }
    let info = store.stream(&stream).unwrap().unwrap();
    cuts.push(info.tail_cut());
    assert!(cuts.windows(2).all(|w| w[0].compare(&w[1]).unwrap() == CutOrder::Before));
    for from in 0..cuts.len() {
        for to in from..cuts.len() {
            let bounds = (ReadFrom::Cut(cuts[from].clone()), Some(cuts[to].clone()));
            let (read, truncated, ended) = read_on(&mut store.reader(&stream, bounds.0, bounds.1).unwrap());
            let mut numbers: Vec<u64> = read.iter().map(|e| e.value.parse().unwrap()).collect();
            numbers.sort_unstable();
            assert!(numbers.iter().copied().eq(from as u64 * 50..to as u64 * 50), "{from}..{to}: {numbers:?}");
            assert!(ended && truncated == 0);
        }
    }
    assert_eq!(StreamCut::of_positions(&info, &cuts[3].positions()).unwrap(), cuts[3], "back from its positions");
    let mut tail = store.reader(&stream, ReadFrom::Tail, None).unwrap();
    assert_eq!(read_on(&mut tail).0, []);
    write(&mut writer, "late", [999]);
    writer.flush().unwrap();
    assert_eq!(read_on(&mut tail).0.len(), 1);
    store.seal_stream(&stream).unwrap();
    assert!(read_on(&mut tail).2, "a sealed stream ends");
}

#[test]
fn a_bad_cut_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let a = store.create_stream(&name("t/a"), StreamConfig { segments: 1 }).unwrap();
    let b = store.create_stream(&name("t/b"), StreamConfig { segments: 1 }).unwrap();
    let tile =
        |segment, offset| CutTile { low: 0, high: u64::MAX, segment: SegmentId(segment), offset: Offset(offset) };
    let cut = |segment, offset| StreamCut::new(a.stream, vec![tile(segment, offset)]).unwrap();
    for (bad, why) in
        [(b.head_cut(), "is one of stream 2"), (cut(0, 5), "whose tail is 0"), (cut(1 << 32, 0), "no segment")]
    {
        for error in [
            store.reader(&a.name, ReadFrom::Cut(bad.clone()), None).unwrap_err(),
            store.reader(&a.name, ReadFrom::Head, Some(bad.clone())).unwrap_err(),
            store.truncate_stream(&a.name, &bad).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(error.to_string().contains("stream t/a") && error.to_string().contains(why), "{error}");
        }
    }
    assert!(StreamCut::of_positions(&a, &[(SegmentId(0), Offset(1))].into()).is_err());
    assert!(StreamCut::of_positions(&a, &[].into()).is_err());
}
