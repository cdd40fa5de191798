//! `cargo xtask bench`: every criterion benchmark, after building the guests that they call.

use crate::guests;
use crate::workspace::{self, Workspace, say};
use anyhow::Result;

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    guests::run(workspace)?;
    say("running the benchmarks (optimised build; reports in criterion's folder of the target folder)");
    workspace::run(workspace.cargo(&["bench", "--workspace"]).args(args))
}
