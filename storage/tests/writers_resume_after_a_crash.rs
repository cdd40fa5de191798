//! Rows 1 and 5 over a crash, and better than the original: a writer's numbers survive the process. The disk crashes at every sync; the
//! writer opens again, goes on after its last number, and every event is there once, in order. Within one process the same writer goes on
//! after `reopen_if_failed` by sending again what it does not know to be there.
//!
//! X-20 (pravega issue 4393): of several appends under way a later one's failure was told before earlier ones were acknowledged; the client
//! sent again in another order, or twice. Here answers come in the order of the parts, and what is sent again is told by its numbers.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

const EVENTS: u64 = 60;

fn options() -> StoreOptions {
    StoreOptions { state_fold_blobs: 0, ..StoreOptions::default() }
}

fn writer(store: &Store) -> Result<EventWriter> {
    let id = Some("w".to_string());
    store.writer(&name("t/s"), WriterOptions { id, batch_events: 7, parts_in_flight: 3, ..WriterOptions::default() })
}

fn run(disk: &FaultDisk, durable: &mut u64) -> Result<()> {
    let store = Store::open_with(disk.clone(), options())?;
    let info = store.ensure_stream(&name("t/s"), StreamConfig { segments: 2 })?;
    let mut writer = writer(&store)?;
    for n in writer.durable()..EVENTS {
        let key = format!("k{}", n % 3);
        writer.write(EventTime(n as i64), Some(key.as_bytes()), Some(n.to_string().as_bytes()), &[])?;
        if n % 20 == 19 {
            writer.flush()?;
            *durable = writer.durable();
        }
        if n == 30 && store.stream(&info.name)?.is_some_and(|info| info.epoch == 0) {
            store.scale_stream(&info.name, &Scaling::to(&info, 3)?)?;
        }
    }
    writer.flush()
}

fn assert_all(store: &Store, what: &str) {
    let read = by_key(&read_stream(store, &name("t/s")));
    for key in 0..3 {
        assert!(read[&format!("k{key}")].iter().copied().eq((key..EVENTS).step_by(3)), "{what}: {read:?}");
    }
    assert_whole(store, what);
}

#[test]
fn a_new_process_goes_on_after_the_last_number() {
    let calm = FaultDisk::new(0);
    run(&calm, &mut 0).unwrap();
    let syncs = calm.syncs();
    for seed in 0..2 {
        for n in 1..=syncs {
            let disk = FaultDisk::new(seed);
            disk.crash_at_sync(n);
            let mut durable = 0;
            let _ = run(&disk, &mut durable);
            disk.reboot();
            let store = Store::open_with(disk.clone(), options()).unwrap();
            if store.stream(&name("t/s")).unwrap().is_some() {
                let there = read_stream(&store, &name("t/s")).len() as u64;
                assert!(there >= durable, "sync {n}: {there} of {durable} acknowledged");
                let last = store.writer_state(&name("t/s"), "w").unwrap().map_or(0, |s| s.last_number);
                assert_eq!(last, there, "sync {n}: the number is that of the last event");
            }
            store.close();
            run(&disk, &mut durable).unwrap();
            assert_all(&Store::open_with(disk.clone(), options()).unwrap(), &format!("seed {seed}, sync {n}"));
        }
    }
}

#[test]
fn the_same_writer_goes_on_when_the_store_was_reopened() {
    let calm = FaultDisk::new(0);
    run(&calm, &mut 0).unwrap();
    let mut troubled = 0;
    for n in 1..=calm.syncs() {
        let disk = FaultDisk::new(1);
        let store = Store::open_with(disk.clone(), options()).unwrap();
        store.create_stream(&name("t/s"), StreamConfig { segments: 2 }).unwrap();
        let mut writer = writer(&store).unwrap();
        disk.fail_sync(disk.syncs() + n);
        let mut mend = |result: Result<()>| {
            if let Err(e) = result {
                assert!(matches!(e.kind(), Kind::Unavailable | Kind::Full), "{e}");
                troubled += 1;
                store.reopen_if_failed().unwrap();
            }
        };
        for n in 0..EVENTS {
            let key = format!("k{}", n % 3);
            // The event counts as written whatever is answered: the writer keeps it.
            mend(writer.write(EventTime(0), Some(key.as_bytes()), Some(n.to_string().as_bytes()), &[]).map(drop));
        }
        mend(writer.flush());
        mend(writer.flush());
        disk.fail_sync(u64::MAX);
        assert_eq!(writer.durable(), EVENTS);
        assert_all(&store, &format!("sync {n}"));
    }
    assert!(troubled > 0);
}
