//! Tells that a file changed of which a pipeline or one of its operators is made. The kernel tells us: nothing is polled.

use crate::cli::build::fresh;
use anyhow::{Context, Result};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Changes come in swarms: so long without one, and the swarm is over.
const SILENCE: Duration = Duration::from_millis(100);
/// A swarm is not waited for any longer than this.
const SWARM_MAX: Duration = Duration::from_secs(2);

/// Watches folders.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    changes: Receiver<PathBuf>,
    watched: BTreeSet<PathBuf>,
    /// Those of projects: every source in them counts.
    projects: BTreeSet<PathBuf>,
    /// What is written by the pipeline itself.
    data_dir: PathBuf,
    /// Files that count besides those of projects.
    files: BTreeSet<PathBuf>,
}

impl Watch {
    pub(super) fn new(data_dir: &Path) -> Result<Watch> {
        let data_dir =
            std::fs::canonicalize(data_dir).with_context(|| format!("cannot read {}", data_dir.display()))?;
        let (sender, changes) = mpsc::channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if !event.kind.is_access() {
                event.paths.into_iter().for_each(|path| drop(sender.send(path))); // nobody listens any more: it ends
            }
        });
        let watcher = watcher.context("cannot watch files on this system")?;
        let none = BTreeSet::new;
        Ok(Watch { watcher, changes, watched: none(), projects: none(), data_dir, files: none() })
    }

    /// Watches a file.
    pub(super) fn file(&mut self, file: &Path) -> Result<()> {
        let file = std::fs::canonicalize(file).with_context(|| format!("cannot resolve {}", file.display()))?;
        if let Some(folder) = file.parent() {
            self.folder(folder)?;
        }
        self.files.insert(file);
        Ok(())
    }

    /// Watches the folders that a project's sources lie in; again for those that were made since.
    pub(super) fn project(&mut self, folder: &Path) -> Result<()> {
        let folder = std::fs::canonicalize(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for folder in fresh::folders(&folder) {
            if folder.starts_with(&self.data_dir) {
                continue;
            }
            self.folder(&folder)?;
            self.projects.insert(folder);
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path) -> Result<()> {
        if self.watched.contains(folder) {
            return Ok(());
        }
        let watched = self.watcher.watch(folder, RecursiveMode::NonRecursive);
        watched.with_context(|| format!("cannot watch {}", folder.display()))?;
        self.watched.insert(folder.to_owned());
        Ok(())
    }

    /// How many folders are watched.
    pub(super) fn len(&self) -> usize {
        self.watched.len()
    }

    /// Whether something that counts changed since last asked. Waits until it is quiet.
    pub(super) fn changed(&self) -> bool {
        let mut changed = self.changes.try_iter().any(|path| self.counts(&path));
        if !changed {
            return false;
        }
        let until = Instant::now() + SWARM_MAX;
        while Instant::now() < until {
            match self.changes.recv_timeout(SILENCE) {
                Ok(path) => changed |= self.counts(&path),
                Err(_) => break,
            }
        }
        changed
    }

    fn counts(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let in_project = path.parent().is_some_and(|folder| self.projects.contains(folder));
        self.files.contains(path) || (in_project && !fresh::is_apart(&name) && !path.starts_with(&self.data_dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn becomes_true(mut condition: impl FnMut() -> bool) -> bool {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            if condition() {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    #[test]
    fn a_source_counts_and_what_a_build_leaves_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("here");
        std::fs::create_dir_all(&data).unwrap();
        let src = folder.path().join("src");
        std::fs::create_dir_all(&src).unwrap();
        std::fs::create_dir_all(folder.path().join("node_modules/x")).unwrap();
        let mut watch = Watch::new(&data).unwrap();
        watch.project(folder.path()).unwrap();
        assert_eq!(watch.len(), 2, "the folder and src");
        std::fs::write(src.join("main.py"), "x").unwrap();
        assert!(becomes_true(|| watch.changed()));
        // Of these two only the later one counts; both have come when it has.
        std::fs::write(folder.path().join("component.wasm"), "x").unwrap();
        std::fs::write(src.join("other.py"), "x").unwrap();
        assert!(becomes_true(|| watch.changed()));
        assert!(
            !watch.counts(&folder.path().join("component.wasm")) && !watch.counts(&folder.path().join(".tidemill"))
        );
        assert!(watch.counts(&src.join("other.py")) && !watch.counts(&data.join("store.redb")) && !watch.counts(&data));
    }
}
