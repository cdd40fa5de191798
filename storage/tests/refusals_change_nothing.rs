//! What is asked of a stream and cannot be done is refused with an error that names the stream, the segment where there is one, and the
//! mend; the stream is afterwards exactly what it was.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::stream::EVENT_BYTES_MAX;
use tidemill_storage::*;

fn cut(stream: StreamRef, tiles: &[(u64, u64, u64, u64)]) -> Result<StreamCut> {
    let tile = |&(low, high, segment, offset): &(u64, u64, u64, u64)| CutTile {
        low,
        high,
        segment: SegmentId(segment),
        offset: Offset(offset),
    };
    StreamCut::new(stream, tiles.iter().map(tile).collect())
}

struct Fixture {
    store: Store,
    /// As it was made, before it was scaled.
    old: StreamInfo,
}

impl Fixture {
    fn new() -> Fixture {
        let store = Store::open_with(FaultDisk::new(4), StoreOptions::default()).unwrap();
        let old = store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
        append(&store, &old, 0..30).unwrap();
        let scaling = Scaling::split(&old, SegmentId(0), 2).unwrap();
        store.scale_stream(&old.name, &scaling).unwrap();
        append(&store, &store.stream(&old.name).unwrap().unwrap(), 30..60).unwrap();
        Fixture { store, old }
    }

    fn info(&self) -> StreamInfo {
        self.store.stream(&self.old.name).unwrap().unwrap()
    }

    /// Refuses with a text that holds all of these, and changes nothing.
    #[track_caller]
    fn refuses<T>(&self, kind: Kind, says: &[&str], ask: impl FnOnce(&Fixture) -> Result<T>) {
        let before = (self.store.stream(&self.old.name).unwrap(), read_stream(&self.store, &self.old.name));
        let Err(error) = ask(self) else { panic!("{says:?} was done") };
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        for word in says.iter().chain(&["t/s"]) {
            assert!(text.contains(word), "{text:?} does not say {word:?}");
        }
        let after = (self.store.stream(&self.old.name).unwrap(), read_stream(&self.store, &self.old.name));
        assert_eq!(before, after, "{text}");
        assert_whole(&self.store, &text);
    }
}

#[test]
fn an_event_that_is_too_large_is_not_taken_and_those_before_it_are_not_lost() {
    let fixture = Fixture::new();
    let large = vec![0; EVENT_BYTES_MAX + 1];
    let options = WriterOptions { id: Some("w".into()), ..WriterOptions::default() };
    fixture.refuses(Kind::Invalid, &["too large", "split it"], |f| {
        let mut writer = f.store.writer(&f.old.name, options.clone())?;
        writer.write(EventTime(0), Some(b"k"), Some(&large), &[])
    });
    fixture.refuses(Kind::Invalid, &["at once", "use a transaction"], |f| {
        f.store.writer(&f.old.name, options.clone())?.write_together(b"k", &[(EventTime(0), Some(&large))])
    });
    let mut writer = fixture.store.writer(&fixture.old.name, options).unwrap();
    write(&mut writer, "k", 1..4);
    assert!(writer.write(EventTime(0), Some(b"k"), Some(&large), &[]).is_err());
    writer.flush().unwrap();
    assert_eq!((writer.durable(), read_stream(&fixture.store, &fixture.old.name).len()), (3, 63));
}

#[test]
fn a_bad_cut_truncates_nothing_and_starts_no_reader() {
    let fixture = Fixture::new();
    let stream = fixture.old.stream;
    let half = 1 << 63;
    let tail = fixture.old.segments[1].range;
    let past_the_tail = cut(stream, &[(0, half - 1, 0, 0), (tail.0, tail.1, 1, 9_999)]).unwrap();
    let too_wide = cut(stream, &[(0, u64::MAX, 1, 0)]).unwrap();
    let unknown = cut(stream, &[(0, u64::MAX, 7 << 32, 0)]).unwrap();
    let other = cut(StreamRef { generation: Generation(9), ..stream }, &[(0, u64::MAX, 0, 0)]).unwrap();
    for (cut, says) in [
        (past_the_tail, &["segment 1", "whose tail is"][..]),
        (too_wide, &["segment 1", "does not own"]),
        (unknown, &["no segment 30064771072"]),
        (other, &["generation 9", "take a cut of this stream"]),
    ] {
        fixture.refuses(Kind::Invalid, says, |f| f.store.truncate_stream(&f.old.name, &cut));
        fixture.refuses(Kind::Invalid, says, |f| f.store.reader(&f.old.name, ReadFrom::Cut(cut.clone()), None));
        fixture.refuses(Kind::Invalid, says, |f| f.store.reader(&f.old.name, ReadFrom::Head, Some(cut.clone())));
    }
}

#[test]
fn a_sealed_segment_and_one_that_never_was_take_no_events() {
    let fixture = Fixture::new();
    let sealed = appends(&fixture.old, 0..30).into_iter().find(|append| append.segment == SegmentId(0)).unwrap();
    let unknown = Append { segment: SegmentId(77), ..sealed.clone() };
    let says = ["segment 0", "sealed by scaling", "its successors are 4294967298, 4294967299", "route by key"];
    fixture.refuses(Kind::Sealed, &says, |f| f.store.commit(Part::Append(sealed.clone())));
    fixture.refuses(Kind::Invalid, &["no segment 77", "look the stream up again"], |f| {
        f.store.commit(Part::Append(unknown.clone()))
    });
    let again = Scaling::split(&fixture.old, SegmentId(0), 3).unwrap();
    fixture.refuses(Kind::Sealed, &["segment"], |f| f.store.scale_stream(&f.old.name, &again));
    let gap = Scaling { seal: vec![SegmentId(1)], ranges: vec![(1 << 63, u64::MAX - 1)] };
    fixture.refuses(Kind::Invalid, &[], |f| f.store.scale_stream(&f.old.name, &gap));
}

#[test]
fn a_sealed_and_a_deleted_stream_take_no_events() {
    let fixture = Fixture::new();
    let now = fixture.info();
    fixture.store.seal_stream(&now.name).unwrap();
    let mut parts = appends(&now, 0..5);
    let part = Part::Append(parts.remove(0));
    fixture.refuses(Kind::Invalid, &["is sealed", "use another one"], |f| f.store.commit(part.clone()));
    fixture.refuses(Kind::Invalid, &["is sealed"], |f| {
        let options = WriterOptions { id: Some("w".into()), ..WriterOptions::default() };
        f.store.writer(&f.old.name, options).map(drop)
    });
    fixture
        .refuses(Kind::Invalid, &["seal"], |f| f.store.begin_transaction(f.old.stream, TransactionOptions::default()));
    fixture.store.delete_stream(&now.name).unwrap();
    let error = fixture.store.commit(part.clone()).unwrap_err();
    assert!(error.to_string().contains("t/s") && error.to_string().contains("create it anew"), "{error}");
    // Of the next life of the name, what was meant for the last one is refused, too.
    fixture.store.create_stream(&now.name, StreamConfig::default()).unwrap();
    fixture.refuses(fixture.store.commit(part.clone()).unwrap_err().kind(), &[], |f| f.store.commit(part.clone()));
    assert_eq!(read_stream(&fixture.store, &now.name), []);
}

#[test]
fn a_name_without_its_scope_is_none() {
    for bad in ["", "events", "/events", "scope/", "a b/c"] {
        let error = StreamName::new(bad).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("scope/"), "{error}");
    }
    let store = Store::open_with(FaultDisk::new(5), StoreOptions::default()).unwrap();
    let missing = store.writer(&name("other/s"), WriterOptions::default()).unwrap_err();
    assert!(missing.to_string().contains("there is no stream other/s: create it, or check the name"), "{missing}");
}
