//! A clang that compiles for wasm32-wasi: the system's, or one unpacked from Debian's packages into a toolchain folder.

use super::{CLANG, Toolchain, on_path};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const TARGET: &str = "--target=wasm32-wasi";

/// A clang with what wasm needs beside it.
pub(crate) struct Clang {
    pub(crate) program: PathBuf,
    /// The folder that its packages were unpacked to, if they are not the system's.
    root: Option<PathBuf>,
    pub(crate) origin: String,
}

impl Clang {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(TARGET);
        if let Some(root) = &self.root {
            command.arg("--sysroot").arg(root.join("usr"));
            let linker = root.join(format!("usr/lib/llvm-{CLANG}/bin/wasm-ld"));
            command.arg(format!("-fuse-ld={}", linker.display()));
            let own = root.join("lib");
            let inherited = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
            let paths = std::iter::once(own).chain(std::env::split_paths(&inherited));
            let paths = std::env::join_paths(paths.filter(|path| !path.as_os_str().is_empty()));
            command.env("LD_LIBRARY_PATH", paths.unwrap_or_default());
        }
        command
    }

    /// Whether a program of three lines links: clang alone is not enough, it needs wasm-ld, wasi-libc and its own runtime.
    fn works(&self) -> Result<bool> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let file = folder.path().join("trial.c");
        std::fs::write(
            &file,
            "#include <stdlib.h>\n#include <string.h>\nvoid *trial(void) { return strdup(\"x\"); }\n",
        )
        .with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = self.command();
        command
            .args(["-mexec-model=reactor", "-O2", "-flto"])
            .arg(&file)
            .arg("-o")
            .arg(folder.path().join("trial.wasm"));
        let ran = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        Ok(ran.is_ok_and(|status| status.success()))
    }
}

/// PATH's if it can, else that of a toolchain folder.
pub(crate) fn find() -> Result<Clang> {
    let names = [format!("clang-{CLANG}"), "clang".to_owned()];
    let mut lacking = Vec::new();
    for name in &names {
        let Some(program) = on_path(&[name]) else { continue };
        let clang = Clang { origin: format!("{name} of PATH"), program, root: None };
        if clang.works()? {
            return Ok(clang);
        }
        lacking.push(name.as_str());
    }
    if let Some(root) = Toolchain::C.find() {
        let program = root.join(format!("usr/lib/llvm-{CLANG}/bin/clang"));
        return Ok(Clang { program, origin: format!("clang {CLANG} in {}", root.display()), root: Some(root) });
    }
    let why = match lacking.is_empty() {
        true => "clang is not here (looked on PATH and in toolchain folders)".to_owned(),
        false => format!(
            "{} links nothing for wasm32-wasi: wasm-ld, wasi-libc or clang's wasm32 runtime is missing",
            lacking.join(" and ")
        ),
    };
    bail!(
        "{why}; to get it:\n  \
         apt-get install clang-{CLANG} lld-{CLANG} wasi-libc libclang-rt-{CLANG}-dev-wasm32\n      \
         on Debian and its derivatives, or\n  \
         cargo xtask toolchain c\n      \
         in Tidemill's source: unpacks the same packages without installing them"
    )
}
