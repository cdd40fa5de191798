//! The process that is killed: opens the store, starts the threads, stops them in order when it is told to.

use super::link::{Mouth, Orders, Said};
use super::random::Random;
use super::{CUT, KEPT, readers, scaler, writers};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidemill_storage::stream::time::TimeConfig;
use tidemill_storage::stream::{RetentionPolicy, StreamConfig, StreamInfo, StreamPolicy};
use tidemill_storage::{Store, StoreOptions, StreamName};

/// Bytes of the kept stream at which writers wait for its readers.
const KEPT_BYTES_MAX: u64 = 12 << 20;
/// What retention leaves of the cut stream.
const CUT_BYTES: (u64, u64) = (512 << 10, 2 << 20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the threads share.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) orders: Orders,
    pub(super) mouth: Mouth,
    /// Writers and the scaler stop.
    stopping: AtomicBool,
    /// Nobody writes any more: readers end at the tail.
    pub(super) draining: AtomicBool,
    /// The readers are behind.
    full: AtomicBool,
    time: AtomicI64,
}

impl World {
    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// A writer's turn; false = stop.
    pub(super) fn may_write(&self) -> bool {
        while self.full.load(Ordering::SeqCst) && !self.stopping() {
            std::thread::sleep(LOOK_EVERY);
        }
        !self.stopping()
    }

    /// The time of the next event: of all threads and processes each is later than those before.
    pub(super) fn tick(&self) -> i64 {
        self.time.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn random(&self, who: u64) -> Random {
        Random::new(self.orders.seed, self.orders.run * 100 + who)
    }

    pub(super) fn stream(&self, name: &str) -> Result<StreamInfo> {
        let name = StreamName::new(name)?;
        self.store.stream(&name)?.with_context(|| format!("stream {name} is gone"))
    }

    fn watch(&self) -> Result<()> {
        while !self.draining.load(Ordering::SeqCst) {
            for name in [KEPT, CUT] {
                let info = self.stream(name)?;
                if let Some(time) = info.watermark {
                    self.mouth.say(&Said::Watermark(name.into(), time.0));
                }
                if name == KEPT {
                    let bytes: u64 = info.all_segments().map(|s| s.bytes).sum();
                    self.full.store(bytes > KEPT_BYTES_MAX, Ordering::SeqCst);
                }
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "leases and retention are to run by the wall clock, over restarts")]
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn open(folder: &Path) -> Result<Store> {
    let options = StoreOptions {
        hot_bytes_max: 2 << 20,
        sealed_file_bytes: 512 << 10,
        maintenance_interval_ms: 100,
        sweep_interval_ms: 100,
        clock: Arc::new(now_ms),
        ..StoreOptions::default()
    };
    let store = Store::open(folder, options)?;
    let (kept, cut) = (StreamName::new(KEPT)?, StreamName::new(CUT)?);
    let policy = |retention| StreamPolicy { retention: Some(retention), ..StreamPolicy::default() };
    store.ensure_stream(&cut, StreamConfig { segments: 2 })?;
    let by_size = RetentionPolicy::BySize { min_bytes: CUT_BYTES.0, max_bytes: Some(CUT_BYTES.1) };
    store.set_stream_policy(&cut, policy(by_size))?;
    let info = store.ensure_stream(&kept, StreamConfig { segments: 3 })?;
    // Both take part before anything may go, and nobody is left out because he is slow.
    for reader in readers::ALL {
        if !store.subscribers(&kept)?.contains_key(reader) {
            store.acknowledge(reader, &info.head_cut())?;
        }
    }
    store.set_stream_policy(&kept, policy(RetentionPolicy::ByConsumption))?;
    store.configure_time(info.stream, TimeConfig { idle_timeout_ms: None })?;
    Ok(store)
}

pub(super) fn run(folder: &Path) -> Result<()> {
    let mut lines = std::io::stdin().lines();
    let orders = Orders::read(&mut lines)?;
    let time = AtomicI64::new(orders.run as i64 * 1_000_000_000);
    let world = World {
        store: open(folder)?,
        orders,
        mouth: Mouth::default(),
        stopping: AtomicBool::new(false),
        draining: AtomicBool::new(false),
        full: AtomicBool::new(false),
        time,
    };
    let world = &world;
    // A thread that finds something wrong says so; the others go on until the process is ended.
    let tell = move |who: String, done: Result<()>| {
        if let Err(error) = done {
            world.mouth.say(&Said::Violated(format!("{who}: {error:#}")));
        }
    };
    tell("beginning".into(), writers::begin(world));
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..writers::COUNT)
            .map(|id| scope.spawn(move || tell(format!("writer {id}"), writers::run(world, id))))
            .chain([scope.spawn(move || tell("scaler".into(), scaler::run(world)))])
            .collect();
        for reader in readers::ALL {
            scope.spawn(move || tell(format!("reader {reader}"), readers::read_all(world, reader)));
        }
        scope.spawn(move || tell("slow reader".into(), readers::read_slowly(world)));
        scope.spawn(move || tell("cursor".into(), readers::read_twice(world)));
        scope.spawn(move || tell("watcher".into(), world.watch()));
        // The end of the orders, or "stop".
        drop(lines.next());
        world.stopping.store(true, Ordering::SeqCst);
        for writer in writers {
            drop(writer.join());
        }
        world.draining.store(true, Ordering::SeqCst);
    });
    let report = world.store.check()?;
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    ensure!(faults.is_empty(), "check: {}", faults.join(", "));
    world.store.close();
    world.mouth.say(&Said::Done);
    Ok(())
}
