//! `tidemill bench languages`: the conformance operator of each language, and the same written natively, side by side: what
//! an event costs, what a component weighs, how fast it starts and how much memory an instance takes. The operators run in
//! the sandbox over state in memory, without a pipeline around them.

use crate::cli::output::{Output, number, size, table};
use crate::cli::test::rig::{Crash, LIMITS, Rig};
use anyhow::{Context as _, Result, anyhow, bail};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidemill::operator::{Context, Descriptor, Failure, Operator, OperatorFactory, Rejection, TimerBatch};
use tidemill::state::{ColumnView, OptionalColumnView};
use tidemill::wasm::{EngineOptions, WasmEngine, WasmFactory, component};
use tidemill_storage::{Batch, EventTime, OptionalColumn};

/// Folders of guest-sdk with the operator, by language.
const OPERATORS: [(&str, &str); 6] = [
    ("rust", "rust/conformance"),
    ("c", "c/conformance"),
    ("go", "go/conformance"),
    ("python", "python/conformance"),
    ("javascript", "javascript/conformance"),
    ("typescript", "javascript/conformance-typescript"),
];

/// Events of a call.
const BATCH: usize = 1_024;
/// Distinct keys.
const KEYS: usize = 1_000;
/// Instances whose memory is measured together.
const INSTANCES: usize = 16;

/// Figures of one language.
struct Figures {
    language: &'static str,
    component_bytes: Option<u64>,
    compile: Option<Duration>,
    load_cached: Option<Duration>,
    open: Duration,
    instance_bytes: Option<u64>,
    forward_per_s: f64,
    count_per_s: f64,
}

/// Measures all that are built; the others are named. `least` = how long each rate is measured at least.
pub(super) fn run(least: Duration, output: &Output) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk");
    let mut rows = vec![native(least)?];
    for (language, folder) in OPERATORS {
        let file = root.join(folder).join(component::BUILT_COMPONENT);
        if !file.is_file() {
            output.say(&format!("{language}: skipped, {} is not built (cargo xtask guests)", file.display()));
            continue;
        }
        output.say(&format!("measuring {language}"));
        rows.push(guest(language, file, least).with_context(|| format!("the operator in {language}"))?);
    }
    output.data(|| rows.iter().map(json).collect(), || text(&rows))
}

fn guest(language: &'static str, file: PathBuf, least: Duration) -> Result<Figures> {
    let cache = tempfile::tempdir().context("cannot make a temporary folder")?;
    let engine = || WasmEngine::new(EngineOptions { cache_dir: Some(cache.path().to_owned()) });
    let cold = engine()?;
    let started = Instant::now();
    component::load(&cold, &file)?;
    let compile = started.elapsed();
    let warm = engine()?;
    let started = Instant::now();
    let loaded = component::load(&warm, &file)?;
    let load_cached = started.elapsed();
    if !loaded.from_cache() {
        bail!("the compiled component was not kept: the figure would be that of a second compilation");
    }
    let factory = || WasmFactory::new(&warm, loaded.clone(), &serde_json::json!({}), &LIMITS, "conformance");

    open(Box::new(factory()?))?; // what only the first one pays
    let before = resident();
    let started = Instant::now();
    let mut instances = Vec::new();
    for _ in 0..INSTANCES {
        instances.push(open(Box::new(factory()?))?);
    }
    let opened = started.elapsed() / INSTANCES as u32;
    for rig in &mut instances {
        call(rig, &batch("count"))?;
    }
    let grown = resident().zip(before).map(|(after, before)| after.saturating_sub(before) / INSTANCES as u64);
    drop(instances);

    let (forward_per_s, count_per_s) = rates(|| open(Box::new(factory()?)), least)?;
    let component_bytes = std::fs::metadata(&file).ok().map(|file| file.len());
    Ok(Figures {
        language,
        component_bytes,
        compile: Some(compile),
        load_cached: Some(load_cached),
        open: opened,
        instance_bytes: grown,
        forward_per_s,
        count_per_s,
    })
}

fn native(least: Duration) -> Result<Figures> {
    let started = Instant::now();
    open(Box::new(Native::new()?))?;
    let opened = started.elapsed();
    let (forward_per_s, count_per_s) = rates(|| open(Box::new(Native::new()?)), least)?;
    let (component_bytes, compile, load_cached, instance_bytes) = (None, None, None, None);
    Ok(Figures {
        language: "native",
        component_bytes,
        compile,
        load_cached,
        open: opened,
        instance_bytes,
        forward_per_s,
        count_per_s,
    })
}

/// Events per second: each forwarded as it came; each counted by key and the count emitted.
fn rates(make: impl Fn() -> Result<Rig>, least: Duration) -> Result<(f64, f64)> {
    let rate = |command: &str| -> Result<f64> {
        let (mut rig, events) = (make()?, batch(command));
        call(&mut rig, &events)?;
        let (started, mut calls) = (Instant::now(), 0_u64);
        while started.elapsed() < least {
            call(&mut rig, &events)?;
            calls += 1;
        }
        Ok(calls as f64 * BATCH as f64 / started.elapsed().as_secs_f64())
    };
    Ok((rate("echo")?, rate("count")?))
}

fn open(factory: Box<dyn OperatorFactory>) -> Result<Rig> {
    Rig::open(factory, Crash::Never).map_err(|failure| anyhow!("it does not open: {failure:?}"))
}

/// One call, whose output must be as many events as went in.
fn call(rig: &mut Rig, events: &Batch) -> Result<()> {
    rig.events_counted(0, events).map_err(|failure| anyhow!("a call failed: {failure:?}")).and_then(|out| match out {
        BATCH => Ok(()),
        out => bail!("{BATCH} events went in and {out} came out"),
    })
}

fn batch(command: &str) -> Batch {
    let mut batch = Batch::default();
    for i in 0..BATCH {
        // Spread, the same in each run.
        let key = format!("key-{}", i * 7_919 % KEYS);
        batch.push(EventTime(i as i64), Some(key.as_bytes()), Some(command.as_bytes()));
    }
    batch
}

/// This process's memory, bytes; where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The two commands, without a guest: what the host itself needs for them.
struct Native {
    descriptor: Descriptor,
}

impl Native {
    fn new() -> Result<Native> {
        let states = serde_json::json!([{ "name": "count", "kind": "value" }]);
        let inputs = serde_json::json!([{ "name": "events" }]);
        let descriptor = serde_json::json!({ "descriptor": 1, "name": "native", "inputs": inputs, "states": states });
        let descriptor = serde_json::from_value(descriptor).context("the native operator's descriptor")?;
        Ok(Native { descriptor })
    }
}

impl OperatorFactory for Native {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn create(&self, _context: &mut Context) -> Result<Box<dyn Operator>, Failure> {
        Ok(Box::new(NativeCount))
    }
}

struct NativeCount;

impl Operator for NativeCount {
    fn process(
        &mut self,
        _input: u32,
        _watermark: EventTime,
        events: &Batch,
        context: &mut Context,
    ) -> Result<Vec<Rejection>, Failure> {
        let bug = |error: tidemill::state::StateError| Failure::Bug(error.to_string());
        let mut out = Batch::default();
        let mut found = OptionalColumn::default();
        for i in 0..events.len() {
            let (time, key, value) = (EventTime(events.timestamps[i]), events.keys.get(i), events.values.get(i));
            if value != Some(b"count") {
                out.push(time, key, value);
                continue;
            }
            let key = key.unwrap_or_default();
            let ends = [key.len() as u32];
            let keys = ColumnView { data: key, ends: &ends };
            context.state.get(0, keys, None, &mut found).map_err(bug)?;
            let before = found.get(0).and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok());
            let now = (before.unwrap_or(0) + 1).to_string();
            let ends = [now.len() as u32];
            let values = OptionalColumnView { data: now.as_bytes(), ends: &ends, present: &[] };
            context.state.put(0, keys, None, values).map_err(bug)?;
            out.push(time, Some(key), Some(now.as_bytes()));
        }
        context.output.push((0, out));
        Ok(Vec::new())
    }

    fn on_timers(&mut self, _: &TimerBatch, _: EventTime, _: &mut Context) -> Result<Vec<Rejection>, Failure> {
        Ok(Vec::new())
    }

    fn on_watermark(&mut self, _: EventTime, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}

fn json(row: &Figures) -> serde_json::Value {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    serde_json::json!({
        "language": row.language,
        "component_bytes": row.component_bytes,
        "compile_ms": row.compile.map(ms),
        "load_cached_ms": row.load_cached.map(ms),
        "open_ms": ms(row.open),
        "instance_bytes": row.instance_bytes,
        "forward_events_per_s": row.forward_per_s,
        "count_events_per_s": row.count_per_s,
    })
}

fn text(rows: &[Figures]) -> String {
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let row = |row: &Figures| {
        [
            row.language.to_owned(),
            or_none(row.component_bytes.map(size)),
            or_none(row.compile.map(ms)),
            or_none(row.load_cached.map(ms)),
            ms(row.open),
            or_none(row.instance_bytes.map(size)),
            number(row.forward_per_s as u64),
            number(row.count_per_s as u64),
        ]
    };
    let head = ["language", "component", "compile", "from cache", "open", "per instance", "forward/s", "count/s"];
    table(head, rows.iter().map(row))
}
