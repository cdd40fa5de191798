//! The soak of the streams as a program: `cargo xtask stream-soak` runs it for long, `storage/tests/stream_soak.rs` the same code for a
//! few seconds. It starts itself again as the process that is killed.

mod soak;

use anyhow::{Context, Result, bail};
use std::process::{Command, ExitCode};
use std::time::Duration;

const USAGE: &str = "usage: stream_soak --seconds N --seed N";

fn run(args: &[String]) -> Result<()> {
    if let [verb, folder] = args
        && verb == "child"
    {
        return soak::child(folder.as_ref());
    }
    let (mut seconds, mut seed) = (60, 1);
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let value = args.next().with_context(|| format!("{name} needs a value\n{USAGE}"))?;
        let number = value.parse().with_context(|| format!("{name} takes a whole number\n{USAGE}"))?;
        match name.as_str() {
            "--seconds" => seconds = number,
            "--seed" => seed = number,
            _ => bail!("unknown argument {name:?}\n{USAGE}"),
        }
    }
    let me = std::env::current_exe().context("where this program is")?;
    let options = soak::Options {
        child: Box::new(move |folder| {
            let mut command = Command::new(&me);
            command.arg("child").arg(folder);
            command
        }),
        length: Duration::from_secs(seconds),
        round: (Duration::from_millis(300), Duration::from_secs(5)),
        seed,
        say: |line| eprintln!("{line}"),
    };
    println!("{}", soak::run(&options)?);
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
