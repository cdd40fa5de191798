//! What the machine gives without Tidemill, on the same disk and in the same minute: the yardstick of every other line.

use super::Scale;
use super::error::{BenchError, io};
use super::events::Random;
use super::folder::{file_system, is_in_memory};
use super::percentiles::Latencies;
use super::report::{Line, Unit};
use crate::clock::Clock;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Bytes of one small durable write.
const BLOCK: usize = 4 << 10;
/// Bytes of one write of the sequential measurement, and of the memory that is copied.
const PIECE: usize = 1 << 20;
/// Larger than any cache.
const COPIED: usize = 256 << 20;

/// The raw figures.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// Appending 4 KiB to a file and `fdatasync`: p50, p95, p99.
    sync: [Duration; 3],
    sequential_bytes_per_s: f64,
    memcpy_bytes_per_s: f64,
    file_system: String,
    cores: usize,
}

impl Machine {
    /// Measures in a folder.
    pub(super) fn measure(folder: &Path, scale: Scale) -> Result<Machine, BenchError> {
        let (syncs, bytes) = match scale {
            Scale::Full => (1_000, 1 << 30),
            Scale::Small => (50, 32 << 20),
        };
        let clock = Clock::system();
        let mut sync = sync(folder, &clock, syncs)?;
        Ok(Machine {
            sync: [0.5, 0.95, 0.99].map(|q| sync.quantile(q)),
            sequential_bytes_per_s: sequential(folder, &clock, bytes)?,
            memcpy_bytes_per_s: memcpy(&clock),
            file_system: file_system(folder),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }

    pub(super) fn sequential_bytes_per_s(&self) -> f64 {
        self.sequential_bytes_per_s
    }

    pub(super) fn line(&self) -> Line {
        let warning = if is_in_memory(&self.file_system) { ": in memory, durable figures mean nothing" } else { "" };
        Line::new("machine", "raw")
            .ms("sync_p50", self.sync[0])
            .ms("sync_p95", self.sync[1])
            .ms("sync_p99", self.sync[2])
            .with("sequential", self.sequential_bytes_per_s, Unit::BytesPerSecond)
            .with("memcpy", self.memcpy_bytes_per_s, Unit::BytesPerSecond)
            .with("cores", self.cores as f64, Unit::Count)
            .note(format!("{}{warning}", self.file_system))
    }
}

/// Bytes that no disk or file system can make smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut random = Random::new(1);
    (0..bytes / 8).flat_map(|_| random.next().to_le_bytes()).collect()
}

/// Appends 4 KiB and calls `fdatasync`, again and again.
pub(super) fn sync(folder: &Path, clock: &Clock, times: usize) -> Result<Latencies, BenchError> {
    let path = folder.join("raw-sync");
    let doing = || format!("writing {}", path.display());
    let mut file = File::create(&path).map_err(io(doing()))?;
    let block = noise(BLOCK);
    let mut latencies = Latencies::default();
    for _ in 0..times {
        let before = clock.elapsed();
        file.write_all(&block).and_then(|()| file.sync_data()).map_err(io(doing()))?;
        latencies.push(clock.elapsed() - before);
    }
    std::fs::remove_file(&path).map_err(io(doing()))?;
    Ok(latencies)
}

fn sequential(folder: &Path, clock: &Clock, bytes: usize) -> Result<f64, BenchError> {
    let path = folder.join("raw-sequential");
    let doing = || format!("writing {}", path.display());
    let mut file = File::create(&path).map_err(io(doing()))?;
    let piece = noise(PIECE);
    let before = clock.elapsed();
    for _ in 0..bytes / PIECE {
        file.write_all(&piece).map_err(io(doing()))?;
    }
    file.sync_data().map_err(io(doing()))?;
    let took = clock.elapsed() - before;
    std::fs::remove_file(&path).map_err(io(doing()))?;
    Ok((bytes / PIECE * PIECE) as f64 / took.as_secs_f64().max(1e-9))
}

fn memcpy(clock: &Clock) -> f64 {
    let (from, mut to) = (vec![1u8; COPIED], vec![2u8; COPIED]);
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let before = clock.elapsed();
        black_box(&mut to).copy_from_slice(black_box(&from));
        best = best.min(clock.elapsed() - before);
    }
    COPIED as f64 / best.as_secs_f64().max(1e-9)
}
