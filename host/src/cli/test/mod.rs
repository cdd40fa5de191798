//! `tidemill test`: runs the cases of a project's `tests/*.toml` against its component, in whatever language it is written,
//! in the sandbox and over state in memory. With `--crash` each case runs again, broken off at one call after another.
//!
//! ```text
//! case.rs    a case as it is written
//! run.rs     its steps as calls
//! rig.rs     one operator without a pipeline
//! judge.rs   what differs from what is expected
//! ```

mod case;
mod judge;
pub(crate) mod rig;
mod run;

use super::args::TestArgs;
use super::build::{self, sdk};
use super::output::Output;
use super::project::{Project, World};
use anyhow::{Context, Result, bail};
use run::Subject;
use std::path::{Path, PathBuf};
use tidemill::wasm::component::BUILT_COMPONENT;
use tidemill::wasm::{EngineOptions, WasmEngine, component};

/// How one case ended.
struct Verdict {
    file: PathBuf,
    name: String,
    problems: Vec<String>,
    /// Runs that were broken off somewhere.
    crashes: usize,
}

pub(crate) fn run(args: &TestArgs, output: &Output) -> Result<()> {
    let folder = &args.project;
    let world = Project::read(folder)?.world;
    let files = files(folder)?;
    if !args.no_build {
        build::build(folder, false, output)?;
    }
    let subject = load(folder, world)?;
    let mut verdicts = Vec::new();
    for file in files {
        for case in case::read(&file)? {
            if args.names.is_empty() || args.names.iter().any(|part| case.name.contains(part)) {
                let verdict = try_case(&subject, &file, &case, args.crash)?;
                if !output.json() {
                    output.data(|| serde_json::Value::Null, || text(&verdict))?;
                }
                verdicts.push(verdict);
            }
        }
    }
    if verdicts.is_empty() {
        bail!("no case of {} is meant by {}", folder.display(), args.names.join(", "));
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.problems.is_empty()).count();
    let all = verdicts.len();
    output.data(|| json(&verdicts), || format!("{} passed, {failed} failed\n", all - failed))?;
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} of {all} cases failed"),
    }
}

/// The files of cases, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let tests = folder.join("tests");
    let entries = std::fs::read_dir(&tests).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|file| file.extension().is_some_and(|ending| ending == "toml")).collect();
    if files.is_empty() {
        bail!("no cases: write them into {} (docs/operator-projects.md)", tests.join("*.toml").display());
    }
    files.sort();
    Ok(files)
}

fn load(folder: &Path, world: World) -> Result<Subject> {
    let cache = folder.join(sdk::GENERATED).join("cache");
    let engine = WasmEngine::new(EngineOptions { cache_dir: Some(cache) })?;
    let component = component::load(&engine, &folder.join(BUILT_COMPONENT))?;
    Ok(Subject { engine, component, world })
}

fn try_case(subject: &Subject, file: &Path, case: &case::Case, crash: bool) -> Result<Verdict> {
    let in_file = || file.display().to_string();
    let straight = subject.run(case).with_context(in_file)?;
    let mut problems = judge::judge(case, &straight);
    let mut crashes = 0;
    if crash && problems.is_empty() {
        let (runs, different) = subject.crash(case, &straight).with_context(in_file)?;
        crashes = runs;
        if let Some((place, outcome)) = different {
            problems.push(format!("not the same again, {place}"));
            let also = judge::judge(case, &outcome);
            if also.is_empty() {
                let more = match subject.world {
                    World::Processor => "output, state and timers",
                    World::Aggregator => "output",
                };
                problems.push(format!("what differs is nothing that the case compares: give it {more}"));
            }
            problems.extend(also);
        }
    }
    Ok(Verdict { file: file.to_owned(), name: case.name.clone(), problems, crashes })
}

fn text(verdict: &Verdict) -> String {
    let crashes = match verdict.crashes {
        0 => String::new(),
        n => format!(" (and the same in {n} runs with crashes)"),
    };
    if verdict.problems.is_empty() {
        return format!("ok      {}{crashes}\n", verdict.name);
    }
    let mut text = format!("FAILED  {}  ({})\n", verdict.name, verdict.file.display());
    for problem in &verdict.problems {
        for line in problem.lines() {
            text.push_str(&format!("        {line}\n"));
        }
    }
    text
}

fn json(verdicts: &[Verdict]) -> serde_json::Value {
    let case = |verdict: &Verdict| {
        serde_json::json!({
            "file": verdict.file.display().to_string(),
            "case": verdict.name,
            "passed": verdict.problems.is_empty(),
            "problems": verdict.problems,
            "crash_runs": verdict.crashes,
        })
    };
    verdicts.iter().map(case).collect()
}
