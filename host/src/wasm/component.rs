//! From bytes to something that runs: a file or project folder becomes a checked, compiled, described component.
//! `job/planner.rs` loads, `cli` inspects and builds; `instance.rs` runs what comes out.

use super::bindings::aggregator::{Aggregator, AggregatorPre};
use super::bindings::{Processor, ProcessorPre};
use super::describe;
use super::engine::{EngineOptions, WasmEngine};
use super::error::ComponentError;
use super::host_functions::{HostState, Phase};
use super::instance::{Instance, World};
use super::limits::DESCRIBE_LIMITS;
use super::world::{self, Surface, WorldName};
use crate::operator::{Context, Descriptor, Failure};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::component::Component;

/// Where `tidemill build` puts a project's component, in the project's folder.
pub const BUILT_COMPONENT: &str = "component.wasm";

/// A component that fits one of the worlds, compiled and described. Cheap to clone.
#[derive(Clone)]
pub struct LoadedComponent {
    pre: Pre,
    name: String,
    descriptor: Arc<Descriptor>,
    digest: String,
    from_cache: bool,
}

#[derive(Clone)]
enum Pre {
    Processor(ProcessorPre<HostState>),
    Aggregator(AggregatorPre<HostState>),
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

    /// As an operator.
    pub(super) fn processor(&self) -> Result<&ProcessorPre<HostState>, ComponentError> {
        match &self.pre {
            Pre::Processor(pre) => Ok(pre),
            Pre::Aggregator(_) => Err(ComponentError::WrongWorld(format!(
                "component {} is a window aggregate (world aggregator), which needs a window: write window = {{ tumbling = \"1h\" }} \
                 or another beside it",
                self.name
            ))),
        }
    }

    /// As the aggregate of windows.
    pub(super) fn aggregator(&self) -> Result<&AggregatorPre<HostState>, ComponentError> {
        match &self.pre {
            Pre::Aggregator(pre) => Ok(pre),
            Pre::Processor(_) => Err(ComponentError::WrongWorld(format!(
                "component {} is an operator of world processor, which keeps its own windows: remove window, or give it a \
                 component of world aggregator",
                self.name
            ))),
        }
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
    let world = world::surface(name, bytes)?.check(name)?;
    load_checked(engine, name, bytes, world)
}

/// Reads a component and says what it is, also when it cannot run as an operator.
pub fn inspect(path: &Path) -> Result<ComponentReport, ComponentError> {
    let file = component_file(path)?;
    let bytes = std::fs::read(&file).map_err(|e| ComponentError::unreadable(&file, &e))?;
    let name = file.display().to_string();
    let surface = world::surface(&name, &bytes)?;
    let loaded = surface
        .check(&name)
        .and_then(|world| WasmEngine::new(EngineOptions::default()).map(|engine| (engine, world)))
        .and_then(|(engine, world)| load_checked(&engine, &name, &bytes, world));
    let (descriptor, problem) = match loaded {
        Ok(component) => (Some(component.descriptor().clone()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let (world, Surface { imports, exports }) = (surface.world().map(WorldName::full), surface);
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

fn load_checked(
    engine: &WasmEngine,
    name: &str,
    bytes: &[u8],
    world: WorldName,
) -> Result<LoadedComponent, ComponentError> {
    let digest = sha256_hex(bytes);
    let (component, from_cache) = compile(engine, name, bytes, &digest)?;
    let unfit = |e: wasmtime::Error| {
        ComponentError::WrongWorld(format!(
            "component {name} does not fit world {}: {e:#}; build it with a matching SDK",
            world.full()
        ))
    };
    let linked = engine.linker().instantiate_pre(&component);
    let (pre, json) = match world {
        WorldName::Processor => {
            let pre = linked.and_then(ProcessorPre::new).map_err(unfit)?;
            let json = describe::<Processor>(engine, &pre);
            (Pre::Processor(pre), json)
        }
        WorldName::Aggregator => {
            let pre = linked.and_then(AggregatorPre::new).map_err(unfit)?;
            let json = describe::<Aggregator>(engine, &pre);
            (Pre::Aggregator(pre), json)
        }
    };
    let parse = |json: String| describe::parse(&json, world);
    let descriptor = json
        .and_then(parse)
        .map_err(|why| ComponentError::Descriptor(format!("component {name} cannot be used: {why}")))?;
    Ok(LoadedComponent { pre, name: name.to_owned(), descriptor: Arc::new(descriptor), digest, from_cache })
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
fn describe<W: World>(engine: &WasmEngine, pre: &W::Pre) -> Result<String, String> {
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
    let json = Instance::<W>::start(engine, pre, Arc::new(nothing), &DESCRIBE_LIMITS, &mut context).and_then(
        |mut instance| {
            let deadline_ms = DESCRIBE_LIMITS.call_deadline_ms;
            instance.call("describe", Phase::Describe, deadline_ms, &mut context, |guest, store| {
                guest.describe(store).map(Ok)
            })
        },
    );
    json.map_err(|failure| match failure {
        Failure::Trap { message, backtrace } if backtrace.is_empty() => message,
        Failure::Trap { message, backtrace } => format!("{message}\n{backtrace}"),
        other => format!("describe failed: {other:?}"),
    })
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
