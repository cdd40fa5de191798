//! The disk crashes at every sync of a script that scales, truncates, sets policies, acknowledges, seals and deletes: each of them is there
//! whole or not at all, and what came before it is there.

mod support;

use support::*;
use tidemill_storage::fault::FaultDisk;
use tidemill_storage::*;

fn options() -> StoreOptions {
    StoreOptions { state_fold_blobs: 0, ..StoreOptions::default() }
}

/// What can be seen of the stream: state, epoch, active and past segments, events, policy, subscribers.
type Seen = Option<(StreamState, u32, usize, usize, usize, StreamPolicy, usize)>;

fn see(store: &Store) -> Result<Seen> {
    let Some(info) = store.stream(&name("t/s"))? else { return Ok(None) };
    let events = read_stream(store, &info.name).len();
    let (policy, subscribers) = (store.stream_policy(&info.name)?, store.subscribers(&info.name)?.len());
    Ok(Some((info.state, info.epoch, info.segments.len(), info.past.len(), events, policy, subscribers)))
}

/// The steps one by one; each is one commit.
fn step(store: &Store, n: usize) -> Result<()> {
    let stream = name("t/s");
    let info = || store.stream(&stream)?.ok_or_else(|| Error::bug("the stream is gone"));
    match n {
        0 => drop(store.create_stream(&stream, StreamConfig { segments: 2 })?),
        1 | 3 | 5 => {
            let mut writer = store.writer(&stream, WriterOptions::default())?;
            for n in 0..30u64 {
                writer.write(EventTime(0), Some(&[n as u8]), Some(b"v"), &[])?;
            }
            writer.flush()?;
        }
        2 => drop(store.scale_stream(&stream, &Scaling::to(&info()?, 3)?)?),
        4 => drop(store.scale_stream(&stream, &Scaling::to(&info()?, 1)?)?),
        6 => {
            let mut reader = store.reader(&stream, ReadFrom::Head, None)?;
            while matches!(reader.read(1)?, StreamRead::Events { segment, .. } if segment.epoch() == 0) {}
            store.truncate_stream(&stream, &reader.cut())?;
        }
        7 => {
            let retention = Some(RetentionPolicy::ByConsumption);
            store.set_stream_policy(&stream, StreamPolicy { retention, ..StreamPolicy::default() })?;
        }
        8 => store.acknowledge("r", &info()?.tail_cut())?,
        9 => drop(store.maintain()?),
        10 => drop(store.seal_stream(&stream)?),
        11 => store.delete_stream(&stream)?,
        _ => drop(store.create_stream(&stream, StreamConfig { segments: 4 })?),
    }
    Ok(())
}

const STEPS: usize = 13;

#[test]
fn each_step_is_there_whole_or_not_at_all() {
    let calm = FaultDisk::new(0);
    let store = Store::open_with(calm.clone(), options()).unwrap();
    let mut states: Vec<Seen> = vec![None];
    for n in 0..STEPS {
        step(&store, n).unwrap_or_else(|e| panic!("step {n}: {e}"));
        states.push(see(&store).unwrap());
    }
    store.close();
    assert!(states.windows(2).filter(|w| w[0] == w[1]).count() == 0, "every step can be seen: {states:?}");
    let syncs = calm.syncs();
    let (mut before, mut after) = (0, 0);
    for seed in 0..2 {
        for n in 1..=syncs {
            let disk = FaultDisk::new(seed);
            disk.crash_at_sync(n);
            let Ok(store) = Store::open_with(disk.clone(), options()) else { continue };
            let Some(failed) = (0..STEPS).find(|n| step(&store, *n).is_err()) else { continue };
            store.close();
            disk.reboot();
            let store = Store::open_with(disk.clone(), options()).unwrap();
            let seen = see(&store).unwrap();
            let what = format!("seed {seed}, sync {n}, step {failed}");
            assert!(seen == states[failed] || seen == states[failed + 1], "{what}: {seen:?}");
            *if seen == states[failed] { &mut before } else { &mut after } += 1;
            assert_whole(&store, &what);
            let rest = if seen == states[failed] { failed } else { failed + 1 };
            (rest..STEPS).for_each(|n| step(&store, n).unwrap_or_else(|e| panic!("{what}, then {n}: {e}")));
            assert_eq!(see(&store).unwrap(), states[STEPS], "{what}");
            assert_whole(&store, &what);
        }
    }
    assert!(before > 0 && after > 0, "{before} steps were lost, {after} were there");
}
