//! A language's conformance operator: built by `tidemill build`, loaded once, opened for each test.

use crate::rig::{Crash, Done, LIMITS, Rig};
use crate::tools;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tidemill::config::pipeline::Limits;
use tidemill::operator::Failure;
use tidemill::wasm::{EngineOptions, LoadedComponent, WasmEngine, WasmFactory, component};
use tidemill_storage::{Batch, EventTime};

/// Patient: what is tested is not how fast a language is on a busy machine.
const PATIENT: Limits = Limits { call_deadline_ms: 600_000, ..LIMITS };

/// Why there is no component.
pub(crate) enum NotBuilt {
    /// Its tools are not here, or it is not written.
    Skipped(String),
    /// It should have been built.
    Failed(String),
}

/// Builds a project of guest-sdk; gives its component.
pub(crate) fn build(folder: &str) -> Result<PathBuf, NotBuilt> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk");
    let project = root.join(folder);
    if !project.join("tidemill.toml").is_file() {
        return Err(NotBuilt::Skipped(format!("there is no guest-sdk/{folder}")));
    }
    let mut build = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    // Cargo's own folder for guests: the lock of the one that runs this test is taken.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("guests");
    let built = build.arg("build").arg(&project).env("CARGO_TARGET_DIR", target).output().expect("tidemill starts");
    if built.status.success() {
        return Ok(project.join("component.wasm"));
    }
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    match tools::are_missing(&said) {
        true => Err(NotBuilt::Skipped("its tools are not here (cargo xtask toolchain fetches them)".into())),
        false => Err(NotBuilt::Failed(said)),
    }
}

/// A loaded component.
pub(crate) struct Guest {
    engine: WasmEngine,
    component: LoadedComponent,
    /// Whether the instance lives on after a bug of the operator.
    pub(crate) outlives_bugs: bool,
}

impl Guest {
    /// Compiled, or from the cache beside the component.
    pub(crate) fn load(file: &Path, outlives_bugs: bool) -> Guest {
        let cache_dir = file.with_file_name(".tidemill").join("cache");
        let engine = WasmEngine::new(EngineOptions { cache_dir: Some(cache_dir) }).expect("wasmtime runs here");
        let component = component::load(&engine, file).expect("a component that fits");
        Guest { engine, component, outlives_bugs }
    }

    /// A factory with this configuration.
    fn factory(&self, config: serde_json::Value) -> WasmFactory {
        WasmFactory::new(&self.engine, self.component.clone(), &config, &PATIENT, "conformance").expect("sound limits")
    }

    /// Its descriptor as JSON.
    pub(crate) fn descriptor(&self) -> serde_json::Value {
        serde_json::to_value(self.component.descriptor()).expect("a descriptor is JSON")
    }

    /// Opened with an empty configuration.
    pub(crate) fn open(&self) -> Rig {
        self.open_with(serde_json::json!({})).expect("it opens")
    }

    /// Opened with a configuration.
    pub(crate) fn open_with(&self, config: serde_json::Value) -> Result<Rig, Failure> {
        Rig::open(Arc::new(self.factory(config)), Crash::Never)
    }

    /// Opened with an empty configuration, to crash.
    pub(crate) fn open_to_crash(&self, crash: Crash) -> Rig {
        Rig::open(Arc::new(self.factory(serde_json::json!({}))), crash).expect("it opens")
    }
}

/// A batch of events with key, time and command.
pub(crate) fn batch(events: &[(&str, i64, &str)]) -> Batch {
    let mut batch = Batch::default();
    for (key, time, command) in events {
        batch.push(EventTime(*time), Some(key.as_bytes()), Some(command.as_bytes()));
    }
    batch
}

/// One call; what it did.
pub(crate) fn call(rig: &mut Rig, events: &[(&str, i64, &str)]) -> Result<Done, Failure> {
    rig.events(0, &batch(events))?;
    Ok(std::mem::take(&mut rig.done))
}

/// One call with commands for key `k` at time 0 that must succeed; the text of what came out of `out`.
pub(crate) fn ask(rig: &mut Rig, commands: &[&str]) -> Vec<String> {
    let events: Vec<_> = commands.iter().map(|command| ("k", 0, *command)).collect();
    texts(&call(rig, &events).expect("the call succeeds"), 0)
}

/// The values that came out of a port, as text.
pub(crate) fn texts(done: &Done, port: u32) -> Vec<String> {
    let events = done.output.iter().filter(|(of, _)| *of == port).map(|(_, event)| event);
    events.map(|event| String::from_utf8_lossy(event.value.as_deref().unwrap_or(b"(none)")).into_owned()).collect()
}

/// Byte i is i mod 251.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}
