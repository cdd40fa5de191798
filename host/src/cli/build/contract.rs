//! The contract, wit/ of this source, carried in the program: resolved here for `encode.rs`, or written to a folder for
//! tools that read it there.

use anyhow::{Context, Result, anyhow};
use std::path::Path;
use wit_parser::{PackageId, Resolve, SourceMap};

macro_rules! wit {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../../wit/", $name)))),*]
    };
}

const FILES: [(&str, &str); 10] = wit![
    "aggregator.wit",
    "context.wit",
    "log.wit",
    "metrics.wit",
    "output.wit",
    "processor.wit",
    "state.wit",
    "timers.wit",
    "types.wit",
    "world.wit",
];

/// What a wasip1 module is linked to instead of WASI.
pub(super) const PREVIEW1: &str = include_str!("../../../../wit/adapter/preview1.wat");

/// A folder of the contract that is gone when this is dropped.
pub(super) fn folder() -> Result<tempfile::TempDir> {
    let folder =
        tempfile::Builder::new().prefix("tidemill-wit-").tempdir().context("cannot make a temporary folder")?;
    write(folder.path())?;
    Ok(folder)
}

fn write(folder: &Path) -> Result<()> {
    for (name, text) in FILES {
        let file = folder.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The contract, resolved.
pub(super) fn resolve() -> Result<(Resolve, PackageId)> {
    let mut sources = SourceMap::default();
    for (name, text) in FILES {
        sources.push_str(name, text);
    }
    let group = sources.parse().map_err(|(_, error)| anyhow!("this program's own wit/ is broken: {error}"))?;
    let mut resolve = Resolve::default();
    let package = resolve.push_group(group).map_err(|error| anyhow!("this program's own wit/ is broken: {error}"))?;
    Ok((resolve, package))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_of_the_contract_is_carried() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let there: BTreeSet<String> = names.filter(|name| name.ends_with(".wit")).collect();
        assert_eq!(there, FILES.iter().map(|(name, _)| (*name).to_owned()).collect());
    }
}
