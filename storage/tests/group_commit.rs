//! Parts that wait together share one transaction, each judged by itself after those before it: a failing part is
//! dropped with its own error, the others are committed.

mod support;

use crossbeam_channel::{Receiver, bounded, unbounded};
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

struct Fixture {
    disk: FaultDisk,
    store: Store,
    out: StreamInfo,
}

fn fixture() -> Fixture {
    let disk = FaultDisk::new(0);
    let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
    let out = store.create_stream(&name("t/out"), StreamConfig::default()).unwrap();
    Fixture { disk, store, out }
}

/// Submits all parts while the committer is held in a callback, so that they form one group.
fn commit_together(f: &Fixture, parts: Vec<Part>) -> Vec<Result<Accepted>> {
    let (entered, held) = bounded::<()>(0);
    let (release, go) = bounded::<()>(0);
    let swap = MarkerSwap {
        name: "hold".into(),
        expected: f.store.marker("hold").unwrap(),
        value: "x".into(),
        truncate: Vec::new(),
    };
    f.store.submit(
        Part::Marker(swap),
        Box::new(move |result| {
            result.unwrap();
            entered.send(()).unwrap();
            go.recv().unwrap();
        }),
    );
    held.recv().unwrap();
    let answers: Vec<Receiver<Result<Accepted>>> = parts
        .into_iter()
        .map(|part| {
            let (answer, answered) = unbounded();
            f.store.submit(part, Box::new(move |result| answer.send(result).unwrap()));
            answered
        })
        .collect();
    release.send(()).unwrap();
    answers.into_iter().map(|a| a.recv().unwrap()).collect()
}

fn one(f: &Fixture, value: u64) -> Append {
    appends(&f.out, [value]).remove(0)
}

#[test]
fn one_transaction_holds_the_good_parts_and_drops_the_bad_one() {
    let f = fixture();
    let start = f.store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    let stale = StreamRef { generation: Generation(9), ..f.out.stream };
    let mut later = epoch(&start, "p", &f.out, 3);
    later.epoch = Epoch(3);
    let swap = |expected: Option<&'static str>, value: &'static str| {
        Part::Marker(MarkerSwap {
            name: "m".into(),
            expected: expected.map(Into::into),
            value: value.into(),
            truncate: Vec::new(),
        })
    };
    let before = f.disk.syncs();
    let answers = commit_together(
        &f,
        vec![
            Part::Append(one(&f, 1)),
            Part::Append(Append { stream: stale, ..one(&f, 2) }),
            Part::Epoch(epoch(&start, "p", &f.out, 1)),
            Part::Epoch(epoch(&start, "p", &f.out, 1)),
            Part::Epoch(epoch(&start, "p", &f.out, 2)),
            Part::Epoch(later),
            Part::Append(Append { segment: SegmentId(7), ..one(&f, 3) }),
            swap(None, "a"),
            swap(None, "b"),
            swap(Some("a"), "c"),
            Part::Append(one(&f, 4)),
        ],
    );
    let kinds: Vec<Option<Kind>> = answers.iter().map(|a| a.as_ref().err().map(Error::kind)).collect();
    let expected = [
        None,
        Some(Kind::Truncated),
        None,
        Some(Kind::Fenced),
        None,
        None,
        Some(Kind::Invalid),
        None,
        Some(Kind::Fenced),
        None,
        None,
    ];
    assert_eq!(kinds, expected, "{answers:#?}");
    // The held marker and the whole group: two commits of two syncs, and one of redb's own. Eleven commits need 22.
    let syncs = f.disk.syncs() - before;
    assert!(syncs <= 5, "{syncs} syncs");
    assert_eq!(answers[2].as_ref().unwrap().first_offsets, [Offset(1)]);
    assert_eq!(answers[10].as_ref().unwrap().first_offsets, [Offset(10)]);
    let mut all = output_after(3);
    all.extend([1, 4]);
    all.sort_unstable();
    assert_eq!(read_all(&f.store, &name("t/out")).unwrap(), all);
    assert_eq!(f.store.marker("m").unwrap().unwrap(), "c");
    assert_eq!(load(&f.store, "p", "op").unwrap(), state_after(3));
}

#[test]
fn an_epoch_with_one_bad_output_changes_nothing() {
    let f = fixture();
    let start = f.store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    let mut bad = epoch(&start, "p", &f.out, 1);
    bad.outputs.push(Append { stream: StreamRef { id: StreamId(99), ..f.out.stream }, ..one(&f, 5) });
    let answers = commit_together(&f, vec![Part::Epoch(bad), Part::Append(one(&f, 6))]);
    assert_eq!(answers[0].as_ref().unwrap_err().kind(), Kind::Invalid);
    assert_eq!(answers[1].as_ref().unwrap().first_offsets, [Offset(0)]);
    assert_eq!(read_all(&f.store, &name("t/out")).unwrap(), [6]);
    assert!(f.store.checkpoints("p").unwrap().is_empty());
    assert!(f.store.state_manifest("p", "op").unwrap().blobs.is_empty());
    f.store.commit(Part::Epoch(epoch(&start, "p", &f.out, 1))).unwrap();
}

#[test]
fn a_newer_run_fences_the_older_one() {
    let f = fixture();
    let old = f.store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    f.store.commit(Part::Epoch(epoch(&old, "p", &f.out, 1))).unwrap();
    let new = f.store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    assert!(new.incarnation > old.incarnation);
    assert_eq!(new.checkpoint.as_ref().unwrap().epoch, Epoch(1));
    let error = f.store.commit(Part::Epoch(epoch(&old, "p", &f.out, 2))).unwrap_err();
    assert_eq!(error.kind(), Kind::Fenced, "{error}");
    f.store.commit(Part::Epoch(epoch(&new, "p", &f.out, 2))).unwrap();
    assert_eq!(read_all(&f.store, &name("t/out")).unwrap(), output_after(2));
    let error = f.store.start_pipeline("p", MAX_PARALLELISM * 2).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    let error = f.store.commit(Part::Epoch(epoch(&new, "q", &f.out, 1))).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
}

#[test]
fn waiting_in_a_callback_is_an_error_not_a_deadlock() {
    let f = fixture();
    let (answer, answered) = bounded(1);
    let (store, part) = (f.store.clone(), Part::Append(one(&f, 2)));
    f.store.submit(
        Part::Append(one(&f, 1)),
        Box::new(move |result| {
            result.unwrap();
            answer.send(store.commit(part)).unwrap();
            drop(store);
        }),
    );
    assert_eq!(answered.recv().unwrap().unwrap_err().kind(), Kind::Bug);
}

#[test]
fn a_closed_store_says_so() {
    let f = fixture();
    f.store.close();
    assert_eq!(f.store.commit(Part::Append(one(&f, 1))).unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(f.store.list_streams().unwrap_err().kind(), Kind::Unavailable);
}
