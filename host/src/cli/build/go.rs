//! Go: the standard toolchain builds a reactor for wasip1; what its runtime asks of WASI is answered inside the component.
//!
//! The program is the main package of the project's folder (`entry` names another package, as in "./cmd/operator").

use super::super::toolchains::golang;
use super::{Made, Source, sdk, tool};
use anyhow::{Result, bail};
use std::process::Command;

pub(super) fn build(source: &Source<'_>) -> Result<(Made, String)> {
    if !source.folder.join("go.mod").is_file() {
        bail!("no {}: the folder is no Go module", source.folder.join("go.mod").display());
    }
    let (go, origin) = golang::find(&source.folder)?;
    source.say(&origin);
    if source.project.sdk.is_none() {
        sdk::ensure(&source.folder, &source.project)?; // go.mod's `replace` names it
    }
    let out = source.scratch()?.join("module.wasm");
    let mut command = Command::new(go);
    command.args(["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o"]).arg(&out);
    command.arg(source.project.entry.as_deref().unwrap_or("."));
    command.current_dir(&source.folder).env("GOOS", "wasip1").env("GOARCH", "wasm").env("CGO_ENABLED", "0");
    tool::run(&mut command, "go build")?;
    Ok((Made::Module(tool::read(&out, "go build")?), origin))
}
