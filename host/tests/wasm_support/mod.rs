//! Real guests for tests and benchmarks: crates of this workspace, compiled by cargo and made components in process.

#![allow(dead_code, unreachable_pub)] // each test program uses its own part

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};
use tidemill::config::pipeline::Limits;
use tidemill::operator::{Context, Failure, LogLevel, Operator, OperatorFactory, Rejection, Subtask};
use tidemill::state::KeyedState;
use tidemill::wasm::{EngineOptions, LoadedComponent, WasmEngine, WasmFactory, component};
use tidemill_storage::state::Memory;
use tidemill_storage::{Batch, EventTime};

const TARGET: &str = "wasm32-unknown-unknown";

/// What every test runs under unless it says otherwise.
pub const LIMITS: Limits = Limits { memory_bytes: 16 << 20, call_deadline_ms: 10_000, output_bytes: 16 << 20 };

/// Key groups of the tests.
pub const MAX_PARALLELISM: u32 = 128;

/// The workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host lies in the workspace")
}

/// The core module of a guest crate, built once per process.
pub fn core_module(package: &str) -> Vec<u8> {
    static BUILT: LazyLock<Mutex<HashMap<String, Vec<u8>>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().expect("no build panicked");
    built.entry(package.to_owned()).or_insert_with(|| build(package)).clone()
}

/// A target folder of their own, so that guests do not wait for the build that runs this test.
fn build(package: &str) -> Vec<u8> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("guests");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--release", "--target", TARGET, "--package", package])
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", &target);
    // A rustc with the target, if not the usual one: see host/src/cli/guest_toolchain.rs.
    if let Some(rustc) = std::env::var_os("TIDEMILL_RUSTC").map(PathBuf::from) {
        let lib = rustc.parent().and_then(Path::parent).map(|toolchain| toolchain.join("lib"));
        cargo.env("RUSTC", &rustc).env("LD_LIBRARY_PATH", lib.unwrap_or_default());
    }
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "{package} does not build for {TARGET}; `cargo xtask test` sets the target up");
    let file = target.join(TARGET).join("release").join(format!("{}.wasm", package.replace('-', "_")));
    std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// The component of a guest crate.
pub fn component_bytes(package: &str) -> Vec<u8> {
    component::componentize(&core_module(package)).expect("a guest of the workspace fits the world")
}

/// The engine that the tests of one program share, without a cache on disk.
pub fn engine() -> WasmEngine {
    static ENGINE: LazyLock<WasmEngine> =
        LazyLock::new(|| WasmEngine::new(EngineOptions::default()).expect("wasmtime runs here"));
    ENGINE.clone()
}

/// A guest crate, compiled once per process for the shared engine.
pub fn shared(package: &str) -> LoadedComponent {
    static LOADED: LazyLock<Mutex<HashMap<String, LoadedComponent>>> = LazyLock::new(Mutex::default);
    let mut loaded = LOADED.lock().expect("nothing panicked while loading");
    loaded.entry(package.to_owned()).or_insert_with(|| load(&engine(), package)).clone()
}

/// A guest crate, loaded by this engine.
pub fn load(engine: &WasmEngine, package: &str) -> LoadedComponent {
    component::load_bytes(engine, package, &component_bytes(package)).expect("it loads")
}

/// An operator with the context of its task.
pub struct Rig {
    pub factory: WasmFactory,
    pub context: Context,
    pub operator: Box<dyn Operator>,
}

impl Rig {
    /// The only subtask of an operator of this guest crate.
    pub fn new(package: &str) -> Rig {
        Rig::with(package, LIMITS, Subtask { index: 0, parallelism: 1, max_parallelism: MAX_PARALLELISM })
    }

    pub fn with(package: &str, limits: Limits, subtask: Subtask) -> Rig {
        let factory = factory(package, &serde_json::json!({}), &limits);
        let mut context = context(&factory, subtask);
        let operator = factory.create(&mut context).expect("it opens");
        Rig { factory, context, operator }
    }

    /// One call with these keys and values at times 0, 1, 2 ...
    pub fn process(&mut self, events: &[(&str, &str)]) -> Result<Vec<Rejection>, Failure> {
        let batch = batch(events);
        self.process_batch(&batch)
    }

    pub fn process_batch(&mut self, batch: &Batch) -> Result<Vec<Rejection>, Failure> {
        self.operator.process(0, EventTime::MIN, batch, &mut self.context)
    }

    /// A call that must trap: its message and backtrace. Its effects are rolled back, as the dataflow does.
    pub fn trap(&mut self, events: &[(&str, &str)]) -> (String, String) {
        let failure = self.process(events).expect_err("a trap");
        self.context.roll_back();
        match failure {
            Failure::Trap { message, backtrace } => (message, backtrace),
            other => panic!("not a trap: {other:?}"),
        }
    }

    /// What was emitted so far, as port, key, value; and the call is committed.
    pub fn committed(&mut self) -> Vec<(u32, String, String)> {
        self.context.state.commit_call();
        let mut out = Vec::new();
        for (port, batch) in self.context.output.drain(..) {
            for i in 0..batch.len() {
                let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
                out.push((port, text(batch.keys.get(i)), text(batch.values.get(i))));
            }
        }
        out
    }

    /// Takes the log lines so far.
    pub fn log(&mut self) -> Vec<(LogLevel, String)> {
        std::mem::take(&mut self.context.log)
    }
}

/// A factory for a guest crate.
pub fn factory(package: &str, config: &serde_json::Value, limits: &Limits) -> WasmFactory {
    WasmFactory::new(&engine(), shared(package), config, limits, package).expect("the limits are sound")
}

/// The context of a subtask, with empty state.
pub fn context(factory: &WasmFactory, subtask: Subtask) -> Context {
    let Subtask { index, parallelism, max_parallelism } = subtask;
    let groups = tidemill_storage::hash::key_group_range(index, parallelism, max_parallelism);
    let kinds = factory.descriptor().states.iter().map(|state| state.kind).collect();
    Context {
        state: KeyedState::new(Memory::new(groups.clone(), max_parallelism), kinds, max_parallelism, groups)
            .with_states(&factory.descriptor().states),
        subtask: Some(subtask),
        ..Context::default()
    }
}

/// Keys and values at times 0, 1, 2 ...
pub fn batch(events: &[(&str, &str)]) -> Batch {
    let mut batch = Batch::default();
    for (time, (key, value)) in events.iter().enumerate() {
        batch.push(EventTime(time as i64), Some(key.as_bytes()), Some(value.as_bytes()));
    }
    batch
}
