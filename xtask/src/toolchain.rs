//! `cargo xtask guest-toolchain`: makes sure that guests can be compiled, and hands the compiler on to `tidemill build`.
//!
//! In order: what is there already, `rustup target add`, the private toolchain of rust-wasm-target.sh (cached).

use crate::guest_toolchain::{self, GuestToolchain, TARGET};
use crate::workspace::{Workspace, say};
use anyhow::{Context, Result, anyhow, bail};
use std::process::{Command, Stdio};

const RECIPE: &str = include_str!("rust-wasm-target.sh");

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let toolchain = match args {
        [] => ensure(workspace)?,
        [flag] if flag == "--fallback" => private()?,
        _ => bail!("guest-toolchain takes only --fallback"),
    };
    say(&format!("guests are compiled by {}", toolchain.origin));
    println!("{}", toolchain.rustc.unwrap_or_else(|| "rustc".into()).display());
    Ok(())
}

impl GuestToolchain {
    /// Makes a `tidemill build`, or the tests that call it, use the same compiler.
    pub(crate) fn hand_on(&self, command: &mut Command) {
        if let Some(rustc) = &self.rustc {
            command.env("TIDEMILL_RUSTC", rustc);
        }
    }
}

/// Finds a compiler with the target or makes one.
pub(crate) fn ensure(workspace: &Workspace) -> Result<GuestToolchain> {
    if let Ok(found) = guest_toolchain::find(&workspace.root) {
        return Ok(found);
    }
    if std::env::var_os("TIDEMILL_RUSTC").is_some() {
        return guest_toolchain::find(&workspace.root); // the user's choice is wrong: say so, do not work around it
    }
    if rustup_adds_target(workspace)
        && let Ok(found) = guest_toolchain::find(&workspace.root)
    {
        return Ok(found);
    }
    private()
}

fn rustup_adds_target(workspace: &Workspace) -> bool {
    say(&format!("rustup target add {TARGET}"));
    let added = Command::new("rustup").args(["target", "add", TARGET]).current_dir(&workspace.root).status();
    let added = added.is_ok_and(|status| status.success());
    if !added {
        say(
            "rustup cannot add it; making a private toolchain from Debian's packages instead (once, about two minutes)",
        );
    }
    added
}

/// The private toolchain, made if it is not there. A second call costs nothing.
fn private() -> Result<GuestToolchain> {
    let folder = guest_toolchain::cache_folder()?;
    let toolchain = folder.join("toolchain");
    if !guest_toolchain::is_complete(&toolchain) {
        say(&format!("making a private Rust toolchain for {TARGET} in {}", folder.display()));
        make(&folder).map_err(|error| anyhow!("{error:#}\n{}", guest_toolchain::both_ways(&toolchain)))?;
    }
    if !guest_toolchain::is_complete(&toolchain) {
        bail!(
            "{} was made but lacks its compiler, std or linker: remove the folder and try again",
            toolchain.display()
        );
    }
    let origin = format!("the private toolchain {}", toolchain.display());
    Ok(GuestToolchain { rustc: Some(toolchain.join("bin/rustc")), origin })
}

fn make(folder: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut bash = Command::new("bash");
    bash.args(["-c", RECIPE, "rust-wasm-target"]).arg(folder).stdin(Stdio::null());
    let status = bash.status().context("cannot start bash")?;
    if !status.success() {
        bail!("the recipe for Debian's packages failed ({status}); its own words are above");
    }
    Ok(())
}
