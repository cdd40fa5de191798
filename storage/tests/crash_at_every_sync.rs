//! The disk crashes at every sync of a scripted workload and keeps any subset of the writes since the last one. What is
//! reopened holds every acknowledged append, and exactly the last acknowledged epoch or the one that was being
//! committed: output, state, positions, watermark and marker agree.

mod support;

use bytes::Bytes;
use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

const EPOCHS: u64 = 6;
const SEEDS: u64 = 6;

/// What the workload was told, and what it had asked for when the disk crashed.
#[derive(Debug, Default)]
struct Told {
    appended: Vec<u64>,
    appending: Vec<u64>,
    epoch: u64,
    committing: Option<u64>,
    marker: u64,
    swapping: Option<u64>,
}

fn options() -> StoreOptions {
    // No background thread: the n-th sync is the same one in every run.
    StoreOptions { state_fold_blobs: 0, checkpoints_retained: 3, ..StoreOptions::default() }
}

fn marker_value(n: u64) -> Option<Bytes> {
    (n > 0).then(|| Bytes::from(n.to_string()))
}

fn run_script(disk: &FaultDisk, told: &mut Told) -> Result<()> {
    let mut store = Store::open_with(disk.clone(), options())?;
    let input = store.ensure_stream(&name("t/in"), StreamConfig { segments: 1 })?;
    let out = store.ensure_stream(&name("t/out"), StreamConfig { segments: 1 })?;
    let start = store.start_pipeline("p", MAX_PARALLELISM)?;
    for n in 1..=EPOCHS {
        told.appending = vec![n * 2, n * 2 + 1];
        append(&store, &input, told.appending.clone())?;
        told.appended.append(&mut told.appending);

        told.committing = Some(n);
        store.commit(Part::Epoch(epoch(&start, "p", &out, n)))?;
        (told.epoch, told.committing) = (n, None);

        if n % 2 == 0 {
            // The egress has taken all but the newest epoch's output.
            told.swapping = Some(n);
            store.commit(Part::Marker(MarkerSwap {
                name: "egress/p/out".into(),
                expected: marker_value(told.marker),
                value: n.to_string().into(),
                truncate: vec![position(&out, out.segments[0].id, (n - 1) * 3)],
            }))?;
            (told.marker, told.swapping) = (n, None);
        }
        if n == 4 {
            assert!(store.fold_state("p", "op", 3)?);
        }
        if n == 3 {
            store.close();
            store = Store::open_with(disk.clone(), options())?;
        }
    }
    store.close();
    Ok(())
}

fn check(disk: &FaultDisk, told: &Told, what: &str) {
    let store = Store::open_with(disk.clone(), options()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut appended = read_all(&store, &name("t/in")).unwrap();
    if appended.len() > told.appended.len() {
        assert_eq!(appended.split_off(told.appended.len()), told.appending, "{what}");
    }
    assert_eq!(appended, told.appended, "{what}");

    let checkpoints = store.checkpoints("p").unwrap();
    let last = checkpoints.first().map_or(0, |c| c.record.epoch.0);
    assert!(last == told.epoch || Some(last) == told.committing, "{what}: epoch {last}, told {told:?}");
    assert_eq!(checkpoints.len() as u64, last.min(3), "{what}");
    if last > 0 {
        let record = &checkpoints[0].record;
        assert_eq!(record.sources["in"]["0"].position, last.to_be_bytes(), "{what}");
        assert_eq!(load(&store, "p", "op").unwrap(), state_after(last), "{what}");
        assert_eq!(store.schedules("p", Epoch(last)).unwrap().len(), 1, "{what}");
    }
    let marker = store.marker("egress/p/out").unwrap().map_or(0, |v| std::str::from_utf8(&v).unwrap().parse().unwrap());
    assert!(marker == told.marker || Some(marker) == told.swapping, "{what}: marker {marker}, told {told:?}");
    if let Some(out) = store.stream(&name("t/out")).unwrap() {
        let segment = &out.segments[0];
        assert_eq!(segment.tail, Offset(last * 3), "{what}");
        assert_eq!(segment.head, Offset(marker.saturating_sub(1) * 3), "{what}");
        assert_eq!(out.watermark, (last > 0).then_some(EventTime(last as i64)), "{what}");
        let expected = output_after(last).split_off(segment.head.0 as usize);
        assert_eq!(read_all(&store, &name("t/out")).unwrap(), expected, "{what}");
    }

    // Life goes on, and the new run fences the old one.
    let out = store.ensure_stream(&name("t/out"), StreamConfig { segments: 1 }).unwrap();
    let start = store.start_pipeline("p", MAX_PARALLELISM).unwrap();
    assert_eq!(start.checkpoint.as_ref().map_or(0, |c| c.epoch.0), last, "{what}");
    store.commit(Part::Epoch(epoch(&start, "p", &out, last + 1))).unwrap();
    store.close();
    let store = Store::open_with(disk.clone(), options()).unwrap();
    assert_eq!(load(&store, "p", "op").unwrap(), state_after(last + 1), "{what}");
}

#[test]
fn whatever_the_disk_loses_the_store_is_whole() {
    let calm = FaultDisk::new(0);
    let mut told = Told::default();
    run_script(&calm, &mut told).unwrap();
    assert_eq!((told.epoch, told.marker), (EPOCHS, EPOCHS));
    check(&calm, &told, "no crash");
    let syncs = calm.syncs();
    assert!(syncs > 30, "{syncs} syncs");

    let (mut committed, mut lost) = (0, 0);
    for seed in 0..SEEDS {
        for n in 1..=syncs {
            let disk = FaultDisk::new(seed);
            disk.crash_at_sync(n);
            let mut told = Told::default();
            let result = run_script(&disk, &mut told);
            if !disk.crashed() {
                // The last syncs of the calm run were those of its check.
                assert!(result.is_ok());
                continue;
            }
            disk.reboot();
            check(&disk, &told, &format!("seed {seed}, crash at sync {n}"));
            if let Some(epoch) = told.committing {
                let store = Store::open_with(disk.clone(), options()).unwrap();
                // The check has added one.
                let was_there = store.checkpoints("p").unwrap()[0].record.epoch.0 == epoch + 1;
                *if was_there { &mut committed } else { &mut lost } += 1;
            }
        }
    }
    // Both ways out of a commit were taken, or the test shows little.
    assert!(committed > 0 && lost > 0, "{committed} in-flight epochs were committed, {lost} lost");
}
