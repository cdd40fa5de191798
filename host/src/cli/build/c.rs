//! C: clang compiles for wasm32-wasi as a reactor; what wasi-libc asks of WASI is answered inside the component.
//!
//! The program is every .c file of the project's `src`, with the SDK's folder on the include path and the SDK's own .c files.

use super::super::toolchains::clang;
use super::{Made, Source, sdk, tool};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

pub(super) fn build(source: &Source<'_>) -> Result<(Made, String)> {
    let src = source.folder.join("src");
    let own = c_files(&src)?;
    if own.is_empty() {
        bail!("no .c file in {}: the program is all of them", src.display());
    }
    let clang = clang::find()?;
    source.say(&clang.origin);
    let sdk = sdk::ensure(&source.folder, &source.project)?;
    let out = source.scratch()?.join("module.wasm");
    let mut command = clang.command();
    command.args(["-mexec-model=reactor", "-std=c11", "-O2", "-flto", "-Wall", "-Wl,--strip-debug"]);
    // A stack of 256 KiB below the data: an overflow traps, it does not run into the data.
    command.args(["-Wl,-z,stack-size=262144", "-Wl,--stack-first"]);
    command.arg("-I").arg(&sdk).arg("-I").arg(&src).args(own).args(c_files(&sdk)?).arg("-o").arg(&out);
    command.current_dir(&source.folder);
    tool::run(&mut command, "clang")?;
    Ok((Made::Module(tool::read(&out, "clang")?), clang.origin))
}

/// The .c files of a folder, sorted.
fn c_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "c"));
    files.sort();
    Ok(files)
}
