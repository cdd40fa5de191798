//! The command line: the only place that parses arguments and prints. `main` calls [`main`]; each command is a file.
//!
//! stdout is data, stderr is talk. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 broken off by a second Ctrl-C.

mod access;
mod args;
mod bench;
mod build;
mod checkpoint;
mod control;
mod data;
mod dev;
mod disk;
mod event;
mod group;
mod guest_toolchain;
mod inspect;
mod interrupt;
mod jobs;
mod live;
mod new;
mod output;
mod pipeline;
mod project;
mod rates;
mod run;
mod session;
mod store;
mod stream;
mod test;
mod time;
mod toolchains;
mod transaction;
mod validate;

use args::{Args, Command};
use clap::Parser;
use output::Output;
use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    let args = Args::parse(); // exits with 2 on wrong usage
    let output = Output::process(args.json);
    // What operators log is part of what one wants to see of them.
    let verbose = args.verbose.max(u8::from(matches!(args.command, Command::Dev(_))));
    tidemill::telemetry::init(verbose, output.is_terminal(), output.log_writer());
    let done = match &args.command {
        Command::New(args) => new::run(args, &output),
        Command::Build(args) => build::run(args, &output),
        Command::Test(args) => test::run(args, &output),
        Command::Dev(args) => dev::run(args, &output),
        Command::Inspect(args) => inspect::run(args, &output),
        Command::Validate(args) => validate::run(&args.pipeline, &args.settings, &output),
        Command::Run(args) => run::run(args, &output),
        Command::Bench(args) => bench::run(args, &output),
        Command::Data(command) => return data::run(command, &output).into(),
    };
    output.conclude(done).into()
}
