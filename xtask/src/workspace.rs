//! This checkout and the commands run in it: the one door through which every verb starts a process.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where things are.
pub(crate) struct Workspace {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Cargo's target folder: one for everything.
    pub(crate) target: PathBuf,
    cargo: OsString,
}

/// Says on stderr what happens next.
pub(crate) fn say(what: &str) {
    eprintln!("==> {what}");
}

impl Workspace {
    /// Finds the checkout and asks cargo for its target folder.
    pub(crate) fn find() -> Result<Workspace> {
        // Cargo sets this when it runs us; the built-in value serves a binary started by hand.
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest).parent().context("xtask lies in the repository's root")?.to_owned();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let out = Command::new(&cargo)
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(&root)
            .output()
            .context("cannot run cargo: install Rust from https://rustup.rs")?;
        if !out.status.success() {
            bail!("cargo metadata failed in {}:\n{}", root.display(), String::from_utf8_lossy(&out.stderr));
        }
        let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).context("cargo metadata is not JSON")?;
        let target = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
        Ok(Workspace { root, target: target.into(), cargo })
    }

    /// A cargo command in the root.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.cargo);
        command.args(args).current_dir(&self.root);
        command
    }

    /// The `tidemill` binary of the dev profile; built by [`Workspace::build_tidemill`] or by building the tests.
    pub(crate) fn tidemill(&self) -> PathBuf {
        self.target.join("debug").join(format!("tidemill{}", std::env::consts::EXE_SUFFIX))
    }

    /// Builds it.
    pub(crate) fn build_tidemill(&self) -> Result<()> {
        say("building tidemill (the first time compiles its dependencies too: a few minutes)");
        // --workspace: the features of dependencies are then those of the tests, and nothing is compiled twice.
        run(&mut self.cargo(&["build", "--workspace", "--bin", "tidemill"]))
    }
}

/// Runs a command to its end; a failure names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
