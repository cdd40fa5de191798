//! Rust: cargo compiles for wasm32-unknown-unknown, which has no WASI at all; the SDK's bindings put the component type into
//! the module.

use super::super::guest_toolchain::{self, GuestToolchain, TARGET};
use super::{Made, Source};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(super) fn build(source: &Source<'_>) -> Result<(Made, String)> {
    let manifest = source.folder.join("Cargo.toml");
    let toolchain = guest_toolchain::find(&source.folder)?;
    source.say(&toolchain.origin);
    let manifest = std::fs::canonicalize(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let module = compile(&manifest, &toolchain)?;
    let core = std::fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
    Ok((Made::Module(core), toolchain.origin))
}

/// Runs cargo; returns the core module of the project's cdylib.
fn compile(manifest: &Path, toolchain: &GuestToolchain) -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--lib", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    cargo.arg("--manifest-path").arg(manifest).stdin(Stdio::null()).stdout(Stdio::piped());
    if std::env::var_os("CARGO_PROFILE_RELEASE_STRIP").is_none() {
        // Most of a module is std's line tables. Function names stay, and with them readable backtraces.
        cargo.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    }
    if let Some(folder) = manifest.parent() {
        cargo.current_dir(folder); // its own .cargo/config.toml and rust-toolchain.toml hold
    }
    if let Some(rustc) = &toolchain.rustc {
        cargo.env("RUSTC", rustc).env("LD_LIBRARY_PATH", guest_toolchain::library_path(rustc));
    }
    let mut child = cargo.spawn().context("cannot run cargo: install Rust from https://rustup.rs")?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    let mut module = None;
    for line in BufReader::new(stdout).lines() {
        module = cdylib(&line.context("cannot read cargo's messages")?, manifest).or(module);
    }
    let status = child.wait().context("cargo got lost")?;
    if !status.success() {
        bail!("cargo build failed ({status}); its own words are above");
    }
    module.context("it has no cdylib: Cargo.toml needs `crate-type = [\"cdylib\", \"rlib\"]` under [lib]")
}

/// The .wasm file of a `compiler-artifact` message about this project's cdylib.
fn cdylib(message: &str, manifest: &Path) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_cdylib = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "cdylib");
    if message["reason"] != "compiler-artifact" || !is_cdylib || message["manifest_path"].as_str() != manifest.to_str()
    {
        return None;
    }
    let files = message["filenames"].as_array()?.iter().filter_map(|file| file.as_str());
    files.map(PathBuf::from).find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_projects_own_cdylib_is_taken() {
        let message = |reason: &str, manifest: &str, kind: &str| {
            serde_json::json!({
                "reason": reason, "manifest_path": manifest, "target": { "kind": [kind, "rlib"] },
                "filenames": ["/t/deps/libx.rlib", "/t/x.wasm"],
            })
            .to_string()
        };
        let manifest = Path::new("/p/Cargo.toml");
        let found = cdylib(&message("compiler-artifact", "/p/Cargo.toml", "cdylib"), manifest);
        assert_eq!(found, Some(PathBuf::from("/t/x.wasm")));
        assert_eq!(cdylib(&message("compiler-artifact", "/other/Cargo.toml", "cdylib"), manifest), None);
        assert_eq!(cdylib(&message("compiler-artifact", "/p/Cargo.toml", "proc-macro"), manifest), None);
        assert_eq!(cdylib("warning: not JSON", manifest), None);
    }
}
