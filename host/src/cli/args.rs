//! The command line as types: clap fills these, `cli/mod.rs` hands each to the file of its command.

mod bench;
mod data;
mod group;
mod transaction;

use super::project::{Language, World};
pub(crate) use bench::*;
use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand};
pub(crate) use data::*;
pub(crate) use group::*;
use std::path::PathBuf;
pub(crate) use transaction::*;

/// Durable streams, sandboxed WebAssembly operators, one commit.
#[derive(Debug, Parser)]
#[command(name = "tidemill", version, about, propagate_version = true, max_term_width = 110)]
pub(crate) struct Args {
    /// Print machine-readable JSON on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say more on stderr; twice and thrice for still more (RUST_LOG decides when set)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new operator project
    New(NewArgs),
    /// Compile operator projects into components
    Build(BuildArgs),
    /// Run the cases of an operator project's tests/*.toml against its component
    Test(TestArgs),
    /// Run a pipeline while it is worked on: build its operators, and again whenever a source changes; state is kept
    Dev(DevArgs),
    /// Show what a component imports, exports and says of itself
    Inspect(InspectArgs),
    /// Check a pipeline file, its components and its sources, without running it
    Validate(ValidateArgs),
    /// Run pipelines until their input ends or Ctrl-C; a further run goes on where this one committed
    Run(RunArgs),
    /// Run the standing workloads and print each beside what the machine gives without Tidemill
    Bench(BenchArgs),
    #[command(flatten)]
    Data(DataCommand),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct NewArgs {
    /// The operator's name: letters, digits and '-', a letter first
    pub(crate) name: String,
    /// The folder to make [default: the name]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) path: Option<PathBuf>,
    /// What to write it in
    #[arg(long = "lang", value_name = "LANGUAGE", value_enum, default_value = "rust")]
    pub(crate) language: Language,
    /// A processor sees events; an aggregator folds those of a window
    #[arg(long, value_enum, default_value = "processor")]
    pub(crate) world: World,
    /// The language's SDK [default: the one in this program; for Rust that of the source it was built from]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) sdk: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BuildArgs {
    /// Project folders
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub(crate) projects: Vec<PathBuf>,
    /// Also what has not changed
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArg,
    /// The data directory [default: .tidemill/dev beside the pipeline file]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TestArgs {
    /// The project's folder
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub(crate) project: PathBuf,
    /// Only cases whose name holds this (repeatable)
    #[arg(long = "case", value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Run each case again, broken off at one call after another and made again by a new instance: all must come out the same
    #[arg(long)]
    pub(crate) crash: bool,
    /// Take the component as it is
    #[arg(long)]
    pub(crate) no_build: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InspectArgs {
    /// A component
    #[arg(value_name = "FILE.wasm")]
    pub(crate) file: PathBuf,
}

/// A pipeline file and what replaces values of it.
#[derive(Debug, ClapArgs)]
pub(crate) struct PipelineArgs {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.toml")]
    pub(crate) pipeline: PathBuf,
    /// Replace a value of the file, e.g. sources.flights.file.path=other.csv (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// Subtasks per operator
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) parallelism: Option<u32>,
}

/// Settings of the process.
#[derive(Debug, ClapArgs)]
pub(crate) struct SettingsArg {
    /// Settings that replace defaults [default: the file that TIDEMILL_SETTINGS names, if any]
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) settings: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArg,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    /// The pipeline files; several run side by side over one data directory
    #[arg(value_name = "PIPELINE.toml", required = true)]
    pub(crate) pipelines: Vec<PathBuf>,
    /// Replace a value of the file, e.g. sources.flights.file.path=other.csv (repeatable; with one file)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// Subtasks per operator
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) parallelism: Option<u32>,
    #[command(flatten)]
    pub(crate) settings: SettingsArg,
    #[command(flatten)]
    pub(crate) data: DataDir,
    /// Worker threads, 0 = one per core [default: the settings']
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<u16>,
}

fn key_value(pair: &str) -> Result<(String, String), String> {
    match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, for example sources.flights.file.path=other.csv".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_set_value_may_hold_equal_signs_and_be_empty() {
        assert_eq!(key_value("a.b=c=d"), Ok(("a.b".into(), "c=d".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("a").is_err() && key_value("=a").is_err());
    }
}
