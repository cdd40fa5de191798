//! A revisioned log: an append goes in only at the revision that its writer knows, the mark moves only from where its
//! mover knows it, and neither a crash at any sync nor a race makes two of one append.

mod support;

use support::assert_whole;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn name() -> LogName {
    LogName::new("t/log").unwrap()
}

#[test]
fn only_an_append_at_the_last_revision_goes_in() {
    let store = Store::open_with(FaultDisk::new(0), StoreOptions::default()).unwrap();
    let log = store.ensure_log(&name()).unwrap();
    let one = log.append_if(Revision(0), "a").unwrap();
    let error = log.append_if(Revision(0), "b").unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().contains("log t/log is at revision 1, not 0"), "{error}");
    assert_eq!(log.append_if(one, "b").unwrap(), Revision(2));
    assert_eq!(log.compact(one, "ab").unwrap_err().kind(), Kind::Conflict);
    let values: Vec<bytes::Bytes> = log.read(Revision(0), 100).unwrap().entries.into_iter().map(|e| e.value).collect();
    assert_eq!(values, ["a", "b"]);
}

#[test]
fn the_mark_is_compared_and_swapped() {
    let store = Store::open_with(FaultDisk::new(0), StoreOptions::default()).unwrap();
    let log = store.ensure_log(&name()).unwrap();
    let one = log.append("a").unwrap();
    log.set_mark(None, Some(one)).unwrap();
    assert_eq!(log.set_mark(None, Some(one)).unwrap_err().kind(), Kind::Conflict);
    assert_eq!(log.set_mark(Some(one), Some(Revision(9))).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(log.info().unwrap().mark, Some(one));
    log.set_mark(Some(one), None).unwrap();
    assert_eq!(log.info().unwrap().mark, None);
}

#[test]
fn of_a_crash_at_any_sync_a_log_keeps_what_was_answered_whole() {
    // Appends, a compaction, appends: what is reopened is a state of the script after the last answered step, or one later.
    let script = |log: &Log, done: &mut usize| -> Result<()> {
        for n in 1..=3u8 {
            log.append_if(Revision(u64::from(n) - 1), vec![n])?;
            *done += 1;
        }
        log.compact(Revision(3), "123")?;
        *done += 1;
        log.append_if(Revision(4), vec![5])?;
        *done += 1;
        log.set_mark(None, Some(Revision(4)))?;
        *done += 1;
        Ok(())
    };
    let states: [(u64, u64, Option<u64>, &[&[u8]]); 7] = [
        (0, 0, None, &[]),
        (0, 1, None, &[&[1]]),
        (0, 2, None, &[&[1], &[2]]),
        (0, 3, None, &[&[1], &[2], &[3]]),
        (3, 4, None, &[b"123"]),
        (3, 5, None, &[b"123", &[5]]),
        (3, 5, Some(4), &[b"123", &[5]]),
    ];
    let mut crashed = 0;
    for seed in 0..4 {
        for sync in 1..40 {
            let disk = FaultDisk::new(seed);
            let mut done = 0;
            {
                let store = Store::open_with(disk.clone(), StoreOptions::default()).unwrap();
                let log = store.ensure_log(&name()).unwrap();
                disk.crash_at_sync(disk.syncs() + sync);
                let result = script(&log, &mut done);
                assert_eq!(result.is_err(), disk.crashed());
                store.close();
            }
            if !disk.crashed() {
                break;
            }
            crashed += 1;
            disk.reboot();
            let store = Store::open_with(disk, StoreOptions::default()).unwrap();
            let log = store.log(&name()).unwrap().unwrap();
            let info = log.info().unwrap();
            let entries = log.read(info.head, 1_000).unwrap().entries;
            let values: Vec<&[u8]> = entries.iter().map(|e| &e.value[..]).collect();
            let is = (info.head.0, info.tail.0, info.mark.map(|m| m.0), &values[..]);
            assert!(
                states[done..].iter().take(2).any(|state| *state == is),
                "seed {seed}, sync {sync}: {done} steps were answered, there is {is:?}"
            );
            assert_whole(&store, &format!("seed {seed}, sync {sync}"));
        }
    }
    assert!(crashed > 20, "{crashed} crashes");
}
