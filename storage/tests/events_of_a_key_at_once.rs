//! Row 4: events that are written together appear all or not at all, side by side, whatever sync the disk crashes at.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn options() -> StoreOptions {
    StoreOptions { state_fold_blobs: 0, ..StoreOptions::default() }
}

fn run(disk: &FaultDisk, acked: &mut u64) -> Result<()> {
    let store = Store::open_with(disk.clone(), options())?;
    store.ensure_stream(&name("t/s"), StreamConfig { segments: 3 })?;
    let mut writer = store.writer(&name("t/s"), WriterOptions { id: Some("w".into()), ..WriterOptions::default() })?;
    for n in 0..4u64 {
        let values: Vec<String> = (0..3).map(|i| (n * 3 + i).to_string()).collect();
        let events: Vec<_> = values.iter().map(|v| (EventTime(0), Some(v.as_bytes()))).collect();
        writer.write(EventTime(0), Some(b"other"), Some(n.to_string().as_bytes()), &[])?;
        writer.write_together(b"k", &events)?;
        writer.flush()?;
        *acked = n + 1;
    }
    Ok(())
}

#[test]
fn all_or_none_whatever_sync_the_disk_crashes_at() {
    let calm = FaultDisk::new(0);
    run(&calm, &mut 0).unwrap();
    let mut seen_partial_runs = 0;
    for seed in 0..3 {
        for n in 1..=calm.syncs() {
            let disk = FaultDisk::new(seed);
            disk.crash_at_sync(n);
            let mut acked = 0;
            if run(&disk, &mut acked).is_ok() {
                continue;
            }
            disk.reboot();
            let store = Store::open_with(disk.clone(), options()).unwrap();
            if store.stream(&name("t/s")).unwrap().is_none() {
                continue;
            }
            let events = read_stream(&store, &name("t/s"));
            let of_key: Vec<&Told> = events.iter().filter(|e| e.key.as_deref() == Some("k")).collect();
            let there = of_key.len() as u64 / 3;
            assert_eq!(of_key.len() % 3, 0, "sync {n}: some of three");
            assert!(there == acked || there == acked + 1, "sync {n}: {there} there, {acked} acknowledged");
            let side_by_side = |w: &[&Told]| w[0].segment == w[1].segment && w[0].offset.plus(1) == w[1].offset;
            assert!(of_key.chunks(3).all(|three| three.windows(2).all(side_by_side)), "sync {n}");
            seen_partial_runs += u64::from(there > 0 && there < 4);
            assert_whole(&store, &format!("sync {n}"));
        }
    }
    assert!(seen_partial_runs > 0);
}

#[test]
fn what_is_too_large_is_refused_with_nothing_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    store.create_stream(&name("t/s"), StreamConfig::default()).unwrap();
    let mut writer = store.writer(&name("t/s"), WriterOptions::default()).unwrap();
    let large = vec![0; stream::EVENT_BYTES_MAX + 1];
    let error = writer.write(EventTime(0), None, Some(&large), &[]).unwrap_err();
    assert!(error.kind() == Kind::Invalid && error.to_string().contains("stream t/s"), "{error}");
    let just = &large[..stream::EVENT_BYTES_MAX - 1];
    let error = writer.write_together(b"k", &[(EventTime(0), Some(just)); 5]).unwrap_err();
    assert!(error.kind() == Kind::Invalid && error.to_string().contains("transaction"), "{error}");
    assert_eq!(writer.write(EventTime(i64::MAX), None, None, &[]).unwrap_err().kind(), Kind::Invalid);
    writer.flush().unwrap();
    assert!(read_stream(&store, &name("t/s")).is_empty());
    writer.write(EventTime(0), Some(b"k"), Some(just), &[]).unwrap_or_else(|e| panic!("{e}"));
    writer.flush().unwrap();
    assert_eq!(store.stream(&name("t/s")).unwrap().unwrap().segments[0].tail, Offset(1));
}
