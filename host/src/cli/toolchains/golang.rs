//! A Go that can export functions of a component: PATH's, or that of a toolchain folder.

use super::{GO, Toolchain, on_path};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The first with `go:wasmexport`.
const OLDEST: (u32, u32) = (1, 24);

/// PATH's if it is new enough, else that of a toolchain folder.
pub(crate) fn find(folder: &Path) -> Result<(PathBuf, String)> {
    let mut too_old = None;
    let on_path = on_path(&["go", "go.exe"]);
    let kept = Toolchain::Go.find().map(|toolchain| toolchain.join("go/bin/go"));
    for go in on_path.into_iter().chain(kept) {
        let version = version(&go, folder)?;
        match number(&version) {
            Some(number) if number >= OLDEST => return Ok((go.clone(), format!("{version} ({})", go.display()))),
            _ => too_old = Some(format!("{} is {version}, and {}.{} is needed", go.display(), OLDEST.0, OLDEST.1)),
        }
    }
    let why = too_old.unwrap_or_else(|| "go is not here (looked on PATH and in toolchain folders)".into());
    bail!(
        "{why}; to get it:\n  \
         https://go.dev/dl, or your system's packages\n      \
         or\n  \
         cargo xtask toolchain go\n      \
         in Tidemill's source: Go {GO}"
    )
}

fn version(go: &Path, folder: &Path) -> Result<String> {
    let mut command = Command::new(go);
    command.args(["env", "GOVERSION"]).current_dir(folder).stdin(Stdio::null());
    let out = command.output().with_context(|| format!("cannot start {}", go.display()))?;
    if !out.status.success() {
        bail!("{} env GOVERSION failed:\n{}", go.display(), String::from_utf8_lossy(&out.stderr));
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// Of `go1.26.8`: (1, 26).
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.strip_prefix("go")?.split(['.', '-', ' ']);
    let minor = |part: &str| part.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    Some((parts.next()?.parse().ok()?, minor(parts.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(number("go1.26.8"), Some((1, 26)));
        assert_eq!(number("go1.27rc1"), Some((1, 27)));
        assert_eq!(number("go1.9"), Some((1, 9)));
        assert_eq!(number("devel +abc"), None);
        assert!(number("go1.23.4") < Some(OLDEST));
    }
}
