//! `cargo xtask lint`: formatting and clippy, warnings as errors.

use crate::workspace::{self, Workspace, say};
use anyhow::Result;

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    say("checking the formatting");
    workspace::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;
    say("running clippy");
    workspace::run(&mut workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}
