//! From bytes to something that runs: a file or project folder becomes a checked, compiled, described component.
//! `job/planner.rs` loads, `cli` inspects and builds; `instance.rs` runs what comes out.

use super::bindings::ProcessorPre;
use super::describe;
use super::engine::{EngineOptions, WasmEngine};
use super::error::ComponentError;
use super::host_functions::{HostState, Phase};
use super::instance::Instance;
use super::limits::DESCRIBE_LIMITS;
use super::world::{self, Surface};
use crate::operator::{Context, Descriptor, Failure};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::component::Component;

/// Where `tidemill build` puts a project's component, in the project's folder.
pub const BUILT_COMPONENT: &str = "component.wasm";

/// A component that fits world `processor`, compiled and described. Cheap to clone.
#[derive(Clone)]
pub struct LoadedComponent {
    pre: ProcessorPre<HostState>,
    descriptor: Arc<Descriptor>,
    digest: String,
    from_cache: bool,
}

impl LoadedComponent {
    /// What it says of itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> String {
        format!("sha256:{}", self.digest)
    }

    /// Whether its compiled form came from the cache.
    pub fn from_cache(&self) -> bool {
        self.from_cache
    }

    pub(super) fn pre(&self) -> &ProcessorPre<HostState> {
        &self.pre
    }

    pub(super) fn shared_descriptor(&self) -> Arc<Descriptor> {
        self.descriptor.clone()
    }
}

/// What `tidemill inspect` shows.
#[derive(Clone, Debug)]
pub struct ComponentReport {
    /// The file.
    pub file: PathBuf,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// The world of the contract that it exports, if any.
    pub world: Option<&'static str>,
    /// Everything it imports.
    pub imports: Vec<String>,
    /// Everything it exports.
    pub exports: Vec<String>,
    /// What it says of itself, if it can run as an operator.
    pub descriptor: Option<Descriptor>,
    /// Why it cannot run as an operator.
    pub problem: Option<String>,
}

/// Loads a .wasm component, or the built component of a project folder.
pub fn load(engine: &WasmEngine, path: &Path) -> Result<LoadedComponent, ComponentError> {
    let file = component_file(path)?;
    let bytes = std::fs::read(&file).map_err(|e| ComponentError::unreadable(&file, &e))?;
    load_bytes(engine, &file.display().to_string(), &bytes)
}

/// Loads a component from memory; `name` is what messages call it.
pub fn load_bytes(engine: &WasmEngine, name: &str, bytes: &[u8]) -> Result<LoadedComponent, ComponentError> {
    world::surface(name, bytes)?.check(name)?;
    load_checked(engine, name, bytes)
}

/// Reads a component and says what it is, also when it cannot run as an operator.
pub fn inspect(path: &Path) -> Result<ComponentReport, ComponentError> {
    let file = component_file(path)?;
    let bytes = std::fs::read(&file).map_err(|e| ComponentError::unreadable(&file, &e))?;
    let name = file.display().to_string();
    let surface = world::surface(&name, &bytes)?;
    let loaded = surface
        .check(&name)
        .and_then(|()| WasmEngine::new(EngineOptions::default()))
        .and_then(|engine| load_checked(&engine, &name, &bytes));
    let (descriptor, problem) = match loaded {
        Ok(component) => (Some(component.descriptor().clone()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let (world, Surface { imports, exports }) = (surface.world(), surface);
    let digest = format!("sha256:{}", sha256_hex(&bytes));
    Ok(ComponentReport { file, digest, size: bytes.len() as u64, world, imports, exports, descriptor, problem })
}

/// Makes a component of a core module that carries its component type (as the SDK's export macro puts it there), and
/// checks it against the world.
pub fn componentize(core_module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    let unfit = |why: String| {
        ComponentError::NotAComponent(format!(
            "the module cannot become a component: {why}; build a cdylib for wasm32-unknown-unknown with the SDK's \
             export macro"
        ))
    };
    if !wasmparser::Parser::is_core_wasm(core_module) {
        return Err(unfit("it is not a core WebAssembly module".into()));
    }
    let component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(core_module)
        .and_then(|encoder| encoder.encode())
        .map_err(|e| unfit(format!("{e:#}")))?;
    world::surface("the new component", &component)?.check("the new component")?;
    Ok(component)
}

/// The file that a path of a pipeline file means.
fn component_file(path: &Path) -> Result<PathBuf, ComponentError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let file = path.join(BUILT_COMPONENT);
    if file.is_file() {
        return Ok(file);
    }
    Err(ComponentError::Missing(format!(
        "component not built: run `tidemill build {}` ({} is missing)",
        path.display(),
        file.display()
    )))
}

fn load_checked(engine: &WasmEngine, name: &str, bytes: &[u8]) -> Result<LoadedComponent, ComponentError> {
    let digest = sha256_hex(bytes);
    let (component, from_cache) = compile(engine, name, bytes, &digest)?;
    let unfit = |e: wasmtime::Error| {
        ComponentError::WrongWorld(format!(
            "component {name} does not fit world tidemill:operator/processor@0.1.0: {e:#}; build it with a matching SDK"
        ))
    };
    let pre = engine.linker().instantiate_pre(&component).and_then(ProcessorPre::new).map_err(unfit)?;
    let descriptor = describe(engine, &pre)
        .map_err(|why| ComponentError::Descriptor(format!("component {name} cannot be used: {why}")))?;
    Ok(LoadedComponent { pre, descriptor: Arc::new(descriptor), digest, from_cache })
}

fn compile(engine: &WasmEngine, name: &str, bytes: &[u8], digest: &str) -> Result<(Component, bool), ComponentError> {
    if let Some(component) = engine.cache().and_then(|cache| cache.get(engine.wasmtime(), digest)) {
        return Ok((component, true));
    }
    let component = Component::from_binary(engine.wasmtime(), bytes).map_err(|e| {
        ComponentError::NotAComponent(format!("component {name} does not compile: {e:#}; build or download it again"))
    })?;
    if let Some(cache) = engine.cache() {
        cache.put(digest, &component);
    }
    Ok((component, false))
}

/// Asks a throw-away instance what it is.
fn describe(engine: &WasmEngine, pre: &ProcessorPre<HostState>) -> Result<Descriptor, String> {
    let mut context = Context::default();
    let nothing = Descriptor {
        descriptor: 0,
        name: String::new(),
        version: String::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        states: Vec::new(),
        timers: Vec::new(),
        metrics: Vec::new(),
        wants: Default::default(),
        config: None,
    };
    let json =
        Instance::start(engine, pre, Arc::new(nothing), &DESCRIBE_LIMITS, &mut context).and_then(|mut instance| {
            let deadline_ms = DESCRIBE_LIMITS.call_deadline_ms;
            instance.call("describe", Phase::Describe, deadline_ms, &mut context, |guest, store| {
                guest.call_describe(store).map(Ok)
            })
        });
    let json = json.map_err(|failure| match failure {
        Failure::Trap { message, backtrace } if backtrace.is_empty() => message,
        Failure::Trap { message, backtrace } => format!("{message}\n{backtrace}"),
        other => format!("describe failed: {other:?}"),
    })?;
    describe::parse(&json)
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
