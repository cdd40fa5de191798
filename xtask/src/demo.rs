//! `cargo xtask demo`: runs the main job, a year of flights out of New York, and prints what it committed.

use crate::workspace::{self, Workspace, say};
use crate::{monthly, toolchain};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

const OPERATOR: &str = "examples/operators/flight-stats";
const PIPELINE: &str = "examples/pipelines/flight-delays/pipeline.toml";
const STREAM: &str = "flights/daily";
const FIRST_ROWS: usize = 6;

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    workspace.build_tidemill()?;
    let toolchain = toolchain::ensure(workspace)?;
    say(&format!("building the operator, {OPERATOR}"));
    let mut build = Command::new(workspace.tidemill());
    build.args(["build", OPERATOR]).current_dir(&workspace.root);
    toolchain.hand_on(&mut build);
    workspace::run(&mut build)?;

    let data = workspace.target.join("demo");
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
    }
    say(&format!("running {PIPELINE} with a fresh data directory, {}", data.display()));
    let mut pipeline = Command::new(workspace.tidemill());
    pipeline.args(["run", PIPELINE, "--data-dir"]).arg(&data).current_dir(&workspace.root);
    workspace::run(&mut pipeline)?;

    say(&format!("reading the committed stream {STREAM}"));
    let mut cat = Command::new(workspace.tidemill());
    cat.args(["stream", "cat", STREAM, "--data-dir"]).arg(&data).current_dir(&workspace.root);
    let out = cat.stderr(Stdio::inherit()).output().context("cannot start tidemill")?;
    if !out.status.success() {
        bail!("{} failed ({})", workspace::line(&cat), out.status);
    }
    let days = monthly::parse(&String::from_utf8(out.stdout).context("stream cat did not print UTF-8")?)?;
    println!("\n{} results, one per origin and day; the first {FIRST_ROWS} (delays in minutes):\n", days.len());
    print!("{}", monthly::first_rows(&days, FIRST_ROWS));
    println!("\nby month:\n\n{}", monthly::by_month(&days));
    let shown = |path: &std::path::Path| path.strip_prefix(&workspace.root).unwrap_or(path).display().to_string();
    let (tidemill, data) = (shown(&workspace.tidemill()), shown(&data));
    println!("the same by hand:\n");
    println!("  {tidemill} build {OPERATOR}");
    println!("  {tidemill} run {PIPELINE} --data-dir {data}");
    println!("  {tidemill} stream cat {STREAM} --data-dir {data}");
    Ok(())
}
