//! Watches the owner from outside: offsets, watermarks and epochs never go back, no pipeline fails, the hot file, the
//! directory and memory stay bounded, and at rest `store check` finds nothing.

use super::Actor;
use super::world::{COUNTS, HOP, INPUT, MIB, World, folder_bytes};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The hot file may have: twice the setting of chunks, pages freed by the commits under way, redb's rounding up, state, records.
const HOT_FILE_MAX: u64 = 24 * MIB;
/// The process: settings of caches and queues, components, and an unoptimised build.
const MEMORY_MAX: u64 = 512 * MIB;
/// The data directory has so much besides the hot file and what is in sealed files: compiled components.
const OTHER_FILES_MAX: u64 = 16 * MIB;
const LOOK_EVERY: Duration = Duration::from_millis(300);

#[derive(Default)]
pub(super) struct Watcher {
    /// What never goes back, by what it is.
    highest: BTreeMap<String, i64>,
    /// Bytes of the owner's log that were looked at.
    logged: usize,
}

impl Watcher {
    fn never_back(&mut self, what: String, now: Option<i64>) -> Result<()> {
        let Some(now) = now else { return Ok(()) };
        let highest = self.highest.entry(what.clone()).or_insert(now);
        if now < *highest {
            bail!("{what} went back from {highest} to {now}");
        }
        *highest = now;
        Ok(())
    }

    fn stream(&mut self, stream: &Value) -> Result<()> {
        let name = stream["name"].as_str().context("a stream without a name")?.to_owned();
        self.never_back(format!("the watermark of {name}"), stream["watermark"].as_i64())?;
        for segment in stream["segments"].as_array().context("no segments")? {
            let id = &segment["id"];
            self.never_back(format!("the head of {name}, segment {id}"), segment["head"].as_i64())?;
            self.never_back(format!("the tail of {name}, segment {id}"), segment["tail"].as_i64())?;
        }
        Ok(())
    }

    fn pipelines(&mut self, pipelines: &Value) -> Result<()> {
        for pipeline in pipelines.as_array().context("no pipelines")? {
            let name = pipeline["name"].as_str().context("a pipeline without a name")?;
            if pipeline["state"] == "failed" {
                bail!("pipeline {name} failed");
            }
            self.never_back(format!("the epoch of pipeline {name}"), pipeline["epoch"].as_i64())?;
        }
        Ok(())
    }

    fn sizes(world: &World) -> Result<()> {
        let highest = |of: &std::sync::atomic::AtomicU64, now: u64| of.fetch_max(now, Ordering::Relaxed).max(now);
        let hot = world.data().join("hot.redb").metadata().map_or(0, |meta| meta.len());
        if highest(&world.totals.hot_bytes_max, hot) > HOT_FILE_MAX {
            bail!("the hot file has {} MiB", hot / MIB);
        }
        highest(&world.totals.directory_bytes_max, folder_bytes(&world.data()));
        let status = world.owner().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok());
        let line = status.as_deref().unwrap_or("").lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        if highest(&world.totals.memory_bytes_max, kib << 10) > MEMORY_MAX {
            bail!("the process has {} MiB of memory", kib >> 10);
        }
        Ok(())
    }

    /// What the owner never says.
    fn log(&mut self, world: &World) -> Result<()> {
        let log = world.logged()?;
        let new = log.get(self.logged..).unwrap_or_default();
        self.logged = log.len();
        match new.lines().find(|line| line.contains("panicked") || line.contains("please report")) {
            Some(line) => bail!("the owner says: {line}"),
            None => Ok(()),
        }
    }
}

impl Actor for Watcher {
    fn name(&self) -> String {
        "watcher".into()
    }

    fn step(&mut self, world: &World) -> Result<()> {
        std::thread::sleep(LOOK_EVERY);
        for stream in [INPUT, COUNTS, HOP] {
            // A latched store refuses, and so does an owner that ends.
            let done = world.beside(&["stream", "describe", stream, "--json"], b"")?;
            if done.ok {
                self.stream(&serde_json::from_slice(&done.stdout).context("no JSON")?)?;
            }
        }
        let done = world.beside(&["ls", "--json"], b"")?;
        if done.ok {
            self.pipelines(&serde_json::from_slice(&done.stdout).context("no JSON")?)?;
        }
        Watcher::sizes(world)
    }

    fn at_rest(&mut self, world: &World, _last: bool) -> Result<()> {
        self.log(world)?;
        world.ok(&["store", "check"])?;
        let store = world.json(&["store", "describe"])?;
        let files = store["sealed_files"].as_array().context("no sealed files")?;
        let sealed: u64 = files.iter().filter_map(|file| file["bytes"].as_u64()).sum();
        let hot = store["hot_file_bytes"].as_u64().context("no hot file")?;
        let all = folder_bytes(&world.data());
        if all > sealed + hot + OTHER_FILES_MAX {
            bail!("the directory has {all} bytes, {hot} of them hot and {sealed} sealed: what is the rest?");
        }
        for stream in [INPUT, COUNTS, HOP] {
            let described = world.json(&["stream", "describe", stream])?;
            self.stream(&described)?;
        }
        self.pipelines(&world.json(&["ls"])?)
    }
}
