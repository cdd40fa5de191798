//! `tidemill new`
use super::args::NewArgs;
use super::output::Output;
pub(crate) fn run(_a: &NewArgs, _o: &Output) -> anyhow::Result<()> {
    anyhow::bail!("")
}
