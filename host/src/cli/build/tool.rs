//! Runs a language's tool: what it says goes into the error when it fails, and is dropped when it does not.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// The most lines of a tool's words in an error.
const LINES_MAX: usize = 60;

/// Runs it to its end; `name` is what errors call it.
pub(super) fn run(command: &mut Command, name: &str) -> Result<()> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    if out.status.success() {
        return Ok(());
    }
    let said = [String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)].concat();
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let left_out = lines.len().saturating_sub(LINES_MAX);
    let mut text = lines[left_out..].join("\n  ");
    if left_out > 0 {
        text.insert_str(0, &format!("(the last {LINES_MAX} of {} lines)\n  ", lines.len()));
    }
    bail!("{name} failed ({}):\n  {text}", out.status)
}

/// Reads what a tool wrote.
pub(super) fn read(file: &Path, name: &str) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{name} wrote no {}", file.display()))
}
