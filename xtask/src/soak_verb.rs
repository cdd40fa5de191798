//! `cargo xtask soak [--minutes N] [--seed N] [--tidemill FILE]`: builds what is needed and lets `soak/` run.

use crate::soak::{self, Options};
use crate::workspace::{Workspace, say};
use crate::{guests, toolchain};
use anyhow::{Context, Result, bail};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const USAGE: &str = "usage: cargo xtask soak [--minutes N] [--seed N] [--tidemill FILE]";
const MINUTES: u64 = 30;

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let (mut minutes, mut seed, mut tidemill) = (MINUTES, None, None);
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let value = args.next().with_context(|| format!("{name} needs a value\n{USAGE}"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{name} takes a whole number\n{USAGE}"));
        match name.as_str() {
            "--minutes" => minutes = number()?,
            "--seed" => seed = Some(number()?),
            "--tidemill" => tidemill = Some(std::path::absolute(value).context("the path of the binary")?),
            _ => bail!("unknown argument {name:?}\n{USAGE}"),
        }
    }
    let tidemill = match tidemill {
        // Another build, of which only the guests are taken as they lie there.
        Some(tidemill) => tidemill,
        None => {
            toolchain::ensure(workspace)?;
            workspace.build_tidemill()?;
            guests::build(workspace)?;
            workspace.tidemill()
        }
    };
    let options = Options {
        tidemill,
        root: workspace.root.clone(),
        length: Duration::from_secs(minutes * 60),
        round: (Duration::from_millis(500), Duration::from_secs(8)),
        seed: match seed {
            Some(seed) => seed,
            None => draw()?,
        },
        say,
    };
    println!("{}", soak::run(&options)?);
    Ok(())
}

/// A seed; it is said, and the soak is the same with it again.
#[expect(clippy::disallowed_methods, reason = "a soak is to be another one every time")]
pub(crate) fn draw() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(since.as_millis() as u64 % 1_000_000_000)
}
