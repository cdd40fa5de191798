//! `nexmark-generate --events N --out DIR [--rate EVENTS_PER_SECOND] [--partitions N]`: writes Nexmark events as JSON lines.

use nexmark_generate::{Options, write_files};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: nexmark-generate --events N --out DIR [--rate EVENTS_PER_SECOND] [--partitions N]";

fn main() -> ExitCode {
    let done = arguments(std::env::args().skip(1)).and_then(|(options, out)| {
        write_files(&options, &out).map_err(|e| format!("cannot write to {}: {e}", out.display()))?;
        Ok(format!("{} events in {}", options.events, out.display()))
    });
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<(Options, PathBuf), String> {
    let (mut events, mut out) = (None, None);
    let mut options = Options { events: 0, rate: 10_000, partitions: 1 };
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
        let number = || {
            let number = value.replace('_', "").parse::<u64>().ok().filter(|n| *n > 0);
            number.ok_or_else(|| format!("{name} {value}: write a whole number above 0"))
        };
        match name.as_str() {
            "--events" => events = Some(number()?),
            "--out" => out = Some(PathBuf::from(&value)),
            "--rate" => options.rate = number()? as usize,
            "--partitions" => options.partitions = number()? as usize,
            _ => return Err(format!("{name} is not an argument\n{USAGE}")),
        }
    }
    options.events = events.ok_or_else(|| format!("--events is missing\n{USAGE}"))?;
    Ok((options, out.ok_or_else(|| format!("--out is missing\n{USAGE}"))?))
}
