//! `tidemill bench languages`: word-count, the example operator `count` of each language, and the same written natively, side
//! by side: what an event costs, what a component weighs, how fast it starts and how much memory an instance takes. All get
//! the same words and keep the same counts, in the sandbox over state in memory, without a pipeline around them.

use super::instances;
use crate::cli::output::{Output, number, size, table};
use crate::cli::test::rig::{Crash, LIMITS, Rig};
use anyhow::{Context as _, Result, anyhow, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidemill::bench::operators::native_word_count;
use tidemill::operator::SharedFactory;
use tidemill::wasm::{EngineOptions, WasmEngine, WasmFactory, component};
use tidemill_storage::{Batch, EventTime};

/// The row of the one without a component.
const NATIVE: &str = "native";

/// The operator in each language, in examples/operators.
const OPERATORS: [(&str, &str); 6] = [
    ("rust", "count"),
    ("c", "count/c"),
    ("go", "count/go"),
    ("python", "count/python"),
    ("javascript", "count/javascript"),
    ("typescript", "count/typescript"),
];

/// The text whose words are counted: what the pipeline word-count reads.
const TEXT: &str = include_str!("../../../../examples/pipelines/word-count/poems.txt");
/// Events of a call.
const BATCH: usize = 1_024;
/// Different calls; then they begin anew.
const BATCHES: usize = 8;
/// In turn, so that a change of the machine's load meets all languages.
const ROUNDS: usize = 3;

/// How much is measured.
pub(super) struct Scale {
    /// As the command line writes it.
    pub(super) name: &'static str,
    /// A rate is measured at least so long in each round.
    least: Duration,
    /// Instances whose memory is measured together.
    pub(super) instances: usize,
}

pub(super) const FULL: Scale = Scale { name: "full", least: Duration::from_secs(2), instances: 32 };
pub(super) const SMALL: Scale = Scale { name: "small", least: Duration::from_millis(50), instances: 4 };

/// Figures of one language.
struct Figures {
    language: &'static str,
    component: Option<Component>,
    /// A new instance, and its first call with one event.
    open: Duration,
    /// Resident, per instance that has worked; its counts in the host's memory included.
    instance_bytes: Option<u64>,
    /// Medians of the rounds.
    events_per_s: f64,
    events_per_cpu_s: Option<f64>,
}

/// What a component weighs, and how long it takes until it has answered a first event.
struct Component {
    bytes: u64,
    /// In the cache, as machine code.
    compiled_bytes: u64,
    /// Compiled on the spot.
    cold: Duration,
    /// Compiled before.
    cached: Duration,
}

/// An operator that is being measured.
struct Subject {
    figures: Figures,
    rig: Rig,
    rates: Vec<(f64, Option<f64>)>,
}

/// Measures all that are built; the others are named.
pub(super) fn run(folder: &Path, scale: &Scale, output: &Output) -> Result<()> {
    let batches = batches();
    let cache = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut subjects = Vec::new();
    for (language, file) in operators(folder) {
        if file.as_ref().is_some_and(|file| !file.is_file()) {
            let file = file.unwrap_or_default();
            output.say(&format!("{language}: skipped, {} is not built (cargo xtask guests)", file.display()));
            continue;
        }
        output.say(&format!("starting {language}"));
        let (cache, started) = (cache.path().join(language), || format!("count in {language}"));
        let component =
            file.map(|file| start_twice(language, folder, &file, &cache)).transpose().with_context(started)?;
        let mut subject =
            Subject::new(language, component, &factory(language, folder, &cache)?).with_context(started)?;
        subject.figures.instance_bytes = instances::ask(language, folder, &cache, scale).with_context(started)?;
        subjects.push(subject);
    }
    for round in 1..=ROUNDS {
        output.say(&format!("counting, round {round} of {ROUNDS}"));
        for subject in &mut subjects {
            let rate = rate(&mut subject.rig, &batches, scale.least);
            subject.rates.push(rate.with_context(|| format!("count in {}", subject.figures.language))?);
        }
    }
    let rows: Vec<Figures> = subjects.into_iter().map(Subject::done).collect();
    let native = rows[0].events_per_s;
    output.data(|| rows.iter().map(|row| json(row, native)).collect(), || text(&rows, native))
}

/// The native one, and the component of each language.
fn operators(folder: &Path) -> impl Iterator<Item = (&'static str, Option<PathBuf>)> {
    let file = |name: &str| Some(folder.join(name).join(component::BUILT_COMPONENT));
    [(NATIVE, None)].into_iter().chain(OPERATORS.map(|(language, name)| (language, file(name))))
}

/// The operator of a language, its component compiled or from the cache.
pub(super) fn factory(language: &str, folder: &Path, cache: &Path) -> Result<SharedFactory> {
    let Some((_, file)) = operators(folder).find(|(name, _)| *name == language) else {
        bail!("no operator in {language}");
    };
    let Some(file) = file else { return Ok(native_word_count()) };
    let engine = WasmEngine::new(EngineOptions { cache_dir: Some(cache.to_owned()) })?;
    let loaded = component::load(&engine, &file)?;
    Ok(Arc::new(WasmFactory::new(&engine, loaded, &serde_json::json!({}), &LIMITS, "count")?))
}

/// Starts an operator with nothing in the cache, and again.
fn start_twice(language: &str, folder: &Path, file: &Path, cache: &Path) -> Result<Component> {
    let first = one_event();
    let start = || -> Result<Duration> {
        let started = Instant::now();
        call(&mut open(&factory(language, folder, cache)?)?, &first)?;
        Ok(started.elapsed())
    };
    let cold = start()?;
    let compiled_bytes = bytes_in(cache);
    if compiled_bytes == 0 {
        bail!("the compiled component was not kept: a second start would compile it again");
    }
    let bytes = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len();
    Ok(Component { bytes, compiled_bytes, cold, cached: start()? })
}

impl Subject {
    fn new(language: &'static str, component: Option<Component>, factory: &SharedFactory) -> Result<Subject> {
        let first = one_event();
        let started = Instant::now();
        let mut rig = open(factory)?;
        call(&mut rig, &first)?;
        let (open, instance_bytes, events_per_s, events_per_cpu_s) = (started.elapsed(), None, 0.0, None);
        let figures = Figures { language, component, open, instance_bytes, events_per_s, events_per_cpu_s };
        Ok(Subject { figures, rig, rates: Vec::new() })
    }

    fn done(self) -> Figures {
        let median = |mut rates: Vec<f64>| {
            rates.sort_by(f64::total_cmp);
            rates.get(rates.len() / 2).copied()
        };
        let events_per_s = median(self.rates.iter().map(|rate| rate.0).collect()).unwrap_or_default();
        let events_per_cpu_s = median(self.rates.iter().filter_map(|rate| rate.1).collect());
        Figures { events_per_s, events_per_cpu_s, ..self.figures }
    }
}

/// Events per second, and per second of this thread's CPU where the system tells.
fn rate(rig: &mut Rig, batches: &[Batch], least: Duration) -> Result<(f64, Option<f64>)> {
    let (started, cpu_before, mut events) = (Instant::now(), cpu(), 0);
    while started.elapsed() < least {
        events += work(rig, batches)?;
    }
    let cpu = cpu().zip(cpu_before).map(|(after, before)| after.saturating_sub(before));
    let per = |time: Duration| events as f64 / time.as_secs_f64();
    Ok((per(started.elapsed()), cpu.filter(|cpu| !cpu.is_zero()).map(per)))
}

/// Every call once; how many events that were.
pub(super) fn work(rig: &mut Rig, batches: &[Batch]) -> Result<usize> {
    batches.iter().try_for_each(|events| call(rig, events))?;
    Ok(batches.iter().map(Batch::len).sum())
}

pub(super) fn open(factory: &SharedFactory) -> Result<Rig> {
    Rig::open(factory.clone(), Crash::Never).map_err(|failure| anyhow!("it does not open: {failure:?}"))
}

/// One call, whose output must be as many events as went in.
fn call(rig: &mut Rig, events: &Batch) -> Result<()> {
    let out = rig.events_counted(0, events).map_err(|failure| anyhow!("a call failed: {failure:?}"))?;
    if out != events.len() {
        bail!("{} events went in and {out} came out", events.len());
    }
    Ok(())
}

/// What split-words makes of the text, over and over: an event per word, keyed by the word.
pub(super) fn batches() -> Vec<Batch> {
    let words = TEXT.split(|c: char| !c.is_alphanumeric() && c != '\'');
    let words: Vec<String> = words.map(|word| word.trim_matches('\'').to_lowercase()).collect();
    let mut words = words.iter().filter(|word| !word.is_empty()).cycle();
    let mut batch = || {
        let mut batch = Batch::default();
        for (time, word) in (0..).zip(words.by_ref().take(BATCH)) {
            batch.push(EventTime(time), Some(word.as_bytes()), Some(&[]));
        }
        batch
    };
    (0..BATCHES).map(|_| batch()).collect()
}

fn one_event() -> Batch {
    let mut batch = Batch::default();
    batch.push(EventTime(0), Some(b"tide"), Some(&[]));
    batch
}

/// The CPU time of this thread; where the system tells.
fn cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn bytes_in(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn json(row: &Figures, native: f64) -> serde_json::Value {
    let of_component = |what: fn(&Component) -> serde_json::Value| row.component.as_ref().map(what);
    serde_json::json!({
        "language": row.language,
        "component_bytes": of_component(|component| component.bytes.into()),
        "compiled_bytes": of_component(|component| component.compiled_bytes.into()),
        "cold_start_ms": of_component(|component| ms(component.cold).into()),
        "cached_start_ms": of_component(|component| ms(component.cached).into()),
        "open_ms": ms(row.open),
        "instance_bytes": row.instance_bytes,
        "events_per_s": row.events_per_s,
        "events_per_cpu_s": row.events_per_cpu_s,
        "against_native": row.events_per_s / native,
    })
}

fn text(rows: &[Figures], native: f64) -> String {
    let time = |time: Duration| format!("{:.1} ms", ms(time));
    let of_component =
        |row: &Figures, what: &dyn Fn(&Component) -> String| row.component.as_ref().map_or("-".into(), what);
    let row = |row: &Figures| {
        [
            row.language.to_owned(),
            of_component(row, &|component| size(component.bytes)),
            of_component(row, &|component| size(component.compiled_bytes)),
            of_component(row, &|component| time(component.cold)),
            of_component(row, &|component| time(component.cached)),
            time(row.open),
            row.instance_bytes.map_or("-".into(), size),
            number(row.events_per_s as u64),
            row.events_per_cpu_s.map_or("-".into(), |rate| number(rate as u64)),
            format!("{:.2}x", row.events_per_s / native),
        ]
    };
    let head = [
        "language",
        "component",
        "compiled",
        "cold start",
        "cached start",
        "open",
        "per instance",
        "events/s",
        "events/CPU s",
        "of native",
    ];
    table(head, rows.iter().map(row))
}
