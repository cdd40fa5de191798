//! The settings of the process, as plain data: `host/default.toml`, overlaid with a user's file. The CLI loads them and
//! hands each part its own.

use super::document::Document;
use super::error::ConfigError;
use super::table::{Item, Table};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names a user's file when `--settings` does not.
pub const SETTINGS_VARIABLE: &str = "TIDEMILL_SETTINGS";

const DEFAULTS: &str = include_str!("../../default.toml");

/// All of them. `Settings::default()` is `host/default.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Threads.
    pub workers: WorkerSettings,
    /// The store.
    pub store: StoreSettings,
    /// Keyed state.
    pub state: StateSettings,
    /// Batches, queues, epochs.
    pub dataflow: DataflowSettings,
}

/// `[workers]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Threads that drive tasks; 0 = one per core.
    pub threads: u32,
}

/// `[store]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// redb's page cache, bytes.
    pub cache_bytes: u64,
    /// Checkpoint records and input schedules kept per pipeline.
    pub checkpoints_retained: u32,
    /// Bytes of chunks in the hot file beyond which they move to sealed files; writers wait at twice of it.
    pub hot_bytes_max: u64,
    /// Bytes that a sealed file aims at.
    pub sealed_file_bytes: u64,
    /// Bytes of the disk that are left free: work waits instead.
    pub reserve_bytes: u64,
    /// Where sealed files lie, as a URL (`s3://BUCKET/PREFIX`); none = in the data directory.
    pub tier: Option<String>,
    /// Options of that place's client, by its own names. They may be secret.
    pub tier_options: BTreeMap<String, String>,
    /// Memory for blocks that were read there, bytes.
    pub tier_cache_bytes: u64,
}

/// `[state]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateSettings {
    /// Bytes of changes of an operator in the hot file that become a run; the operator waits at four times of it.
    pub flush_bytes: u64,
    /// Memory for the committed state of all operators, bytes.
    pub memory_bytes: u64,
    /// Memory for blocks, indexes and filters of runs, bytes.
    pub cache_bytes: u64,
}

/// `[dataflow]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataflowSettings {
    /// Most events of one read of a source.
    pub batch_events: u32,
    /// A read ends early past so many bytes.
    pub batch_bytes: u64,
    /// Batches that wait on one edge between two subtasks.
    pub queue_batches: u32,
    /// The same by bytes.
    pub queue_bytes: u64,
    /// Epochs handed over but not yet committed.
    pub epochs_in_flight_max: u32,
    /// Bytes of output not yet committed: a quarter of it forces a checkpoint, all of it pauses the sources.
    pub uncommitted_bytes_max: u64,
}

impl Settings {
    /// The defaults, overlaid with `file`, or else with the file that [`SETTINGS_VARIABLE`] names.
    pub fn load(file: Option<&Path>) -> Result<Settings, ConfigError> {
        let named = std::env::var_os(SETTINGS_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let mut settings = Settings::default();
        if let Some(path) = file.or(named.as_deref()) {
            settings.overlay(&Document::read(path)?)?;
        }
        Ok(settings)
    }

    fn parse_defaults() -> Result<Settings, ConfigError> {
        let mut settings = Settings {
            workers: WorkerSettings::default(),
            store: StoreSettings::default(),
            state: StateSettings::default(),
            dataflow: DataflowSettings::default(),
        };
        settings.overlay(&Document::parse("host/default.toml".to_string(), DEFAULTS.to_string())?)?;
        Ok(settings)
    }

    fn overlay(&mut self, document: &Document) -> Result<(), ConfigError> {
        let root = Item { source: &document.source, path: String::new(), node: &document.root };
        let root = root.table(&["workers", "store", "state", "dataflow"])?;
        if let Some(item) = root.get("workers") {
            let table = item.table(&["threads"])?;
            count(&table, "threads", 0..=1_024, &mut self.workers.threads)?;
        }
        if let Some(item) = root.get("store") {
            let keys = [
                "cache",
                "checkpoints_retained",
                "hot",
                "sealed_file",
                "reserve",
                "tier",
                "tier_options",
                "tier_cache",
            ];
            let table = item.table(&keys)?;
            size(&table, "cache", 1 << 20, &mut self.store.cache_bytes)?;
            count(&table, "checkpoints_retained", 1..=1_000_000, &mut self.store.checkpoints_retained)?;
            size(&table, "hot", 64 << 10, &mut self.store.hot_bytes_max)?;
            size(&table, "sealed_file", 64 << 10, &mut self.store.sealed_file_bytes)?;
            size(&table, "reserve", 0, &mut self.store.reserve_bytes)?;
            size(&table, "tier_cache", 1 << 20, &mut self.store.tier_cache_bytes)?;
            if let Some(item) = table.get("tier") {
                self.store.tier = Some(item.text()?.to_string()).filter(|url| !url.is_empty());
            }
            if let Some(item) = table.get("tier_options") {
                for (key, _, item) in item.open_table()?.entries() {
                    self.store.tier_options.insert(key.to_string(), item.text()?.to_string());
                }
            }
        }
        if let Some(item) = root.get("state") {
            let table = item.table(&["flush", "memory", "cache"])?;
            size(&table, "flush", 1 << 10, &mut self.state.flush_bytes)?;
            size(&table, "memory", 16 << 10, &mut self.state.memory_bytes)?;
            size(&table, "cache", 64 << 10, &mut self.state.cache_bytes)?;
        }
        if let Some(item) = root.get("dataflow") {
            let keys = ["batch_events", "batch", "queue_batches", "queue", "epochs_in_flight", "uncommitted"];
            let (table, dataflow) = (item.table(&keys)?, &mut self.dataflow);
            count(&table, "batch_events", 1..=1 << 20, &mut dataflow.batch_events)?;
            size(&table, "batch", 1 << 10, &mut dataflow.batch_bytes)?;
            count(&table, "queue_batches", 1..=1 << 20, &mut dataflow.queue_batches)?;
            size(&table, "queue", 1 << 10, &mut dataflow.queue_bytes)?;
            count(&table, "epochs_in_flight", 1..=64, &mut dataflow.epochs_in_flight_max)?;
            size(&table, "uncommitted", 1 << 20, &mut dataflow.uncommitted_bytes_max)?;
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Settings {
        // The text is part of this program and a test reads it: it cannot fail on a user's machine.
        Settings::parse_defaults().unwrap_or_else(|e| unreachable!("{e}"))
    }
}

fn count(table: &Table<'_>, key: &str, range: std::ops::RangeInclusive<u32>, to: &mut u32) -> Result<(), ConfigError> {
    if let Some(item) = table.get(key) {
        *to = item.count(range)?;
    }
    Ok(())
}

fn size(table: &Table<'_>, key: &str, least: u64, to: &mut u64) -> Result<(), ConfigError> {
    if let Some(item) = table.get(key) {
        *to = item.size_bytes(least)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlaid(text: &str) -> Result<Settings, String> {
        let document = Document::parse("my.toml".into(), text.into()).map_err(|e| e.to_string())?;
        let mut settings = Settings::default();
        settings.overlay(&document).map(|()| settings).map_err(|e| e.to_string())
    }

    #[test]
    fn every_setting_has_a_default_in_the_file() {
        let settings = Settings::parse_defaults().unwrap();
        assert_eq!(settings.store.cache_bytes, 64 << 20);
        let text = format!("{settings:?}");
        // Only the number of threads may be 0: every other field was read from the file.
        assert_eq!(text.matches(": 0").count(), 1, "{text}");
    }

    #[test]
    fn a_users_file_changes_what_it_names_and_nothing_else() {
        let settings = overlaid("[store]\ncache = \"1GiB\"\n").unwrap();
        assert_eq!(settings.store.cache_bytes, 1 << 30);
        assert_eq!(settings.dataflow, Settings::default().dataflow);
        assert_eq!(settings.store.checkpoints_retained, Settings::default().store.checkpoints_retained);
    }

    #[test]
    fn mistakes_name_the_line_and_the_mend() {
        for (text, expected) in [
            (
                "[stroe]\n",
                "my.toml:1:2: unknown key \"stroe\" in the file (did you mean \"store\"?); known here: workers, store, state, dataflow",
            ),
            ("[store]\ncache = 5\n", "my.toml:2:9: store.cache: 5 has no unit; write \"5B\" or \"5MiB\""),
            ("[store]\ncache = \"5B\"\n", "my.toml:2:9: store.cache is too small; write \"1048576B\" or more"),
            ("[workers]\nthreads = -1\n", "my.toml:2:11: workers.threads is -1; write a number from 0 to 1024"),
        ] {
            assert_eq!(overlaid(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Settings::load(Some(Path::new("/nonexistent/t.toml"))).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/t.toml: no such file; check the path");
    }
}
