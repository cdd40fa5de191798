//! `cargo xtask guests`: builds every guest component of this repository with `tidemill build`, each into its own
//! folder as `component.wasm`, where pipelines, tests and benchmarks look for it.

use crate::toolchains::Toolchain;
use crate::workspace::{self, Workspace, say};
use crate::{language_tools, toolchain};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders whose subfolders are guests, or hold guests.
const GUEST_FOLDERS: [&str; 3] = ["examples/operators", "host/tests/guests", "guest-sdk"];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    workspace.build_tidemill()?;
    build(workspace)
}

/// Builds the guests; the `tidemill` binary is there already. Those whose language has no tools here are named and left out.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let toolchain = toolchain::ensure(workspace)?;
    let there = language_tools::ensure_all(workspace);
    let (guests, without): (Vec<Guest>, Vec<Guest>) =
        find(workspace)?.into_iter().partition(|guest| guest.tools.is_none_or(|tools| there.contains(&tools)));
    for guest in without {
        say(&format!("NOT BUILT, no tools for its language: {}", guest.folder.display()));
    }
    if guests.is_empty() {
        say("no guests to build");
        return Ok(());
    }
    say(&format!("building {} guest components", guests.len()));
    let mut command = Command::new(workspace.tidemill());
    command.arg("build").args(guests.iter().map(|guest| &guest.folder)).current_dir(&workspace.root);
    toolchain.hand_on(&mut command);
    language_tools::hand_on(workspace, &mut command);
    workspace::run(&mut command)
}

/// A project of this repository.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Guest {
    /// From the root.
    folder: PathBuf,
    /// What its language needs besides Rust.
    tools: Option<Toolchain>,
}

impl Guest {
    /// The project in a folder, if it is one that fits the contract.
    fn read(root: &Path, folder: PathBuf) -> Option<Guest> {
        let project = std::fs::read_to_string(root.join(&folder).join("tidemill.toml")).ok()?;
        // One of the tests' guests is of another world, on purpose: the test itself builds it. A template is not filled in.
        let world = |line: &str| ["world = \"processor\"", "world = \"aggregator\""].contains(&line);
        if !project.lines().any(world) || project.contains("{{") {
            return None;
        }
        let language = project.lines().find_map(|line| line.strip_prefix("language = "))?.trim_matches('"');
        let language = if language == "typescript" { "javascript" } else { language };
        let tools = language_tools::ALL.into_iter().find(|tools| tools.name() == language);
        Some(Guest { folder, tools })
    }
}

/// All of them, sorted.
fn find(workspace: &Workspace) -> Result<Vec<Guest>> {
    let mut guests = Vec::new();
    for folder in GUEST_FOLDERS.map(PathBuf::from) {
        for subfolder in subfolders(&workspace.root, &folder)? {
            let deeper = subfolders(&workspace.root, &subfolder)?.into_iter();
            let found = deeper.chain([subfolder]).filter_map(|folder| Guest::read(&workspace.root, folder));
            guests.extend(found);
        }
    }
    guests.sort();
    Ok(guests)
}

/// The folders in a folder, from the root as it is.
fn subfolders(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let path = root.join(folder);
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))? {
        let entry = entry?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.') || entry.file_name() == "node_modules";
        if entry.path().is_dir() && !hidden {
            found.push(folder.join(entry.file_name()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_are_told_from_templates_and_other_folders() {
        let root = tempfile::tempdir().unwrap();
        let project = |name: &str, text: &str| {
            std::fs::create_dir_all(root.path().join(name)).unwrap();
            std::fs::write(root.path().join(name).join("tidemill.toml"), text).unwrap();
            Guest::read(root.path(), name.into())
        };
        let text = "[component]\nname = \"x\"\nlanguage = \"typescript\"\nworld = \"processor\"\n";
        assert_eq!(project("a", text), Some(Guest { folder: "a".into(), tools: Some(Toolchain::JavaScript) }));
        assert_eq!(project("b", &text.replace("typescript", "rust")), Some(Guest { folder: "b".into(), tools: None }));
        assert_eq!(project("c", &text.replace('x', "{{name}}")), None);
        assert_eq!(project("d", &text.replace("processor", "greeter")), None);
        assert_eq!(Guest::read(root.path(), "nothing".into()), None);
    }
}
