//! Which rustc builds guests for wasm32-unknown-unknown. `tidemill build` asks, and xtask, which compiles this same
//! file and makes the private toolchain where none is found.
//!
//! Order: `TIDEMILL_RUSTC`; the active rustc, if it has the target; the private toolchain in the cache folder.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What guests are compiled for: no WASI at all, so nothing of the outside can be reached.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A rustc that has the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GuestToolchain {
    /// Its path; `None` = cargo's own choice.
    pub(crate) rustc: Option<PathBuf>,
    /// Where it was found, for people.
    pub(crate) origin: String,
}

/// Finds one for a project in `folder`; the error names both ways to get one.
pub(crate) fn find(folder: &Path) -> Result<GuestToolchain> {
    if let Some(rustc) = std::env::var_os("TIDEMILL_RUSTC").map(PathBuf::from) {
        if !has_target(&rustc, folder) {
            bail!("TIDEMILL_RUSTC is {}, which has no {TARGET}: unset it, or name a rustc that has", rustc.display());
        }
        return Ok(GuestToolchain { rustc: Some(rustc), origin: "TIDEMILL_RUSTC".into() });
    }
    let active = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    if has_target(&active, folder) {
        return Ok(GuestToolchain { rustc: None, origin: "the active rustc".into() });
    }
    let private = cache_folder()?.join("toolchain");
    if is_complete(&private) {
        let origin = format!("the private toolchain {}", private.display());
        return Ok(GuestToolchain { rustc: Some(private.join("bin/rustc")), origin });
    }
    bail!("{}", both_ways(&private))
}

/// What to do when there is none.
pub(crate) fn both_ways(private: &Path) -> String {
    format!(
        "no Rust compiler with {TARGET} is here; two ways to get one:\n  \
         rustup target add {TARGET}\n      \
         where rustup can download it\n  \
         cargo xtask guest-toolchain\n      \
         in Tidemill's source: makes a private one from Debian's packages (needs apt, gcc and a network) in\n      {}",
        private.display()
    )
}

/// Where the private toolchain is kept: `$TIDEMILL_TOOLCHAIN_DIR`, or `tidemill/rust-wasm` in the user's cache folder.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("TIDEMILL_TOOLCHAIN_DIR") {
        return std::path::absolute(folder).context("TIDEMILL_TOOLCHAIN_DIR is not a path");
    }
    let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => Path::new(&home).join(".cache"),
        _ => bail!("neither TIDEMILL_TOOLCHAIN_DIR nor XDG_CACHE_HOME nor HOME is set: set one of them"),
    };
    Ok(cache.join("tidemill/rust-wasm"))
}

/// Whether the private toolchain in `folder` has its compiler, its std and a linker (a link into a rustup toolchain that
/// may have gone since).
pub(crate) fn is_complete(folder: &Path) -> bool {
    let lib = folder.join("lib/rustlib");
    let linkers = std::fs::read_dir(&lib).into_iter().flatten().flatten();
    let linked = linkers.map(|entry| entry.path().join("bin/rust-lld")).any(|linker| linker.is_file());
    folder.join("bin/rustc").is_file() && has_std(&lib.join(TARGET).join("lib")) && linked
}

fn has_target(rustc: &Path, folder: &Path) -> bool {
    let mut command = Command::new(rustc);
    command.args(["--print", "target-libdir", "--target", TARGET]).current_dir(folder);
    if rustc.is_absolute() {
        command.env("LD_LIBRARY_PATH", library_path(rustc));
    }
    let Ok(out) = command.output() else { return false };
    out.status.success() && has_std(Path::new(String::from_utf8_lossy(&out.stdout).trim()))
}

fn has_std(libdir: &Path) -> bool {
    let files = std::fs::read_dir(libdir).into_iter().flatten().flatten();
    files.map(|entry| entry.file_name()).any(|name| {
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// What LD_LIBRARY_PATH must be for a private rustc to find its libLLVM.
pub(crate) fn library_path(rustc: &Path) -> std::ffi::OsString {
    let own = rustc.parent().and_then(Path::parent).map(|folder| folder.join("lib")).unwrap_or_default();
    let inherited = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let paths = std::iter::once(own).chain(std::env::split_paths(&inherited));
    std::env::join_paths(paths.filter(|path| !path.as_os_str().is_empty())).unwrap_or_default()
}
