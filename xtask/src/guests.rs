//! `cargo xtask guests`: builds every guest component of this repository with `tidemill build`, each into its own
//! folder as `component.wasm`, where pipelines, tests and benchmarks look for it.

use crate::toolchain;
use crate::workspace::{self, Workspace, say};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders whose subfolders are guests.
const GUEST_FOLDERS: [&str; 2] = ["examples/operators", "host/tests/guests"];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    workspace.build_tidemill()?;
    build(workspace)
}

/// Builds the guests; the `tidemill` binary is there already.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let guests = find(workspace)?;
    if guests.is_empty() {
        say("no guests to build");
        return Ok(());
    }
    let toolchain = toolchain::ensure(workspace)?;
    say(&format!("building {} guest components", guests.len()));
    let mut command = Command::new(workspace.tidemill());
    command.arg("build").args(&guests).current_dir(&workspace.root);
    toolchain.hand_on(&mut command);
    workspace::run(&mut command)
}

/// Their folders, from the root.
fn find(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut guests = Vec::new();
    for folder in GUEST_FOLDERS {
        let path = workspace.root.join(folder);
        if !path.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))? {
            let entry = entry?;
            // One of the tests' guests is of another world, on purpose: the test itself builds it.
            let project = std::fs::read_to_string(entry.path().join("tidemill.toml")).unwrap_or_default();
            if project.lines().any(|line| line == "world = \"processor\"") {
                guests.push(Path::new(folder).join(entry.file_name()));
            }
        }
    }
    guests.sort();
    Ok(guests)
}
