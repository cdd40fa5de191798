//! The arguments of `tidemill bench`: clap fills them, `cli/bench.rs` turns them into options.

use clap::{Args as ClapArgs, ValueEnum};
use std::path::{Path, PathBuf};

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchArgs {
    /// Workloads whose names begin with one of these, or else hold it [default: all]; `languages`: an operator in each language
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// List the workloads and run none
    #[arg(long)]
    pub(crate) list: bool,
    /// How much work: `small` takes seconds and shows that everything works, `full` takes minutes and measures
    #[arg(long, value_enum, default_value = "full")]
    pub(crate) scale: Scale,
    /// A folder on the disk to measure; what is made in it is removed [default: a temporary folder on a disk]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Built components, a folder each [default: examples/operators of the source this binary was built from]
    #[arg(long, value_name = "DIR")]
    pub(crate) components: Option<PathBuf>,
    /// Gigabytes (10^9 bytes) of streams that `latency` and `restart` find stored, a case each, as in 1,10,50
    #[arg(long, value_name = "GB,...", value_delimiter = ',', value_parser = positive)]
    pub(crate) gb: Vec<f64>,
    /// Gigabytes of state that `restart` finds
    #[arg(long, value_name = "GB", value_parser = positive)]
    pub(crate) state_gb: Option<f64>,
    /// How long `sustained` runs
    #[arg(long, value_name = "MINUTES", value_parser = positive)]
    pub(crate) minutes: Option<f64>,
    /// Events per second that `sustained` offers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) rate: Option<u64>,
    #[command(flatten)]
    pub(crate) instances: InstancesArgs,
}

/// What a process is told that `bench languages` starts: whose instances to measure, and where the compiled component is.
#[derive(Debug, ClapArgs)]
pub(crate) struct InstancesArgs {
    #[arg(long, hide = true, value_name = "LANGUAGE", requires = "cache")]
    instances_of: Option<String>,
    #[arg(long, hide = true, value_name = "DIR", requires = "instances_of")]
    cache: Option<PathBuf>,
}

impl InstancesArgs {
    /// Of which language, with which cache; `None` in a process that a user started.
    pub(crate) fn asked(&self) -> Option<(&str, &Path)> {
        Some((self.instances_of.as_deref()?, self.cache.as_deref()?))
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Scale {
    Small,
    Full,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1e6 => Ok(number),
        _ => Err("write a number above 0, as in 1 or 0.5".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_positive_numbers() {
        assert_eq!(positive("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "inf", "NaN", "1 GB", ""] {
            assert!(positive(wrong).is_err(), "{wrong}");
        }
    }
}
