//! A steady load for minutes: what grows that should not? Sizes, memory and latency by window, and their spread over the
//! second half, when caches and the hot file have had time to reach their size.

use super::Workload;
use super::latency::Stage;
use crate::bench::folder::bytes_below;
use crate::bench::operators::wasm;
use crate::bench::percentiles::Latencies;
use crate::bench::process::Memory;
use crate::bench::report::{Line, Unit};
use crate::bench::{Bench, BenchError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(super) const WORKLOAD: Workload = Workload {
    name: "sustained",
    what: "a keyed count under steady load (--rate, --minutes): hot file, directory, memory and latency window by window",
    components: &["keyed-count"],
    run,
};

/// A window, unless the whole is shorter than six of them.
const WINDOW: Duration = Duration::from_secs(10);

/// Greatest over least memory of windows that is still called flat.
const FLAT: f64 = 1.25;
/// The same of latencies, which scatter.
const STEADY: f64 = 3.0;

/// What is looked at in a window.
#[derive(Clone, Copy, Debug)]
struct Window {
    at: Duration,
    hot_file: u64,
    directory: u64,
    memory: u64,
    p99: Duration,
}

fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let seconds = bench.options.sustained_s.unwrap_or_else(|| bench.scaled(60.0, 1.5));
    let rate = bench.options.sustained_rate.unwrap_or_else(|| bench.scaled(20_000, 2_000));
    let keys = bench.scaled(100_000, 1_000);
    let events = (rate as f64 * seconds) as u64;
    if events == 0 {
        return Err(BenchError::Invalid("so few events are no load: give more --minutes or a higher --rate".into()));
    }
    let length = WINDOW.min(Duration::from_secs_f64(seconds / 6.0));
    let component = wasm(&bench.engine()?, &bench.options.components, "keyed-count")?;
    let stage = Stage::set(bench, &component, keys, 0)?;
    let latencies: Mutex<Latencies> = Mutex::default();
    let clock = bench.clock.clone();
    let start = clock.elapsed();
    let mut next = start + length;
    let mut windows = Vec::new();
    let (emit, program) = (&mut *bench.emit, bench.program);
    let driven = stage.load(&clock, rate, events, keys)?.drive(&latencies, || {
        let now = clock.elapsed();
        if program.is_interrupted() {
            return Err(BenchError::Interrupted);
        }
        if now < next {
            return Ok(());
        }
        let mut seen = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
        if seen.len() == 0 {
            return Ok(()); // a stall longer than a window: it ends with the first results, which tell of it
        }
        next = now + length;
        let window = look(&stage, now - start, &mut seen)?;
        windows.push(window);
        let line = window.line(format!("{:.1} s", (now - start).as_secs_f64())).latencies(&mut seen);
        if emit(&line) { Ok(()) } else { Err(BenchError::Interrupted) }
    });
    let hot_max = stage.scratch.store()?.describe()?.hot_bytes_max;
    stage.end()?;
    driven?;
    bench.emit(verdict(&windows, rate, hot_max)?)
}

fn look(stage: &Stage, at: Duration, seen: &mut Latencies) -> Result<Window, BenchError> {
    Ok(Window {
        at,
        hot_file: stage.scratch.store()?.describe()?.hot_file_bytes,
        directory: bytes_below(&stage.scratch.data_dir),
        memory: Memory::own()?.resident,
        p99: seen.quantile(0.99),
    })
}

impl Window {
    fn line(&self, case: String) -> Line {
        Line::new(WORKLOAD.name, case)
            .with("hot_file", self.hot_file as f64, Unit::Bytes)
            .with("directory", self.directory as f64, Unit::Bytes)
            .with("memory", self.memory as f64, Unit::Bytes)
    }
}

/// The second half of the run, greatest over least. The directory grows with the streams, which are kept.
fn verdict(windows: &[Window], rate: u64, hot_max: u64) -> Result<Line, BenchError> {
    let half = &windows[windows.len() / 2..];
    let spread = |figure: fn(&Window) -> f64| {
        let (least, most) = half.iter().map(figure).fold((f64::MAX, 0.0), |(a, b): (f64, f64), x| (a.min(x), b.max(x)));
        (most / least.max(1e-9), most)
    };
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
        return Err(BenchError::Invalid("the load ended within one window: give more --minutes".into()));
    };
    // Of the whole run: the file of pages grows in leaps.
    let events = rate as f64 * (last.at - first.at).as_secs_f64();
    let growth = last.directory.saturating_sub(first.directory) as f64 / events.max(1.0);
    let (memory, most_memory) = spread(|window| window.memory as f64);
    let (hot_file, most_hot) = spread(|window| window.hot_file as f64);
    let (p99, most_p99) = spread(|window| window.p99.as_secs_f64());
    // Chunks wait at twice the setting; pages are allocated in powers of two, and freed ones are reused later.
    let bounded = if most_hot <= 4.0 * hot_max as f64 { "hot file bounded" } else { "HOT FILE GROWS" };
    let flat = if memory <= FLAT { "memory flat" } else { "memory not flat" };
    let steady = if p99 <= STEADY { "p99 steady" } else { "p99 not steady" };
    Ok(Line::new(WORKLOAD.name, format!("second half, {rate} events/s"))
        .ratio("memory_max_over_min", memory)
        .ratio("hot_file_max_over_min", hot_file)
        .ratio("p99_max_over_min", p99)
        .with("memory_max", most_memory, Unit::Bytes)
        .with("hot_file_max", most_hot, Unit::Bytes)
        .ms("p99_max", Duration::from_secs_f64(most_p99))
        .with("directory_per_event", growth, Unit::Bytes)
        .note(format!("{bounded}, {flat}, {steady}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_half_decides_and_growth_is_said() {
        let window = |hot_file, memory, p99| Window {
            at: Duration::from_secs(hot_file),
            hot_file,
            directory: hot_file * 2_000,
            memory,
            p99: Duration::from_millis(p99),
        };
        let steady = [window(1, 1, 1), window(90, 100, 10), window(100, 110, 15)];
        let line = verdict(&steady, 1_000, 50).unwrap();
        assert_eq!(line.note, "hot file bounded, memory flat, p99 steady");
        assert!((line.figures[0].value - 1.1).abs() < 1e-9, "{line:?}");
        assert_eq!(line.figures.last().map(|figure| (figure.name, figure.value)), Some(("directory_per_event", 2.0)));
        let growing = [window(1, 1, 1), window(1, 100, 10), window(300, 200, 100)];
        assert_eq!(verdict(&growing, 1_000, 50).unwrap().note, "HOT FILE GROWS, memory not flat, p99 not steady");
        assert!(verdict(&[], 1_000, 50).is_err());
    }
}
