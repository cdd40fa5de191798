//! Whether the file sink agrees with the ledger: its files, one after the other, hold every appended event once and, of each
//! key, in order. What was looked at is deleted, so that the disk lasts.

use super::Actor;
use super::ledger::Ledger;
use super::world::World;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(super) struct Archive {
    ledger: Arc<Ledger>,
    /// Events seen of each key.
    seen: BTreeMap<String, u64>,
    /// The newest file that was looked at; it stays, for its sink may still ask for it.
    newest: Option<PathBuf>,
}

impl Archive {
    pub(super) fn new(ledger: Arc<Ledger>) -> Archive {
        Archive { ledger, seen: BTreeMap::new(), newest: None }
    }
}

impl Actor for Archive {
    fn name(&self) -> String {
        "archive".into()
    }

    fn step(&mut self, _world: &World) -> Result<()> {
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    fn at_rest(&mut self, world: &World, last: bool) -> Result<()> {
        let entries = match fs::read_dir(world.archive()) {
            Ok(entries) => entries.collect::<Result<Vec<_>, _>>().context("cannot list the archive")?,
            Err(_) if self.newest.is_none() => Vec::new(), // not made yet
            Err(error) => return Err(error).context("cannot list the archive"),
        };
        let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort();
        for file in files {
            if self.newest.as_ref().is_some_and(|newest| file <= *newest) {
                continue;
            }
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            for line in text.lines() {
                let value: Value = serde_json::from_str(line).with_context(|| format!("{}: {line}", file.display()))?;
                let key = value["key"].as_str().with_context(|| format!("{}: {line}", file.display()))?;
                let seen = self.seen.entry(key.to_owned()).or_default();
                let expected = self.ledger.number(key, *seen as usize);
                if expected.is_none() || value["number"].as_u64() != expected {
                    bail!("{}: after {seen} events of its key comes {line}, and not {expected:?}", file.display());
                }
                *seen += 1;
                world.totals.archived.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(old) = self.newest.replace(file) {
                fs::remove_file(&old).with_context(|| format!("cannot remove {}", old.display()))?;
            }
        }
        if last && self.seen != self.ledger.totals() {
            bail!("at the end the archive has {:?}, and not {:?}", self.seen, self.ledger.totals());
        }
        Ok(())
    }
}
