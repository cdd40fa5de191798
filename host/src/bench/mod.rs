//! The standing workloads: whole jobs on a real disk, each measured beside what the machine gives without Tidemill. `cli`
//! runs them as `tidemill bench`; `host/benches` share their events, operators and pipelines.
//!
//! ```text
//! workloads/     one file per workload: says what it measures, runs it, emits lines
//! machine.rs     the raw figures: write + fdatasync, sequential disk, memcpy
//! floor.rs       the same jobs as hand-written loops, one thread, nothing durable
//! events.rs      deterministic events, into streams and files
//! operators.rs   native operators, and where components are
//! pipelines.rs   a pipeline file around one operator; runs it and takes the time
//! start_line.rs  where the measured part of a job begins
//! open_loop.rs   a steady load with latencies from the intended send time
//! process.rs     runs of the own executable as processes: kill -9, memory
//! folder.rs      where it all lies: a folder on a disk, never unnoticed in memory
//! report.rs      lines and figures;  percentiles.rs  quantiles of latencies
//! ```
//!
//! Invariants:
//! 1. every job commits as in production: default settings, checkpoints on, a real disk;
//! 2. a job whose output does not add up gives an error, not a figure;
//! 3. nothing stays: each store goes with its case, the folder with the run.

mod error;
pub mod events;
mod floor;
mod folder;
mod machine;
mod open_loop;
pub mod operators;
mod percentiles;
pub mod pipelines;
mod process;
mod report;
mod start_line;
mod workloads;

pub use error::BenchError;
pub use folder::choose as choose_folder;
pub use process::{Committed, Program};
pub use report::{Figure, Line, Unit};
pub use workloads::{WORKLOADS, Workload};

use crate::clock::Clock;
use crate::config::settings::Settings;
use crate::job;
use crate::wasm::{EngineOptions, WasmEngine};
use machine::Machine;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidemill_storage::Store;

/// How much work each workload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Seconds in all: whether everything works. The figures mean little.
    Small,
    /// Minutes in all: what docs/performance.md shows.
    Full,
}

/// What to run and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much.
    pub scale: Scale,
    /// The folder on a disk in which everything lies; a folder is made in it and removed afterwards.
    pub dir: PathBuf,
    /// Where the components are: a folder with a folder per operator, as `examples/operators`.
    pub components: PathBuf,
    /// Bytes of streams that `latency` and `restart` find in the store, one case each; none = the scale's.
    pub stored_bytes: Vec<u64>,
    /// Bytes of state that `restart` finds; absent = the scale's.
    pub state_bytes: Option<u64>,
    /// How long `sustained` runs, s; absent = the scale's.
    pub sustained_s: Option<f64>,
    /// Events a second that `sustained` offers; absent = the scale's.
    pub sustained_rate: Option<u64>,
}

/// Runs workloads; each line is handed to `emit` as it is done, the machine's first. `emit` says whether anybody still reads.
pub fn run(
    workloads: &[&Workload],
    options: Options,
    program: &dyn Program,
    emit: &mut dyn FnMut(&Line) -> bool,
) -> Result<(), BenchError> {
    let names = workloads.iter().flat_map(|workload| workload.components);
    names.map(|name| operators::component(&options.components, name)).collect::<Result<Vec<_>, _>>()?;
    let folder = tempfile::Builder::new()
        .prefix("tidemill-bench-")
        .tempdir_in(&options.dir)
        .map_err(error::io(format!("making a folder in {}", options.dir.display())))?;
    let machine = Machine::measure(folder.path(), options.scale)?;
    let clock = Clock::system();
    let mut bench = Bench { options, folder, machine, clock, program, emit, stores: Cell::new(0) };
    bench.emit(bench.machine.line())?;
    for workload in workloads {
        (workload.run)(&mut bench)?;
    }
    Ok(())
}

/// What a workload works with.
pub struct Bench<'a> {
    options: Options,
    folder: tempfile::TempDir,
    machine: Machine,
    clock: Clock,
    program: &'a dyn Program,
    emit: &'a mut dyn FnMut(&Line) -> bool,
    stores: Cell<u64>,
}

impl Bench<'_> {
    fn emit(&mut self, line: Line) -> Result<(), BenchError> {
        if (self.emit)(&line) { self.go_on() } else { Err(BenchError::Interrupted) }
    }

    /// Asked before and in whatever takes long.
    fn go_on(&self) -> Result<(), BenchError> {
        if self.program.is_interrupted() { Err(BenchError::Interrupted) } else { Ok(()) }
    }

    /// One of two, by scale.
    fn scaled<T>(&self, full: T, small: T) -> T {
        match self.options.scale {
            Scale::Full => full,
            Scale::Small => small,
        }
    }

    /// An engine whose compiled components last as long as the run.
    fn engine(&self) -> Result<WasmEngine, BenchError> {
        Ok(WasmEngine::new(EngineOptions { cache_dir: Some(self.path().join("cache")) })?)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The median of a 4 KiB write + `fdatasync`, now: disks have moods, and a ratio should be of one moment.
    fn raw_sync(&self) -> Result<Duration, BenchError> {
        let mut latencies = machine::sync(self.path(), &self.clock, self.scaled(200, 10))?;
        Ok(latencies.quantile(0.5).max(Duration::from_nanos(1)))
    }

    /// A data directory of its own, with an open store.
    fn fresh_store(&self) -> Result<Scratch, BenchError> {
        self.stores.set(self.stores.get() + 1);
        let data_dir = self.path().join(format!("data-{}", self.stores.get()));
        let mut scratch = Scratch { data_dir, store: None };
        scratch.open(&self.clock)?;
        Ok(scratch)
    }
}

/// A data directory that goes when this goes.
struct Scratch {
    data_dir: PathBuf,
    store: Option<Store>,
}

impl Scratch {
    fn open(&mut self, clock: &Clock) -> Result<&Store, BenchError> {
        let options = job::store_options(&Settings::default(), clock)?;
        Ok(self.store.insert(Store::open(&self.data_dir, options)?))
    }

    /// Leaves the data directory to another process.
    fn close(&mut self) {
        if let Some(store) = self.store.take() {
            store.close();
        }
    }

    fn store(&self) -> Result<&Store, BenchError> {
        self.store.as_ref().ok_or_else(|| BenchError::Wrong("the store of a workload is closed".into()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.close();
        // What is left goes with the run's folder.
        let _ = std::fs::remove_dir_all(&self.data_dir);
    }
}
