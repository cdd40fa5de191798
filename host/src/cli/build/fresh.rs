//! Whether a component is what its project would be built to anyway. `.tidemill/built.json` keeps a digest of everything
//! that went into it (the project's files, the SDK, this program) and what was said of it; cargo does the like for Rust.

use super::super::project::Project;
use super::sdk;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tidemill::wasm::component::BUILT_COMPONENT;

/// Folders of a project that its program is not made of, besides hidden ones.
const APART: [&str; 6] = ["target", "node_modules", "__pycache__", "venv", "data", "tidemill-data"];

/// The digest of what a project's component is made of.
pub(super) fn inputs(folder: &Path, project: &Project) -> Result<String> {
    let mut hash = Sha256::new();
    let program =
        std::env::current_exe().and_then(std::fs::metadata).context("cannot look at this program's own file")?;
    let modified = program.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    hash.update(format!("{} {:?}\n", program.len(), modified.map(|time| time.as_nanos())));
    add(&mut hash, folder)?;
    match &project.sdk {
        Some(sdk) => add(&mut hash, &folder.join(sdk))?,
        None => {} // the program's own
    }
    Ok(hex(hash))
}

/// Whether a file or folder of this name is none that a project's program is made of.
pub(crate) fn is_apart(name: &str) -> bool {
    name.starts_with('.') || APART.contains(&name) || name == BUILT_COMPONENT
}

/// The files that a project's program is made of, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    walk(folder, &mut Vec::new())
}

/// The folders that they lie in, the project's own among them.
pub(crate) fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    walk(folder, &mut folders);
    folders
}

fn walk(folder: &Path, folders: &mut Vec<PathBuf>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    folders.push(folder.to_owned());
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        match entry.file_type() {
            _ if is_apart(&name.to_string_lossy()) => {}
            Ok(kind) if kind.is_dir() => files.extend(walk(&path, folders)),
            Ok(_) => files.push(path),
            Err(_) => {}
        }
    }
    files.sort();
    files
}

fn add(hash: &mut Sha256, folder: &Path) -> Result<()> {
    for file in files(folder) {
        let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        hash.update(format!("{} {}\n", file.display(), bytes.len()));
        hash.update(&bytes);
    }
    Ok(())
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn record_file(folder: &Path) -> PathBuf {
    folder.join(sdk::GENERATED).join("built.json")
}

/// Notes what was built of these inputs.
pub(super) fn note(folder: &Path, inputs: &str, report: &serde_json::Value) -> Result<()> {
    let file = record_file(folder);
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let record = serde_json::json!({ "inputs": inputs, "report": report });
    std::fs::write(&file, format!("{record:#}\n")).with_context(|| format!("cannot write {}", file.display()))
}

/// What was said of the component, if it is there, unchanged, and made of these inputs.
pub(super) fn check(folder: &Path, inputs: &str) -> Option<serde_json::Value> {
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(record_file(folder)).ok()?).ok()?;
    let component = std::fs::read(folder.join(BUILT_COMPONENT)).ok()?;
    let mut hash = Sha256::new();
    hash.update(&component);
    let fits = record["inputs"] == inputs && record["report"]["digest"] == format!("sha256:{}", hex(hash));
    fits.then(|| record["report"].clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_source_or_of_the_component_is_noticed_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        let text = "[component]\nname = \"x\"\nlanguage = \"go\"\nworld = \"processor\"\n";
        write("tidemill.toml", text);
        write("main.go", "package main");
        write(BUILT_COMPONENT, "made");
        let project = Project::read(folder.path()).unwrap();
        let now = || inputs(folder.path(), &project).unwrap();
        let (first, report) =
            (now(), serde_json::json!({ "digest": format!("sha256:{}", hex(Sha256::new_with_prefix("made"))) }));
        assert_eq!(check(folder.path(), &first), None);
        note(folder.path(), &first, &report).unwrap();
        write(".tidemill/sdk/sdk.go", "generated");
        write("node_modules/x/index.js", "fetched");
        assert_eq!(now(), first);
        assert_eq!(check(folder.path(), &first), Some(report));
        write(BUILT_COMPONENT, "changed");
        assert_eq!(check(folder.path(), &first), None);
        write("main.go", "package main // changed");
        assert_ne!(now(), first);
    }
}
