//! What an instance of a word-count operator takes of memory, measured in a process of its own: in one that has compiled
//! components, what compiling left behind comes and goes meanwhile.

use super::languages::{self, Scale};
use crate::cli::output::Output;
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// Asks a new process of this program. `None` where the system does not tell.
pub(super) fn ask(language: &str, folder: &Path, cache: &Path, scale: &Scale) -> Result<Option<u64>> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.args(["bench", "languages", "--json", "--scale", scale.name, "--instances-of", language]);
    command.arg("--cache").arg(cache).arg("--components").arg(folder);
    let out = command.stdin(Stdio::null()).output().context("cannot start this program again")?;
    if !out.status.success() {
        bail!("measuring its memory failed: {}", String::from_utf8_lossy(&out.stderr));
    }
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).context("it gave no JSON")?;
    Ok(said["instance_bytes"].as_u64())
}

/// The other side of it.
pub(super) fn run(language: &str, folder: &Path, cache: &Path, scale: &Scale, output: &Output) -> Result<()> {
    let factory = languages::factory(language, folder, cache)?;
    let batches = languages::batches();
    let worked = || {
        let mut rig = languages::open(&factory)?;
        languages::work(&mut rig, &batches).map(|_| rig)
    };
    // It stays, so that what only the first pays is not in what the others add.
    let first = worked()?;
    let before = resident();
    let others = (0..scale.instances).map(|_| worked()).collect::<Result<Vec<_>>>()?;
    let grown = resident().zip(before).map(|(after, before)| after.saturating_sub(before));
    let each = grown.map(|grown| grown / scale.instances as u64);
    drop((first, others));
    output.data(|| serde_json::json!({ "instance_bytes": each }), || format!("{}\n", each.unwrap_or_default()))
}

/// This process's memory, bytes, a page that several mappings share counted once; where the system tells.
fn resident() -> Option<u64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
