//! The list of workloads. Each is a file; `bench/mod.rs` runs them in this order.

mod append;
mod json;
mod keyed_count;
mod latency;
mod memory;
mod nexmark;
mod pass_through;
mod restart;
mod start_up;
mod stream_append;
mod stream_read;
mod stream_time;
mod sustained;
mod windows;

use super::{Bench, BenchError};
use std::path::Path;

/// A workload.
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// What it measures, in a sentence.
    pub what: &'static str,
    /// The components that it runs.
    pub components: &'static [&'static str],
    pub(super) run: fn(&mut Bench<'_>) -> Result<(), BenchError>,
}

/// All of them, in the order in which they run.
pub const WORKLOADS: [Workload; 15] = [
    pass_through::WORKLOAD,
    keyed_count::WORKLOAD,
    json::WORKLOAD,
    nexmark::WORKLOAD,
    windows::SLIDE,
    windows::SESSIONS,
    append::WORKLOAD,
    stream_append::WORKLOAD,
    stream_read::WORKLOAD,
    stream_time::WORKLOAD,
    latency::WORKLOAD,
    restart::WORKLOAD,
    start_up::WORKLOAD,
    memory::WORKLOAD,
    sustained::WORKLOAD,
];

impl std::fmt::Debug for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workload").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Workload {
    /// Those whose name begins with one of `names`, or else holds it; without a name all of them.
    pub fn select(names: &[String]) -> Result<Vec<&'static Workload>, BenchError> {
        if names.is_empty() {
            return Ok(WORKLOADS.iter().collect());
        }
        let mut selected = [false; WORKLOADS.len()];
        for name in names {
            let mut found: Vec<bool> =
                WORKLOADS.iter().map(|workload| workload.name.starts_with(name.as_str())).collect();
            if !found.contains(&true) {
                found = WORKLOADS.iter().map(|workload| workload.name.contains(name.as_str())).collect();
            }
            if !found.contains(&true) {
                let known: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
                return Err(BenchError::Invalid(format!("no workload {name:?}; there are: {}", known.join(", "))));
            }
            selected.iter_mut().zip(found).for_each(|(selected, found)| *selected |= found);
        }
        Ok(WORKLOADS.iter().zip(selected).filter_map(|(workload, selected)| selected.then_some(workload)).collect())
    }
}

/// Lines of all files of a folder, which is then removed.
fn take_lines(folder: &Path) -> Result<u64, BenchError> {
    let count = || {
        let mut lines = 0;
        for entry in std::fs::read_dir(folder)? {
            let text = std::fs::read(entry?.path())?;
            lines += memchr::memchr_iter(b'\n', &text).count() as u64;
        }
        std::fs::remove_dir_all(folder).map(|()| lines)
    };
    count().map_err(super::error::io(format!("counting lines below {}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Result<Vec<&'static str>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let selected = Workload::select(&names).map_err(|error| error.to_string())?;
        Ok(selected.into_iter().map(|workload| workload.name).collect())
    }

    #[test]
    fn a_name_selects_by_its_beginning_before_what_it_holds() {
        assert_eq!(names(&[]).unwrap().len(), WORKLOADS.len());
        assert_eq!(names(&["la"]).unwrap(), ["latency"]);
        assert_eq!(names(&["start"]).unwrap(), ["start-up"], "`restart` holds it, but `start-up` begins with it");
        assert_eq!(names(&["up", "count"]).unwrap(), ["keyed-count", "start-up"]);
        let error = names(&["latency", "nonsense"]).unwrap_err();
        assert!(error.starts_with("no workload \"nonsense\"; there are: pass-through, keyed-count, "), "{error}");
    }
}
