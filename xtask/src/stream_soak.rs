//! `cargo xtask stream-soak [--seconds N] [--seed N]`: builds the soak of the streams, which lies with the storage crate, and lets it run.

use crate::soak_verb;
use crate::workspace::{self, Workspace, say};
use anyhow::{Context, Result, bail};

const USAGE: &str = "usage: cargo xtask stream-soak [--seconds N] [--seed N]";
const SECONDS: u64 = 600;

pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result<()> {
    let (mut seconds, mut seed) = (SECONDS, None);
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let value = args.next().with_context(|| format!("{name} needs a value\n{USAGE}"))?;
        let number = value.parse::<u64>().with_context(|| format!("{name} takes a whole number\n{USAGE}"))?;
        match name.as_str() {
            "--seconds" => seconds = number,
            "--seed" => seed = Some(number),
            _ => bail!("unknown argument {name:?}\n{USAGE}"),
        }
    }
    let seed = match seed {
        Some(seed) => seed,
        None => soak_verb::draw()?,
    };
    say(&format!("building the soak of the streams; then it runs for {seconds} s with seed {seed}"));
    let run = ["run", "--quiet", "--package", "tidemill-storage", "--example", "stream_soak", "--"];
    let (seconds, seed) = (seconds.to_string(), seed.to_string());
    workspace::run(workspace.cargo(&run).args(["--seconds", &seconds, "--seed", &seed]))
}
