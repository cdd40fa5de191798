//! The tools of the guest languages as tests find them, beside those that `tidemill build` finds by itself.
#![allow(dead_code, reason = "each test program uses its own part")]

#[path = "skipped.rs"]
mod skipped;

pub(crate) use skipped::skipped;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What `tidemill build` says when the tools of a language are not on this machine.
const NOT_HERE: [&str; 3] = ["cargo xtask toolchain", "cargo xtask guest-toolchain", "node is not on PATH"];

/// Whether a build failed for want of tools.
pub(crate) fn are_missing(said: &str) -> bool {
    NOT_HERE.iter().any(|words| said.contains(words))
}

/// Folders of toolchain folders that hold programs which tests run: rolldown and tsc, go.
fn kept() -> Vec<PathBuf> {
    const PROGRAMS: [(&str, &str); 2] = [("javascript-", "node_modules/.bin"), ("go-", "go/bin")];
    let named = std::env::var_os("TIDEMILL_TOOLCHAINS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let beside =
        || Path::new(env!("CARGO_BIN_EXE_tidemill")).ancestors().nth(2).map(|target| target.join("toolchains"));
    let entries = named.or_else(beside).and_then(|folder| std::fs::read_dir(folder).ok());
    let of = |toolchain: PathBuf| {
        let name = toolchain.file_name()?.to_string_lossy().into_owned();
        let programs = PROGRAMS.iter().find(|(language, _)| name.starts_with(language))?.1;
        Some(toolchain.join(programs)).filter(|programs| programs.is_dir())
    };
    entries.into_iter().flatten().flatten().filter_map(|entry| of(entry.path())).collect()
}

/// PATH with them behind it.
pub(crate) fn path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(kept()).collect();
    std::env::join_paths(folders).expect("folders of PATH")
}

/// Whether all of these programs are there.
pub(crate) fn are_there(programs: &[&str]) -> bool {
    let there = |program: &&str| std::env::split_paths(&path()).any(|folder| folder.join(program).is_file());
    programs.iter().all(there)
}
