//! The command line: the only place that parses arguments and prints. `main` calls [`main`]; each command is a file.
//!
//! stdout is data, stderr is talk. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 broken off by a second Ctrl-C.

mod args;
mod build;
mod checkpoint;
mod data_dir;
mod event;
mod guest_toolchain;
mod inspect;
mod interrupt;
mod live;
mod new;
mod output;
mod project;
mod rates;
mod run;
mod stream;
mod time;
mod validate;

use args::{Args, CheckpointCommand, Command};
use clap::Parser;
use output::{Output, ReaderGone};
use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    let args = Args::parse(); // exits with 2 on wrong usage
    let output = Output::new(args.json);
    tidemill::telemetry::init(args.verbose, output.is_terminal(), output.log_writer());
    let done = match &args.command {
        Command::New(args) => new::run(args, &output),
        Command::Build(args) => build::run(args, &output),
        Command::Inspect(args) => inspect::run(args, &output),
        Command::Validate(args) => validate::run(&args.pipeline, &args.settings, &output),
        Command::Run(args) => run::run(args, &output),
        Command::Stream(command) => stream::run(command, &output),
        Command::Checkpoint(CheckpointCommand::List(args)) => checkpoint::list(args, &output),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS, // `| head` has seen enough
        Err(error) => {
            output.say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
