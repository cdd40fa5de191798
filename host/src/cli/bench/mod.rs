//! `tidemill bench`: runs the standing workloads of `tidemill::bench` and prints a line for each case as it is done, as text
//! or as a JSON object.

mod instances;
mod languages;

use super::args::{BenchArgs, CheckpointCommand, DataCommand, DataDir, PipelineArg, Scale};
use super::control::client::{self, Reached};
use super::interrupt::Interrupt;
use super::output::{Ends, Output, number, size, table};
use anyhow::{Context, Result};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tidemill::bench::{self, BenchError, Committed, Figure, Line, Options, Program, Unit, WORKLOADS, Workload};

/// Not among the standing workloads: it runs when it is named.
const LANGUAGES: &str = "languages";

fn warn_of_development_build(output: &Output) {
    if cfg!(debug_assertions) {
        output.say("this is a development build: the figures say little; `cargo build --release -p tidemill` makes the fast one");
    }
}

pub(crate) fn run(args: &BenchArgs, output: &Output) -> Result<()> {
    if args.list {
        let json = || WORKLOADS.iter().map(|w| serde_json::json!({ "name": w.name, "what": w.what })).collect();
        let rows = || WORKLOADS.iter().map(|w| [w.name.to_owned(), w.what.to_owned()]);
        return output.data(json, || table(["workload", "what it measures"], rows()));
    }
    if args.names == [LANGUAGES] {
        let scale = match args.scale {
            Scale::Small => languages::SMALL,
            Scale::Full => languages::FULL,
        };
        let folder = components(args.components.as_deref())?;
        if let Some((language, cache)) = args.instances.asked() {
            return instances::run(language, &folder, cache, &scale, output);
        }
        warn_of_development_build(output);
        return languages::run(&folder, &scale, output);
    }
    let workloads = Workload::select(&args.names)?;
    let bytes = |gigabytes: f64| (gigabytes * 1e9) as u64;
    let options = Options {
        scale: match args.scale {
            Scale::Small => bench::Scale::Small,
            Scale::Full => bench::Scale::Full,
        },
        dir: bench::choose_folder(args.dir.as_deref())?,
        components: components(args.components.as_deref())?,
        stored_bytes: args.gb.iter().copied().map(bytes).collect(),
        state_bytes: args.state_gb.map(bytes),
        sustained_s: args.minutes.map(|minutes| minutes * 60.0),
        sustained_rate: args.rate,
    };
    warn_of_development_build(output);
    let executable = std::env::current_exe().context("cannot find this program's own file")?;
    let this = ThisProgram { executable, interrupt: Interrupt::install()? };
    let mut printed = Ok(());
    let mut emit = |line: &Line| {
        printed = output.data(|| json(line), || text(line));
        printed.is_ok()
    };
    let done = bench::run(&workloads, options, &this, &mut emit);
    printed?;
    match done {
        Err(BenchError::Interrupted) => output.say("broken off"),
        done => done?,
    }
    Ok(())
}

/// The folder of built components, absolute: pipeline files name it.
fn components(named: Option<&Path>) -> Result<PathBuf> {
    let built_from = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/operators");
    let folder = named.map_or_else(built_from, Path::to_owned);
    std::path::absolute(&folder).with_context(|| format!("cannot resolve {}", folder.display()))
}

/// This program, started again as `tidemill run`.
struct ThisProgram {
    executable: PathBuf,
    interrupt: Interrupt,
}

impl Program for ThisProgram {
    fn executable(&self) -> &Path {
        &self.executable
    }

    fn checkpoints(&self, data_dir: &Path, pipeline: &str) -> Vec<Committed> {
        let data = DataDir { data_dir: data_dir.to_owned() };
        let list = CheckpointCommand::List(PipelineArg { pipeline: pipeline.to_owned(), data });
        let kept = Kept::default();
        let output = Output::new(true, kept.clone());
        match client::forward(&DataCommand::Checkpoint(list), &output) {
            Ok(Reached::Owner(0)) => committed(&kept.bytes()),
            _ => Vec::new(), // it does not listen yet, or does not know the pipeline yet
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.asked()
    }
}

/// What `checkpoint list --json` says.
fn committed(json: &[u8]) -> Vec<Committed> {
    let list: Vec<serde_json::Value> = serde_json::from_slice(json).unwrap_or_default();
    let one = |checkpoint: &serde_json::Value| {
        let number = |name: &str| checkpoint[name].as_u64();
        let (incarnation, events_read) = (number("incarnation")?, number("events_read")?);
        Some(Committed { incarnation, events_read, output_events: number("output_events")? })
    };
    list.iter().filter_map(one).collect()
}

/// Ends of a command whose data is kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Ends for Kept {
    fn stdout(&self) -> Box<dyn Write + Send> {
        Box::new(self.clone())
    }

    fn say(&self, _: &str) {}

    fn stdout_is_terminal(&self) -> bool {
        false
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn json(line: &Line) -> serde_json::Value {
    let figure = |figure: &Figure| (format!("{}{}", figure.name, figure.unit.suffix()), figure.value.into());
    serde_json::json!({
        "workload": line.workload,
        "case": line.case,
        "figures": line.figures.iter().map(figure).collect::<serde_json::Map<_, _>>(),
        "note": line.note,
    })
}

fn text(line: &Line) -> String {
    let name = format!("{}, {}", line.workload, line.case);
    let figures = line.figures.iter().map(|figure| {
        let name = figure.name.replace('_', " ");
        format!("{name} {}", amount(figure))
    });
    let figures: Vec<String> = figures.chain((!line.note.is_empty()).then(|| line.note.clone())).collect();
    format!("{name:<36}  {}\n", figures.join("  "))
}

/// With three significant digits or so.
fn amount(figure: &Figure) -> String {
    let value = figure.value;
    let short = |value: f64| match value {
        0.0..0.1 => format!("{value:.4}"),
        0.1..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => number(value.round() as u64),
    };
    match figure.unit {
        Unit::EventsPerSecond if value >= 1e6 => format!("{:.2} M/s", value / 1e6),
        Unit::EventsPerSecond => format!("{}/s", short(value)),
        Unit::BytesPerSecond => format!("{}/s", size(value as u64)),
        Unit::Bytes => size(value as u64),
        Unit::Milliseconds => format!("{} ms", short(value)),
        Unit::Nanoseconds => format!("{} ns", short(value)),
        Unit::Count => number(value.round() as u64),
        Unit::Ratio => format!("{}x", short(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_text_and_as_json() {
        let figure = |name, value, unit| Figure { name, value, unit };
        let figures = vec![
            figure("throughput", 4_810_000.0, Unit::EventsPerSecond),
            figure("cost", 208.4, Unit::Nanoseconds),
            figure("against_loop", 0.391, Unit::Ratio),
        ];
        let line = Line { workload: "pass-through", case: "wasm".into(), figures, note: "so".into() };
        let name = format!("{:<36}", "pass-through, wasm");
        assert_eq!(text(&line), format!("{name}  throughput 4.81 M/s  cost 208 ns  against loop 0.39x  so\n"));
        let json = json(&line);
        assert_eq!(json["figures"]["throughput_events_per_s"], 4_810_000.0);
        assert_eq!((&json["figures"]["against_loop_ratio"], &json["case"]), (&0.391.into(), &"wasm".into()));
    }

    #[test]
    fn checkpoints_are_read_as_they_are_listed() {
        let json = br#"[{"epoch":2,"incarnation":3,"events_read":10,"output_events":4},{"epoch":1}]"#;
        assert_eq!(committed(json), [Committed { incarnation: 3, events_read: 10, output_events: 4 }]);
        assert_eq!(committed(b""), []);
    }
}
