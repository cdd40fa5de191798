//! The pipelines of a data directory: `ls`, `describe`, `stop`, `delete`, `top`, one file each. What runs is asked of its job, what
//! does not of the records that it left; both look the same from here.

pub(crate) mod delete;
pub(crate) mod describe;
pub(crate) mod ls;
mod records;
pub(crate) mod stop;
pub(crate) mod top;

use super::args::DataCommand;
use super::session::Session;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::path::Path;
use tidemill::config::{Overrides, parse};
use tidemill_storage::Store;

/// A pipeline file stands for the name in it. Done where the file is: before a command is sent anywhere.
pub(crate) fn resolve(command: &mut DataCommand) -> Result<()> {
    if let Some(pipeline) = command.pipeline_mut().filter(|pipeline| pipeline.ends_with(".toml")) {
        *pipeline = parse::load(Path::new(pipeline), &Overrides::default())?.name;
    }
    Ok(())
}

/// The names of all pipelines that ran or run here.
pub(crate) fn names(store: &Store, session: &Session) -> Result<BTreeSet<String>> {
    let mut names: BTreeSet<String> = store.list_pipelines()?.into_iter().collect();
    let jobs = session.access.jobs().map(|jobs| jobs.all()).unwrap_or_default();
    names.extend(jobs.iter().map(|job| job.pipeline.name.clone()));
    Ok(names)
}

/// Refuses a name that nobody knows.
pub(crate) fn known(store: &Store, session: &Session, name: &str) -> Result<()> {
    let known = names(store, session)?;
    if !known.contains(name) {
        let known = if known.is_empty() { "none".into() } else { Vec::from_iter(known).join(", ") };
        bail!("no pipeline {name} ever ran in {}; these did: {known}", session.access.data_dir().display());
    }
    Ok(())
}

/// "2.5 s", "3 min", "5 h", "8 d".
pub(crate) fn age(ms: u64) -> String {
    match ms {
        0..60_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        3_600_000..86_400_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_the_unit_that_fits() {
        assert_eq!([age(340), age(61_000), age(7_300_000), age(200_000_000)], ["0.3 s", "1 min", "2 h", "2 d"]);
    }
}
