//! One wasmtime engine per process: its settings, the linker with everything a guest may call, and the epoch clock that
//! deadlines are measured by. `job` and `cli` make it; `component.rs` and `instance.rs` use it.

use super::bindings::Processor;
use super::cache::Cache;
use super::error::ComponentError;
use super::host_functions::HostState;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, OptLevel, WasmBacktraceDetails};

/// How often the epoch moves, ms: the grain of every deadline.
pub(super) const TICK_MS: u64 = 10;

/// Guest frames kept of a trap.
const BACKTRACE_FRAMES_MAX: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// What an engine needs from outside.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Where compiled components are kept; made with mode 0700 if need be. Absent: compile every time.
    pub cache_dir: Option<PathBuf>,
}

/// The engine. A cheap handle; the epoch clock stops with the last one.
#[derive(Clone)]
pub struct WasmEngine {
    inner: Arc<Inner>,
}

struct Inner {
    engine: wasmtime::Engine,
    linker: Linker<HostState>,
    cache: Option<Cache>,
    _clock: EpochClock,
}

impl WasmEngine {
    /// Starts one, with its clock.
    pub fn new(options: EngineOptions) -> Result<WasmEngine, ComponentError> {
        let engine = wasmtime::Engine::new(&config())
            .map_err(|e| ComponentError::Engine(format!("wasmtime cannot start on this machine: {e:#}")))?;
        let mut linker = Linker::new(&engine);
        Processor::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |host| host)
            .map_err(|e| ComponentError::Engine(format!("the host functions do not link: {e:#}")))?;
        let cache = options.cache_dir.map(|dir| Cache::open(dir, &engine)).transpose()?;
        let clock = EpochClock::start(engine.clone())?;
        Ok(WasmEngine { inner: Arc::new(Inner { engine, linker, cache, _clock: clock }) })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.engine
    }

    pub(super) fn linker(&self) -> &Linker<HostState> {
        &self.inner.linker
    }

    pub(super) fn cache(&self) -> Option<&Cache> {
        self.inner.cache.as_ref()
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .cranelift_opt_level(OptLevel::Speed)
        // Deadlines by epochs: about 5-25 % cheaper than fuel on compiled guests, and they bound time, which is what
        // a stalled pipeline suffers from. Fuel stays off.
        .epoch_interruption(true)
        // The same answer on every machine, so that a replay is exact.
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true)
        // Names and lines of guest frames wherever the component has them, whatever the environment says.
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES_MAX))
        // Memory: wasmtime's defaults (4 GiB reserved, pages touched on use, images mapped copy-on-write) make an
        // idle instance cost what it has written. What it may commit is bounded per instance in limits.rs.
        .memory_init_cow(true);
    config
}

/// A thread that moves the epoch every [`TICK_MS`] until it is dropped.
struct EpochClock {
    stop: Option<crossbeam_channel::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl EpochClock {
    fn start(engine: wasmtime::Engine) -> Result<EpochClock, ComponentError> {
        let (stop, stopped) = crossbeam_channel::bounded::<Infallible>(0);
        let tick = Duration::from_millis(TICK_MS);
        let thread = std::thread::Builder::new()
            .name("wasm-epochs".into())
            .spawn(move || {
                // Nothing is ever sent: the wait ends by time, or because the sender is gone.
                while let Err(crossbeam_channel::RecvTimeoutError::Timeout) = stopped.recv_timeout(tick) {
                    engine.increment_epoch();
                }
            })
            .map_err(|e| ComponentError::Engine(format!("the deadline clock's thread cannot start: {e}")))?;
        Ok(EpochClock { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for EpochClock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing that could panic; if it did, there is nothing left to stop.
            let _ = thread.join();
        }
    }
}
