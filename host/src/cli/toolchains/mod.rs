//! Where the tools of the other languages lie, and in which versions. `tidemill build` looks here, and xtask, which compiles
//! this same file and fills the folder (`cargo xtask toolchain`).
//!
//! A toolchain folder holds one folder per language and version, whole once its `.complete` is there.

pub(crate) mod clang;
pub(crate) mod golang;

use std::path::{Path, PathBuf};

/// The versions that everything is tested with.
pub(crate) const COMPONENTIZE_PY: &str = "0.25.1";
pub(crate) const JCO: &str = "1.35.0";
pub(crate) const COMPONENTIZE_JS: &str = "0.23.0";
pub(crate) const GO: &str = "1.26.6";
pub(crate) const CLANG: &str = "19";

/// Names a folder of toolchains.
pub(crate) const VARIABLE: &str = "TIDEMILL_TOOLCHAINS";

/// A language whose tools are kept in a toolchain folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Toolchain {
    /// componentize-py, as pip puts it into a folder; run by the python3 of PATH.
    Python,
    /// jco and componentize-js, in a node_modules; run by the node of PATH. TypeScript too.
    JavaScript,
    /// The Go distribution.
    Go,
    /// clang, lld and wasi-libc, unpacked from Debian's packages.
    C,
}

impl Toolchain {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Toolchain::Python => "python",
            Toolchain::JavaScript => "javascript",
            Toolchain::Go => "go",
            Toolchain::C => "c",
        }
    }

    /// Its folder within a toolchain folder: another version is another folder.
    pub(crate) fn folder_name(self) -> String {
        let version = match self {
            Toolchain::Python => COMPONENTIZE_PY,
            Toolchain::JavaScript => JCO,
            Toolchain::Go => GO,
            Toolchain::C => CLANG,
        };
        format!("{}-{version}", self.name())
    }

    /// Its folder, if one of the toolchain folders has it whole.
    pub(crate) fn find(self) -> Option<PathBuf> {
        folders().iter().map(|folder| folder.join(self.folder_name())).find(|folder| is_complete(folder))
    }
}

/// What is written last into a toolchain.
pub(crate) const COMPLETE: &str = ".complete";

pub(crate) fn is_complete(folder: &Path) -> bool {
    folder.join(COMPLETE).is_file()
}

/// Where toolchains are looked for: the folder that `TIDEMILL_TOOLCHAINS` names, or else `toolchains` beside the folder of
/// this program (target/toolchains of a checkout).
pub(crate) fn folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        return vec![PathBuf::from(folder)];
    }
    let program = std::env::current_exe().ok();
    let beside =
        program.as_deref().and_then(Path::parent).and_then(Path::parent).map(|folder| folder.join("toolchains"));
    beside.into_iter().collect()
}

/// A program on PATH.
pub(crate) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let files = std::env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}
